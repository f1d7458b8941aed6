"""Redaction of personal data and secrets in log lines and error reports.

Our code does not log them. But the text of an error may hold them: a database quotes the row that
it refuses, a URL holds its password. They are found by their pattern and removed. Pure.
"""

import re
from collections.abc import Mapping
from typing import Any

PATTERNS = [
    # API keys, webhooks' secrets, JSON Web Tokens.
    (re.compile(r"\b(wx_live_|wx_test_|whsec_)[\w+/=-]+"), r"\1…"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), "(token)"),
    # The password in a URL, then e-mail addresses and phone numbers.
    (re.compile(r"://[^/\s:@]*:[^/\s@]+@"), "://…@"),
    (re.compile(r"\b[\w.+-]+@[\w-]+(\.[\w-]+)+"), "(e-mail)"),
    (re.compile(r"\+\d(?:[ .()-]?\d){7,14}"), "(phone)"),
    # A tracking id gives access to the delivery.
    (re.compile(r"(/track/|/tracking/)[\w-]{8,}"), r"\1…"),
    # PostgreSQL: "DETAIL:  Failing row contains (…)".
    (re.compile(r"DETAIL:.*?(?=\n\n|\Z)", re.DOTALL), "DETAIL: (left out)"),
]
# Each pattern needs one of these. Almost no value has one, so that one search is enough.
_SIGNS = re.compile(r"wx_|whsec_|eyJ|@|\+\d|/track|DETAIL:")
# Members of an error report that hold personal data and do not help to find the fault.
DROPPED = {"data", "cookies", "query_string", "env", "user", "vars"}


def scrubbed(text: str) -> str:
    if not _SIGNS.search(text):
        return text
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def scrub_line(_logger: Any, _method: str, line: dict[str, Any]) -> dict[str, Any]:
    """structlog processor. It drops `request`, whose repr by Django has the whole query string."""
    return {name: _scrubbed_value(value) for name, value in line.items() if name != "request"}


def scrub_report(report: Any, _hint: Any) -> Any:
    """Sentry's before_send: scrubs all strings of the report and drops the members in DROPPED."""
    return _scrubbed_part(report)


def _scrubbed_part(part: Any) -> Any:
    if isinstance(part, Mapping):
        kept = {name: value for name, value in part.items() if name not in DROPPED}
        if "headers" in kept:
            kept["headers"] = {}
        return {name: _scrubbed_part(value) for name, value in kept.items()}
    if isinstance(part, list | tuple):
        return [_scrubbed_part(one) for one in part]
    return scrubbed(part) if isinstance(part, str) else part


def _scrubbed_value(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _scrubbed_value(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [_scrubbed_value(one) for one in value]
    return scrubbed(str(value))
