"""The last net before a log line or a report of an error leaves the process.

Nobody logs names, numbers or secrets on purpose. What slips into the words of an error all the same
(a database quotes the row that it refuses, a URL carries its password) is taken out here by its
looks. Pure.
"""

import re
from collections.abc import Mapping
from typing import Any

LOOKS = [
    # API keys, webhooks' secrets, JSON Web Tokens.
    (re.compile(r"\b(wx_live_|wx_test_|whsec_)[\w+/=-]+"), r"\1…"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), "(token)"),
    # The password of a URL, then addresses and numbers of people.
    (re.compile(r"://[^/\s:@]*:[^/\s@]+@"), "://…@"),
    (re.compile(r"\b[\w.+-]+@[\w-]+(\.[\w-]+)+"), "(e-mail)"),
    (re.compile(r"\+\d(?:[ .()-]?\d){7,14}"), "(phone)"),
    # Who knows a tracking id can move the drop point.
    (re.compile(r"(/track/|/tracking/)[\w-]{8,}"), r"\1…"),
    # PostgreSQL: "DETAIL:  Failing row contains (…)".
    (re.compile(r"DETAIL:.*?(?=\n\n|\Z)", re.DOTALL), "DETAIL: (left out)"),
]
# Of a request, in a report of an error: none of this says where the fault is.
NEVER = {"data", "cookies", "query_string", "env", "user", "vars"}


def scrubbed(text: str) -> str:
    for look, instead in LOOKS:
        text = look.sub(instead, text)
    return text


def scrub_line(_logger: Any, _method: str, line: dict[str, Any]) -> dict[str, Any]:
    """structlog's processor: every value of the line. Of a request Django tells the whole query."""
    return {name: _clean(value) for name, value in line.items() if name != "request"}


def scrub_report(report: Any, _hint: Any) -> Any:
    """Sentry's before_send: everything in the report, and some of it not at all."""
    return _without(report)


def _without(part: Any) -> Any:
    if isinstance(part, Mapping):
        kept = {name: value for name, value in part.items() if name not in NEVER}
        if "headers" in kept:
            kept["headers"] = {}
        return {name: _without(value) for name, value in kept.items()}
    if isinstance(part, list | tuple):
        return [_without(one) for one in part]
    return scrubbed(part) if isinstance(part, str) else part


def _clean(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _clean(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [_clean(one) for one in value]
    return scrubbed(str(value))
