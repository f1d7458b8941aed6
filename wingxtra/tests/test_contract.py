"""The contract with existing clients, row by row: paths, methods, roles, and shapes.

Every answer is also validated with our own OpenAPI description.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse
from pytest_django import Settings
from rest_framework.test import APIClient

from dispatch.models import DispatchRun, Mission, Occurrence
from dispatch.planning.runs import run
from dispatch.tests.test_occurrences import written
from fleet.models import Drone, Pilot
from fleet.simulator.run import Simulator
from fleet.tests.factories import DroneFactory, TelemetryFactory, show
from fleet.tests.simulated import sim_drone
from orders import quotes, stores
from orders.models import DeliveryJob, Order, RecurringOrder, Store
from orders.recurring import verbs
from orders.states import PodRequirement, Status
from orders.tests.factories import OrderFactory, order_in
from tracking.models import WebhookEndpoint
from tracking.webhooks import endpoints
from wingxtra.accounts.identity import DISPATCHER, Role
from wingxtra.accounts.models import ApiKey, Merchant
from wingxtra.accounts.tests.factories import (
    PASSWORD,
    MerchantFactory,
    UserFactory,
    api_client,
    key_client,
)
from wingxtra.opening_hours import WEEKDAYS
from wingxtra.tests.openapi import described

pytestmark = pytest.mark.django_db

MERCHANT, OPS, ADMIN = Role.MERCHANT, Role.OPS, Role.ADMIN
STAFF = {OPS, ADMIN}
READERS = {Role.READONLY, *STAFF}
ALL = {MERCHANT, OPS, ADMIN}
ANYONE: set[Role] = set()
DRONES = [f"WX-DRN-{n:03d}" for n in range(1, 13)]
FREE = "a drone that is free"
NEW_NAME = "a name that is not taken"
ENVELOPE = "items page page_size total pagination"
ORDER = (
    "id public_tracking_id merchant_id external_id customer_name customer_phone customer_email "
    "store_id pickup_lat pickup_lng pickup_name dropoff_lat dropoff_lng dropoff_accuracy_m "
    "dropoff_captured_at dropoff_source dropoff_address dropoff_instructions payload_weight_kg "
    "payload_type payload_size_cm metadata priority pod_requirement "
    "ready_at not_before deliver_by status created_at updated_at delivered_at assigned_drone_id "
    "job_id mission_intent_id eta_seconds tracking_url sla"
)
EVENT = "id order_id job_id type message actor payload created_at occurred_at"
JOB = (
    "id order_id assigned_drone_id attempt status mission_intent_id eta_seconds created_at "
    "updated_at"
)
DRONE = (
    "drone_id readiness reasons lat lng alt_m battery_pct mode armed last_seen_at active_job_id "
    "fitness"
)
OCCURRENCE = (
    "id order_id job_id drone_id category injury happened_at state written_by created_at "
    "released_at"
)
CANDIDATE = "drone_id feasible eta_seconds energy_needed_pct battery_pct reasons"
POD = "order_id method confirmed_by photo_url created_at"
TRACKING = (
    "public_tracking_id status headline milestones timeline eta_seconds eta_at position dropoff "
    "drone pod_summary updated_at"
)
TRIP = {
    "pickup_lat": 5.6037,
    "pickup_lng": -0.1870,
    "dropoff_lat": 5.6150,
    "dropoff_lng": -0.1750,
    "payload_weight_kg": 0.8,
}

RECURRING = (
    "id merchant_id live_mode name order weekdays local_time time_zone hours_ahead starts_on "
    "ends_on paused created_at next last"
)
EVERY_DAY = {"name": "Round", "order": TRIP, "weekdays": list(WEEKDAYS), "local_time": "07:30"}


class World:
    """The objects of the rows, created on demand for `caller`."""

    def __init__(self, merchant: Merchant) -> None:
        self.merchant = merchant
        self.names = iter(DRONES)
        self.free_drone()

    def free_drone(self) -> Drone:
        drone = DroneFactory(drone_id=next(self.names))
        show(*[TelemetryFactory(drone_id=drone.pk) for drone in Drone.objects.all()])
        return drone

    def order(self, status: Status, **attributes: Any) -> Order:
        attributes = {"merchant": self.merchant, **attributes}
        if status == Status.QUEUED:
            return OrderFactory(**attributes)
        return order_in(status, drone=self.free_drone(), **attributes)

    def job(self) -> DeliveryJob:
        job = self.order(Status.ASSIGNED).current_job
        assert job is not None
        return job

    def intent_id(self) -> Any:
        job = self.job()
        assert Mission.objects.filter(pk=job.mission_intent_id).exists()
        return job.mission_intent_id

    def errand_id(self) -> Any:
        drone = DroneFactory()
        kind = Mission.Kind.REPOSITION
        return Mission.objects.create(id=uuid4(), kind=kind, drone=drone, body={}).pk

    def recorded(self) -> Order:
        return self.order(Status.DELIVERED)

    def occurrence(self) -> Occurrence:
        return written(self.order(Status.DELIVERED))

    def pilot(self) -> Pilot:
        return Pilot.objects.get_or_create(name="Ama Mensah")[0]

    def run_id(self) -> Any:
        self.order(Status.QUEUED)
        return run(trigger=DispatchRun.Trigger.COMMAND, by=DISPATCHER, dry_run=True).run.pk

    def webhook(self) -> WebhookEndpoint:
        WebhookEndpoint.objects.all().delete()
        return endpoints.create(self.merchant.pk, "https://shop.example.com/hooks")[0]

    def store(self) -> Store:
        Store.objects.all().delete()
        return stores.create(self.merchant.pk, {"name": "Ridge", "lat": 5.6037, "lng": -0.1870})

    def recurring(self) -> RecurringOrder:
        times = {"local_time": time(7, 30), "starts_on": date(2026, 1, 1)}
        return verbs.create(self.merchant.pk, {**EVERY_DAY, **times})

    def skipped(self) -> RecurringOrder:
        row = self.recurring()
        verbs.skip(row.pk, date(2030, 1, 1))
        return row

    def quote_id(self) -> Any:
        caller = ApiKey(role=Role.MERCHANT, merchant=self.merchant, name="quoted")
        answer = {
            "serviceable": False,
            "reasons": [],
            "distance_m": None,
            "eta_seconds": {"low": None, "high": None},
            "eta_at": {"low": None, "high": None},
            "busy": True,
            "held_up": None,
            "service_area_id": None,
        }
        return quotes.store(OrderFactory.build(), caller, datetime.now(UTC), answer).id

    def delivery_id(self) -> Any:
        return endpoints.make_test(self.webhook()).pk


Path = Callable[[World], str]


def of_order(status: Status, rest: str = "", **attributes: Any) -> Path:
    return lambda world: f"/orders/{world.order(status, **attributes).pk}{rest}"


def of_link(status: Status, rest: str = "", **attributes: Any) -> Path:
    return lambda world: f"/tracking/{world.order(status, **attributes).public_tracking_id}{rest}"


@dataclass(frozen=True)
class Row:
    """`keys`: members of the answer; `item_keys`: members of its first item."""

    method: str
    pattern: str
    who: set[Role]
    keys: str
    status: int = 200
    path: Path | None = None
    body: dict[str, Any] | None = None
    item_keys: str = ""
    live_mode: bool = True  # False: merchants call with a test key

    def __str__(self) -> str:
        return f"{self.method} {self.pattern}"


def in_hours(hours: int) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


ONE = "/orders/{id}"
QUOTE = "id expires_at serviceable reasons distance_m eta_seconds held_up service_area_id"
RUN = "id trigger dry_run policy_version assigned started_at"
STORE = "id merchant_id live_mode name lat lng instructions hours active created_at"
WEBHOOK = "id merchant_id url events enabled"
DELIVERY = "id webhook_id type state attempts"
ASSIGNED = "order_id status job_id drone_id"
ROWS = [
    Row(
        "POST",
        "/quotes",
        ALL,
        QUOTE,
        body=TRIP,
    ),
    Row("GET", "/quotes/{id}", ALL, QUOTE, path=lambda world: f"/quotes/{world.quote_id()}"),
    Row("POST", "/orders", ALL, ORDER, 201, body=TRIP),
    Row("POST", "/orders", ALL, f"{ORDER} otp_code", 201, body=TRIP | {"pod_requirement": "OTP"}),
    Row("GET", "/orders", ALL, ENVELOPE, item_keys=ORDER),
    Row("GET", ONE, ALL, ORDER, path=of_order(Status.QUEUED)),
    Row("PATCH", ONE, ALL, ORDER, path=of_order(Status.QUEUED), body={"priority": "URGENT"}),
    Row("POST", f"{ONE}/tracking-link", ALL, ORDER, path=of_order(Status.QUEUED, "/tracking-link")),
    Row("POST", f"{ONE}/cancel", ALL, f"{ORDER} order_id", path=of_order(Status.QUEUED, "/cancel")),
    Row(
        "POST",
        f"{ONE}/reschedule",
        ALL,
        ORDER,
        path=of_order(Status.QUEUED, "/reschedule"),
        body={"not_before": in_hours(2), "deliver_by": in_hours(3)},
    ),
    Row(
        "POST",
        f"{ONE}/assign",
        STAFF,
        ASSIGNED,
        path=of_order(Status.QUEUED, "/assign"),
        body={"drone_id": FREE},
    ),
    Row(
        "POST",
        f"{ONE}/reassign",
        STAFF,
        ASSIGNED,
        path=of_order(Status.ASSIGNED, "/reassign"),
        body={"drone_id": FREE},
    ),
    Row(
        "GET",
        f"{ONE}/candidates",
        STAFF,
        "items",
        path=of_order(Status.QUEUED, "/candidates"),
        item_keys=CANDIDATE,
    ),
    Row(
        "GET",
        f"{ONE}/decisions",
        STAFF,
        "items",
        path=of_order(Status.QUEUED, "/decisions"),
    ),
    Row(
        "POST",
        f"{ONE}/submit-mission-intent",
        STAFF,
        "order_id mission_intent_id status",
        path=of_order(Status.ASSIGNED, "/submit-mission-intent"),
    ),
    Row(
        "POST",
        f"{ONE}/advance",
        ALL,
        ORDER,
        path=of_order(Status.QUEUED, "/advance", live_mode=False),
        live_mode=False,
    ),
    Row(
        "POST",
        f"{ONE}/abort",
        STAFF,
        "order_id status abort_requested",
        202,
        path=of_order(Status.ENROUTE, "/abort"),
    ),
    Row(
        "GET",
        f"{ONE}/events",
        ALL,
        ENVELOPE,
        path=of_order(Status.ENROUTE, "/events"),
        item_keys=EVENT,
    ),
    Row(
        "POST",
        f"{ONE}/events",
        STAFF,
        "order_id status applied_events duplicate",
        path=of_order(Status.MISSION_SUBMITTED, "/events"),
        body={"event_type": "MISSION_LAUNCHED", "source": "gcs", "event_id": "1"},
    ),
    Row("GET", f"{ONE}/pod", ALL, POD, path=of_order(Status.QUEUED, "/pod")),
    Row(
        "POST",
        f"{ONE}/pod",
        STAFF,
        POD,
        201,
        path=of_order(Status.ARRIVED, "/pod"),
        body={"method": "OPERATOR_CONFIRM", "confirmed_by": "Kofi"},
    ),
    Row(
        "GET",
        "/jobs",
        STAFF,
        ENVELOPE,
        path=lambda world: f"/jobs?active=true&order_id={world.job().order_id}",
        item_keys=JOB,
    ),
    Row("GET", "/jobs/{id}", STAFF, JOB, path=lambda world: f"/jobs/{world.job().pk}"),
    Row(
        "POST",
        "/dispatch/run",
        STAFF,
        "run_id assigned assignments unassigned",
        body={"max_assignments": 1, "dry_run": True},
    ),
    Row(
        "GET",
        "/dispatch/runs",
        STAFF,
        ENVELOPE,
        path=lambda world: f"/dispatch/runs?page={1 if world.run_id() else 2}",
        item_keys=RUN,
    ),
    Row(
        "GET",
        "/dispatch/runs/{id}",
        STAFF,
        f"{RUN} decisions",
        path=lambda world: f"/dispatch/runs/{world.run_id()}",
    ),
    Row(
        "GET",
        "/flight-records",
        READERS,
        "type features",
        path=lambda world: world.recorded() and "/flight-records?format=geojson",
    ),
    Row(
        "GET",
        "/occurrences",
        READERS,
        ENVELOPE,
        item_keys=OCCURRENCE,
        path=lambda world: world.occurrence() and "/occurrences",
    ),
    Row(
        "GET",
        "/occurrences/{occurrence_id}",
        READERS,
        f"{OCCURRENCE} text notes files",
        path=lambda world: f"/occurrences/{world.occurrence().pk}",
    ),
    Row(
        "GET",
        "/pilots",
        READERS,
        "items",
        item_keys="id name remote_pilot_id active shifts",
        path=lambda world: world.pilot() and "/pilots",
    ),
    Row(
        "GET",
        "/drones/{drone_id}/airworthiness",
        READERS,
        "drone_id kind serial registration flights flight_seconds cycles fitness rules maintenance "
        "defects packs",
        path=lambda _: "/drones/WX-DRN-001/airworthiness",
    ),
    Row("GET", "/airspace", READERS, "type airspace_version features"),
    Row("GET", "/drones", READERS, ENVELOPE, item_keys=DRONE),
    Row("GET", "/drones/{drone_id}", READERS, DRONE, path=lambda _: "/drones/WX-DRN-001"),
    Row(
        "GET",
        "/mission-intents/{intent_id}",
        STAFF,
        "id order_id job_id state intent not_known tries",
        path=lambda world: f"/mission-intents/{world.intent_id()}",
    ),
    Row(
        "POST",
        "/mission-intents/{intent_id}/events",
        STAFF,
        "intent_id drone_id state over note",
        body={"event_type": "LAUNCHED"},
        path=lambda world: f"/mission-intents/{world.errand_id()}/events",
    ),
    Row("GET", "/stores", {MERCHANT, ADMIN}, ENVELOPE),
    Row(
        "POST",
        "/stores",
        {MERCHANT, ADMIN},
        STORE,
        201,
        body={"name": NEW_NAME, "lat": 5.6037, "lng": -0.1870},
    ),
    Row(
        "GET",
        "/stores/{id}",
        {MERCHANT, ADMIN},
        STORE,
        path=lambda world: f"/stores/{world.store().pk}",
    ),
    Row(
        "PATCH",
        "/stores/{id}",
        {MERCHANT, ADMIN},
        STORE,
        path=lambda world: f"/stores/{world.store().pk}",
        body={"active": False},
    ),
    Row(
        "DELETE",
        "/stores/{id}",
        {MERCHANT, ADMIN},
        "",
        204,
        path=lambda world: f"/stores/{world.store().pk}",
    ),
    Row("GET", "/recurring-orders", {MERCHANT, ADMIN}, ENVELOPE),
    Row("POST", "/recurring-orders", {MERCHANT, ADMIN}, RECURRING, 201, body=EVERY_DAY),
    Row(
        "GET",
        "/recurring-orders/{id}",
        {MERCHANT, ADMIN},
        RECURRING,
        path=lambda world: f"/recurring-orders/{world.recurring().pk}",
    ),
    Row(
        "PATCH",
        "/recurring-orders/{id}",
        {MERCHANT, ADMIN},
        RECURRING,
        path=lambda world: f"/recurring-orders/{world.recurring().pk}",
        body={"paused": True},
    ),
    Row(
        "DELETE",
        "/recurring-orders/{id}",
        {MERCHANT, ADMIN},
        "",
        204,
        path=lambda world: f"/recurring-orders/{world.recurring().pk}",
    ),
    Row(
        "POST",
        "/recurring-orders/{id}/skip",
        {MERCHANT, ADMIN},
        RECURRING,
        path=lambda world: f"/recurring-orders/{world.recurring().pk}/skip",
        body={"on": "2030-01-01"},
    ),
    Row(
        "POST",
        "/recurring-orders/{id}/unskip",
        {MERCHANT, ADMIN},
        RECURRING,
        path=lambda world: f"/recurring-orders/{world.skipped().pk}/unskip",
        body={"on": "2030-01-01"},
    ),
    Row("GET", "/webhooks", {MERCHANT, ADMIN}, ENVELOPE),
    Row(
        "POST",
        "/webhooks",
        {MERCHANT, ADMIN},
        f"{WEBHOOK} secret",
        201,
        body={"url": "https://shop.example.com/hooks"},
    ),
    Row(
        "GET",
        "/webhooks/{id}",
        {MERCHANT, ADMIN},
        WEBHOOK,
        path=lambda world: f"/webhooks/{world.webhook().pk}",
    ),
    Row(
        "PATCH",
        "/webhooks/{id}",
        {MERCHANT, ADMIN},
        WEBHOOK,
        path=lambda world: f"/webhooks/{world.webhook().pk}",
        body={"enabled": False},
    ),
    Row(
        "DELETE",
        "/webhooks/{id}",
        {MERCHANT, ADMIN},
        "",
        204,
        path=lambda world: f"/webhooks/{world.webhook().pk}",
    ),
    Row(
        "GET",
        "/webhooks/{id}/deliveries",
        {MERCHANT, ADMIN},
        ENVELOPE,
        path=lambda world: f"/webhooks/{world.webhook().pk}/deliveries",
    ),
    Row(
        "POST",
        "/webhooks/{id}/replay",
        {MERCHANT, ADMIN},
        "webhook_id replayed",
        202,
        path=lambda world: f"/webhooks/{world.webhook().pk}/replay",
        body={"since": "2026-03-01T00:00:00Z"},
    ),
    Row(
        "POST",
        "/webhook-deliveries/{id}/replay",
        {MERCHANT, ADMIN},
        DELIVERY,
        202,
        path=lambda world: f"/webhook-deliveries/{world.delivery_id()}/replay",
    ),
    Row("GET", "/tracking/{id}", ANYONE, TRACKING, path=of_link(Status.ENROUTE)),
    Row(
        "POST",
        "/tracking/{id}/dropoff",
        ANYONE,
        TRACKING,
        path=of_link(Status.QUEUED, "/dropoff"),
        body={"lat": 5.6151, "lng": -0.1751, "accuracy_m": 5},
    ),
    Row(
        "POST",
        "/tracking/{id}/instructions",
        ANYONE,
        TRACKING,
        path=of_link(Status.QUEUED, "/instructions"),
        body={"instructions": "On the lawn."},
    ),
    Row(
        "POST",
        "/tracking/{id}/signature",
        ANYONE,
        TRACKING,
        path=of_link(Status.ARRIVED, "/signature", pod_requirement=PodRequirement.SIGNATURE),
        body={"signature": [[[0, 0], [10, 10], [20, 5]], [[25, 0], [30, 10]]]},
    ),
]


@pytest.fixture
def _bridge(settings: Settings) -> Iterator[None]:
    with Simulator([sim_drone(drone_id=name) for name in DRONES], speed=0) as simulator:
        settings.GCS_BRIDGE_URL = simulator.url
        yield


@pytest.fixture
def world() -> World:
    return World(MerchantFactory())


def client_of(role: Role | None, world: World, *, live_mode: bool = True) -> APIClient:
    if role is None:
        return api_client()
    if role == MERCHANT:
        return key_client(role=role, merchant=world.merchant, live_mode=live_mode)
    return key_client(role=role)


def made_up(row: Row) -> str:
    return re.sub(r"\{\w+\}", str(uuid4()), f"/api/v1{row.pattern}")


def call(row: Row, role: Role | None, world: World) -> Any:
    path = "/api/v1" + (row.path(world) if row.path else row.pattern)
    body = row.body
    if body and body.get("drone_id") == FREE:
        body = {**body, "drone_id": world.free_drone().pk}
    if body and body.get("name") == NEW_NAME:
        body = {**body, "name": f"Ridge {uuid4()}"}
    if (
        row.pattern in ("/orders", "/stores", "/recurring-orders", "/webhooks")
        and row.method == "POST"
        and role in STAFF
    ):
        body = {**(body or {}), "merchant_id": str(world.merchant.pk)}
    client = client_of(role, world, live_mode=row.live_mode)
    response = getattr(client, row.method.lower())(
        path, body, **({"format": "json"} if body else {})
    )
    response = received(response)
    described().check_answer(row.method, path, response)
    return response


def received(response: Any) -> Any:
    """The whole answer of one that is sent while it is made."""
    if not getattr(response, "streaming", False):
        return response
    content = b"".join(response.streaming_content)
    whole: Any = HttpResponse(content, status=response.status_code, headers=response.headers)
    whole.json = lambda: json.loads(content)
    return whole


@pytest.mark.usefixtures("_bridge")
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_each_call_answers_its_roles_in_the_right_shape(row: Row, world: World) -> None:
    world.order(Status.QUEUED)
    for role in sorted(row.who) or [None]:
        response = call(row, role, world)
        assert response.status_code == row.status, (role, response.content)
        if row.status == 204:
            continue
        answer = response.json()
        assert set(row.keys.split()) <= answer.keys(), role
        if row.item_keys:
            assert set(row.item_keys.split()) <= answer["items"][0].keys(), role


@pytest.mark.parametrize("row", [row for row in ROWS if row.who], ids=str)
def test_each_call_is_closed_to_all_other_roles(row: Row, world: World) -> None:
    for role in [None, *sorted(ALL - row.who)]:
        path = made_up(row)
        response = getattr(client_of(role, world), row.method.lower())(path)
        assert response.status_code == (403 if role else 401), role
        described().check_answer(row.method, path, response)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if MERCHANT in row.who and "{id}" in row.pattern], ids=str
)
def test_another_merchants_objects_are_a_404(row: Row, world: World) -> None:
    path = "/api/v1" + (row.path(world) if row.path else "")
    stranger = key_client(merchant=MerchantFactory())
    response = getattr(stranger, row.method.lower())(path, row.body or {}, format="json")
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


def test_the_description_names_the_roles_of_the_contract() -> None:
    for row in ROWS:
        found = described().call(row.method, made_up(row))
        assert found, str(row)
        assert set(found.roles) == {str(role) for role in row.who}, str(row)


def test_users_log_in_and_call_with_a_token(world: World) -> None:
    user = UserFactory(merchant=world.merchant)
    client = api_client()
    body = {"username": user.username, "password": PASSWORD}
    pair = client.post("/api/v1/auth/token", body, format="json").json()
    assert client.post("/api/v1/auth/token/verify", {"token": pair["access"]}).status_code == 200
    refreshed = client.post("/api/v1/auth/token/refresh", {"refresh": pair["refresh"]})
    assert refreshed.json().keys() == {"access", "refresh"}
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {refreshed.json()['access']}")
    assert client.get("/api/v1/orders").status_code == 200


@pytest.mark.parametrize("named", [{}, {"merchant_id": None}, {"merchant_id": "shop"}])
def test_staff_must_name_a_merchant(world: World, named: dict[str, Any]) -> None:
    refused = client_of(OPS, world).post("/api/v1/orders", TRIP | named, format="json")
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == ["merchant_id"]


@pytest.mark.parametrize("header", ["X-API-Key", "x-de-api-key"])
def test_a_key_is_accepted_under_both_header_names(world: World, header: str) -> None:
    key = client_of(OPS, world)._credentials["HTTP_X_API_KEY"]
    assert api_client().get("/api/v1/drones", headers={header: key}).status_code == 200


def test_a_merchant_sees_no_drone_and_no_operator(world: World) -> None:
    order = world.order(Status.ENROUTE)
    merchant = client_of(MERCHANT, world)
    shown = merchant.get(f"/api/v1/orders/{order.pk}").json()
    events = merchant.get(f"/api/v1/orders/{order.pk}/events").content.decode()
    assert shown["assigned_drone_id"] == "masked"
    assert "WX-DRN" not in events


def test_lists_are_paged_by_number_and_by_cursor(world: World) -> None:
    for _ in range(3):
        world.order(Status.QUEUED)
    ops = client_of(OPS, world)
    first = ops.get("/api/v1/orders?page=1&page_size=2").json()
    assert (first["page"], first["page_size"], first["total"]) == (1, 2, 3)
    assert first["pagination"] == {"page": 1, "page_size": 2, "total": 3}
    walked = ops.get("/api/v1/orders?cursor=&page_size=2").json()
    assert walked.keys() == {"items", "next_cursor"}
    rest = ops.get(f"/api/v1/orders?cursor={walked['next_cursor']}&page_size=2").json()
    ids = [one["id"] for one in walked["items"] + rest["items"]]
    assert len(set(ids)) == 3
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=QUEUED&status=CANCELED", 2),
        ("status=CANCELED", 1),
        ("priority=URGENT", 1),
        ("q=mensah", 2),
        ("search=mensah", 2),
        ("q=nobody", 0),
        ("from=2000-01-01T00:00:00Z&to=2001-01-01T00:00:00Z", 0),
        ("ordering=-created_at", 2),
        ("assigned_drone_id=WX-DRN-001", 0),
        ("merchant_id=9b420238-ae27-49b1-a496-f018a0394a6d", 0),
    ],
)
def test_orders_are_filtered(world: World, query: str, found: int) -> None:
    world.order(Status.QUEUED, priority="URGENT")
    order_in(Status.CANCELED, merchant=world.merchant)
    assert client_of(OPS, world).get(f"/api/v1/orders?{query}").json()["total"] == found
