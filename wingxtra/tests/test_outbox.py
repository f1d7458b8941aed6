"""A worker that stalls until another one has claimed its row writes nothing when it resumes."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from django.apps import apps
from django.conf import settings as current_settings
from django.db import connection
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from dispatch.missions import before_launch, publishing, recalls
from dispatch.models import Mission, MissionPart, WhatIf
from dispatch.tests.support import assigned, mission_of, seen, stored, submitted
from dispatch.tests.whatif_day import asked, rush
from dispatch.whatif import worker
from fleet.models import DroneHold
from orders import lifecycle
from orders.models import Order
from orders.states import CancelReason, EventType, HoldCode, Status
from orders.tests.factories import OrderFactory, order_in
from tracking import actors
from tracking.messages import sending, triggers
from tracking.messages.models import CustomerMessage
from tracking.models import WebhookDelivery
from tracking.tests.receiver import Received, Receiver, WebhookFactory, deliver, receiving
from wingxtra import outbox
from wingxtra.accounts.identity import GCS, SYSTEM
from wingxtra.outbox import ClaimLost, Outgoing
from wingxtra.problems import Unavailable
from wingxtra.tests.test_broker import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
State, Recall = Mission.State, Mission.Recall
WAIT_S = 20.0


@dataclass
class Script:
    """The answers of the other side, one per request. The first `waiting` requests wait for their
    event in `go`; until then their workers stall.
    """

    answers: list[Any]
    waiting: int = 1
    arrived: int = 0
    go: list[threading.Event] = field(default_factory=lambda: [threading.Event() for _ in range(9)])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, _: Received) -> Any:
        with self.lock:
            which, self.arrived = self.arrived, self.arrived + 1
        if which < self.waiting:
            assert self.go[which].wait(WAIT_S)
        return self.answers[which]


@pytest.fixture
def other_side(settings: Settings) -> Iterator[Receiver]:
    """The bridge, a merchant's endpoint and the SMS gateway in one."""
    with receiving() as receiver:
        settings.GCS_BRIDGE_URL = receiver.url.partition("/hooks")[0]
        settings.GCS_BRIDGE_TIMEOUT_S = settings.WEBHOOK_TIMEOUT_S = WAIT_S
        settings.WEBHOOK_TRUSTED_HOSTS = ["127.0.0.1"]
        settings.SMS_GATEWAY_URL = receiver.url
        yield receiver


@contextmanager
def stalled(other_side: Receiver, answers: list[Any], work: Callable[[], Any]) -> Any:
    """A worker that waits for its answer while its claim expires; it resumes at the end."""
    script = Script(answers)
    other_side.respond = script
    thread = in_thread(work)
    wait_until(lambda: script.arrived == 1)
    expire()
    yield
    assert thread.is_alive()
    script.go[0].set()
    thread.join(WAIT_S)


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def expire() -> None:
    for model in apps.get_models():
        if issubclass(model, Outgoing):
            model._default_manager.filter(claimed_until__isnull=False).update(
                claimed_until=timezone.now()
            )


def everything() -> dict[str, list[dict[str, Any]]]:
    """All rows of our apps."""
    ours = ("orders", "dispatch", "tracking", "fleet")
    models = [model for model in apps.get_models() if model._meta.app_label in ours]
    return {m._meta.label: list(m._default_manager.order_by("pk").values()) for m in models}


def says(status: int, state: str) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/json"}, f'{{"status": "{state}"}}'.encode()


# --- mission intents -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "late",
    [says(201, "accepted"), says(422, "refused"), says(503, "busy")],
    ids=lambda it: it[0],
)
def test_a_stalled_publisher_writes_nothing_after_another_one_has_published(
    other_side: Receiver, late: Any
) -> None:
    order, mission = assigned()
    answers = [late, says(409, "accepted")]
    with stalled(other_side, answers, lambda: publishing.publish(mission.pk)):
        publishing.publish(mission.pk)
        assert stored(order).status == Status.MISSION_SUBMITTED
        before = everything()
    assert everything() == before


def test_an_answer_after_the_claim_expired_counts_while_no_other_worker_has_claimed(
    other_side: Receiver,
) -> None:
    order, mission = assigned()
    with stalled(other_side, [says(201, "accepted")], lambda: publishing.publish(mission.pk)):
        pass
    assert stored(order).status == Status.MISSION_SUBMITTED
    assert mission_of(order).claimed_until is None


