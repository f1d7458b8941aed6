"""Orders over HTTP: placing, reading, listing, changing, with permissions and statement counts."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from jsonschema import Draft202012Validator
from rest_framework.test import APIClient

from fleet.models import Drone
from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import CANCELABLE, Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client, key_client
from wingxtra.tests.openapi import closed

pytestmark = pytest.mark.django_db
ORDERS = "/api/v1/orders"


def contract(name: str) -> Draft202012Validator:
    path = Path(settings.BASE_DIR) / "docs" / "contracts" / f"{name}.schema.json"
    schema = json.loads(path.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(closed(schema), format_checker=Draft202012Validator.FORMAT_CHECKER)


def body(**changes: Any) -> dict[str, Any]:
    """The body of a new order; a change to None removes the field."""
    fields = {
        "pickup_lat": 5.6037,
        "pickup_lng": -0.1870,
        "dropoff_lat": 5.6150,
        "dropoff_lng": -0.1750,
        "payload_weight_kg": 0.8,
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


@pytest.fixture
def drone() -> Drone:
    """One drone at one hub, so that the area can deliver."""
    return DroneFactory()


@pytest.fixture
def merchant(drone: Drone) -> Merchant:
    return MerchantFactory()


@pytest.fixture
def client(merchant: Merchant) -> APIClient:
    return api_client(UserFactory(merchant=merchant))


@pytest.fixture
def ops(drone: Drone) -> APIClient:
    return api_client(UserFactory(ops=True))


# --- placing -------------------------------------------------------------------------------------


def test_a_merchant_places_an_order(client: APIClient, merchant: Merchant) -> None:
    answer = client.post(
        ORDERS,
        body(
            external_id="A-1",
            customer_name="Ama Mensah",
            customer_phone="+233 24 123 4567",
            priority="URGENT",
            payload_type="MEDICINE",
        ),
    )
    assert answer.status_code == 201, answer.content
    contract("order").validate(answer.json())
    order = Order.objects.get()
    assert answer["Location"] == f"{ORDERS}/{order.pk}"
    shown = answer.json()
    assert (shown["status"], shown["merchant_id"]) == ("QUEUED", str(merchant.pk))
    assert shown["customer_phone"] == "+233241234567"
    assert shown["tracking_url"].endswith(f"/track/{order.public_tracking_id}/")
    assert "otp_code" not in shown
    # The policy's promise for URGENT.
    assert order.deliver_by - order.created_at == pytest.approx(
        timedelta(minutes=30), abs=timedelta(seconds=5)
    )


def test_the_promise_of_a_scheduled_order_counts_from_its_start(client: APIClient) -> None:
    start = timezone.now() + timedelta(hours=5)
    shown = client.post(ORDERS, body(not_before=start.isoformat())).json()
    assert shown["status"] == "VALIDATED"
    assert Order.objects.get().deliver_by == start + timedelta(minutes=60)


def test_the_code_of_an_order_is_only_in_the_first_answer(client: APIClient) -> None:
    answer = client.post(ORDERS, body(pod_requirement="OTP"))
    contract("order").validate(answer.json())
    assert len(answer.json()["otp_code"]) == 6
    assert "otp_code" not in client.get(answer["Location"]).json()


def test_staff_must_name_the_merchant_of_a_new_order(ops: APIClient, merchant: Merchant) -> None:
    shown = ops.post(ORDERS, body(merchant_id=str(merchant.pk))).json()
    assert (shown["merchant_id"], shown["dropoff_source"]) == (str(merchant.pk), "OPS")
    for wrong, code in ((None, "required"), (str(uuid4()), "does_not_exist"), ("x", "invalid")):
        problems = errors_of(ops.post(ORDERS, body(merchant_id=wrong)))
        assert problems == {("merchant_id", code)}


def test_a_merchant_cannot_place_an_order_for_another(client: APIClient) -> None:
    answer = client.post(ORDERS, body(merchant_id=str(MerchantFactory().pk)))
    assert errors_of(answer) == {("merchant_id", "not_yours")}


def test_a_second_order_with_the_same_reference_names_the_first(
    client: APIClient, merchant: Merchant
) -> None:
    first = OrderFactory(merchant=merchant, external_id="A-1")
    answer = client.post(ORDERS, body(external_id="A-1"))
    assert answer.status_code == 409
    problem = answer.json()
    assert (problem["code"], problem["order_id"]) == ("duplicate_external_id", str(first.pk))
    assert str(first.pk) in problem["detail"]
    OrderFactory(external_id="A-2")
    assert client.post(ORDERS, body(external_id="A-2")).status_code == 201


def test_placing_writes_the_order_and_its_events_in_one_statement(merchant: Merchant) -> None:
    client = key_client(merchant=merchant)
    client.post(ORDERS, body())
    with CaptureQueriesContext(connection) as queries:
        client.post(ORDERS, body())
    [write] = [q["sql"] for q in queries if re.search("INSERT|UPDATE|DELETE", q["sql"])]
    assert "orders_order" in write
    assert "orders_deliveryevent" in write


# --- who may -------------------------------------------------------------------------------------


def test_another_merchants_order_does_not_exist(client: APIClient) -> None:
    others = f"{ORDERS}/{OrderFactory().pk}"
    assert client.get(ORDERS).json()["total"] == 0
    window = {"deliver_by": (timezone.now() + timedelta(hours=2)).isoformat()}
    for answer in (
        client.get(others),
        client.patch(others, {"priority": "URGENT"}),
        client.post(f"{others}/reschedule", window),
        client.get(f"{others}/events"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path", ["orders", "jobs", "orders/0190a5e0-0000-4000-8000-000000000000", "orders/x/events"]
)
def test_anonymous_callers_get_a_401_or_a_404(path: str) -> None:
    assert api_client().get(f"/api/v1/{path}").status_code in (401, 404)


def test_a_malformed_id_is_not_found(client: APIClient) -> None:
    for path in ("nonsense", "12345678", f"{uuid4()}x", "%00"):
        answer = client.get(f"{ORDERS}/{path}")
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


def test_jobs_are_for_staff(client: APIClient, ops: APIClient) -> None:
    busy = order_in(Status.ASSIGNED)
    done = order_in(Status.DELIVERED)
    assert client.get("/api/v1/jobs").status_code == 403
    assert client.get(f"/api/v1/jobs/{busy.current_job_id}").status_code == 403
    shown = ops.get(f"/api/v1/jobs/{busy.current_job_id}").json()
    assert shown["assigned_drone_id"] == busy.assigned_drone_id
    assert shown["mission_intent_id"] == str(busy.current_job.mission_intent_id)
    assert ops.get(f"/api/v1/jobs/{uuid4()}").status_code == 404
    for query, orders in (
        ("", {busy.pk, done.pk}),
        ("?active=true", {busy.pk}),
        ("?active=false", {busy.pk, done.pk}),
        (f"?order_id={done.pk}", {done.pk}),
    ):
        items = ops.get(f"/api/v1/jobs{query}").json()["items"]
        assert {item["order_id"] for item in items} == {str(pk) for pk in orders}
    assert ops.get("/api/v1/jobs?active=perhaps").status_code == 400


def test_drones_are_masked_for_merchants(
    client: APIClient, merchant: Merchant, ops: APIClient
) -> None:
    order = order_in(Status.ENROUTE, merchant=merchant)
    path = f"{ORDERS}/{order.pk}"
    assert client.get(path).json()["assigned_drone_id"] == "masked"
    assert ops.get(path).json()["assigned_drone_id"] == order.assigned_drone_id
    query = f"{ORDERS}?assigned_drone_id={order.assigned_drone_id}"
    assert (client.get(query).json()["total"], ops.get(query).json()["total"]) == (0, 1)


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", Status)
def test_an_order_matches_its_contract(
    client: APIClient, merchant: Merchant, status: Status
) -> None:
    order = order_in(status, merchant=merchant)
    shown = client.get(f"{ORDERS}/{order.pk}").json()
    contract("order").validate(shown)
    assert shown["status"] == status


def test_reading_an_order_takes_two_statements(merchant: Merchant) -> None:
    order = order_in(Status.ENROUTE, merchant=merchant)
    client = key_client(merchant=merchant)
    client.get(f"{ORDERS}/{order.pk}")
    with CaptureQueriesContext(connection) as queries:
        assert client.get(f"{ORDERS}/{order.pk}").status_code == 200
    assert len(queries) <= 2, [query["sql"] for query in queries]


def test_listing_takes_three_statements(merchant: Merchant) -> None:
    for _ in range(3):
        order_in(Status.ENROUTE, merchant=merchant)
    client = key_client(merchant=merchant)
    client.get(ORDERS)
    for query, limit in (("", 3), ("?cursor=", 2)):
        with CaptureQueriesContext(connection) as queries:
            assert len(client.get(f"{ORDERS}{query}").json()["items"]) == 3
        assert len(queries) <= limit, [query["sql"] for query in queries]


def test_the_list_is_newest_first_and_masks_customers(
    client: APIClient, merchant: Merchant
) -> None:
    orders = [OrderFactory(merchant=merchant) for _ in range(3)]
    answer = client.get(f"{ORDERS}?page_size=2").json()
    assert [item["id"] for item in answer["items"]] == [str(o.pk) for o in orders[:0:-1]]
    assert (answer["page"], answer["page_size"], answer["total"]) == (1, 2, 3)
    assert answer["pagination"] == {"page": 1, "page_size": 2, "total": 3}
    for item in answer["items"]:
        contract("order").validate(item)
        assert (item["customer_name"], item["customer_phone"]) == ("A*** M***", "***567")


def test_cursor_pages_contain_every_order_once(client: APIClient, merchant: Merchant) -> None:
    moment = timezone.now()
    wanted = {str(OrderFactory(merchant=merchant, created_at=moment).pk) for _ in range(5)}
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = client.get(ORDERS, {"cursor": cursor, "page_size": 2}).json()
        seen += [item["id"] for item in answer["items"]]
        cursor = answer["next_cursor"]
    assert (len(seen), set(seen)) == (5, wanted)


def test_the_list_can_be_filtered(ops: APIClient) -> None:
    old = OrderFactory(created_at=timezone.now() - timedelta(days=2), external_id="OLD-77")
    flying = order_in(Status.ENROUTE, priority="MEDICAL", customer_name="Kofi Boateng")
    waiting = order_in(Status.VALIDATED, customer_phone="+233209998877")
    yesterday = (timezone.now() - timedelta(days=1)).isoformat().replace("+00:00", "Z")
    for query, expected in {
        "status=ENROUTE": [flying],
        "status=ENROUTE&status=VALIDATED": [waiting, flying],
        "priority=MEDICAL": [flying],
        f"from={yesterday}": [waiting, flying],
        f"to={yesterday}": [old],
        f"merchant_id={waiting.merchant_id}": [waiting],
        f"assigned_drone_id={flying.assigned_drone_id}": [flying],
        "q=old-7": [old],
        "search=boateng": [flying],
        "q=998877": [waiting],
        f"q={flying.public_tracking_id[3:9].lower()}": [flying],
        "ordering=created_at": [old, flying, waiting],
        "q=nobody": [],
    }.items():
        answer = ops.get(f"{ORDERS}?{query}").json()
        assert [item["id"] for item in answer["items"]] == [str(o.pk) for o in expected], query


@pytest.mark.parametrize(
    "query",
    [
        "status=FLYING",
        "priority=LOW",
        "merchant_id=x",
        "from=yesterday",
        "ordering=customer_phone",
        "page=0",
        "page_size=101",
        "cursor=nonsense",
    ],
)
def test_invalid_list_parameters_are_refused(ops: APIClient, query: str) -> None:
    answer = ops.get(f"{ORDERS}?{query}")
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [query.partition("=")[0]]


# --- changing ------------------------------------------------------------------------------------

LAUNCHED_OR_OVER = [s for s in Status if s not in CANCELABLE]


def test_the_drop_point_can_be_moved_until_a_drone_is_assigned(
    client: APIClient, merchant: Merchant
) -> None:
    order = OrderFactory(merchant=merchant, dropoff_accuracy_m=12)
    answer = client.patch(f"{ORDERS}/{order.pk}", {"dropoff_lat": 5.62, "dropoff_lng": -0.18})
    shown = answer.json()
    assert (shown["dropoff_lat"], shown["dropoff_lng"]) == (5.62, -0.18)
    assert shown["dropoff_accuracy_m"] is None
    event = DeliveryEvent.objects.filter(order=order).last()
    assert (event.type, event.payload) == (
        "DROPOFF_CHANGED",
        {"moved_m": 784, "source": "MERCHANT"},
    )


def test_a_drop_point_where_we_do_not_deliver_is_refused_and_nothing_changes(
    client: APIClient, merchant: Merchant
) -> None:
    order = OrderFactory(merchant=merchant)
    there = {"dropoff_lat": 6.9, "dropoff_lng": order.dropoff_lng}
    change = {**there, "customer_phone": "+233209998877", "priority": "MEDICAL"}
    answer = client.patch(f"{ORDERS}/{order.pk}", change)
    assert errors_of(answer) == {("dropoff_lat", "outside_service_area")}
    stored = Order.objects.get(pk=order.pk)
    assert (stored.dropoff_lat, stored.priority) == (order.dropoff_lat, "NORMAL")
    assert DeliveryEvent.objects.filter(order=order).count() == 3


@pytest.mark.parametrize("status", [s for s in Status if s != Status.CREATED])
def test_which_statuses_allow_which_changes(
    client: APIClient, merchant: Merchant, status: Status
) -> None:
    order = order_in(status, merchant=merchant)
    path = f"{ORDERS}/{order.pk}"
    moves = status in (Status.VALIDATED, Status.QUEUED)
    there = {"dropoff_lat": 5.6151, "dropoff_lng": order.dropoff_lng}
    details = moves or status in (Status.ASSIGNED, Status.MISSION_SUBMITTED)
    window = {"deliver_by": (timezone.now() + timedelta(hours=2)).isoformat()}
    for allowed, answer in (
        (details, client.patch(path, {"customer_phone": "+233209998877"})),
        (details, client.patch(path, {"priority": "URGENT"})),
        (moves, client.patch(path, there)),
        (moves or status == Status.ASSIGNED, client.post(f"{path}/reschedule", window)),
    ):
        assert answer.status_code == (200 if allowed else 409), answer.content
        if not allowed:
            assert answer.json()["current_status"] == status


def test_an_event_about_a_change_holds_no_personal_data(
    client: APIClient, merchant: Merchant
) -> None:
    order = OrderFactory(merchant=merchant)
    client.patch(f"{ORDERS}/{order.pk}", {"customer_phone": "+233209998877", "priority": "URGENT"})
    *_, event, renewed = DeliveryEvent.objects.filter(order=order)
    assert (event.type, renewed.type) == ("DETAILS_CHANGED", "TRACKING_RENEWED")
    assert event.message == "The phone number and the priority changed."
    assert "998877" not in event.message + json.dumps(event.payload)
    # The same value again changes nothing.
    client.patch(f"{ORDERS}/{order.pk}", {"priority": "URGENT"})
    assert DeliveryEvent.objects.filter(order=order).last() == renewed


def test_a_patch_names_the_fields_that_cannot_be_changed(
    client: APIClient, merchant: Merchant
) -> None:
    order = OrderFactory(merchant=merchant)
    answer = client.patch(f"{ORDERS}/{order.pk}", {"status": "DELIVERED", "pickup_lat": 5.6})
    assert errors_of(answer) == {("status", "unknown_field"), ("pickup_lat", "unknown_field")}


def test_an_order_is_rescheduled(client: APIClient, merchant: Merchant) -> None:
    order = order_in(Status.ASSIGNED, merchant=merchant)
    start = timezone.now() + timedelta(hours=3)
    path = f"{ORDERS}/{order.pk}/reschedule"
    shown = client.post(path, {"not_before": start.isoformat()}).json()
    assert (shown["status"], shown["assigned_drone_id"]) == ("VALIDATED", None)
    assert Order.objects.get().deliver_by == start + timedelta(minutes=60)
    assert errors_of(client.post(path, {})) == {("", "required")}
    over = {"deliver_by": (start - timedelta(days=1)).isoformat()}
    assert errors_of(client.post(path, over)) == {("deliver_by", "window_invalid")}


# --- the timeline --------------------------------------------------------------------------------


def test_the_timeline_is_oldest_first_and_matches_its_contract(
    client: APIClient, ops: APIClient, merchant: Merchant
) -> None:
    order = order_in(Status.DELIVERED, merchant=merchant)
    for caller in (client, ops):
        items = caller.get(f"{ORDERS}/{order.pk}/events?page_size=100").json()["items"]
        assert [item["type"] for item in items][:4] == [
            "CREATED",
            "VALIDATED",
            "QUEUED",
            "ASSIGNED",
        ]
        assert items[-1]["type"] == "DELIVERED"
        for item in items:
            contract("delivery_event").validate(item)


def test_a_merchant_sees_no_operator_and_no_drone_in_the_timeline(
    client: APIClient, ops: APIClient, merchant: Merchant
) -> None:
    order, drone = OrderFactory(merchant=merchant), DroneFactory()
    operator = UserFactory(ops=True, username="kwame.ops")
    lifecycle.assign(order.pk, drone.pk, by=operator.actor, why=f"kwame.ops likes {drone.pk}.")
    lifecycle.reassign(order.pk, DroneFactory().pk, by=SYSTEM, why=f"Instead of {drone.pk}.")
    path = f"{ORDERS}/{order.pk}/events"
    assert "kwame.ops" in json.dumps(ops.get(path).json())
    shown = json.dumps(client.get(path).json())
    assert "kwame.ops" not in shown
    assert drone.pk not in shown


def errors_of(answer: Any) -> set[tuple[str, str]]:
    assert answer.status_code == 400, answer.content
    problem = answer.json()
    assert answer["Content-Type"] == "application/problem+json"
    assert problem["detail"]
    return {(error["field"], error["code"]) for error in problem["errors"]}
