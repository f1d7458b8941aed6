"""GET /drones: registered drones with their live state, for staff."""

import time

import pytest

from fleet import registry
from fleet.airworthiness import records
from fleet.live import picture
from fleet.live.telemetry import decode_answer
from fleet.models import MaintenanceRule
from fleet.tests.answers import body, entry
from fleet.tests.factories import DroneFactory, TelemetryFactory, seconds_ago, show
from orders.states import Status
from orders.tests.factories import order_in
from wingxtra import redis_client
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client

pytestmark = pytest.mark.django_db

DRONES = "/api/v1/drones"


@pytest.fixture
def ops():
    return api_client(UserFactory(ops=True))


def codes(drone):
    return [reason["code"] for reason in drone["reasons"]]


def test_a_ready_drone_is_returned_with_its_telemetry(ops):
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
        "telemetry_problems": [],
        "active_job_id": None,
        "fitness": {"due_soon": [], "overdue": [], "defects": [], "unattested": []},
    }


def test_maintenance_that_is_due_soon_is_a_warning(ops):
    drone = DroneFactory(drone_id="WX-1", flights=95)
    MaintenanceRule.objects.create(kind=drone.kind, name="Bearings", every_flights=100)
    show(TelemetryFactory(drone_id="WX-1"))
    (listed,) = ops.get(DRONES).json()["items"]
    assert listed["readiness"] == "READY"
    assert listed["fitness"]["due_soon"] == ["due soon: Bearings in 5 flights (95 of 100 flights)"]
    records.report_defect("WX-1", by=SYSTEM, description="Crack.", grounds=True)
    shown = ops.get(f"{DRONES}/WX-1").json()
    assert shown["readiness"] == "GROUNDED"
    assert "Crack" in shown["fitness"]["defects"][0]


def test_a_drone_without_telemetry_is_offline_with_null_values(ops):
    DroneFactory(drone_id="WX-1")

    drone = ops.get(f"{DRONES}/WX-1").json()

    assert drone["readiness"] == "OFFLINE"
    assert drone["reasons"] == [
        {"code": "no_telemetry", "message": "There is no telemetry of WX-1."}
    ]
    live = ("lat", "lng", "alt_m", "battery_pct", "mode", "armed", "last_seen_at")
    assert [drone[name] for name in live] == [None] * len(live)


def polled(drone):
    """Stores an answer with this entry as a poll would, now."""
    decoded = decode_answer(body(drone, server_time=f"{seconds_ago(0):%Y-%m-%dT%H:%M:%S.%fZ}"))
    assert picture.write(decoded, seconds_ago(0))


def just_now(drone_id="WX-1", **changes):
    now = f"{seconds_ago(0):%Y-%m-%dT%H:%M:%S.%fZ}"
    disarmed = {"telemetry__state__armed": False, "last_seen_ts": now, "telemetry__ts": now}
    return entry(drone_id, **(disarmed | changes))


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        (
            {"telemetry__battery__remaining_pct": -1},
            "no_battery_reading",
            "no battery reading of WX-1: battery.remaining_pct is -1; it must be 0 to 100.",
        ),
        (
            {"telemetry__position": "north"},
            "no_position",
            'no position of WX-1: position is "north"; it must be an object.',
        ),
        (
            {"telemetry__state__armed": "no"},
            "arming_unknown",
            'whether WX-1 is armed: state.armed is "no"; it must be true or false.',
        ),
    ],
)
def test_a_reason_contains_the_invalid_value(ops, value, code, message):
    DroneFactory(drone_id="WX-1")
    polled(just_now(**value))

    drone = ops.get(f"{DRONES}/WX-1").json()

    (reason,) = drone["reasons"]
    assert reason["code"] == code
    assert reason["message"].startswith("Telemetry ")
    assert reason["message"].endswith(message)
    assert drone["telemetry_problems"][0] in message
    assert drone["last_seen_at"] is not None


def test_an_invalid_optional_value_does_not_exclude_a_drone(ops):
    DroneFactory(drone_id="WX-1")
    polled(just_now(telemetry__velocity__groundspeed_mps=-0.01))

    drone = ops.get(f"{DRONES}/WX-1").json()

    assert (drone["readiness"], drone["battery_pct"]) == ("READY", 99)
    assert drone["telemetry_problems"] == [
        "velocity.groundspeed_mps is -0.01; it must be 0 to 200."
    ]


def test_an_unusable_entry_is_reported_as_such(ops):
    DroneFactory(drone_id="WX-1")
    polled(just_now(telemetry__ts=None))

    drone = ops.get(f"{DRONES}/WX-1").json()

    (reason,) = drone["reasons"]
    assert reason["code"] == "no_telemetry"
    assert reason["message"].startswith(
        "The Fleet API sends an unusable entry for WX-1: telemetry.ts is null;"
    )
    assert drone["last_seen_at"] is None


def test_a_silent_drone_is_offline_with_its_last_position(ops):
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


def test_a_finished_job_does_not_keep_a_drone_busy(ops):
    drone = DroneFactory(drone_id="WX-1")
    order_in(Status.DELIVERED, drone=drone)
    order_in(Status.FAILED, drone=drone)
    show(TelemetryFactory(drone_id="WX-1"))

    answer = ops.get(f"{DRONES}/WX-1").json()

    assert (answer["readiness"], answer["active_job_id"]) == ("READY", None)


def test_a_grounded_drone_is_grounded_even_without_telemetry(ops):
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
def test_a_drone_with_telemetry_that_cannot_fly_has_a_reason(ops, telemetry, code):
    DroneFactory(drone_id="WX-1")
    show(TelemetryFactory(drone_id="WX-1", **telemetry))

    drone = ops.get(f"{DRONES}/WX-1").json()

    assert (drone["readiness"], codes(drone)) == ("NOT_READY", [code])
    assert "nan" not in drone["reasons"][0]["message"]


def test_a_drone_with_a_clock_ahead_is_not_ready(ops):
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


def test_drones_are_listed_by_id_with_pagination(ops):
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


def test_the_list_can_be_read_by_cursor(ops):
    DroneFactory.create_batch(5)
    found, cursor = [], ""
    while cursor is not None:
        page = ops.get(DRONES, {"page_size": 2, "cursor": cursor}).json()
        found += [drone["drone_id"] for drone in page["items"]]
        cursor = page["next_cursor"]

    assert len(set(found)) == len(found) == 5


def test_a_page_of_drones_takes_a_constant_number_of_statements(ops, django_assert_num_queries):
    DroneFactory.create_batch(30)

    # count, drones, policy; jobs, errands, holds, parcels and fitness in one
    with django_assert_num_queries(4):
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


def test_without_redis_the_list_answers_503_and_recovers(ops, settings):
    DroneFactory(drone_id="WX-1")
    there, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1"
    away = ops.get(DRONES)
    settings.REDIS_URL = there

    assert (away.status_code, away.json()["code"]) == (503, "redis_unavailable")
    time.sleep(redis_client.PAUSE_S)
    assert ops.get(DRONES).status_code == 200
