"""Missions by API: permissions, answers, refusals."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.utils import timezone
from rest_framework.test import APIClient

from dispatch.missions import publishing
from dispatch.models import Mission
from dispatch.tests.support import assigned, mission_of, stored, submitted, timeline
from dispatch.tests.test_missions import why
from fleet import policy
from fleet.simulator.run import Simulator
from orders import lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import GCS, SYSTEM, Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client, key_client

pytestmark = pytest.mark.django_db
NOBODY = UUID(int=1)


@pytest.fixture
def ops() -> APIClient:
    return api_client(UserFactory(ops=True, username="ama"))


def post(
    client: APIClient, order: Order | UUID, verb: str, body: Any = None, **headers: Any
) -> Any:
    order_id = order.pk if isinstance(order, Order) else order
    return client.post(f"/api/v1/orders/{order_id}/{verb}", body or {}, format="json", **headers)


def merchant_of(order: Order) -> APIClient:
    return api_client(UserFactory(merchant=order.merchant))


# --- permissions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["submit-mission-intent", "abort", "events"])
def test_only_staff_may_operate(verb: str) -> None:
    order = order_in(Status.ASSIGNED)
    assert post(merchant_of(order), order, verb).status_code == 403
    assert post(api_client(), order, verb).status_code == 401
    assert stored(order).status == Status.ASSIGNED


def test_only_staff_may_read_a_mission() -> None:
    order, intent = assigned()
    path = f"/api/v1/mission-intents/{intent.pk}"
    assert merchant_of(order).get(path).status_code == 403
    assert api_client().get(path).status_code == 401


def test_another_merchants_order_is_not_found() -> None:
    order = order_in(Status.QUEUED)
    stranger = api_client(UserFactory(merchant=MerchantFactory()))
    assert post(stranger, order, "cancel").status_code == 404
    assert stored(order).status == Status.QUEUED


@pytest.mark.parametrize("verb", ["cancel", "submit-mission-intent", "abort"])
def test_an_order_that_does_not_exist_is_not_found(ops: APIClient, verb: str) -> None:
    assert post(ops, NOBODY, verb).status_code == 404
    assert ops.post(f"/api/v1/orders/17/{verb}").status_code == 404


# --- cancel --------------------------------------------------------------------------------------


def test_a_merchant_cancels_its_order() -> None:
    order = order_in(Status.QUEUED)
    answer = post(merchant_of(order), order, "cancel")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["id"], body["order_id"]) == (str(order.pk), str(order.pk))
    assert (body["status"], body["reason"]["code"]) == ("CANCELED", "MERCHANT_REQUEST")
    assert stored(order).cancel_reason == "MERCHANT_REQUEST"


def test_staff_give_a_reason_for_a_cancel(ops: APIClient) -> None:
    order = order_in(Status.QUEUED)
    assert post(ops, order, "cancel", {"reason": "WEATHER", "note": "Storm."}).status_code == 200
    event = DeliveryEvent.objects.get(order=order, type="CANCELED")
    assert (event.message, event.actor) == ("Weather", "user:ama")
    assert stored(order).cancel_note == "Storm."


@pytest.mark.parametrize(
    "body", [{"reason": "BORED"}, {"why": "x"}, {"note": 5}, {"note": "x" * 400}]
)
def test_a_bad_cancel_names_the_field_and_changes_nothing(ops: APIClient, body: Any) -> None:
    order = order_in(Status.QUEUED)
    answer = post(ops, order, "cancel", body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == next(iter(body))
    assert stored(order).status == Status.QUEUED


def test_a_submitted_order_is_withdrawn_at_the_bridge(ops: APIClient, bridge: Simulator) -> None:
    order, _ = submitted()
    assert post(ops, order, "cancel").status_code == 200
    assert bridge.missions()[0]["status"] == "WITHDRAWN"


def test_a_launched_order_is_a_conflict_with_its_state(ops: APIClient, bridge: Simulator) -> None:
    order, _ = submitted()
    bridge.advance(20)
    answer = post(ops, order, "cancel")
    assert answer.status_code == 409
    problem = answer.json()
    assert (problem["code"], problem["current_status"]) == ("mission_launched", "MISSION_SUBMITTED")
    assert stored(order).status == Status.MISSION_SUBMITTED


def test_while_the_bridge_is_down_a_cancel_is_503(ops: APIClient, bridge: Simulator) -> None:
    order, _ = submitted()
    bridge.fault("bridge_down")
    answer = post(ops, order, "cancel")
    assert (answer.status_code, answer.json()["code"]) == (503, "bridge_unavailable")
    assert stored(order).status == Status.MISSION_SUBMITTED


def test_a_delivered_order_cannot_be_canceled(ops: APIClient) -> None:
    answer = post(ops, order_in(Status.DELIVERED), "cancel")
    assert (answer.status_code, answer.json()["current_status"]) == (409, "DELIVERED")


def test_a_repeated_cancel_with_an_idempotency_key_gets_the_same_answer(
    ops: APIClient, bridge: Simulator
) -> None:
    order, _ = submitted()
    first, again = (post(ops, order, "cancel", headers={"Idempotency-Key": "k1"}) for _ in "ab")
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"


# --- reschedule ----------------------------------------------------------------------------------


def test_an_assigned_order_is_withdrawn_before_it_is_rescheduled(
    ops: APIClient, bridge: Simulator
) -> None:
    bridge.fault("bridge_500", times=1, after=True)
    order, intent = assigned()
    publishing.publish(intent.pk)
    start = timezone.now() + timedelta(hours=2)
    assert post(ops, order, "reschedule", {"not_before": start.isoformat()}).status_code == 200
    assert stored(order).status == Status.VALIDATED
    assert bridge.missions()[0]["status"] == "WITHDRAWN"


def test_nothing_is_withdrawn_for_a_window_that_is_refused(
    ops: APIClient, bridge: Simulator
) -> None:
    bridge.fault("bridge_500", times=1, after=True)
    order, intent = assigned()
    publishing.publish(intent.pk)
    answer = post(ops, order, "reschedule", {"deliver_by": "2020-01-01T00:00:00Z"})
    assert answer.status_code == 400
    assert (stored(order).status, bridge.missions()[0]["status"]) == ("ASSIGNED", "ACCEPTED")


# --- submit --------------------------------------------------------------------------------------


def test_a_held_mission_is_submitted(ops: APIClient, bridge: Simulator) -> None:
    policy.change(by=SYSTEM, auto_submit=False)
    order, intent = assigned()
    answer = post(ops, order, "submit-mission-intent")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "order_id": str(order.pk),
            "mission_intent_id": str(intent.pk),
            "status": "MISSION_SUBMITTED",
        },
    )
    assert DeliveryEvent.objects.get(order=order, type="MISSION_SUBMITTED").actor == "user:ama"


def test_submitting_while_the_bridge_is_down_is_503_and_is_retried(
    ops: APIClient, bridge: Simulator
) -> None:
    policy.change(by=SYSTEM, auto_submit=False)
    bridge.fault("bridge_500", times=1)
    order, intent = assigned()
    answer = post(ops, order, "submit-mission-intent", headers={"Idempotency-Key": "k1"})
    assert answer.status_code == 503
    assert "retried automatically" in answer.json()["detail"]
    assert Mission.objects.unsent(timezone.now() + timedelta(minutes=2)).get() == intent
    again = post(ops, order, "submit-mission-intent", headers={"Idempotency-Key": "k1"})
    assert again.status_code == 200


def test_submitting_a_mission_that_the_bridge_refuses_is_a_conflict(
    ops: APIClient, bridge: Simulator
) -> None:
    bridge.fault("bridge_reject")
    order, _ = assigned()
    answer = post(ops, order, "submit-mission-intent")
    assert (answer.status_code, answer.json()["current_status"]) == (409, "QUEUED")
    assert "safety rules" in answer.json()["detail"]


def test_a_test_order_has_nothing_to_submit(ops: APIClient) -> None:
    order = OrderFactory(live_mode=False)
    lifecycle.assign(order.pk, None, by=SYSTEM, why="A test order.")
    answer = post(ops, order, "submit-mission-intent")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_mission_intent")


# --- abort ---------------------------------------------------------------------------------------


def test_an_abort_is_requested(ops: APIClient) -> None:
    order = order_in(Status.ENROUTE)
    answer = post(ops, order, "abort", {"reason": "Storm."})
    assert (answer.status_code, answer.json()) == (
        202,
        {"order_id": str(order.pk), "status": "ENROUTE", "abort_requested": True},
    )
    assert why(order, "ABORT_REQUESTED") == "An abort was asked for: Storm."
    assert mission_of(order).recall_mode == "abort"


def test_an_order_that_does_not_fly_cannot_be_aborted(ops: APIClient) -> None:
    answer = post(ops, order_in(Status.MISSION_SUBMITTED), "abort")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_in_flight")


# --- reports -------------------------------------------------------------------------------------


def test_ground_control_reports_with_its_key() -> None:
    with time_machine.travel(timezone.now() - timedelta(minutes=1)):
        order = order_in(Status.MISSION_SUBMITTED)
    gcs = key_client(name="bridge", role=Role.OPS)
    at = (timezone.now() - timedelta(seconds=5)).replace(microsecond=0)
    body = {
        "event_type": "MISSION_LAUNCHED",
        "occurred_at": at.isoformat(),
        "source": "gcs",
        "event_id": "e-1",
        "message": "Armed and climbing",
        "payload": {
            "intent_id": str(stored(order).current_job.mission_intent_id),
            "drone_id": "WX-DRN-001",
        },
    }
    assert post(gcs, order, "events", body).json() == {
        "order_id": str(order.pk),
        "status": "LAUNCHED",
        "applied_events": ["LAUNCHED"],
        "duplicate": False,
        "note": None,
    }
    again = post(gcs, order, "events", body)
    assert (again.status_code, again.json()["duplicate"]) == (200, True)
    event = DeliveryEvent.objects.get(order=order, type="LAUNCHED")
    assert (event.actor, event.occurred_at) == ("gcs:bridge", at)


@pytest.mark.parametrize("name", ["event_type", "event", "type"])
@pytest.mark.parametrize("time", ["occurred_at", "timestamp"])
def test_type_and_time_are_accepted_under_several_names(
    ops: APIClient, name: str, time: str
) -> None:
    with time_machine.travel(timezone.now() - timedelta(minutes=1)):
        order = order_in(Status.MISSION_SUBMITTED)
    at = timezone.now() - timedelta(seconds=20)
    answer = post(ops, order, "events", {name: "ENROUTE", time: at.isoformat()})
    assert answer.json()["applied_events"] == ["LAUNCHED", "ENROUTE"]
    assert DeliveryEvent.objects.get(order=order, type="ENROUTE").occurred_at == at


def test_a_report_from_another_source_carries_its_name(ops: APIClient) -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    post(ops, order, "events", {"type": "LAUNCHED", "source": "phone"})
    assert DeliveryEvent.objects.get(order=order, type="LAUNCHED").actor == "user:ama"


def test_a_backward_report_is_answered_200(ops: APIClient) -> None:
    answer = post(ops, order_in(Status.ARRIVED), "events", {"type": "LAUNCHED"})
    assert (answer.status_code, answer.json()["applied_events"]) == (200, [])
    assert "already" in answer.json()["note"]


def test_a_report_about_an_order_without_a_mission_is_a_conflict(ops: APIClient) -> None:
    answer = post(ops, order_in(Status.QUEUED), "events", {"type": "LAUNCHED"})
    assert (answer.status_code, answer.json()["current_status"]) == (409, "QUEUED")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "event_type"),
        ({"type": "EXPLODED"}, "event_type"),
        ({"type": 5}, "type"),
        ({"type": "LAUNCHED", "occurred_at": "2026-01-01T10:00:00"}, "occurred_at"),
        ({"type": "LAUNCHED", "timestamp": "noon"}, "timestamp"),
        ({"type": "LAUNCHED", "payload": []}, "payload"),
        ({"type": "LAUNCHED", "payload": {"intent_id": "x"}}, "payload.intent_id"),
        ({"type": "LAUNCHED", "payload": {"intent_id": str(NOBODY)}}, "payload.intent_id"),
        ({"type": "LAUNCHED", "height": 5}, "height"),
        ({"type": "LAUNCHED", "event_id": "x" * 200}, "event_id"),
    ],
)
def test_a_bad_report_names_the_field_and_changes_nothing(
    ops: APIClient, body: dict[str, Any], field: str
) -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    before = timeline(order)
    answer = post(ops, order, "events", body)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert timeline(order) == before


def test_the_timeline_is_read_at_the_same_url() -> None:
    order = order_in(Status.LAUNCHED)
    answer = merchant_of(order).get(f"/api/v1/orders/{order.pk}/events")
    assert [event["type"] for event in answer.json()["items"]] == timeline(order)


# --- the mission itself --------------------------------------------------------------------------


def test_a_mission_is_shown_as_it_was_sent(ops: APIClient, bridge: Simulator) -> None:
    order, intent = submitted()
    shown = ops.get(f"/api/v1/mission-intents/{intent.pk}").json()
    assert shown["intent"] == intent.body
    assert (shown["state"], shown["tries"], shown["bridge_status"]) == ("ACCEPTED", 1, 201)
    assert (shown["order_id"], shown["recall_state"]) == (str(order.pk), None)


def test_an_unknown_mission_is_not_found(ops: APIClient) -> None:
    assert ops.get(f"/api/v1/mission-intents/{NOBODY}").status_code == 404
    assert ops.get("/api/v1/mission-intents/17").status_code == 404


def test_a_flight_reported_to_its_end_is_delivered(ops: APIClient) -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    assert post(ops, order, "events", {"event": "DELIVERED"}).json()["status"] == "DELIVERED"
