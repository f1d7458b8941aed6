"""What receivers answer: a person there looks after an alert, which then shows in the console."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from wingxtra.console import dashboard
from wingxtra.console.attention import acknowledging, groups
from wingxtra.escalation import alerts
from wingxtra.escalation.models import Rule

MAX_NAME = 120


def take(rule: Rule, key: str, by: str, now: datetime) -> None:
    """Acknowledge the alert with this key, and its line in the console, by a name from outside.

    Nothing for a key that is not ours and for an alert that is acknowledged or over: receivers
    repeat what they send. What became worse since the alert was told stays open, and raises the
    next one. Raises DatabaseError.
    """
    pk = _id(key)
    alert = rule.alerts.open().filter(pk=pk).first() if pk else None
    if alert is None:
        return
    by = _readable(by)
    with transaction.atomic():
        if not alerts.acknowledge_there(alert, by, now):
            return
        if alert.cause == alerts.TEST:
            return
        line = dashboard.board(now).line(alert.cause)
        level = groups.told_level(alert.level, line.level) if line else alert.level
        acknowledging.acknowledge_there(
            alert.cause, level=level, text=line.text if line else alert.text, at=now, by_name=by
        )


def _id(key: str) -> UUID | None:
    try:
        return UUID(key)
    except ValueError:
        return None


def _readable(name: str) -> str:
    """PostgreSQL's text has no NUL."""
    return name.replace("\0", "").strip()[:MAX_NAME]
