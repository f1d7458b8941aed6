"""GET /drones: the registry with live state, for staff."""

import pytest

from fleet import picture, registry
from fleet.tests.factories import DroneFactory, TelemetryFactory, seconds_ago, show
from orders.states import Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client

pytestmark = pytest.mark.django_db

DRONES = "/api/v1/drones"


@pytest.fixture
def ops():
    return api_client(UserFactory(ops=True))


def codes(drone):
    return [reason["code"] for reason in drone["reasons"]]


def test_a_drone_that_could_fly_now_is_ready_and_shown_as_it_is(ops):
    DroneFactory(drone_id="WX-1")
    seen_at = seconds_ago(1)
    show(TelemetryFactory(drone_id="WX-1", lat=5.6, lng=-0.2, alt_m=1.5, measured_at=seen_at))

    answer = ops.get(f"{DRONES}/WX-1")

    assert answer.status_code == 200
    assert answer.json() == {
        "drone_id": "WX-1",
        "readiness": "READY",
        "reasons": [],
        "lat": 5.6,
        "lng": -0.2,
        "alt_m": 1.5,
        "battery_pct": 95.0,
        "mode": "GUIDED",
        "armed": False,
        "last_seen_at": seen_at.isoformat().replace("+00:00", "Z"),
        "active_job_id": None,
    }


def test_a_drone_that_nobody_heard_of_is_offline_and_all_null(ops):
    DroneFactory(drone_id="WX-1")

    drone = ops.get(f"{DRONES}/WX-1").json()

    assert drone["readiness"] == "OFFLINE"
    assert drone["reasons"] == [
        {"code": "no_telemetry", "message": "There is no telemetry of WX-1."}
    ]
    live = ("lat", "lng", "alt_m", "battery_pct", "mode", "armed", "last_seen_at")
    assert [drone[name] for name in live] == [None] * len(live)


def test_a_drone_that_fell_silent_is_offline_and_shown_where_it_was(ops):
    DroneFactory(drone_id="WX-1")
    show(TelemetryFactory(drone_id="WX-1", measured_at=seconds_ago(300)))

    drone = ops.get(f"{DRONES}/WX-1").json()

    assert (drone["readiness"], codes(drone)) == ("OFFLINE", ["telemetry_old"])
    assert drone["lat"] is not None


def test_a_drone_on_a_delivery_is_busy_and_names_its_job(ops):
    drone = DroneFactory(drone_id="WX-1")
    order = order_in(Status.ENROUTE, drone=drone)
    show(TelemetryFactory(drone_id="WX-1", armed=True))

    answer = ops.get(f"{DRONES}/WX-1").json()

    assert answer["readiness"] == "BUSY"
    assert answer["active_job_id"] == str(order.current_job_id)


def test_a_job_that_is_over_keeps_no_drone_busy(ops):
    drone = DroneFactory(drone_id="WX-1")
    order_in(Status.DELIVERED, drone=drone)
    order_in(Status.FAILED, drone=drone)
    show(TelemetryFactory(drone_id="WX-1"))

    answer = ops.get(f"{DRONES}/WX-1").json()

    assert (answer["readiness"], answer["active_job_id"]) == ("READY", None)


def test_a_grounded_drone_says_so_before_anything_else(ops):
    DroneFactory(drone_id="WX-1")
    registry.ground("WX-1", by=SYSTEM, reason="Rotor 3.")

    drone = ops.get(f"{DRONES}/WX-1").json()

    assert (drone["readiness"], codes(drone)) == ("GROUNDED", ["grounded", "no_telemetry"])


