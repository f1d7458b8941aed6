"""Error reports to Sentry, if SENTRY_DSN is set, without personal data."""

from typing import Any

import sentry_sdk
import structlog

from wingxtra.secrecy import scrub_report


def start(dsn: str, environment: str, **options: Any) -> None:
    """Called once by the settings. `options`: further options of `sentry_sdk.init`."""
    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        send_default_pii=False,
        include_local_variables=False,  # they hold names, numbers and keys
        max_request_body_size="never",
        max_breadcrumbs=20,
        before_send=_before_send,
        **options,
    )


def _before_send(report: Any, hint: Any) -> Any:
    known = structlog.contextvars.get_contextvars()
    report["tags"] = {**report.get("tags", {}), **{k: str(v) for k, v in known.items()}}
    return scrub_report(report, hint)
