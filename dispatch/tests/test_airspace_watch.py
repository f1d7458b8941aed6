"""Zones and wind that forbid a mission which ground control already has."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from dispatch import actors
from dispatch.missions import airspace_watch, recalls
from dispatch.missions.airspace_watch import Findings, RemainingRoute
from dispatch.missions.flight.state import Fix, FlightState, Phase
from dispatch.models import Discrepancy, Flight
from dispatch.tests.support import stored, submitted, timeline
from fleet.airspace.rulebook import Rulebook
from fleet.feasibility.geometry import Zones
from fleet.feasibility.tables import DroneTable
from fleet.live import weather
from fleet.models import NoFlyZone
from fleet.tests.factories import NoFlyZoneFactory, square
from fleet.tests.pairs import DEG_PER_KM, NOON, NOWHERE, RULES, drone, no_fly
from orders import lifecycle
from orders.models import Order
from orders.states import Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import GCS, SYSTEM
from wingxtra.broker import schedule

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


# --- pure: kilometres east and north of a hub on the equator -------------------------------------
# The drone flies 15 m/s: from the hub north to the pickup at 2 km, the drop at 6 km, and home.

PICKUP, DROP, HOME = (0.0, 2.0), (0.0, 6.0), (0.0, 0.0)


def km(place: tuple[float, float]) -> tuple[float, float]:
    """Kilometres east and north as latitude and longitude."""
    return place[1] * DEG_PER_KM, place[0] * DEG_PER_KM


def remaining(
    at: tuple[float, float] | None = HOME,
    pickup: tuple[float, float] | None = PICKUP,
    drop: tuple[float, float] | None = DROP,
) -> RemainingRoute:
    return RemainingRoute(at and km(at), pickup and km(pickup), drop and km(drop), km(HOME))


def judged(
    *routes: RemainingRoute, zones: Zones = NOWHERE, wind_mps: float | None = None, **rules: Any
) -> list[Findings]:
    book = Rulebook(
        rules=replace(RULES, **rules),
        areas=[],
        area_shapes=NOWHERE,
        zones=[],
        zone_shapes=zones,
        wind_mps=wind_mps,
        best_drones=DroneTable.from_rows([]),
    )
    drones = DroneTable.from_rows([drone(None, None) for _ in routes])
    return airspace_watch.judge_flights(drones, routes, book, 42.0, NOON)


ACROSS_TO_PICKUP = no_fly(-1, 1, 1, 1.5)
OVER_PICKUP = no_fly(-1, 1.8, 1, 2.2)
ACROSS_TO_DROP = no_fly(-1, 3, 1, 4)
OVER_DROP = no_fly(-1, 5.5, 1, 6.5)
BESIDE = no_fly(1, 0, 2, 8)
IN_10_MIN, IN_2_H = NOON + timedelta(minutes=10), NOON + 2 * HOUR


@pytest.mark.parametrize(
    ("route", "zones", "in_the_way"),
    [
        (remaining(), ACROSS_TO_PICKUP, True),
        (remaining(), OVER_PICKUP, True),
        (remaining(), ACROSS_TO_DROP, True),
        (remaining(), OVER_DROP, True),
        (remaining(), BESIDE, False),
        # Unknown position: the legs from the pickup to the drop and home count.
        (remaining(at=None), ACROSS_TO_DROP, True),
        (remaining(at=None, pickup=None), BESIDE, False),
        (remaining(at=None, pickup=None), ACROSS_TO_DROP, True),
        # Loaded and past the zone, but the leg home crosses it.
        (remaining(at=(0, 4.5), pickup=None), ACROSS_TO_DROP, True),
        # The zone was crossed on the leg to the pickup and lies behind.
        (remaining(at=(3, 2)), no_fly(4, 1, 5, 3), False),
        (remaining(at=(6, 2)), no_fly(4, 1, 5, 3), True),
        (remaining(at=(6, 6), pickup=None), no_fly(4, 1, 5, 3), False),
        # It is inside the zone.
        (remaining(at=(0, 3.5), pickup=None), ACROSS_TO_DROP, True),
        # Abort requested: the leg to the drop does not count.
        (remaining(at=(0, 3), pickup=None, drop=None), OVER_DROP, False),
        (remaining(at=(0, 5), pickup=None, drop=None), ACROSS_TO_DROP, True),
        # Windows: in force until after it has landed, about 15 minutes from now.
        (remaining(), no_fly(-1, 3, 1, 4, (None, NOON)), False),
        (remaining(), no_fly(-1, 3, 1, 4, (IN_10_MIN, None)), True),
        (remaining(), no_fly(-1, 3, 1, 4, (IN_2_H, None)), False),
    ],
)
def test_a_zone_that_touches_the_remaining_route_is_reported(
    route: RemainingRoute, zones: Zones, in_the_way: bool
) -> None:
    (found,) = judged(route, zones=zones)
    assert bool(found.zone) == in_the_way
    assert found.zone_name == (zones.names[0] if in_the_way else "")


def test_the_message_names_the_zone_and_its_start() -> None:
    (now, later) = (
        judged(remaining(), zones=no_fly(-1, 3, 1, 4, window))[0].zone
        for window in [(None, None), (IN_10_MIN, None)]
    )
    assert now == "The no-fly zone Airport lies across what WX-DRN-001 has still to fly."
    assert later.endswith("has still to fly from 12:10 UTC on.")


def test_with_detours_allowed_a_zone_that_can_be_flown_around_is_not_reported() -> None:
    (across, over_the_drop) = (
        judged(remaining(), zones=zones, detours_allowed=True)[0].zone
        for zones in [ACROSS_TO_DROP, OVER_DROP]
    )
    assert (across, bool(over_the_drop)) == ("", True)


@pytest.mark.parametrize(
    ("wind_mps", "message"),
    [
        (None, ""),
        (9.9, ""),
        (
            11.25,
            "The wind is 11.2 m/s, as measured 42 s ago; WX-DRN-001 may fly up to 10.0 m/s.",
        ),
        (99.0, "The wind is 99.0 m/s, as measured 42 s ago; WX-DRN-001 may fly up to 10.0 m/s."),
        (np.nan, None),
    ],
)
def test_the_wind_is_above_its_limit_within_it_or_unknown(
    wind_mps: float | None, message: str | None
) -> None:
    (found,) = judged(remaining(), wind_mps=wind_mps)
    assert (found.wind, found.zone) == (message, "")


def test_many_flights_are_judged_at_once_each_by_its_own_route() -> None:
    routes = [remaining(at=(0, 1)), remaining(at=(0, 2), pickup=None, drop=None), remaining()]
    assert [bool(found.zone) for found in judged(*routes, zones=OVER_DROP)] == [True, False, True]
    assert judged() == []


# --- live missions -------------------------------------------------------------------------------
# WX-DRN-001 picks up at its hub in Accra, and the drop is 1.9 km to the north-east.


def look(now: datetime | None = None) -> None:
    airspace_watch.watch(now or datetime.now(UTC))


def zone_at(order: Order, share: float, **values: Any) -> NoFlyZone:
    """200 m by 200 m around a place on the leg from the pickup (0) to the drop (1)."""
    return NoFlyZoneFactory(polygon=square(*place_at(order, share), side_m=200), **values)


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
    assert actors.watch_airspace in [tick.actor for tick in schedule]
    order = flying(0.4)
    actors.watch_airspace.fn()
    assert standing_doubts() == []
    zone = zone_at(order, 0.7, name="Stadium")
    actors.watch_airspace.fn()
    message = "The no-fly zone Stadium lies across what WX-DRN-001 has still to fly."
    assert standing_doubts() == [("AIRSPACE", message)]
    actors.watch_airspace.fn()
    assert timeline(order).count("CONTRADICTION") == 1
    assert stored(order).status == Status.ENROUTE
    zone.delete()
    actors.watch_airspace.fn()
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
    NoFlyZone.objects.get().delete()
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
    message = "The wind is 14.3 m/s, as measured 30 s ago; WX-DRN-001 may fly up to 12.0 m/s."
    assert standing_doubts() == [("WEATHER", message)]
    wind(14, age_s=5000)  # a stale reading neither raises nor settles
    look()
    assert standing_doubts() == [("WEATHER", message)]
    wind(11)
    look()
    assert standing_doubts() == []
    assert Discrepancy.objects.get().settlement == "The wind is within the limit again."


@pytest.mark.usefixtures("bridge")
def test_an_unknown_wind_is_reported_for_the_fleet_and_not_for_each_flight(
    wind: Callable[..., None],
) -> None:
    wind(5)
    flying(0.4)
    wind(5, age_s=5000)
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
    assert airspace_watch.watch(datetime.now(UTC)) == 5
    assert len(standing_doubts()) == 5
    # Four of them read the rulebook, which is cached once the zone is committed.
    assert statements() == one == 2 + 4


def test_test_orders_and_waiting_ones_are_not_watched() -> None:
    order_in(Status.ASSIGNED)
    order_in(Status.QUEUED)
    order_in(Status.CANCELED)
    zone_at(order_in(Status.DELIVERED), 0.5)
    assert airspace_watch.watch(datetime.now(UTC)) == 0