def test_a_publisher_that_stalls_during_a_withdrawal_leaves_the_rest_to_the_recall(
    other_side: Receiver,
) -> None:
    """The drone may no longer fly. When it may again, no worker publishes the mission."""
    order, mission = assigned()
    other_side.respond = Script([says(503, "busy")], waiting=0)
    publishing.publish(mission.pk)
    seen(battery_pct=5.0)
    Mission.objects.update(next_try_at=timezone.now())
    answers = [says(200, "withdrawn"), says(200, "withdrawn")]
    with stalled(other_side, answers, lambda: publishing.publish(mission.pk)):
        seen()
        publishing.publish(mission.pk)  # none: a recall was requested
        recalls.send_recall(mission.pk)
        recalls.sweep_abandoned(timezone.now())
        assert stored(order).status == Status.QUEUED
        before = everything()
    assert everything() == before


# --- a mission that the bridge has accepted is never forgotten -----------------------------------


def test_an_acceptance_that_comes_after_the_withdrawal_is_recalled(other_side: Receiver) -> None:
    """The bridge had not received the mission yet when the order was canceled."""
    order, mission = assigned()
    answers = [says(201, "accepted"), says(404, "unknown"), says(200, "withdrawn")]
    with stalled(other_side, answers, lambda: publishing.publish(mission.pk)):
        cancel(order)
        assert Mission.objects.get().over_at
    assert stored(order).status == Status.CANCELED
    assert not Mission.objects.get().over_at
    assert MissionPart.objects.live().get().mission == mission
    recalls.send_recall(mission.pk)
    mission = Mission.objects.get()
    assert (mission.recall_state, mission.said) == (Recall.DONE, "withdrawn")
    assert not MissionPart.objects.live().exists()


@pytest.mark.parametrize("word", ["withdrawn", "failed", "delivered"])
def test_a_mission_accepted_after_its_end_and_then_flown_asks_for_the_parcel(
    other_side: Receiver, word: str
) -> None:
    order, mission = assigned()
    answers = [says(201, "accepted"), says(404, "unknown"), says(200, word)]
    with stalled(other_side, answers, lambda: publishing.publish(mission.pk)):
        before_launch.requeue(order.pk, by=SYSTEM, why="Taken back.")
    assert (stored(order).status, stored(order).hold_code) == (Status.QUEUED, "")
    recalls.send_recall(mission.pk)
    asked = word != "withdrawn"
    assert stored(order).hold_code == (HoldCode.PARCEL_UNKNOWN if asked else "")
    assert DroneHold.objects.standing().exists() == asked


def test_a_mission_accepted_after_its_withdrawal_keeps_its_order_until_the_recall(
    other_side: Receiver,
) -> None:
    """The process that withdrew it died before its verb."""
    order, mission = assigned()
    answers = [says(201, "accepted"), says(404, "unknown"), says(200, "failed")]
    with stalled(other_side, answers, lambda: publishing.publish(mission.pk)):
        recalls.withdraw_mission(order.pk, by=SYSTEM, reason="Storm.")
    recalls.sweep_abandoned(timezone.now())
    assert stored(order).status == Status.ASSIGNED
    recalls.send_recall(mission.pk)
    recalls.sweep_abandoned(timezone.now())
    after = stored(order)
    assert (after.status, after.hold_code) == (Status.QUEUED, HoldCode.PARCEL_UNKNOWN)


def test_unknown_is_no_word_about_a_mission_that_was_accepted_since(other_side: Receiver) -> None:
    order, mission = assigned()
    answers = [says(201, "accepted"), says(404, "unknown")]
    with stalled(other_side, answers, lambda: publishing.publish(mission.pk)):
        recalls.withdraw_mission(order.pk, by=SYSTEM, reason="Storm.")
    after = before_launch.requeue(order.pk, by=SYSTEM, why="Storm.")
    assert (after.status, after.hold_code) == (Status.QUEUED, HoldCode.PARCEL_UNKNOWN)


def test_an_acceptance_while_the_next_mission_is_live_puts_the_drone_on_hold(
    other_side: Receiver,
) -> None:
    """Both may fly. The database keeps one of them live; a person has to look at the other one."""
    order, first = assigned()
    answers = [says(201, "accepted"), says(404, "unknown"), says(201, "accepted")]
    with stalled(other_side, answers, lambda: publishing.publish(first.pk)):
        before_launch.requeue(order.pk, by=SYSTEM, why="Taken back.")
        lifecycle.assign(order.pk, "WX-DRN-001", by=SYSTEM, why="Once more.")
        second = mission_of(order)
        publishing.publish(second.pk)
    assert MissionPart.objects.live().get().mission == second
    assert Mission.objects.get(pk=first.pk).recall_state == Recall.WANTED
    hold = DroneHold.objects.standing().get()
    assert (hold.drone_id, hold.code) == ("WX-DRN-001", DroneHold.Code.CONTRADICTION)
    assert order.events.filter(type=EventType.CONTRADICTION, message=hold.message).exists()


