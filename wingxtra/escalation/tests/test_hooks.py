"""Receivers report that a person looks after an alert, which then shows in the console."""

import hmac
import json
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from tracking.tests.receiver import Receiver
from wingxtra.console import dashboard
from wingxtra.console.models import Acknowledgement
from wingxtra.escalation import alerts
from wingxtra.escalation.hooks import MAX_BODY_BYTES
from wingxtra.escalation.models import Alert, Rule
from wingxtra.escalation.tests.support import (
    HOOK_SECRET,
    SECRET,
    Board,
    PagerDutyFactory,
    RuleFactory,
    go_on,
    leak,
    told,
)
from wingxtra.webhooks import secrets

pytestmark = pytest.mark.django_db
AMA = {"id": "PXPGF42", "type": "user_reference", "summary": "Ama Boateng"}


@pytest.fixture
def pagerduty(board: Board, receiver: Receiver) -> Rule:
    """A rule that has told PagerDuty of the leak."""
    rule = PagerDutyFactory(url=receiver.url, name="PagerDuty")
    board.items = [leak()]
    go_on()
    return rule


def event_of(alert: Alert, kind: str = "incident.acknowledged", agent: Any = AMA) -> bytes:
    """As PagerDuty describes its V3 webhooks."""
    incident = {"id": "PGR0VU2", "type": "incident", "incident_key": str(alert.pk)}
    event = {"id": "01BRB6", "event_type": kind, "resource_type": "incident", "agent": agent}
    return json.dumps({"event": {**event, "data": incident}}).encode()


def posted(rule: Rule, body: bytes, headers: dict[str, str]) -> int:
    address = f"/hooks/escalation/{rule.pk}"
    return (
        Client().post(address, body, content_type="application/json", headers=headers).status_code
    )


def from_pagerduty(rule: Rule, body: bytes, secret: str = HOOK_SECRET) -> int:
    signature = "v1=" + hmac.new(secret.encode(), body, sha256).hexdigest()
    return posted(rule, body, {"X-PagerDuty-Signature": f"v1=0123,{signature}"})


def from_others(rule: Rule, body: bytes, secret: str = SECRET, ago_s: int = 0) -> int:
    at = timezone.now() - timedelta(seconds=ago_s)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": secrets.signatures([secret], "msg_1", at, body.decode()),
    }
    return posted(rule, body, headers)


def who_looks_after() -> list[str]:
    return [one.by.who for one in dashboard.board(timezone.now()).acknowledged]


def test_what_is_acknowledged_in_pagerduty_shows_in_the_console_by_name(
    pagerduty: Rule, receiver: Receiver
) -> None:
    alert = Alert.objects.get()
    assert from_pagerduty(pagerduty, event_of(alert)) == 202
    assert who_looks_after() == ["PagerDuty: Ama Boateng"]
    alert.refresh_from_db()
    assert (alert.state, alert.acknowledged_by) == ("ACKNOWLEDGED", "PagerDuty: Ama Boateng")
    go_on()
    assert told(receiver) == ["trigger"]  # it knows


def test_other_receivers_are_told_who_have_the_same_cause(
    pagerduty: Rule, receiver: Receiver
) -> None:
    RuleFactory(url=receiver.url)
    go_on()
    alert = Alert.objects.get(rule=pagerduty)
    from_pagerduty(pagerduty, event_of(alert))
    go_on()
    assert told(receiver) == ["trigger", "trigger", "acknowledge"]
    assert receiver.received[-1].headers["webhook-id"]


@pytest.mark.parametrize(
    ("kind", "agent", "who"),
    [
        ("incident.acknowledged", None, ["PagerDuty"]),
        ("incident.resolved", AMA, ["PagerDuty: Ama Boateng"]),
        ("incident.priority_updated", AMA, []),
        ("pagey.ping", None, []),
    ],
)
def test_other_events_and_events_without_a_person_are_taken(
    pagerduty: Rule, kind: str, agent: Any, who: list[str]
) -> None:
    assert from_pagerduty(pagerduty, event_of(Alert.objects.get(), kind, agent)) == 202
    assert who_looks_after() == who


def test_what_came_since_the_alert_was_told_is_not_acknowledged_with_it(
    board: Board, receiver: Receiver
) -> None:
    rule = PagerDutyFactory(url=receiver.url)
    failed = [leak(key=f"leak:{n}", cause="leak", many="roofs leak") for n in range(40)]
    board.items = failed[:1]
    go_on()
    board.items = failed
    assert from_pagerduty(rule, event_of(Alert.objects.get())) == 202
    assert [line.text for line in dashboard.board(timezone.now()).lines] == ["40 roofs leak"]
    go_on()
    go_on()
    assert told(receiver) == ["trigger", "resolve", "trigger"]


