"""Alerts: each step of one is one transaction, with what its receiver is told in the outbox."""

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.db import transaction

from wingxtra.console.models import LASTS
from wingxtra.escalation.causes import Cause
from wingxtra.escalation.models import Alert, AlertMessage, Rule

log = structlog.get_logger(__name__)

State, Place = Alert.State, AlertMessage.Place
TEST = "test"
TEST_LASTS = timedelta(minutes=10)
KEPT = timedelta(days=90)


def watch(rule: Rule, cause: Cause, now: datetime) -> None:
    """Open an alert that is not told yet; nothing if one is open for this rule and cause."""
    alert = Alert(
        rule=rule,
        cause=cause.key,
        sources=sorted(cause.sources),
        text=cause.text,
        severity=cause.severity,
        level=cause.level,
        seen_at=now,
    )
    # Two workers may look at the same time: the unique index decides.
    Alert.objects.bulk_create([alert], ignore_conflicts=True)


def note_sources(alert: Alert, cause: Cause) -> None:
    """Another check has found the cause as well."""
    sources = sorted({*alert.sources, *cause.sources})
    Alert.objects.filter(pk=alert.pk).update(sources=sources)


def forget(alert: Alert) -> None:
    """Delete an alert that was not told."""
    Alert.objects.filter(pk=alert.pk, state=State.WATCHED).delete()


def trigger(alert: Alert, cause: Cause, now: datetime) -> None:
    _step(
        alert,
        [State.WATCHED],
        Place.TRIGGER,
        now,
        state=State.TOLD,
        told_at=now,
        text=cause.text,
        severity=cause.severity,
        level=cause.level,
    )


def acknowledge(alert: Alert, cause: Cause, now: datetime) -> None:
    """It was acknowledged here: the receiver is told."""
    _step(
        alert,
        [State.TOLD],
        Place.ACKNOWLEDGE,
        now,
        state=State.ACKNOWLEDGED,
        acknowledged_at=now,
        acknowledged_by=cause.acknowledged_by,
        quiet_until=cause.quiet_until,
        level=cause.level,
    )


def acknowledge_there(alert: Alert, by: str, now: datetime) -> bool:
    """It was acknowledged by its receiver, who need not be told. False if it was already."""
    changed = Alert.objects.filter(pk=alert.pk, state=State.TOLD).update(
        state=State.ACKNOWLEDGED,
        acknowledged_at=now,
        acknowledged_by=by,
        quiet_until=now + LASTS,
    )
    return bool(changed)


def resolve(alert: Alert, because: str, now: datetime) -> None:
    _step(
        alert,
        [State.TOLD, State.ACKNOWLEDGED],
        Place.RESOLVE,
        now,
        state=State.RESOLVED,
        resolved_at=now,
        resolved_because=because,
    )


def _step(
    alert: Alert, out_of: list[str], place: AlertMessage.Place, now: datetime, **values: Any
) -> None:
    """Nothing if another worker was first."""
    with transaction.atomic():
        if Alert.objects.filter(pk=alert.pk, state__in=out_of).update(**values):
            AlertMessage.objects.create(alert=alert, place=place, created_at=now, next_try_at=now)
            log.info("alert", alert_id=str(alert.pk), cause=alert.cause, state=values["state"])


def test(rule: Rule, now: datetime) -> AlertMessage:
    """Tell the receiver of a test alert, also outside of the rule's hours. It resolves by itself.

    Raises ValidationError while another test is under way.
    """
    with transaction.atomic():
        Rule.objects.select_for_update().get(pk=rule.pk)
        if rule.alerts.open().filter(cause=TEST).exists():
            minutes = TEST_LASTS.seconds // 60
            raise ValidationError(
                f"A test alert is open. It ends by itself {minutes} minutes after its start."
            )
        alert = Alert.objects.create(
            rule=rule,
            cause=TEST,
            text="Test alert: nothing is wrong, escalation works",
            severity=rule.severity,
            level=0,
            state=State.TOLD,
            seen_at=now,
            told_at=now,
        )
        return AlertMessage.objects.create(
            alert=alert, place=Place.TRIGGER, created_at=now, next_try_at=now
        )


def end_tests(now: datetime) -> None:
    for alert in Alert.objects.open().filter(cause=TEST, seen_at__lte=now - TEST_LASTS):
        resolve(alert, "The test is over.", now)


def forget_old(now: datetime) -> int:
    """Returns how many."""
    old = Alert.objects.filter(resolved_at__lt=now - KEPT)
    return old.delete()[1].get(Alert._meta.label, 0)
