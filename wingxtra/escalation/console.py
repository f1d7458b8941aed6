"""Escalation in the console: its sections, actions, and the item about a receiver that refuses."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from wingxtra.broker import enqueue
from wingxtra.console import actions, registry, roles
from wingxtra.console.actions import Secret, page_of
from wingxtra.console.admin import badge, moment
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, Section, Tone, add_section
from wingxtra.escalation import actors, alerts
from wingxtra.escalation.models import Alert, AlertMessage, Rule
from wingxtra.webhooks import secrets

State = AlertMessage.State
STATE_TONE: dict[str, Tone] = {
    Alert.State.WATCHED: Tone.IDLE,
    Alert.State.TOLD: Tone.WARN,
    Alert.State.ACKNOWLEDGED: Tone.BUSY,
    Alert.State.RESOLVED: Tone.GOOD,
}
MESSAGE_TONE: dict[str, Tone] = {
    State.WAITING: Tone.WARN,
    State.SENT: Tone.GOOD,
    State.GIVEN_UP: Tone.BAD,
}
MOST_SHOWN = 20
TROUBLE_SHOWN_FOR = timedelta(days=1)
TRIES_BEFORE_SHOWN = 2

roles.seen_by_all("escalation.view_rule", "escalation.view_alert")


def latest_alerts(rule: Rule, request: HttpRequest) -> Section | None:
    rows = [
        {
            "alert": alert,
            "state": badge(alert.get_state_display(), STATE_TONE[alert.state]),
            "url": page_of(alert),
        }
        for alert in rule.alerts.all()[:MOST_SHOWN]
    ]
    hook = settings.PUBLIC_BASE_URL + reverse("escalation-hook", args=[rule.pk])
    has_hook = rule.kind != Rule.Kind.EMAIL
    return Section(
        "Its alerts",
        "console/escalation/alerts.html",
        {"rows": rows, "hook": hook if has_hook else ""},
    )


def told(alert: Alert, request: HttpRequest) -> Section | None:
    rows = [
        {
            "message": one,
            "state": badge(one.get_state_display(), MESSAGE_TONE[one.state]),
            "attempts": [
                tried | {"at": moment(datetime.fromisoformat(tried["at"]), seconds=True)}
                for tried in one.attempts
            ],
        }
        for one in alert.messages.all()
    ]
    return Section("What its receiver was told", "console/escalation/told.html", {"rows": rows})


def newest(now: datetime) -> QuerySet[AlertMessage]:
    """The newest message of each rule."""
    return (
        AlertMessage.objects.filter(created_at__gt=now - TROUBLE_SHOWN_FOR)
        .order_by("alert__rule_id", "-created_at", "-place")
        .distinct("alert__rule_id")
        .select_related("alert__rule")
    )


def untold(look: Look) -> Iterator[Attention]:
    """A line per rule whose newest message has not arrived."""
    for message in look.rows(newest):
        is_failing = message.state == State.WAITING and message.tries >= TRIES_BEFORE_SHOWN
        if message.state != State.GIVEN_UP and not is_failing:
            continue
        rule = message.alert.rule
        yield Attention(
            key=f"escalation:{rule.pk}",
            level=40,
            text=f"{rule.get_kind_display()} does not take the alerts of “{rule}”",
            detail=f"People outside of the console are not told. It said: {message.problem[:200]}",
            url=page_of(message.alert),
            since=message.created_at,
            tone=Tone.BAD,
            remedies=(actions.button(Rule, "test", rule.pk),),
        )


def _test(rule: Rule, data: dict[str, Any], user: Any) -> str:
    message = alerts.test(rule, timezone.now())
    enqueue(actors.send_alert, str(message.pk))
    minutes = alerts.TEST_LASTS.seconds // 60
    return f"A test alert is sent. It resolves by itself after {minutes} minutes."


def _new_secret(rule: Rule, data: dict[str, Any], user: Any) -> Secret:
    secret = secrets.new_secret()
    Rule.objects.filter(pk=rule.pk).update(secret=secrets.sealed(secret))
    return Secret(
        secret,
        "This is the signing secret. It is shown only now.",
        "It signs what we send and what the receiver sends back. The former one is not valid any "
        "more.",
    )


add_section(Rule, 10, latest_alerts)
add_section(Alert, 10, told)
actions.register(
    actions.Action(
        model=Rule,
        name="test",
        label="Send a test alert",
        permission="escalation.change_rule",
        carry_out=_test,
        icon="notifications_active",
        explanation="The receiver is told that nothing is wrong. Acknowledge it there to see that "
        "answers arrive here.",
    ),
    actions.Action(
        model=Rule,
        name="new-secret",
        label="New signing secret",
        permission="escalation.change_rule",
        carry_out=_new_secret,
        why_not=lambda rule: (
            None if rule.kind == Rule.Kind.WEBHOOK else "Only webhooks have a secret of ours."
        ),
        icon="key",
        in_bulk=False,
        explanation="From now on only the new one is valid: put it into the receiver at once.",
    ),
)
registry.add_attention(
    untold, checks="every receiver of escalation takes its alerts", reads=[newest]
)