def test_an_acceptance_while_the_withdrawal_is_being_asked_for_revokes_its_answer(
    other_side: Receiver,
) -> None:
    order, mission = assigned()
    answers = [says(201, "accepted"), says(404, "unknown"), says(200, "withdrawn")]
    other_side.respond = script = Script(answers, waiting=2)
    problems: list[Unavailable] = []
    publisher = in_thread(lambda: publishing.publish(mission.pk))
    wait_until(lambda: script.arrived == 1)
    expire()
    canceler = in_thread(lambda: problems.append(refusal_of(lambda: cancel(order))))
    wait_until(lambda: script.arrived == 2)
    for go, thread in zip(script.go, (publisher, canceler), strict=False):
        go.set()
        thread.join(WAIT_S)
    assert [problem.code for problem in problems] == ["mission_being_sent"]
    assert stored(order).status == Status.ASSIGNED
    assert Mission.objects.get().recall_state == Recall.WANTED
    recalls.send_recall(mission.pk)
    assert Mission.objects.get().said == "withdrawn"


def cancel(order: Order) -> None:
    before_launch.cancel(order.pk, by=SYSTEM, reason=CancelReason.OTHER)


def refusal_of(verb: Callable[[], object]) -> Unavailable:
    with pytest.raises(Unavailable) as refused:
        verb()
    return refused.value


# --- recalls -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "late",
    [says(200, "withdrawn"), says(409, "launched"), says(503, "busy")],
    ids=lambda it: it[0],
)
def test_a_stalled_withdrawal_writes_nothing_after_another_one(
    other_side: Receiver, late: Any
) -> None:
    other_side.respond = Script([says(201, "accepted")], waiting=0)
    order, mission = submitted()
    lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.OTHER)
    answers = [late, says(200, "withdrawn")]
    with stalled(other_side, answers, lambda: recalls.send_recall(mission.pk)):
        recalls.send_recall(mission.pk)
        assert Mission.objects.get().recall_state == Recall.DONE
        before = everything()
    assert everything() == before


def test_a_stalled_abort_changes_no_order(other_side: Receiver) -> None:
    other_side.respond = Script([says(201, "accepted")], waiting=0)
    order, mission = submitted()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    recalls.request_abort(order.pk, by=SYSTEM, reason="Storm.")
    answers = [says(409, "failed"), says(202, "abort_requested")]
    with stalled(other_side, answers, lambda: recalls.send_recall(mission.pk)):
        recalls.send_recall(mission.pk)
        before = everything()
    assert stored(order).status == Status.ENROUTE
    assert everything() == before


@pytest.mark.parametrize("late", [says(200, "withdrawn"), says(503, "busy")], ids=lambda it: it[0])
def test_a_stalled_cancel_changes_nothing_after_the_outbox_has_withdrawn(
    other_side: Receiver, late: Any
) -> None:
    other_side.respond = Script([says(201, "accepted")], waiting=0)
    order, mission = submitted()
    problems: list[Unavailable] = []
    answers = [late, says(200, "withdrawn")]
    with stalled(other_side, answers, lambda: problems.append(refusal_of(lambda: cancel(order)))):
        recalls.send_recall(mission.pk)
        before = everything()
    assert len(problems) == 1
    assert everything() == before


# --- webhooks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [500, 410, 204])
def test_a_stalled_webhook_writes_nothing_after_another_one_was_delivered(
    other_side: Receiver, late: int
) -> None:
    """The late answer is a 410, which would switch the endpoint off."""
    endpoint = WebhookFactory(url=other_side.url, events=["order.queued"])
    order_in(Status.QUEUED, merchant=endpoint.merchant)
    pk = WebhookDelivery.objects.get().pk
    with stalled(other_side, [late, 204], lambda: deliver(pk)):
        assert deliver(pk)
        before = everything()
    assert everything() == before


# --- messages to customers -----------------------------------------------------------------------


@pytest.mark.parametrize("late", [400, 503, 202])
def test_a_stalled_message_writes_nothing_after_another_one_was_sent(
    other_side: Receiver, settings: Settings, late: int
) -> None:
    settings.MESSAGE_CHANNELS = ["sms"]
    OrderFactory()
    pk = CustomerMessage.objects.get().pk
    with stalled(other_side, [late, 202], lambda: sending.deliver(pk)):
        assert sending.deliver(pk)
        before = everything()
    assert everything() == before