@pytest.mark.parametrize(
    ("telemetry", "code"),
    [
        ({"armed": True}, "already_flying"),
        ({"armed": None}, "arming_unknown"),
        ({"battery_pct": 12}, "battery_below_minimum"),
        ({"battery_pct": None}, "no_battery_reading"),
        ({"lat": None, "lng": None}, "no_position"),
    ],
)
def test_a_drone_that_is_heard_of_and_cannot_fly_says_why(ops, telemetry, code):
    DroneFactory(drone_id="WX-1")
    show(TelemetryFactory(drone_id="WX-1", **telemetry))

    drone = ops.get(f"{DRONES}/WX-1").json()

    assert (drone["readiness"], codes(drone)) == ("NOT_READY", [code])
    assert "nan" not in drone["reasons"][0]["message"]


def test_a_drone_whose_clock_is_ahead_is_not_ready_and_the_clock_is_named(ops):
    DroneFactory(drone_id="WX-1")
    ahead = TelemetryFactory(drone_id="WX-1", measured_at=seconds_ago(-40), seen_at=seconds_ago(0))
    show(ahead)

    drone = ops.get(f"{DRONES}/WX-1").json()

    assert (drone["readiness"], codes(drone)) == ("NOT_READY", ["telemetry_aging"])
    assert "s in the future" in drone["reasons"][0]["message"]


def test_a_drone_out_of_service_is_not_ready(ops):
    DroneFactory(drone_id="WX-1", active=False)
    show(TelemetryFactory(drone_id="WX-1"))

    drone = ops.get(f"{DRONES}/WX-1").json()

    assert (drone["readiness"], codes(drone)) == ("NOT_READY", ["inactive"])


def test_all_drones_are_listed_by_id_in_the_envelope(ops):
    for n in (3, 1, 2):
        DroneFactory(drone_id=f"WX-{n}")
    show(TelemetryFactory(drone_id="WX-2"), TelemetryFactory(drone_id="WX-UNREGISTERED"))

    page = ops.get(DRONES, {"page_size": 2}).json()

    assert [(drone["drone_id"], drone["readiness"]) for drone in page["items"]] == [
        ("WX-1", "OFFLINE"),
        ("WX-2", "READY"),
    ]
    assert page["pagination"] == {"page": 1, "page_size": 2, "total": 3}
    rest = ops.get(DRONES, {"page_size": 2, "page": 2}).json()
    assert [drone["drone_id"] for drone in rest["items"]] == ["WX-3"]


def test_the_list_can_be_walked_by_cursor(ops):
    DroneFactory.create_batch(5)
    found, cursor = [], ""
    while cursor is not None:
        page = ops.get(DRONES, {"page_size": 2, "cursor": cursor}).json()
        found += [drone["drone_id"] for drone in page["items"]]
        cursor = page["next_cursor"]

    assert len(set(found)) == len(found) == 5


def test_a_page_of_drones_takes_the_same_few_statements_however_many_there_are(
    ops, django_assert_num_queries
):
    DroneFactory.create_batch(30)

    with django_assert_num_queries(4):  # count, drones, jobs, policy
        ops.get(DRONES, {"page_size": 30})


@pytest.mark.parametrize("drone_id", ["WX-404", "wx-1", "%00", "é", "W" * 300])
def test_a_drone_that_is_not_registered_is_not_found(ops, drone_id):
    show(TelemetryFactory(drone_id="WX-404"))

    answer = ops.get(f"{DRONES}/{drone_id}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", [DRONES, f"{DRONES}/WX-1"])
def test_drones_are_for_staff_only(path):
    DroneFactory(drone_id="WX-1")

    assert api_client().get(path).status_code == 401
    assert api_client(UserFactory(merchant=MerchantFactory())).get(path).status_code == 403
    assert api_client(UserFactory(admin=True)).get(path).status_code == 200


def test_without_redis_the_drones_are_unavailable_and_come_back(ops, settings):
    DroneFactory(drone_id="WX-1")
    picture._redis.cache_clear()
    there, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1"
    try:
        away = ops.get(DRONES)
    finally:
        settings.REDIS_URL = there
        picture._redis.cache_clear()

    assert (away.status_code, away.json()["code"]) == (503, "redis_unavailable")
    assert ops.get(DRONES).status_code == 200
