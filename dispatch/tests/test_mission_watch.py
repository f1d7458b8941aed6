"""What speaks against a mission that ground control already has: zones, wind, charge."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from dispatch.missions import mission_watch, recalls
from dispatch.missions.flight.state import Fix, FlightState, Phase
from dispatch.models import Discrepancy, Flight, Mission
from dispatch.tests.support import stored, submitted, timeline
from fleet.live import weather
from fleet.models import GeoZone
from fleet.tests.factories import DroneFactory, GeoZoneFactory, HubFactory, square
from orders import lifecycle
from orders.models import Order
from orders.states import Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import GCS, SYSTEM

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)

# WX-DRN-001 picks up at its hub in Accra, and the drop is 1.9 km to the north-east.


def look(now: datetime | None = None) -> int:
    """Judge the missions of every area; returns their number."""
    now = now or datetime.now(UTC)
    return sum(mission_watch.watch_area(area_id, now) for area_id in mission_watch.areas())


def zone_at(order: Order, share: float, **values: Any) -> GeoZone:
    """200 m by 200 m around a place on the leg from the pickup (0) to the drop (1)."""
    return GeoZoneFactory(polygon=square(*place_at(order, share), side_m=200), **values)


def place_at(order: Order, share: float) -> tuple[float, float]:
    lat = order.pickup_lat + share * (order.dropoff_lat - order.pickup_lat)
    return lat, order.pickup_lng + share * (order.dropoff_lng - order.pickup_lng)


def flying(share: float) -> Order:
    """An order whose drone is part of the way from pickup to drop, with the parcel."""
    order, _ = submitted()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    lat, lng = place_at(order, share)
    fix = Fix(at=0, lat=lat, lng=lng, alt_m=60, speed_mps=16, armed=True)
    state = FlightState(phase=Phase.ENROUTE, fix=fix, picked_up=True, left_pickup=True)
    Flight.objects.create(
        job=stored(order).current_job, state=state.to_dict(), heard_at=datetime.now(UTC)
    )
    return lifecycle.loaded(order.pk, by=GCS)


def standing_doubts() -> list[tuple[str, str]]:
    """What stands now: code and message."""
    return list(
        Discrepancy.objects.filter(settled_at__isnull=True)
        .order_by("pk")
        .values_list("code", "message")
    )


@pytest.fixture
def wind(tmp_path: Path, settings: Settings) -> Callable[..., None]:
    """Sets what the weather source says."""
    source = tmp_path / "wind.json"
    settings.WEATHER_SOURCE = str(source)

    def blow(wind_mps: float, age_s: float = 0) -> None:
        measured_at = datetime.now(UTC) - timedelta(seconds=age_s)
        reading = {"measured_at": measured_at.isoformat(), "wind_mps": wind_mps}
        source.write_text(json.dumps(reading))
        weather.refresh()

    return blow


@pytest.mark.usefixtures("bridge")
def test_a_zone_across_a_flying_mission_is_reported_until_it_is_removed() -> None:
    order = flying(0.4)
    look()
    assert standing_doubts() == []
    zone = zone_at(order, 0.7, name="Stadium")
    look()
    message = "The no-fly zone Stadium lies across what WX-DRN-001 has still to fly."
    assert standing_doubts() == [("AIRSPACE", message)]
    look()
    assert timeline(order).count("CONTRADICTION") == 1
    assert stored(order).status == Status.ENROUTE
    zone.delete()
    look()
    one = Discrepancy.objects.get()
    assert one.settlement == "No zone is in the way any more."
    assert one.settled_at is not None


@pytest.mark.usefixtures("bridge")
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_zone_across_a_mission_before_launch_is_reported(share: float) -> None:
    order, _ = submitted()
    zone_at(order, share)
    look()
    assert [code for code, _ in standing_doubts()] == ["AIRSPACE"]
    assert stored(order).status == Status.MISSION_SUBMITTED


@pytest.mark.usefixtures("bridge")
def test_a_drone_that_is_seen_standing_before_launch_is_watched() -> None:
    order, _ = submitted()
    job = stored(order).current_job
    Flight.objects.create(job=job, state=FlightState().to_dict(), heard_at=datetime.now(UTC))
    zone_at(order, 0.5)
    look()
    assert [code for code, _ in standing_doubts()] == ["AIRSPACE"]


@pytest.mark.usefixtures("bridge")
def test_a_zone_that_starts_during_the_flight_is_reported() -> None:
    order = flying(0.1)
    now = datetime.now(UTC)
    zone = zone_at(order, 0.7, starts_at=now + 2 * HOUR)
    look(now)
    assert standing_doubts() == []
    zone.starts_at = now + timedelta(seconds=60)
    zone.save()
    look(now)
    (only,) = standing_doubts()
    assert only[1].endswith(f"from {zone.starts_at:%H:%M} UTC on.")
    zone.ends_at = now + timedelta(seconds=70)
    zone.save()
    look(now + timedelta(seconds=80))
    assert standing_doubts() == []


@pytest.mark.usefixtures("bridge")
def test_when_another_zone_is_in_the_way_it_is_named_instead() -> None:
    order = flying(0.1)
    zone_at(order, 0.7, name="Stadium")
    look()
    GeoZone.objects.get().delete()
    zone_at(order, 0.8, name="Fire")
    look()
    ((_, message),) = standing_doubts()
    assert "Fire" in message
    assert Discrepancy.objects.count() == 2


@pytest.mark.usefixtures("bridge")
def test_after_an_abort_request_only_the_route_home_counts() -> None:
    order = flying(0.4)
    zone_at(order, 0.9)
    look()
    assert len(standing_doubts()) == 1
    recalls.request_abort(order.pk, by=SYSTEM, reason="A zone is in the way.")
    look()
    assert standing_doubts() == []


@pytest.mark.usefixtures("bridge")
def test_standing_discrepancies_are_settled_with_the_flight() -> None:
    order = flying(0.4)
    zone_at(order, 0.7)
    look()
    lifecycle.advance(order.pk, Status.DELIVERED, by=GCS)
    look()
    assert standing_doubts() == []
    # A discrepancy raised during the end of the flight is settled too.
    Discrepancy.objects.update(settled_at=None, settled_by="", settlement="")
    look()
    assert Discrepancy.objects.get().settlement == "The flight is over."


@pytest.mark.usefixtures("bridge")
def test_wind_above_the_limit_is_reported_with_value_limit_and_age(
    wind: Callable[..., None],
) -> None:
    wind(5)
    flying(0.4)
    look()
    assert standing_doubts() == []
    wind(14.26, age_s=30)
    look()
    message = "Wind 14.3 m/s (wind.json, 30 s ago), limit 12 m/s for WX-DRN-001."
    assert standing_doubts() == [("WEATHER", message)]
    wind(14, age_s=5000)  # a stale reading neither raises nor settles
    look()
    assert standing_doubts() == [("WEATHER", message)]
    wind(11)
    look()
    assert standing_doubts() == []
    assert Discrepancy.objects.get().settlement == "The wind is known and within the limit again."


@pytest.mark.usefixtures("bridge")
def test_an_unknown_wind_is_reported_for_missions_on_the_ground_and_not_in_the_air(
    wind: Callable[..., None],
) -> None:
    wind(5)
    flying(0.4)
    waiting = order_in(Status.MISSION_SUBMITTED, drone=DroneFactory(drone_id="WX-DRN-900"))
    wind(5, age_s=5000)
    look()
    ((code, message),) = standing_doubts()
    assert (code, message[:19]) == ("WEATHER", "The wind is unknown")
    assert Discrepancy.objects.get().order == waiting
    wind(5)
    look()
    assert standing_doubts() == []


# --- the battery ---------------------------------------------------------------------------------


def charge(order: Order, **values: Any) -> None:
    """Changes what telemetry has said of the battery. at: seconds before the last position."""
    flight = Flight.objects.get(job=stored(order).current_job)
    state = FlightState.from_dict(flight.state)
    for name, value in values.items():
        setattr(state, name, value)
    flight.state = state.to_dict()
    flight.save()


@pytest.mark.usefixtures("bridge")
def test_a_shortage_in_the_air_is_reported_until_the_way_is_short_enough() -> None:
    order = flying(0.1)
    charge(order, battery_pct=90, battery_at=0)
    look()
    assert standing_doubts() == []
    charge(order, battery_pct=22)
    look()
    ((code, message),) = standing_doubts()
    assert code == "BATTERY"
    assert message.startswith("WX-DRN-001 needs ")
    assert message.endswith("also if the drop fails, with the 20 % reserve, and has 22 %.")
    look()
    assert timeline(order).count("CONTRADICTION") == 1
    charge(order, battery_pct=60)
    look()
    assert standing_doubts() == []
    assert Discrepancy.objects.get().settlement == "The charge is enough for what is left to fly."


@pytest.mark.usefixtures("bridge")
@pytest.mark.parametrize("phase", [Phase.UNCLEAR, Phase.RETURNED])
def test_a_drone_that_has_landed_has_nothing_left_to_fly(phase: Phase) -> None:
    """Its line is about the landing, and not about the charge of a flight that is over."""
    order = flying(0.1)
    zone_at(order, 0.7)
    charge(order, battery_pct=22, battery_at=0)
    look()
    assert [code for code, _ in standing_doubts()] == ["AIRSPACE", "BATTERY"]
    charge(order, phase=phase)
    look()
    assert standing_doubts() == []
    assert {one.settlement for one in Discrepancy.objects.all()} == {"The flight is over."}
    look()
    assert Discrepancy.objects.count() == 2


@pytest.mark.usefixtures("bridge")
def test_a_drone_that_is_heard_without_its_battery_is_reported_and_a_silent_one_is_not() -> None:
    order = flying(0.1)
    charge(order, battery_pct=90, battery_at=-100)
    Flight.objects.update(heard_at=datetime.now(UTC) - HOUR)
    look()
    assert standing_doubts() == []
    Flight.objects.update(heard_at=datetime.now(UTC))
    look()
    message = "WX-DRN-001 is heard, and has sent no battery reading for 100 s."
    assert standing_doubts() == [("BATTERY", message)]


@pytest.mark.usefixtures("bridge")
def test_the_hub_that_receives_the_drone_counts_and_not_its_home() -> None:
    order = flying(0.9)
    zone_at(order, 0.5)
    look()
    assert [code for code, _ in standing_doubts()] == ["AIRSPACE"]
    lat, lng = place_at(order, 1.2)
    beyond = HubFactory(lat=lat, lng=lng)
    Mission.objects.update(return_to=beyond)
    look()
    assert standing_doubts() == []


@pytest.mark.usefixtures("bridge")
def test_statements_do_not_grow_with_the_missions_while_nothing_changes() -> None:
    def statements() -> int:
        look()
        with CaptureQueriesContext(connection) as asked:
            look()
        return len(asked)

    order = flying(0.4)
    zone_at(order, 0.7)
    one = statements()
    for _ in range(4):
        order_in(Status.LAUNCHED)
    assert look() == 5
    assert len(standing_doubts()) == 5
    # Two of them read the rulebook, which is cached once the zone is committed.
    assert statements() == one == 4 + 2


def test_test_orders_and_waiting_ones_are_not_watched() -> None:
    order_in(Status.ASSIGNED)
    order_in(Status.QUEUED)
    order_in(Status.CANCELED)
    zone_at(order_in(Status.DELIVERED), 0.5)
    assert look() == 0
