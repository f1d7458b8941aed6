"""An order changes only after ground control has confirmed the withdrawal."""

import json
import threading
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from dispatch.missions import before_launch, publishing, recalls
from dispatch.models import Mission
from dispatch.tests.support import assigned, mission_of, stored, submitted, timeline
from dispatch.tests.test_missions import closing, later, wait_until, why
from fleet.simulator.run import Simulator
from fleet.tests.raw_server import answering, http
from orders import lifecycle
from orders.models import Order
from orders.states import CancelReason, Holder, JobStatus, Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import GCS, SYSTEM
from wingxtra.problems import Conflict, NotFound, Unavailable

pytestmark = pytest.mark.django_db
State, Recall = Mission.State, Mission.Recall


def cancel(order: Order) -> Order:
    return before_launch.cancel(order.pk, by=SYSTEM, reason=CancelReason.WEATHER, note="Storm.")


def in_flight(bridge: Simulator) -> Order:
    """An order whose launch was reported."""
    order, _ = submitted()
    bridge.advance(20)
    return lifecycle.advance(order.pk, Status.LAUNCHED, by=GCS).order


# --- cancel --------------------------------------------------------------------------------------


def test_a_mission_that_was_never_sent_is_canceled_without_the_bridge() -> None:
    order, intent = assigned()
    assert cancel(order).status == Status.CANCELED
    intent.refresh_from_db()
    assert (intent.state, intent.recall_state) == (State.WITHDRAWN, Recall.NONE)


def test_a_submitted_mission_is_withdrawn_and_then_canceled(bridge: Simulator) -> None:
    order, intent = submitted()
    assert cancel(order).status == Status.CANCELED
    assert [m["status"] for m in bridge.missions()] == ["WITHDRAWN"]
    intent.refresh_from_db()
    assert (intent.state, intent.recall_state) == (State.WITHDRAWN, Recall.DONE)
    assert (why(order, "CANCELED"), stored(order).cancel_note) == ("Weather", "Storm.")


def test_canceling_again_changes_nothing(bridge: Simulator) -> None:
    order, _ = submitted()
    cancel(order)
    before = timeline(order)
    assert cancel(order).status == Status.CANCELED
    assert timeline(order) == before


def test_a_launched_mission_cannot_be_canceled(bridge: Simulator) -> None:
    order, _ = submitted()
    bridge.advance(20)  # the launch is not reported yet
    before = timeline(order)
    with pytest.raises(Conflict, match="launched") as refused:
        cancel(order)
    assert refused.value.code == "mission_launched"
    assert (timeline(order), stored(order).status) == (before, Status.MISSION_SUBMITTED)
    assert mission_of(order).recall_state == Recall.NONE


def test_an_order_in_the_air_cannot_be_canceled(bridge: Simulator) -> None:
    with pytest.raises(Conflict) as refused:
        cancel(in_flight(bridge))
    assert refused.value.code == "mission_launched"


def test_while_the_bridge_is_down_nothing_is_canceled(bridge: Simulator) -> None:
    order, _ = submitted()
    bridge.fault("bridge_down")
    with pytest.raises(Unavailable, match="not reached"):
        cancel(order)
    assert stored(order).status == Status.MISSION_SUBMITTED
    bridge.clear_faults()
    assert cancel(order).status == Status.CANCELED


def test_a_mission_that_may_have_reached_the_bridge_is_withdrawn(bridge: Simulator) -> None:
    bridge.fault("bridge_500", times=1, after=True)
    order, intent = assigned()
    publishing.publish(intent.pk)
    assert cancel(order).status == Status.CANCELED
    assert [m["status"] for m in bridge.missions()] == ["WITHDRAWN"]


def test_a_mission_unknown_to_the_bridge_is_canceled(
    bridge: Simulator,
) -> None:
    bridge.fault("bridge_500", times=1)
    order, intent = assigned()
    publishing.publish(intent.pk)
    assert cancel(order).status == Status.CANCELED
    publishing.publish(intent.pk, now=later())
    assert bridge.missions() == []