def test_data_deleted_while_a_message_is_sent_stay_deleted(
    other_side: Receiver, settings: Settings
) -> None:
    settings.MESSAGE_CHANNELS = ["sms"]
    order = OrderFactory()
    pk = CustomerMessage.objects.get().pk
    with stalled(other_side, [202], lambda: sending.deliver(pk)):
        triggers.forget(order)
    message = CustomerMessage.objects.get()
    assert (message.state, message.address, message.text) == ("DROPPED", "", "")


# --- what-ifs ------------------------------------------------------------------------------------


SIMULATE = """
import sys, uuid, django
django.setup()
from dispatch.whatif import worker
worker.compute(uuid.UUID(sys.argv[1]))
"""


def test_a_stalled_simulation_writes_nothing_after_another_one_is_done() -> None:
    """A process that is stopped by SIGSTOP, and continued."""
    what_if = asked(rush(40, drones=2), rules={"look_ahead_s": 0.0})
    row = WhatIf.objects.filter(pk=what_if.pk)
    with simulating(what_if.pk) as process:
        wait_until(lambda: row.get().state == WhatIf.State.RUNNING)
        process.send_signal(signal.SIGSTOP)
        expire()
        worker.compute(what_if.pk)
        assert row.get().state == WhatIf.State.DONE
        row.update(results={"computed_by": "the second worker"})
        before = everything()
        process.send_signal(signal.SIGCONT)
        output, _ = process.communicate(timeout=60)
    assert everything() == before
    assert b"claim_lost" in output


@contextmanager
def simulating(what_if_id: UUID) -> "Iterator[subprocess.Popen[bytes]]":
    database = urlsplit(current_settings.DATABASE_URL)
    name = connection.settings_dict["NAME"]
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "wingxtra.settings",
        "DATABASE_URL": database._replace(path=f"/{name}").geturl(),
    }
    with subprocess.Popen(
        [sys.executable, "-c", SIMULATE, str(what_if_id)],
        cwd=current_settings.BASE_DIR,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


# --- the claim itself ----------------------------------------------------------------------------


def test_a_row_has_one_claim_until_it_ends() -> None:
    _, mission = assigned()
    now = timezone.now()
    until = now + timedelta(minutes=1)
    rows = Mission.objects.unsent(now)
    first = outbox.claim(rows, mission.pk, until=until)
    assert first is not None
    assert outbox.claim(rows, mission.pk, until=until) is None
    first.end(tries=3)
    second = outbox.claim(rows, mission.pk, until=until)
    assert second is not None
    with pytest.raises(ClaimLost):
        first.update(tries=4)
    assert second.read(second.mine()).tries == 3


def test_a_claim_that_is_compiled_once_is_the_same() -> None:
    _, mission = assigned()
    now = timezone.now()
    until = now + timedelta(minutes=1)
    claims = outbox.Claims(Mission, Mission.objects.unsent, lambda _now: {"tries": F("tries") + 1})
    first = claims.claim(mission.pk, now=now, until=until)
    assert first is not None
    assert claims.claim(mission.pk, now=now, until=until) is None
    first.end(bridge_answer="Once.")
    second = claims.claim(mission.pk, now=now + timedelta(seconds=1), until=until)
    assert second is not None
    with pytest.raises(ClaimLost):
        first.update(bridge_answer="Twice.")
    second.update(tries=F("tries") + 10)
    stored_now = second.read(second.mine())
    assert (stored_now.tries, stored_now.bridge_answer) == (12, "Once.")
    assert claims.claim(mission.pk, now=until, until=until + timedelta(minutes=1)) is not None


def test_pauses_grow_up_to_a_maximum_with_jitter() -> None:
    pauses = [
        [outbox.pause(tries, publishing.PAUSES_S).total_seconds() for _ in range(20)]
        for tries in range(1, 30)
    ]
    for tries, least_s in ((1, 1), (3, 4), (7, 60), (29, 60)):
        assert all(least_s <= pause_s <= 1.1 * least_s for pause_s in pauses[tries - 1])
    assert len(set(pauses[0])) > 1


def test_a_sweep_sends_due_rows_in_order_up_to_a_limit(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MESSAGE_CHANNELS = ["sms"]
    for _ in range(3):
        OrderFactory()
    pks = list(CustomerMessage.objects.order_by("created_at").values_list("pk", flat=True))
    now = timezone.now()
    for pk, minutes in zip(pks, (2, 3, 1), strict=True):
        earlier = now - timedelta(minutes=minutes)
        CustomerMessage.objects.filter(pk=pk).update(next_try_at=earlier)
    sent: list[str] = []
    monkeypatch.setattr(actors.send_message, "send", sent.append)
    outbox.sweep(CustomerMessage.objects.due(now), actors.send_message, at_most=2)
    assert sent == [str(pks[1]), str(pks[0])]
