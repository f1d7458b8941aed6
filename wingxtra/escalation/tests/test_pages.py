"""Escalation in the console: rules, alerts, the test alert, and a receiver that refuses."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tracking.tests.receiver import Receiver
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import dashboard
from wingxtra.escalation import alerts, looking
from wingxtra.escalation.models import PAGERDUTY_URL, Alert, Rule
from wingxtra.escalation.tests.support import (
    ROUTING_KEY,
    SECRET,
    Board,
    PagerDutyFactory,
    RuleFactory,
    go_on,
    leak,
    send_all,
    told,
)
from wingxtra.webhooks import secrets

pytestmark = pytest.mark.django_db
ADD = "admin:escalation_rule_add"
CHANGE = "admin:escalation_rule_change"


def browser_of(role: Role) -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=role, is_staff=True))
    return browser


@pytest.fixture
def admin() -> Client:
    return browser_of(Role.ADMIN)


def form(**values: Any) -> dict[str, Any]:
    usual = {
        "name": "Night shift",
        "enabled": "on",
        "severity": "GRAVE",
        "after_s": "60",
        "kind": "PAGERDUTY",
        "key": ROUTING_KEY,
    }
    return {name: value for name, value in (usual | values).items() if value is not None}


def saved(admin: Client, **values: Any) -> Rule | dict[str, Any]:
    """The rule, or the errors of the form."""
    answer = admin.post(reverse(ADD), form(**values))
    if answer.status_code == 302:
        return Rule.objects.get()
    errors: dict[str, Any] = answer.context["adminform"].form.errors
    return errors


def test_an_administrator_adds_a_rule_whose_key_is_sealed(admin: Client) -> None:
    rule = saved(admin, timezone="Africa/Accra", weekly="Mon-Fri 18:00-06:00", hook_key="theirs")
    assert isinstance(rule, Rule)
    assert rule.url == PAGERDUTY_URL
    assert ROUTING_KEY.encode() not in bytes(rule.secret)
    assert secrets.opened(rule.secret) == ROUTING_KEY
    assert secrets.opened(rule.hook_secret) == "theirs"
    assert rule.hours["weekly"][0] == {"weekday": "MONDAY", "opens": "18:00", "closes": "06:00"}
    page = admin.get(reverse(CHANGE, args=[rule.pk])).content.decode()
    assert ROUTING_KEY not in page
    assert "theirs" not in page
    assert "Monday-Friday 18:00-06:00" in page
    assert f"/hooks/escalation/{rule.pk}" in page
    assert not any(ROUTING_KEY in entry.change_message for entry in LogEntry.objects.all())


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"key": None}, "key"),
        ({"kind": "WEBHOOK"}, "url"),
        ({"kind": "WEBHOOK", "url": "http://shop.example/hook"}, "url"),
        ({"kind": "WEBHOOK", "url": "https://10.0.0.1/"}, "url"),
        ({"url": "https://169.254.169.254/"}, "url"),
        ({"kind": "EMAIL"}, "emails"),
        ({"kind": "EMAIL", "emails": "no address"}, "emails"),
        ({"weekly": "Mon 08:00-12:00"}, "timezone"),
        ({"timezone": "Accra", "weekly": "Mon 08:00-12:00"}, "timezone"),
        ({"timezone": "Africa/Accra", "weekly": "always"}, "weekly"),
        ({"after_s": "86401"}, "after_s"),
        ({"after_s": "-1"}, "after_s"),
        ({"name": ""}, "name"),
        ({"kind": "FAX"}, "kind"),
    ],
)
def test_a_wrong_rule_is_refused_by_field(
    admin: Client, values: dict[str, Any], field: str
) -> None:
    errors = saved(admin, **values)
    assert isinstance(errors, dict)
    assert field in errors


def test_a_key_is_kept_but_not_sent_to_another_address(admin: Client) -> None:
    rule = saved(admin)
    assert isinstance(rule, Rule)
    page = reverse(CHANGE, args=[rule.pk])
    admin.post(page, form(key=None, url=PAGERDUTY_URL, after_s="90"))
    rule.refresh_from_db()
    assert (rule.after_s, secrets.opened(rule.secret)) == (90, ROUTING_KEY)
    answer = admin.post(page, form(key=None, url="https://events.eu.pagerduty.com/v2/enqueue"))
    assert "key" in answer.context["adminform"].form.errors


def test_a_webhooks_secret_is_shown_once(admin: Client) -> None:
    rule = saved(admin, kind="WEBHOOK", url="https://on-call.example/alerts", key=None)
    assert isinstance(rule, Rule)
    action = reverse("admin:act", args=["escalation.rule", "new-secret"])
    answer = admin.post(f"{action}?id={rule.pk}")
    rule.refresh_from_db()
    assert secrets.opened(rule.secret) in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    page = admin.get(reverse(CHANGE, args=[rule.pk])).content.decode()
    assert secrets.opened(rule.secret) not in page


def test_a_secret_is_not_taken_along_to_another_kind_of_receiver(admin: Client) -> None:
    rule = saved(admin)
    assert isinstance(rule, Rule)
    url = "https://on-call.example/alerts"
    admin.post(reverse(CHANGE, args=[rule.pk]), form(kind="WEBHOOK", url=url, key=None))
    rule.refresh_from_db()
    assert secrets.opened(rule.secret).startswith("whsec_")
    assert rule.hook_secret is None


@pytest.mark.parametrize("role", [Role.READONLY, Role.OPS])
def test_other_staff_see_rules_without_changing_them(role: Role) -> None:
    rule = RuleFactory()
    browser = browser_of(role)
    page = browser.get(reverse(CHANGE, args=[rule.pk]))
    assert page.status_code == 200
    assert SECRET not in page.content.decode()
    assert browser.get(reverse(ADD)).status_code == 403
    assert browser.post(reverse(CHANGE, args=[rule.pk]), form()).status_code == 403
    for name in ("test", "new-secret"):
        action = reverse("admin:act", args=["escalation.rule", name])
        assert browser.post(f"{action}?id={rule.pk}").status_code == 403


def test_only_who_may_change_a_rule_sees_its_addresses(admin: Client) -> None:
    chat = RuleFactory(url="https://chat.example/hooks/T0K3N")
    mail = RuleFactory(kind="EMAIL", url="", secret=None, emails=["kofi@home.example"])
    pages = [reverse(CHANGE, args=[rule.pk]) for rule in (chat, mail)]
    for browser, shown in ((admin, True), (browser_of(Role.READONLY), False)):
        text = "".join(browser.get(page).content.decode() for page in pages)
        assert ("T0K3N" in text, "kofi@home.example" in text) == (shown, shown)


def test_a_test_alert_is_sent_and_ends_by_itself(
    admin: Client, board: Board, receiver: Receiver
) -> None:
    rule = RuleFactory(url=receiver.url, enabled=False)
    action = reverse("admin:act", args=["escalation.rule", "test"]) + f"?id={rule.pk}"
    admin.post(action)
    again = admin.post(action).content.decode()
    assert "A test alert is open." in again
    send_all()
    go_on()
    assert told(receiver) == ["trigger"]
    looking.look(timezone.now() + alerts.TEST_LASTS + timedelta(seconds=1))
    assert Alert.objects.get().resolved_because == "The test is over."


def test_an_alerts_page_says_what_was_sent_and_answered(board: Board, receiver: Receiver) -> None:
    RuleFactory(url=receiver.url)
    receiver.respond = lambda _: (202, {}, b"Event processed")
    board.items = [leak()]
    go_on()
    address = reverse("admin:escalation_alert_change", args=[Alert.objects.get().pk])
    page = browser_of(Role.READONLY).get(address).content.decode()
    assert "202 Event processed" in page
    assert "Trigger" in page


def test_a_receiver_that_refuses_is_an_item_with_a_remedy(
    admin: Client, board: Board, receiver: Receiver
) -> None:
    from wingxtra.console import registry
    from wingxtra.escalation.console import untold

    registry.add_attention(untold, checks="every receiver of escalation takes its alerts")
    rule = PagerDutyFactory(url=receiver.url, name="Night shift")
    receiver.respond = lambda _: (400, {}, b"invalid key")
    board.items = [leak()]
    go_on()
    line = dashboard.board(timezone.now()).line(f"escalation:{rule.pk}")
    assert line is not None
    assert line.text == "PagerDuty does not take the alerts of “Night shift”"
    assert "400 invalid key" in line.detail
    # Its own receiver is not told of it; a test that arrives ends it.
    go_on()
    assert Alert.objects.count() == 1
    receiver.respond = lambda _: 202
    alerts.test(rule, timezone.now())
    send_all()
    assert dashboard.board(timezone.now()).line(f"escalation:{rule.pk}") is None


@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.parametrize("name", ["rule", "alert"])
def test_lists_take_the_same_statements_for_many_rows(
    admin: Client,
    board: Board,
    receiver: Receiver,
    name: str,
    count: int,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(count):
        RuleFactory(url=receiver.url)
    board.items = [leak()]
    go_on()
    address = reverse(f"admin:escalation_{name}_changelist")
    admin.get(address)
    with django_assert_num_queries({"rule": 6, "alert": 8}[name]):
        assert admin.get(address).status_code == 200