@pytest.mark.django_db(transaction=True)
def test_a_cancel_waits_for_a_publisher_in_its_call(bridge: Simulator) -> None:
    bridge.fault("bridge_hang", times=1, seconds=0.4)
    order, intent = assigned()
    sending = threading.Thread(target=closing(lambda: publishing.publish(intent.pk)))
    sending.start()
    wait_until(bridge.missions)
    assert cancel(order).status == Status.CANCELED
    sending.join()
    assert [m["status"] for m in bridge.missions()] == ["WITHDRAWN"]


def test_a_cancel_stops_waiting_after_its_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recalls, "CLAIM_WAIT_S", 0.1)
    order, intent = assigned()
    Mission.objects.filter(pk=intent.pk).update(claimed_until=publishing.claim_end(timezone.now()))
    with pytest.raises(Unavailable) as refused:
        cancel(order)
    assert refused.value.code == "mission_being_sent"
    assert stored(order).status == Status.ASSIGNED


def test_an_unknown_order_cannot_be_canceled() -> None:
    with pytest.raises(NotFound):
        before_launch.cancel(UUID(int=1), by=SYSTEM, reason=CancelReason.OTHER)


# --- before another verb -------------------------------------------------------------------------


def test_a_mission_is_withdrawn_before_its_order_is_rescheduled(bridge: Simulator) -> None:
    bridge.fault("bridge_500", times=1, after=True)
    order, intent = assigned()
    publishing.publish(intent.pk)
    recalls.withdraw_mission(order.pk, by=SYSTEM, reason="Later.")
    lifecycle.reschedule(
        order.pk, not_before=None, deliver_by=timezone.now() + timedelta(hours=1), by=SYSTEM
    )
    assert [m["status"] for m in bridge.missions()] == ["WITHDRAWN"]
    assert not Mission.objects.recalls_due(later()).exists()


def test_a_mission_in_another_status_is_not_withdrawn(bridge: Simulator) -> None:
    order, _ = submitted()
    assert recalls.withdraw_mission(order.pk, by=SYSTEM, reason="Later.") is None
    assert [m["status"] for m in bridge.missions()] == ["ACCEPTED"]


def test_an_order_withdrawn_for_a_verb_that_did_not_follow_is_requeued(
    bridge: Simulator,
) -> None:
    bridge.fault("bridge_500", times=1, after=True)
    order, intent = assigned()
    publishing.publish(intent.pk)
    recalls.withdraw_mission(order.pk, by=SYSTEM, reason="Reassigned.")
    assert recalls.sweep_abandoned(timezone.now()) == 0  # a verb is about to follow
    assert recalls.sweep_abandoned(later()) == 1
    assert stored(order).status == Status.QUEUED
    assert recalls.sweep_abandoned(later()) == 0


def test_a_recall_whose_worker_died_is_continued(bridge: Simulator) -> None:
    order, intent = submitted()
    Mission.objects.filter(pk=intent.pk).update(
        recall_state=Recall.WANTED,
        recall_mode="withdraw",
        claimed_until=publishing.claim_end(timezone.now()),
    )
    recalls.send_recall(intent.pk)
    assert [m["status"] for m in bridge.missions()] == ["ACCEPTED"]
    recalls.send_recall(intent.pk, now=later())
    recalls.sweep_abandoned(later())
    assert [m["status"] for m in bridge.missions()] == ["WITHDRAWN"]
    assert stored(order).status == Status.QUEUED


def test_the_sweep_recalls_the_mission_of_an_ended_job(bridge: Simulator) -> None:
    order, intent = submitted()
    lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.OTHER)
    bridge.fault("bridge_500", times=1)
    recalls.send_recall(intent.pk)
    assert Mission.objects.get(pk=intent.pk).recall_state == Recall.WANTED
    recalls.send_recall(intent.pk, now=later())
    assert Mission.objects.get(pk=intent.pk).recall_state == Recall.DONE
    assert [m["status"] for m in bridge.missions()] == ["WITHDRAWN"]


def test_a_recall_after_the_launch_is_too_late(bridge: Simulator) -> None:
    order, intent = submitted()
    lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.OTHER)
    bridge.advance(20)
    recalls.send_recall(intent.pk)
    assert Mission.objects.get(pk=intent.pk).recall_state == Recall.TOO_LATE


