"""What a log line looks like: JSON in production, for eyes elsewhere; never with local variables.

Both `structlog.get_logger()` and `logging.getLogger()` end in the same format. What is bound with
`structlog.contextvars.bind_contextvars` is in every line: `request_id` and what the address names
(`order_id`, ...) in a request, `message_id`, `actor` and the `request_id` that a message comes from
in a worker. So one id finds everything that a request caused, in all processes.
"""

import sys
from typing import Any

import structlog

from wingxtra.secrecy import scrub_line


def config(*, level: str, json_lines: bool) -> dict[str, Any]:
    """Configure structlog and return Django's LOGGING; lines go to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # Tracebacks are plain text on purpose: a rich one would print locals, and locals hold phone
    # numbers and keys.
    render: Any = (
        structlog.processors.JSONRenderer(default=str)
        if json_lines
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    scrub_line,
                    render,
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        # Django's own default configuration prints these a second time.
        "loggers": {
            "django": {"handlers": [], "propagate": True},
            "django.server": {"handlers": [], "propagate": True},
            # Refusals are in the line `request`; this is for what broke.
            "django.request": {"level": "ERROR"},
        },
    }
