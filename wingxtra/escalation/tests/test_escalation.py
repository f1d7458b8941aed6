"""From the attention list to a receiver over real HTTP, and back to silence."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import dramatiq
import pytest
import time_machine
from django.core import mail
from django.db import connection, connections
from django.utils import timezone
from pytest_django import Settings
from standardwebhooks import Webhook

from tracking.tests.receiver import Receiver
from wingxtra import broker
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import dashboard, registry
from wingxtra.console.attention import acknowledging
from wingxtra.console.registry import Attention, Tone
from wingxtra.escalation import actors, alerts, sending
from wingxtra.escalation.models import Alert, AlertMessage, Rule
from wingxtra.escalation.tests.support import (
    ROUTING_KEY,
    SECRET,
    Board,
    PagerDutyFactory,
    RuleFactory,
    go_on,
    leak,
    look,
    send_all,
    told,
)
from wingxtra.tests.test_broker import wait_until

pytestmark = pytest.mark.django_db
START = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
State = Alert.State


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def acknowledge_here(name: str = "ama", lasts: timedelta = timedelta(hours=12)) -> None:
    now = timezone.now()
    line = dashboard.board(now).line("leak")
    assert line is not None
    acknowledging.acknowledge(line, at=now, by=UserFactory(username=name), lasts=lasts)


# --- trigger, acknowledge, resolve ---------------------------------------------------------------


def test_a_receiver_is_told_of_trigger_acknowledgement_and_end_with_one_key(
    board: Board, receiver: Receiver
) -> None:
    rule = RuleFactory(url=receiver.url)
    board.items = [leak()]
    go_on()
    acknowledge_here()
    go_on()
    board.items = []
    go_on()
    go_on()
    assert told(receiver) == ["trigger", "acknowledge", "resolve"]
    bodies = [Webhook(SECRET).verify(one.body, one.headers) for one in receiver.received]
    assert {body["data"]["key"] for body in bodies} == {str(Alert.objects.get().pk)}
    assert bodies[0]["data"]["text"] == "The roof leaks"
    assert bodies[0]["data"]["rule"] == rule.name
    alert = Alert.objects.get()
    assert (alert.state, alert.acknowledged_by) == (State.RESOLVED, "ama")


def test_pagerduty_gets_events_of_its_version_2(board: Board, receiver: Receiver) -> None:
    PagerDutyFactory(url=receiver.url)
    receiver.respond = lambda _: 202
    board.items = [leak()]
    go_on()
    board.items = []
    go_on()
    trigger, resolve = (json.loads(one.body) for one in receiver.received)
    alert = Alert.objects.get()
    assert trigger["routing_key"] == ROUTING_KEY
    assert trigger["event_action"] == "trigger"
    assert trigger["dedup_key"] == str(alert.pk)
    assert trigger["payload"] == {
        "summary": "The roof leaks",
        "source": "127.0.0.1",
        "severity": "critical",
        "timestamp": alert.seen_at.isoformat().replace("+00:00", "Z"),
        "component": "console",
        "class": "leak",
        "custom_details": {"rule": alert.rule.name},
    }
    assert resolve == {
        "routing_key": ROUTING_KEY,
        "event_action": "resolve",
        "dedup_key": str(alert.pk),
    }


def test_an_e_mail_starts_a_thread_that_the_end_belongs_to(board: Board) -> None:
    RuleFactory(kind=Rule.Kind.EMAIL, url="", secret=None, emails=["night@example.com"])
    board.items = [leak()]
    go_on()
    board.items = []
    go_on()
    first, last = mail.outbox
    assert first.subject == "Grave: The roof leaks"
    assert first.to == ["night@example.com"]
    assert last.subject == "Over: The roof leaks"
    assert last.extra_headers["In-Reply-To"] == first.extra_headers["Message-ID"]


def test_many_lines_with_one_cause_are_one_alert(board: Board, receiver: Receiver) -> None:
    RuleFactory(url=receiver.url)
    wet = [
        Attention(
            f"wet:{n}", level=20, text=f"{n}", tone=Tone.BAD, cause="wet", many="hubs are wet"
        )
        for n in range(3)
    ]
    board.items = [leak(), *wet]
    go_on()
    texts = {json.loads(one.body)["data"]["text"] for one in receiver.received}
    assert texts == {"The roof leaks", "3 hubs are wet"}


# --- which, after how long, when -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("severity", "tone", "is_told"),
    [
        ("GRAVE", Tone.BAD, True),
        ("GRAVE", Tone.WARN, False),
        ("WARNING", Tone.BAD, True),
        ("WARNING", Tone.WARN, True),
    ],
)
def test_a_rule_is_for_its_severity(
    board: Board, receiver: Receiver, severity: str, tone: Tone, is_told: bool
) -> None:
    RuleFactory(url=receiver.url, severity=severity)
    board.items = [leak(tone=tone)]
    go_on()
    assert bool(receiver.received) == is_told


def test_a_line_that_is_acknowledged_in_time_is_told_to_no_receiver(
    board: Board, receiver: Receiver, clock: time_machine.Traveller
) -> None:
    RuleFactory(url=receiver.url, after_s=300)
    board.items = [leak()]
    go_on()
    clock.shift(299)
    go_on()
    acknowledge_here()
    clock.shift(10)
    go_on()
    assert not receiver.received
    assert not Alert.objects.exists()


def test_a_line_that_is_not_acknowledged_in_time_is_told(
    board: Board, receiver: Receiver, clock: time_machine.Traveller
) -> None:
    RuleFactory(url=receiver.url, after_s=300)
    board.items = [leak()]
    go_on()
    clock.shift(300)
    go_on()
    assert told(receiver) == ["trigger"]


def test_outside_of_its_hours_a_rule_tells_only_of_the_end(
    board: Board, receiver: Receiver, clock: time_machine.Traveller
) -> None:
    mornings = [{"weekday": "MONDAY", "opens": "08:00", "closes": "12:30"}]
    hours = {"timezone": "Africa/Accra", "weekly": mornings, "exceptions": []}
    RuleFactory(url=receiver.url, hours=hours)
    board.items = [leak()]
    go_on()
    clock.shift(3600)
    board.items = []
    go_on()
    board.items = [leak()]
    go_on()
    assert told(receiver) == ["trigger", "resolve"]
    clock.move_to(START + timedelta(days=7))
    go_on()
    assert told(receiver) == ["trigger", "resolve", "trigger"]


def test_a_rule_that_is_off_tells_nothing_new(board: Board, receiver: Receiver) -> None:
    RuleFactory(url=receiver.url, enabled=False)
    board.items = [leak()]
    go_on()
    assert not receiver.received


# --- doubt, and what opens again -----------------------------------------------------------------


def test_a_source_that_is_not_checked_resolves_nothing(board: Board, receiver: Receiver) -> None:
    RuleFactory(url=receiver.url)
    board.items = [leak()]
    go_on()
    board.items, board.not_checked = [], "The ladder is away"
    go_on()
    assert Alert.objects.get().state == State.TOLD
    board.not_checked = ""
    go_on()
    assert told(receiver) == ["trigger", "resolve"]


def test_an_acknowledged_line_that_gets_worse_is_a_new_alert(
    board: Board, receiver: Receiver
) -> None:
    RuleFactory(url=receiver.url)
    board.items = [leak()]
    go_on()
    acknowledge_here()
    go_on()
    board.items = [leak(level=31)]
    go_on()
    go_on()
    assert told(receiver) == ["trigger", "acknowledge", "resolve", "trigger"]
    assert Alert.objects.open().count() == 1


def test_what_is_open_beside_an_acknowledged_item_is_a_new_alert(
    board: Board, receiver: Receiver
) -> None:
    """Also if it began before the acknowledgement, as an order that has waited for some time."""
    RuleFactory(url=receiver.url)
    first, other = (
        leak(key=f"leak:{n}", cause="leak", many="roofs leak", since=timezone.now())
        for n in range(2)
    )
    board.items = [first]
    go_on()
    acknowledge_here()
    go_on()
    board.items = [first, other]
    go_on()
    go_on()
    assert told(receiver) == ["trigger", "acknowledge", "resolve", "trigger"]


def test_a_warning_that_becomes_grave_is_told_as_grave(board: Board, receiver: Receiver) -> None:
    RuleFactory(url=receiver.url, severity="WARNING")
    board.items = [leak(tone=Tone.WARN)]
    go_on()
    board.items = [leak(level=31)]
    go_on()
    go_on()
    assert told(receiver) == ["trigger", "resolve", "trigger"]
    assert json.loads(receiver.received[-1].body)["data"]["severity"] == "GRAVE"


def test_doubt_about_the_check_that_names_the_cause_resolves_nothing(
    board: Board, receiver: Receiver
) -> None:
    RuleFactory(url=receiver.url)
    late = leak(key="late:1", cause="late", many="late", about="order:1", is_symptom=True)
    board.items = [leak(level=8, key="no-drone:1", cause="no-drone", many="x", about="order:1")]
    registry.add_attention(lambda now: [late], checks="no order is late")
    go_on()
    assert Alert.objects.get().cause == "no-drone"
    board.items, board.not_checked = [], "There is no picture"
    go_on()
    assert Alert.objects.get(cause="no-drone").state == State.TOLD


def test_a_line_that_comes_back_after_its_snooze_is_a_new_alert(
    board: Board, receiver: Receiver, clock: time_machine.Traveller
) -> None:
    RuleFactory(url=receiver.url)
    board.items = [leak()]
    go_on()
    acknowledge_here(lasts=timedelta(minutes=15))
    go_on()
    clock.shift(14 * 60)
    go_on()
    assert told(receiver) == ["trigger", "acknowledge"]
    clock.shift(60)
    go_on()
    go_on()
    assert told(receiver) == ["trigger", "acknowledge", "resolve", "trigger"]


# --- the outbox ----------------------------------------------------------------------------------


def test_a_message_waits_for_the_earlier_ones_of_its_alert(
    board: Board, receiver: Receiver, clock: time_machine.Traveller
) -> None:
    RuleFactory(url=receiver.url)
    receiver.respond = lambda _: 503
    board.items = [leak()]
    go_on()
    acknowledge_here()
    look()
    board.items = []
    go_on()
    assert told(receiver) == ["trigger"]
    receiver.respond = lambda _: 202
    clock.shift(6)
    send_all()
    assert told(receiver) == ["trigger", "trigger", "acknowledge", "resolve"]


def test_an_alert_that_its_receiver_refuses_is_given_up_with_all_that_follows(
    board: Board, receiver: Receiver
) -> None:
    RuleFactory(url=receiver.url)
    receiver.respond = lambda _: (400, {}, b"no such service")
    board.items = [leak()]
    go_on()
    board.items = []
    go_on()
    first, last = AlertMessage.objects.order_by("place")
    assert first.state == last.state == AlertMessage.State.GIVEN_UP
    assert first.problem == "400 no such service"
    assert last.problem == sending.NEVER_ARRIVED
    assert len(receiver.received) == 1


def test_tries_end_after_a_day(
    board: Board, receiver: Receiver, clock: time_machine.Traveller
) -> None:
    RuleFactory(url=receiver.url)
    receiver.respond = lambda _: 500
    board.items = [leak()]
    go_on()
    message = AlertMessage.objects.get()
    clock.move_to(message.created_at + sending.GIVE_UP_AFTER)
    send_all()
    message.refresh_from_db()
    assert (message.state, message.tries) == (AlertMessage.State.GIVEN_UP, 2)


def test_nothing_is_sent_to_a_private_address(board: Board, settings: Settings) -> None:
    settings.WEBHOOK_TRUSTED_HOSTS = []
    RuleFactory(url="https://127.0.0.1/alerts")
    board.items = [leak()]
    go_on()
    assert "private" in AlertMessage.objects.get().problem


def test_old_alerts_are_forgotten(board: Board, receiver: Receiver) -> None:
    RuleFactory(url=receiver.url)
    board.items = [leak()]
    go_on()
    board.items = []
    go_on()
    resolved_at = Alert.objects.get().resolved_at
    assert resolved_at is not None
    assert alerts.forget_old(resolved_at + alerts.KEPT) == 0
    assert alerts.forget_old(resolved_at + alerts.KEPT + timedelta(seconds=1)) == 1


def test_a_look_without_rules_reads_no_list(
    board: Board, django_assert_num_queries: object
) -> None:
    with django_assert_num_queries(3):  # type: ignore[operator]
        look()


# --- two workers at the same time ----------------------------------------------------------------


def looked_by_two(board: Board) -> None:
    """Both have read that no alert is open before one of them writes."""
    ready = Barrier(2, timeout=20)
    board.before = ready.wait

    def work(_: int) -> None:
        try:
            look()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_look_at_the_same_time_raise_one_alert(board: Board) -> None:
    RuleFactory()
    board.items = [leak()]
    looked_by_two(board)
    assert Alert.objects.count() == 1
    assert AlertMessage.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_control_without_the_unique_index_they_raise_two(board: Board) -> None:
    (index,) = (c for c in Alert._meta.constraints if c.name == "escalation_one_open_alert")
    RuleFactory()
    board.items = [leak()]
    with connection.schema_editor() as editor:
        editor.remove_constraint(Alert, index)
    try:
        looked_by_two(board)
        assert Alert.objects.count() == 2
    finally:
        Alert.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(Alert, index)


# --- with a real worker and the real scheduler ---------------------------------------------------


@pytest.fixture
def _running(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ours = [tick for tick in broker.schedule if tick.actor.fn.__module__ == actors.__name__]
    monkeypatch.setattr(broker, "schedule", ours)
    stop = threading.Event()
    scheduler = threading.Thread(target=broker.run_schedule, args=[stop])
    worker = dramatiq.Worker(
        dramatiq.get_broker(), queues={"alerts", "default"}, worker_threads=2, worker_timeout=50
    )
    worker.start()
    scheduler.start()
    yield
    stop.set()
    scheduler.join()
    worker.stop()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_running")
def test_a_grave_line_reaches_the_receiver_within_15_s(board: Board, receiver: Receiver) -> None:
    PagerDutyFactory(url=receiver.url)
    board.items = [leak()]
    assert wait_until(lambda: receiver.received) < 15
    acknowledge_here()
    assert wait_until(lambda: len(receiver.received) == 2) < 15
    board.items = []
    assert wait_until(lambda: len(receiver.received) == 3) < 15
    assert told(receiver) == ["trigger", "acknowledge", "resolve"]
