"""Looks at the attention list and does what each rule's alerts need next."""

from collections import defaultdict
from datetime import datetime, timedelta

from wingxtra.escalation import alerts, causes, judging
from wingxtra.escalation.causes import Cause
from wingxtra.escalation.judging import Duty, Seen, Standing, Step
from wingxtra.escalation.models import Alert, Rule, Severity

GONE = "It is not on the attention list any more."
OPEN_AGAIN = "It got worse, or is not acknowledged any more: a new alert follows."


def look(now: datetime) -> None:
    """May run twice at the same time. Raises DatabaseError, which changes nothing."""
    alerts.end_tests(now)
    rules = list(Rule.objects.all())
    standing: defaultdict[object, dict[str, Alert]] = defaultdict(dict)
    for one in Alert.objects.open().exclude(cause=alerts.TEST):
        standing[one.rule_id][one.cause] = one
    if not any(rule.enabled or standing[rule.pk] for rule in rules):
        return
    listed = causes.listed(now)
    for rule in rules:
        seen = listed.of(rule.severity)
        seen.pop(causes.own_trouble(rule), None)  # its receiver cannot be told of it
        for key in seen.keys() | standing[rule.pk].keys():
            alert, cause = standing[rule.pk].get(key), seen.get(key)
            if alert is None and cause is not None:
                alert = _watched(rule, cause, now)
            if alert is not None:
                _go_on(rule, alert, cause, listed.unknown, now)


def _watched(rule: Rule, cause: Cause, now: datetime) -> Alert | None:
    """The new alert of this cause, if it needs one."""
    if judging.step(_duty(rule, now), None, _seen(cause), now, in_doubt=False) != Step.WATCH:
        return None
    alerts.watch(rule, cause, now)
    return rule.alerts.open().filter(cause=cause.key).first()


def _go_on(
    rule: Rule, alert: Alert, cause: Cause | None, unknown: frozenset[str], now: datetime
) -> None:
    if cause and not cause.sources <= {*alert.sources}:
        alerts.note_sources(alert, cause)
    in_doubt = not unknown.isdisjoint(alert.sources)
    was_told = alert.state != Alert.State.WATCHED
    is_grave = alert.severity == Severity.GRAVE
    facts = Standing(alert.seen_at, was_told, alert.acknowledged_at is not None, is_grave)
    match judging.step(_duty(rule, now), facts, _seen(cause), now, in_doubt=in_doubt), cause:
        case Step.FORGET, _:
            alerts.forget(alert)
        case Step.TRIGGER, Cause():
            alerts.trigger(alert, cause, now)
        case Step.ACKNOWLEDGE, Cause():
            alerts.acknowledge(alert, cause, now)
        case Step.RESOLVE, _:
            alerts.resolve(alert, OPEN_AGAIN if cause else GONE, now)


def _duty(rule: Rule, now: datetime) -> Duty:
    return Duty(timedelta(seconds=rule.after_s), rule.is_on_duty(now))


def _seen(cause: Cause | None) -> Seen | None:
    return Seen(cause.is_open, cause.severity == Severity.GRAVE) if cause else None
