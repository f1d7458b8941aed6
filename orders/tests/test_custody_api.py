"""Custody, holds and corrections by API."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from fleet.models import Hub
from fleet.tests.factories import DroneFactory, HubFactory
from orders import lifecycle
from orders.loading.models import Loader
from orders.models import DeliveryEvent, Order
from orders.states import CancelReason, Holder, Status
from orders.tests.factories import OrderFactory, order_in
from orders.tests.test_api import ORDERS, contract, errors_of
from orders.tests.test_custody import aboard, at_a_hub, on_hold, with_holder
from wingxtra.accounts.identity import SYSTEM, Role
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import (
    MerchantFactory,
    UserFactory,
    api_client,
    key_client,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def merchant() -> Merchant:
    return MerchantFactory()


@pytest.fixture
def ops() -> APIClient:
    return key_client(role=Role.OPS)


def owner_of(order: Order) -> APIClient:
    return key_client(merchant=order.merchant)


def shown_to(client: APIClient, order: Order) -> dict[str, object]:
    answer = client.get(f"{ORDERS}/{order.pk}").json()
    contract("order").validate(answer)
    return answer


# --- custody in an order's JSON ------------------------------------------------------------------


@pytest.mark.parametrize("holder", Holder)
def test_every_order_shows_who_has_its_parcel(ops: APIClient, holder: Holder) -> None:
    order = with_holder(holder)
    for client, drone in ((ops, order.holder_drone_id), (owner_of(order), "masked")):
        custody = shown_to(client, order)["custody"]
        assert custody["holder"] == holder
        assert custody["drone"] == (drone if holder == Holder.DRONE else None)
        assert custody["since"].endswith("Z")
        place = order.holder_hub.name if order.holder_hub else None
        assert custody["place"] == ("Ridge Pharmacy" if holder == Holder.SENDER else place)


def test_a_merchant_sees_a_hold_without_the_internal_message(ops: APIClient) -> None:
    order = on_hold(Holder.DRONE)
    internal, public = shown_to(ops, order)["hold"], shown_to(owner_of(order), order)["hold"]
    assert (internal["code"], internal["message"]) == ("PARCEL_ABOARD", "Motor 3 failed.")
    assert public["message"] == "The parcel is on a drone whose flight is over."
    assert shown_to(ops, OrderFactory())["hold"] is None


def test_the_reason_of_an_end_has_a_code_and_a_message(ops: APIClient) -> None:
    canceled = lifecycle.cancel(OrderFactory().pk, by=SYSTEM, reason=CancelReason.WEATHER)
    for order, reason in (
        (order_in(Status.FAILED), {"code": "DRONE_PROBLEM", "message": "The drone had a problem."}),
        (canceled, {"code": "WEATHER", "message": "Weather."}),
        (order_in(Status.DELIVERED), None),
        (OrderFactory(), None),
    ):
        assert shown_to(ops, order)["reason"] == reason


def test_a_merchants_timeline_names_the_hub_and_no_drone() -> None:
    order = at_a_hub()
    client = owner_of(order)
    items = client.get(f"{ORDERS}/{order.pk}/events?page_size=100").json()["items"]
    by_type = {item["type"]: item for item in items}
    assert by_type["PARCEL_UNLOADED"]["payload"] == {"hub": order.holder_hub.name}
    assert by_type["PARCEL_UNLOADED"]["message"] == "Back at a hub"
    assert by_type["REQUEUED"]["payload"]["hold"] == "PARCEL_ABOARD"
    assert by_type["PARCEL_LOADED"]["payload"] == {}
    for item in items:
        contract("delivery_event").validate(item)


def test_the_list_filters_by_custody_without_extra_statements_for_hubs(ops: APIClient) -> None:
    at_hubs = [at_a_hub(), at_a_hub()]
    flying = aboard()
    OrderFactory()
    ops.get(ORDERS)
    with CaptureQueriesContext(connection) as queries:
        items = ops.get(f"{ORDERS}?custody=HUB").json()["items"]
    assert len(queries) <= 3, [query["sql"] for query in queries]
    assert {item["id"] for item in items} == {str(order.pk) for order in at_hubs}
    both = ops.get(f"{ORDERS}?custody=HUB&custody=DRONE").json()["items"]
    assert {item["id"] for item in both} == {str(order.pk) for order in (*at_hubs, flying)}
    assert errors_of(ops.get(f"{ORDERS}?custody=MOON")) == {("custody", "invalid_choice")}


def test_an_order_at_a_hub_is_read_with_one_statement(ops: APIClient) -> None:
    order = at_a_hub()
    shown_to(ops, order)
    with CaptureQueriesContext(connection) as queries:
        shown_to(ops, order)
    about_orders = [q["sql"] for q in queries if "orders_order" in q["sql"]]
    assert len(queries) <= 2
    assert len(about_orders) <= 1


# --- permissions ---------------------------------------------------------------------------------

CALLS: dict[str, dict[str, object] | None] = {
    "ready": None,
    "custody": {"holder": "LOST", "note": "It burned."},
    "correct": {"outcome": "DELIVERED", "note": "The customer has it."},
}


@pytest.mark.parametrize("call", CALLS)
def test_anonymous_callers_get_a_401(call: str) -> None:
    answer = api_client().post(f"{ORDERS}/{OrderFactory().pk}/{call}", CALLS[call])
    assert answer.status_code == 401


@pytest.mark.parametrize("call", ["custody", "correct"])
def test_a_merchant_cannot_report_custody_or_correct_an_outcome(call: str) -> None:
    order = order_in(Status.FAILED)
    answer = owner_of(order).post(f"{ORDERS}/{order.pk}/{call}", CALLS[call])
    assert answer.status_code == 403


@pytest.mark.parametrize("call", CALLS)
def test_another_merchants_order_or_none_does_not_exist(ops: APIClient, call: str) -> None:
    order, other = OrderFactory(), key_client(merchant=MerchantFactory())
    if call == "ready":
        assert other.post(f"{ORDERS}/{order.pk}/ready").status_code == 404
    nothing = "0190a5e0-0000-4000-8000-000000000000"
    assert ops.post(f"{ORDERS}/{nothing}/{call}", CALLS[call]).status_code == 404


# --- ready ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["merchant", "staff"])
def test_the_parcel_is_ready(ops: APIClient, who: str) -> None:
    order = OrderFactory()
    client = owner_of(order) if who == "merchant" else ops
    for _ in range(2):
        answer = client.post(f"{ORDERS}/{order.pk}/ready")
        assert answer.status_code == 200
        contract("order").validate(answer.json())
    assert DeliveryEvent.objects.filter(order=order, type="PARCEL_READY").count() == 1


def test_a_delivered_parcel_cannot_be_ready(ops: APIClient) -> None:
    order = order_in(Status.DELIVERED)
    answer = ops.post(f"{ORDERS}/{order.pk}/ready")
    assert (answer.status_code, answer.json()["current_status"]) == (409, "DELIVERED")


# --- custody -------------------------------------------------------------------------------------


def test_a_parcel_is_reported_loaded(ops: APIClient) -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    shown = ops.post(f"{ORDERS}/{order.pk}/custody", {"holder": "DRONE"}).json()
    assert shown["custody"]["drone"] == order.assigned_drone_id


@pytest.mark.parametrize("named", ["id", "name", "NAME"])
def test_a_parcel_is_reported_at_a_hub(ops: APIClient, named: str) -> None:
    order, hub = on_hold(Holder.UNKNOWN), HubFactory(name="Achimota")
    place = {"id": str(hub.pk), "name": "Achimota", "NAME": " ACHIMOTA "}[named]
    body = {"holder": "HUB", "place": place, "note": "Wet."}
    shown = ops.post(f"{ORDERS}/{order.pk}/custody", body).json()
    contract("order").validate(shown)
    assert (shown["custody"]["holder"], shown["custody"]["place"]) == ("HUB", "Achimota")
    assert (shown["status"], shown["hold"]) == ("QUEUED", None)


def test_a_parcel_is_reported_as_never_picked_up(ops: APIClient) -> None:
    order = lifecycle.sight_lost(order_in(Status.QUEUED).pk, why="It flies, they say.", by=SYSTEM)
    body = {"holder": "SENDER", "note": "The shop has it."}
    shown = ops.post(f"{ORDERS}/{order.pk}/custody", body).json()
    assert (shown["custody"]["holder"], shown["hold"]) == ("SENDER", None)


def test_a_person_contradicts_a_reported_pickup(ops: APIClient) -> None:
    order = on_hold(Holder.UNKNOWN)
    body = {"holder": "SENDER", "note": "The shop has it."}
    shown = ops.post(f"{ORDERS}/{order.pk}/custody", body).json()
    assert (shown["custody"]["holder"], shown["hold"]) == ("SENDER", None)
    assert order.events.filter(type="PARCEL_LOADED").exists()


def test_a_parcel_in_flight_is_not_with_its_sender(ops: APIClient) -> None:
    order = aboard()
    body = {"holder": "SENDER", "note": "The shop has it."}
    answer = ops.post(f"{ORDERS}/{order.pk}/custody", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "parcel_was_loaded")
    assert f"{order.holder_drone_id} is in flight with it" in answer.json()["detail"]


@pytest.mark.parametrize(("holder", "code"), [("RETURNED", "RETURNED_TO_SENDER"), ("LOST", "LOST")])
def test_a_parcel_is_reported_returned_or_lost(ops: APIClient, holder: str, code: str) -> None:
    order = at_a_hub()
    body = {"holder": holder, "note": "Kofi of the shop."}
    shown = ops.post(f"{ORDERS}/{order.pk}/custody", body).json()
    assert (shown["status"], shown["custody"]["holder"]) == ("FAILED", holder)
    assert shown["reason"]["code"] == code


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, {("holder", "required")}),
        ({"holder": "MOON"}, {("holder", "invalid_choice")}),
        ({"holder": "RECIPIENT"}, {("holder", "invalid_choice")}),
        ({"holder": "UNKNOWN"}, {("holder", "invalid_choice")}),
        ({"holder": "HUB"}, {("place", "required")}),
        ({"holder": "HUB", "place": "Nowhere"}, {("place", "does_not_exist")}),
        ({"holder": "HUB", "place": "99999999"}, {("place", "does_not_exist")}),
        ({"holder": "HUB", "place": 7}, {("place", "invalid")}),
        ({"holder": "RETURNED"}, {("note", "required")}),
        ({"holder": "LOST", "note": "  "}, {("note", "required")}),
        ({"holder": "SENDER"}, {("note", "required")}),
        ({"holder": "LOST", "note": "x" * 201}, {("note", "max_length")}),
        ({"holder": "LOST", "note": "x", "drone": "D"}, {("drone", "unknown_field")}),
    ],
)
def test_invalid_custody_reports_are_refused(
    ops: APIClient, body: dict[str, object], problems: set[tuple[str, str]]
) -> None:
    order = on_hold(Holder.UNKNOWN)
    assert errors_of(ops.post(f"{ORDERS}/{order.pk}/custody", body)) == problems
    assert Order.objects.get(pk=order.pk).holder == Holder.UNKNOWN


def test_a_place_is_refused_for_other_holders_than_a_hub(ops: APIClient) -> None:
    body = {"holder": "LOST", "note": "x", "place": HubFactory().name}
    answer = ops.post(f"{ORDERS}/{on_hold(Holder.UNKNOWN).pk}/custody", body)
    assert errors_of(answer) == {("place", "not_allowed")}


def test_an_impossible_custody_report_is_a_conflict(ops: APIClient) -> None:
    order = order_in(Status.DELIVERED)
    answer = ops.post(f"{ORDERS}/{order.pk}/custody", CALLS["custody"])
    assert (answer.status_code, answer.json()["code"]) == (409, "parcel_elsewhere")
    assert answer.json()["current_status"] == "DELIVERED"


def test_a_custody_report_with_an_idempotency_key_is_recorded_once(ops: APIClient) -> None:
    order = at_a_hub()
    answers = [
        ops.post(f"{ORDERS}/{order.pk}/custody", CALLS["custody"], headers={"Idempotency-Key": "1"})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1]["Idempotency-Replayed"] == "true"


# --- corrections ---------------------------------------------------------------------------------


def correct(client: APIClient, order: Order, **body: object) -> dict[str, object]:
    answer = client.post(f"{ORDERS}/{order.pk}/correct", body)
    assert answer.status_code == 200, answer.content
    contract("order").validate(answer.json())
    return answer.json()


def test_an_outcome_is_corrected_both_ways(ops: APIClient) -> None:
    order = order_in(Status.FAILED)
    shown = correct(ops, order, outcome="DELIVERED", note="The customer has it.")
    assert (shown["status"], shown["reason"]) == ("DELIVERED", None)
    assert shown["custody"]["holder"] == "RECIPIENT"
    shown = correct(ops, order, outcome="FAILED", reason_code="WEATHER", note="No, the neighbour.")
    assert (shown["status"], shown["reason"]["code"]) == ("FAILED", "WEATHER")
    assert (shown["delivered_at"], shown["custody"]["holder"]) == (None, "UNKNOWN")


def test_an_order_on_hold_is_corrected_to_delivered(ops: APIClient) -> None:
    shown = correct(ops, on_hold(Holder.UNKNOWN), outcome="DELIVERED", note="They have it.")
    assert (shown["status"], shown["hold"]) == ("DELIVERED", None)


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, {("outcome", "required"), ("note", "required")}),
        ({"outcome": "ABORTED", "note": "x"}, {("outcome", "invalid_choice")}),
        ({"outcome": "DELIVERED", "note": " "}, {("note", "blank")}),
        (
            {"outcome": "FAILED", "note": "x", "reason_code": "MOOD"},
            {("reason_code", "invalid_choice")},
        ),
        (
            {"outcome": "DELIVERED", "note": "x", "reason_code": "LOST"},
            {("reason_code", "not_allowed")},
        ),
    ],
)
def test_invalid_corrections_are_refused(
    ops: APIClient, body: dict[str, object], problems: set[tuple[str, str]]
) -> None:
    order = order_in(Status.FAILED)
    assert errors_of(ops.post(f"{ORDERS}/{order.pk}/correct", body)) == problems


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (lambda: order_in(Status.ENROUTE), "not_over"),
        (lambda: order_in(Status.CANCELED), "not_over"),
        (lambda: order_in(Status.DELIVERED), "no_change"),
    ],
)
def test_impossible_corrections_are_conflicts(
    ops: APIClient, made: Callable[[], Order], code: str
) -> None:
    answer = ops.post(f"{ORDERS}/{made().pk}/correct", CALLS["correct"])
    assert (answer.status_code, answer.json()["code"]) == (409, code)


def test_an_order_is_assigned_again_from_the_hub(ops: APIClient) -> None:
    order = at_a_hub()
    lifecycle.assign(order.pk, DroneFactory().pk, by=SYSTEM, why="Near.")
    shown = shown_to(ops, order)
    assert (shown["status"], shown["custody"]["holder"]) == ("ASSIGNED", "HUB")
    assert shown["custody"]["since"] <= timezone.now().isoformat()


# --- a loader's calls ----------------------------------------------------------------------------


def test_a_loader_reports_for_its_own_hub_and_sees_no_customer() -> None:
    order = on_hold(Holder.DRONE)
    hub = Hub.objects.get(drones__parcels=order.pk)
    kofi = UserFactory(username="kofi", role=Role.LOADER)
    Loader.objects.create(user=kofi, hub=hub)
    loader, path = api_client(kofi), f"{ORDERS}/{order.pk}"
    answer = loader.post(f"{path}/custody", {"holder": "HUB", "place": HubFactory().name})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "not_yours")
    shown = loader.post(f"{path}/custody", {"holder": "HUB", "place": hub.name}).json()
    assert shown["custody"]["holder"] == "HUB"
    assert "customer_name" not in shown
    assert "dropoff_lat" not in shown
    assert loader.get(path).status_code == 403
    elsewhere = order_in(Status.QUEUED, pickup_lat=5.7, pickup_lng=-0.3)
    assert loader.post(f"{ORDERS}/{elsewhere.pk}/ready").status_code == 404
