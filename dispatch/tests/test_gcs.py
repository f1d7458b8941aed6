"""The API of the GCS's Delivery page, called as by that page."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver
from django.utils import timezone
from rest_framework.test import APIClient

from dispatch.api.gcs_views import _job
from dispatch.tests.support import able_drone, assigned, stored, submitted
from fleet.simulator.run import Simulator
from fleet.tests.factories import DroneFactory
from orders.models import DeliveryJob, Order
from orders.states import Status, before
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client, key_client

pytestmark = pytest.mark.django_db
ORDERS = "/gcs/orders"
PAGE = "https://gcs.example.com"

GCS_STATUS = {
    Status.CREATED: "pending",
    Status.VALIDATED: "pending",
    Status.QUEUED: "pending",
    Status.ASSIGNED: "assigned",
    Status.MISSION_SUBMITTED: "assigned",
    Status.LAUNCHED: "in_transit",
    Status.ENROUTE: "in_transit",
    Status.ARRIVED: "in_transit",
    Status.DELIVERING: "in_transit",
    Status.DELIVERED: "delivered",
    Status.CANCELED: "canceled",
    Status.FAILED: "failed",
    Status.ABORTED: "failed",
}


@pytest.fixture
def gcs() -> APIClient:
    return key_client(name="delivery page", role=Role.OPS)


def items(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.content
    assert set(answer.json()) == {"items"}
    return answer.json()["items"]


def error_text(answer: Any, status: int) -> str:
    """The text of an error, as the page shows it."""
    assert (answer.status_code, answer["Content-Type"]) == (status, "text/plain; charset=utf-8")
    text = answer.content.decode()
    assert text
    assert not text.startswith("{")
    return text


# --- orders --------------------------------------------------------------------------------------


def test_every_status_maps_to_a_status_of_the_page() -> None:
    assert set(GCS_STATUS) == set(Status)


@pytest.mark.parametrize("status", Status)
def test_an_order_of_every_status_is_shown_with_the_pages_status(
    gcs: APIClient, status: Status
) -> None:
    order = order_in(status)
    (shown,) = items(gcs.get(ORDERS))
    assert shown == {
        "id": str(order.pk),
        "status": GCS_STATUS[status],
        "assignedDroneId": stored(order).assigned_drone_id,
        "eta": None,
    }
    assert items(gcs.get(ORDERS, {"status": GCS_STATUS[status]})) == [shown]
    others = {word for word in GCS_STATUS.values() if word != GCS_STATUS[status]}
    assert items(gcs.get(ORDERS, {"status": sorted(others)})) == []


def test_the_eta_is_a_time(gcs: APIClient) -> None:
    order = order_in(Status.ENROUTE)
    eta_at = timezone.now().replace(microsecond=0) + timedelta(minutes=7)
    DeliveryJob.objects.filter(order=order).update(eta_at=eta_at)
    (shown,) = items(gcs.get(ORDERS))
    assert shown["eta"] == eta_at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_orders_are_found_by_id_tracking_id_reference_and_customer(gcs: APIClient) -> None:
    order = OrderFactory(external_id="A-17", customer_name="Kofi", customer_phone="+233209876543")
    OrderFactory()
    for text in (str(order.pk), order.public_tracking_id, "a-17", "kofi", "20987"):
        assert [shown["id"] for shown in items(gcs.get(ORDERS, {"search": text}))] == [
            str(order.pk)
        ]
    assert items(gcs.get(ORDERS, {"search": "kofi", "status": "delivered"})) == []
    assert len(items(gcs.get(ORDERS, {"search": "", "status": ""}))) == 2


def test_the_newest_come_first_and_test_orders_not_at_all(gcs: APIClient) -> None:
    first, second = OrderFactory(), OrderFactory()
    OrderFactory(live_mode=False, test_scenario="delivered")
    assert [shown["id"] for shown in items(gcs.get(ORDERS))] == [str(second.pk), str(first.pk)]


def test_a_status_unknown_to_the_page_is_refused_with_a_text(gcs: APIClient) -> None:
    text = error_text(gcs.get(ORDERS, {"status": "flying"}), 400)
    assert "“flying” is not one of pending, assigned, in_transit" in text


def test_one_order_has_its_events_and_no_items(gcs: APIClient) -> None:
    order = order_in(Status.ENROUTE)
    shown = gcs.get(f"{ORDERS}/{order.pk}").json()
    assert set(shown) == {"id", "status", "assignedDroneId", "eta", "events"}
    assert not set(shown) & {"items", "data", "results", "orders", "jobs"}
    assert [event["type"] for event in shown["events"]] == [
        *("CREATED", "VALIDATED", "QUEUED", "ASSIGNED", "MISSION_SUBMITTED", "LAUNCHED", "ENROUTE")
    ]
    assert shown["events"][0]["description"] == "The order was placed."
    for event in shown["events"]:
        assert set(event) == {"type", "timestamp", "description"}
        assert event["timestamp"].endswith("Z")


@pytest.mark.parametrize("order_id", ["9b420238-ae27-49b1-a496-f018a0394a6d", "17", "A-17"])
def test_an_unknown_order_is_404_with_a_text(gcs: APIClient, order_id: str) -> None:
    for answer in (
        gcs.get(f"{ORDERS}/{order_id}"),
        gcs.post(f"{ORDERS}/{order_id}/assign", {"droneId": "WX-DRN-001"}),
        gcs.post(f"{ORDERS}/{order_id}/reassign", {"droneId": "WX-DRN-001"}),
        gcs.post(f"{ORDERS}/{order_id}/cancel"),
        gcs.get("/gcs/tracking/preview", {"orderId": order_id}),
    ):
        assert error_text(answer, 404) == "There is no such order."


# --- actions -------------------------------------------------------------------------------------


def test_a_drone_is_assigned(gcs: APIClient) -> None:
    order, drone = order_in(Status.QUEUED), able_drone()
    answer = gcs.post(f"{ORDERS}/{order.pk}/assign", {"droneId": drone.pk})
    assert answer.status_code == 200, answer.content
    shown = answer.json()
    assert (shown["status"], shown["assignedDroneId"]) == ("assigned", "WX-DRN-001")
    assert shown["eta"].endswith("Z")
    event = stored(order).events.get(type="ASSIGNED")
    assert event.actor == "api_key:delivery page"


def test_another_drone_is_assigned_after_the_first_is_withdrawn(
    gcs: APIClient, bridge: Simulator
) -> None:
    order = order_in(Status.ASSIGNED, drone=DroneFactory(drone_id="WX-DRN-901"))
    drone = able_drone()
    answer = gcs.post(f"{ORDERS}/{order.pk}/reassign", {"droneId": drone.pk})
    assert answer.status_code == 200, answer.content
    assert stored(order).assigned_drone_id == drone.pk


def test_a_drone_that_may_not_fly_is_refused_with_its_reason(gcs: APIClient) -> None:
    order, drone = order_in(Status.QUEUED), able_drone(battery_pct=22)
    text = error_text(gcs.post(f"{ORDERS}/{order.pk}/assign", {"droneId": drone.pk}), 409)
    assert "WX-DRN-001 may not fly this order." in text
    assert "22 %" in text
    assert stored(order).status == Status.QUEUED


@pytest.mark.parametrize("verb", ["assign", "reassign"])
@pytest.mark.parametrize("body", [{}, {"droneId": ""}, {"droneId": 5}, {"drone_id": "X"}])
def test_an_assignment_without_a_drone_is_refused_with_a_text(
    gcs: APIClient, verb: str, body: Any
) -> None:
    order = order_in(Status.QUEUED)
    assert "droneId" in error_text(gcs.post(f"{ORDERS}/{order.pk}/{verb}", body), 400)


def test_an_order_is_canceled_by_a_post_without_a_body(gcs: APIClient) -> None:
    order = order_in(Status.QUEUED)
    answer = gcs.post(f"{ORDERS}/{order.pk}/cancel", content_type="application/json")
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    assert stored(order).cancel_reason == "OTHER"


def test_a_submitted_mission_is_withdrawn_before_its_order_is_canceled(
    gcs: APIClient, bridge: Simulator
) -> None:
    order, _ = submitted()
    assert gcs.post(f"{ORDERS}/{order.pk}/cancel").status_code == 200
    assert bridge.missions()[0]["status"] == "WITHDRAWN"


def test_a_launched_mission_is_not_canceled_and_the_page_shows_why(
    gcs: APIClient, bridge: Simulator
) -> None:
    order, _ = submitted()
    bridge.advance(20)
    assert "launched" in error_text(gcs.post(f"{ORDERS}/{order.pk}/cancel"), 409)
    assert stored(order).status == Status.MISSION_SUBMITTED


# --- jobs and positions --------------------------------------------------------------------------


@pytest.mark.parametrize("status", Status)
def test_a_job_has_its_progress_in_every_status_of_its_order(status: Status) -> None:
    job = DeliveryJob(order=Order(status=status), drone_id="D-1", attempt=1)
    progress = _job(job)["progress"]
    assert (progress > 0) == before(Status.ASSIGNED, status)
    assert (progress == 100) == (status == Status.DELIVERED)


def test_active_jobs_have_their_progress(gcs: APIClient) -> None:
    far = [order_in(status) for status in (Status.ASSIGNED, Status.ENROUTE, Status.DELIVERING)]
    order_in(Status.DELIVERED)
    shown = items(gcs.get("/gcs/jobs/active"))
    assert [(job["orderId"], job["status"], job["progress"]) for job in reversed(shown)] == [
        (str(order.pk), status, progress)
        for order, status, progress in zip(
            far, ("assigned", "in_transit", "in_transit"), (0, 50, 83), strict=True
        )
    ]
    assert {"id", "orderId", "droneId", "status", "progress"} == set(shown[0])
    assert shown[0]["droneId"] == far[-1].assigned_drone_id


def test_the_preview_shows_where_the_drone_is(gcs: APIClient) -> None:
    able_drone(lat=5.61, lng=-0.18)
    order, _ = assigned()
    able_drone(lat=5.61, lng=-0.18)
    shown = gcs.get("/gcs/tracking/preview", {"orderId": order.pk}).json()
    assert shown == {"status": "assigned", "droneId": "WX-DRN-001", "lat": 5.61, "lng": -0.18}


@pytest.mark.parametrize("status", [Status.QUEUED, Status.DELIVERED])
def test_without_a_flight_there_is_no_position(gcs: APIClient, status: Status) -> None:
    order = order_in(status)
    shown = gcs.get("/gcs/tracking/preview", {"orderId": order.pk}).json()
    assert (shown["status"], shown["lat"], shown["lng"]) == (GCS_STATUS[status], None, None)


def test_a_preview_without_an_order_is_refused_with_a_text(gcs: APIClient) -> None:
    assert "orderId" in error_text(gcs.get("/gcs/tracking/preview"), 400)


# --- permissions, CORS and statements ------------------------------------------------------------


def calls(order: Order) -> list[tuple[str, str]]:
    return [
        ("get", ORDERS),
        ("get", f"{ORDERS}/{order.pk}"),
        ("post", f"{ORDERS}/{order.pk}/assign"),
        ("post", f"{ORDERS}/{order.pk}/reassign"),
        ("post", f"{ORDERS}/{order.pk}/cancel"),
        ("get", "/gcs/jobs/active"),
        ("get", f"/gcs/tracking/preview?orderId={order.pk}"),
    ]


def test_every_call_of_the_page_is_tested_here() -> None:
    (resolver,) = [one for one in get_resolver().url_patterns if str(one.pattern) == "gcs/"]
    assert len(calls(OrderFactory())) == len(resolver.url_patterns)


def test_only_staff_may_call() -> None:
    order = order_in(Status.QUEUED)
    merchant = api_client(UserFactory(merchant=order.merchant))
    for method, path in calls(order):
        assert error_text(getattr(merchant, method)(path), 403) == "Your role may not do this."
        stranger = getattr(api_client(), method)(path)
        assert error_text(stranger, 401)
        assert stranger["WWW-Authenticate"].startswith("Bearer")
    assert stored(order).status == Status.QUEUED


@pytest.mark.parametrize("role", [Role.OPS, Role.ADMIN])
def test_the_key_comes_in_either_header(role: Role) -> None:
    _, key = ApiKey.issue(name="page", role=role)
    for headers in ({"x-de-api-key": key}, {"Authorization": f"Bearer {key}"}):
        assert api_client().get(ORDERS, headers=headers).status_code == 200
    wrong = api_client().get(ORDERS, headers={"x-de-api-key": key + "x"})
    assert "unknown, expired or revoked" in error_text(wrong, 401)


def test_a_merchants_key_is_refused() -> None:
    client = key_client(merchant=MerchantFactory())
    assert client.get(ORDERS).status_code == 403


@pytest.fixture
def page(settings: Any) -> str:
    settings.CORS_ALLOWED_ORIGINS = [PAGE]
    return PAGE


@pytest.mark.parametrize("path", [ORDERS, "/api/v1/orders"])
def test_a_browser_may_call_from_the_configured_page(path: str, page: str) -> None:
    asked = {
        "Origin": page,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-de-api-key,authorization",
    }
    answer = api_client().options(path, headers=asked)
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (200, page)
    assert "POST" in answer["Access-Control-Allow-Methods"]
    allowed = answer["Access-Control-Allow-Headers"].split(", ")
    assert {"content-type", "x-de-api-key", "authorization", "idempotency-key"} <= set(allowed)
    assert "Access-Control-Allow-Credentials" not in answer


def test_the_page_reads_answers_and_errors(gcs: APIClient, page: str) -> None:
    for answer in (
        gcs.get(ORDERS, headers={"Origin": page}),
        api_client().get(ORDERS, headers={"Origin": page}),
    ):
        assert answer["Access-Control-Allow-Origin"] == page
        assert "x-request-id" in answer["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("path", ["/admin/login/", "/track/NOTHING/"])
def test_other_pages_and_other_paths_get_nothing(gcs: APIClient, page: str, path: str) -> None:
    other = gcs.get(ORDERS, headers={"Origin": "https://evil.example.com"})
    assert "Access-Control-Allow-Origin" not in other
    assert "Access-Control-Allow-Origin" not in gcs.get(path, headers={"Origin": page})


def test_the_number_of_statements_does_not_grow_with_the_rows(gcs: APIClient) -> None:
    def statements(path: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert gcs.get(path).status_code == 200
        return len(captured)

    order = order_in(Status.ENROUTE)
    gcs.get(ORDERS)  # the key's last use
    paths = [path for method, path in calls(order) if method == "get"]
    few = [statements(path) for path in paths]
    for _ in range(5):
        order_in(Status.ENROUTE)
    assert [statements(path) for path in paths] == few
    assert few == [2, 3, 2, 2]  # one of each is for the key