def test_what_is_listed_until_it_is_seen_is_not_seen_by_an_acknowledgement_there(
    board: Board, receiver: Receiver
) -> None:
    rule = PagerDutyFactory(url=receiver.url)
    board.items = [leak(cause="roof", many="roofs leak", until_seen=True)]
    go_on()
    from_pagerduty(rule, event_of(Alert.objects.get()))
    assert who_looks_after() == ["PagerDuty: Ama Boateng"]
    with time_machine.travel(timezone.now() + timedelta(hours=13)):
        assert len(dashboard.board(timezone.now()).lines) == 1


def test_a_repeated_event_changes_nothing(pagerduty: Rule) -> None:
    body = event_of(Alert.objects.get())
    from_pagerduty(pagerduty, body)
    Acknowledgement.objects.all().delete()
    assert from_pagerduty(pagerduty, body) == 202
    assert who_looks_after() == []


def test_a_receiver_of_our_own_form_acknowledges(board: Board, receiver: Receiver) -> None:
    rule = RuleFactory(url=receiver.url, name="Opsgenie")
    board.items = [leak()]
    go_on()
    data = {"key": str(Alert.objects.get().pk), "by": "Kofi"}
    body = json.dumps({"type": "alert.acknowledged", "data": data}).encode()
    assert from_others(rule, body) == 202
    assert who_looks_after() == ["Opsgenie: Kofi"]


def test_a_message_of_ours_that_comes_back_acknowledges_nothing(
    board: Board, receiver: Receiver
) -> None:
    rule = RuleFactory(url=receiver.url)
    board.items = [leak()]
    go_on()
    (sent,) = receiver.received
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    assert posted(rule, sent.body, {name: sent.headers[name] for name in names}) == 202
    assert who_looks_after() == []


def test_a_test_alert_can_be_acknowledged_there(board: Board, receiver: Receiver) -> None:
    rule = PagerDutyFactory(url=receiver.url)
    alerts.test(rule, timezone.now())
    alert = Alert.objects.get()
    assert from_pagerduty(rule, event_of(alert)) == 202
    alert.refresh_from_db()
    assert alert.acknowledged_by == "PagerDuty: Ama Boateng"


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"event": 7}', b"\xff"])
def test_what_is_no_event_is_refused(pagerduty: Rule, body: bytes) -> None:
    assert from_pagerduty(pagerduty, body) == 400


@pytest.mark.parametrize(
    "body", ["nonsense", "[]", "{}", '{"type": "alert.acknowledged", "data": {"key": "x"}}']
)
def test_what_is_no_notice_is_refused(body: str) -> None:
    assert from_others(RuleFactory(), body.encode()) in (400, 403)


@pytest.mark.parametrize("key", [None, "", "no-uuid", "00000000-0000-0000-0000-000000000000"])
def test_keys_that_are_not_ours_change_nothing(pagerduty: Rule, key: Any) -> None:
    event = {"event_type": "incident.acknowledged", "data": {"incident_key": key}}
    assert from_pagerduty(pagerduty, json.dumps({"event": event}).encode()) == 202
    assert who_looks_after() == []


def test_an_alert_of_another_rule_cannot_be_acknowledged(
    pagerduty: Rule, receiver: Receiver
) -> None:
    other = PagerDutyFactory(url=receiver.url)
    assert from_pagerduty(other, event_of(Alert.objects.get())) == 202
    assert who_looks_after() == []


def test_a_wrong_signature_is_refused(pagerduty: Rule) -> None:
    body = event_of(Alert.objects.get())
    assert from_pagerduty(pagerduty, body, secret="another") == 403
    assert posted(pagerduty, body, {}) == 403
    assert posted(pagerduty, body, {"X-PagerDuty-Signature": "v1=é"}) == 403
    assert from_others(pagerduty, body) == 403
    assert who_looks_after() == []


def test_without_its_secret_nothing_is_taken(pagerduty: Rule, settings: Settings) -> None:
    body = event_of(Alert.objects.get())
    settings.SECRET_KEY = "lost the former one"
    assert from_pagerduty(pagerduty, body) == 403
    Rule.objects.update(hook_secret=None)
    assert from_pagerduty(pagerduty, body) == 403
    assert from_pagerduty(pagerduty, body, secret="") == 403


@pytest.mark.parametrize("ago_s", [310, -310])
def test_a_signature_of_another_time_is_refused(board: Board, ago_s: int) -> None:
    assert from_others(RuleFactory(), b"{}", ago_s=ago_s) == 403


def test_other_calls_are_refused(pagerduty: Rule) -> None:
    address = f"/hooks/escalation/{pagerduty.pk}"
    assert Client().get(address).status_code == 405
    by_mail = RuleFactory(kind="EMAIL", url="", emails=["night@example.com"])
    assert posted(by_mail, b"{}", {}) == 404
    assert from_pagerduty(pagerduty, b"x" * (MAX_BODY_BYTES + 1)) == 413