def test_a_mission_that_ground_control_ended_is_not_recalled(bridge: Simulator) -> None:
    order, _ = submitted()
    lifecycle.mission_over(order.pk, ended=JobStatus.FAILED, by=GCS, why="Motor.", max_attempts=3)
    assert not Mission.objects.recalls_due(later()).exists()


# --- abort ---------------------------------------------------------------------------------------


def test_an_abort_is_requested_and_the_order_waits_for_ground_control(bridge: Simulator) -> None:
    order = in_flight(bridge)
    assert recalls.request_abort(order.pk, by=SYSTEM, reason="Storm.").status == Status.LAUNCHED
    assert why(order, "ABORT_REQUESTED") == "An abort was asked for: Storm."
    recalls.send_recall(mission_of(order).pk)
    assert mission_of(order).recall_state == Recall.ASKED
    bridge.advance(2)
    assert bridge.missions()[0]["status"] == "ABORTED"
    assert stored(order).status == Status.LAUNCHED


def test_an_abort_is_retried_until_the_bridge_answers(bridge: Simulator) -> None:
    order = in_flight(bridge)
    recalls.request_abort(order.pk, by=SYSTEM, reason="")
    bridge.fault("bridge_down", times=1)
    recalls.send_recall(mission_of(order).pk)
    assert mission_of(order).recall_state == Recall.WANTED
    recalls.send_recall(mission_of(order).pk, now=later())
    assert mission_of(order).recall_state == Recall.ASKED


def test_the_end_of_a_recall_locks_the_order_before_its_mission_as_reports_do(
    settings: Settings,
) -> None:
    """In the other order, a report of the same end and this answer wait for each other."""
    order, intent = assigned()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    recalls.request_abort(order.pk, by=SYSTEM, reason="Storm.")
    answer = json.dumps({"status": "ABORTED"}).encode()
    with (
        answering(http(answer, status="409 Conflict")) as server,
        CaptureQueriesContext(connection) as asked,
    ):
        settings.GCS_BRIDGE_URL = server.url
        recalls.send_recall(intent.pk)
    assert stored(order).status == Status.ABORTED
    statements = [one["sql"] for one in asked]
    lock = next(i for i, sql in enumerate(statements) if "FOR NO KEY UPDATE" in sql)
    end = next(i for i, sql in enumerate(statements) if '"over_at" = ' in sql)
    assert "orders_order" in statements[lock]
    assert lock < end


def test_a_repeated_abort_request_is_sent_once(bridge: Simulator) -> None:
    order = in_flight(bridge)
    for _ in range(2):
        recalls.request_abort(order.pk, by=SYSTEM, reason="Storm.")
    assert timeline(order).count("ABORT_REQUESTED") == 1


def test_only_a_flight_can_be_aborted(bridge: Simulator) -> None:
    for order in (order_in(Status.QUEUED), submitted()[0]):
        with pytest.raises(lifecycle.Refused) as refused:
            recalls.request_abort(order.pk, by=SYSTEM, reason="Storm.")
        assert refused.value.code == "not_in_flight"


@pytest.mark.parametrize(
    ("mission", "status"), [("delivered", Status.DELIVERED), ("failed", Status.ABORTED)]
)
def test_the_answer_to_an_abort_may_be_the_outcome(
    settings: Settings, mission: str, status: Status
) -> None:
    order, intent = assigned()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    recalls.request_abort(order.pk, by=SYSTEM, reason="Where is it?")
    answer = json.dumps({"status": mission}).encode()
    with answering(http(answer, status="409 Conflict")) as server:
        settings.GCS_BRIDGE_URL = server.url
        recalls.send_recall(intent.pk)
    after = stored(order)
    assert after.status == status
    if status == Status.ABORTED:  # its pickup may have been missed
        assert after.holder == Holder.UNKNOWN


def test_an_abort_of_a_mission_unknown_to_the_bridge_is_not_confirmed(
    bridge: Simulator,
) -> None:
    order, intent = assigned()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    recalls.request_abort(order.pk, by=SYSTEM, reason="Where is it?")
    recalls.send_recall(intent.pk)
    assert stored(order).status == Status.ENROUTE
    intent.refresh_from_db()
    assert (intent.recall_state, intent.over_at) == (Recall.WANTED, None)
