"""Dispatch plans by the hours of stores and service areas."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from dispatch.missions import publishing
from dispatch.models import DispatchDecision
from dispatch.planning import manual_assignment
from dispatch.planning.candidates import candidates
from dispatch.planning.limits.open_hours import Hours
from dispatch.planning.lookahead import Options
from dispatch.tests.support import able_drone, mission_of, stored
from dispatch.tests.test_runs import run, status_of
from fleet.models import ServiceArea
from fleet.tests.factories import HubFactory
from orders import lifecycle
from orders.models import Order, Store
from orders.states import Status
from orders.tests.factories import OrderFactory, StoreFactory, order_in
from orders.timing.opening import Place
from wingxtra.accounts.identity import SYSTEM, Actor, ActorKind
from wingxtra.opening_hours import WEEKDAYS, OpeningHours
from wingxtra.problems import Conflict

ACCRA, LONDON, ADELAIDE = "Africa/Accra", "Europe/London", "Australia/Adelaide"
AMA = Actor(ActorKind.USER, "ama")
Outcome = DispatchDecision.Outcome


def daily(opens: str, closes: str, zone: str = ACCRA, **closed: bool) -> dict[str, Any]:
    """`closed`: dates, as d2026_12_25=True."""
    return {
        "timezone": zone,
        "weekly": [{"weekday": day, "opens": opens, "closes": closes} for day in WEEKDAYS],
        "exceptions": [{"date": name[1:].replace("_", "-"), "intervals": []} for name in closed],
    }


def place(hours: dict[str, Any], *, is_area: bool = False) -> Place:
    return Place("Osu", OpeningHours.from_json(hours), is_area)


def pairs(*rows: tuple[int, float, float, float]) -> Options:
    """(trip, wait_s, pickup_s, home_s)."""
    trip, wait_s, pickup_s, home_s = (np.array(c, float) for c in zip(*rows, strict=True))
    zeros = np.zeros(len(rows))
    return Options(
        drone=np.arange(len(rows)),
        trip=trip.astype(np.int64),
        wait_s=wait_s,
        pickup_s=pickup_s,
        delivery_s=home_s,
        home_s=home_s,
        busy_s=home_s,
        energy_pct=zeros,
        battery_pct=zeros,
        distance_m=zeros,
    )


# --- which pairs are allowed ---------------------------------------------------------------------

LOAD_S = 60.0


@pytest.mark.parametrize(
    ("hours", "zone", "now", "allowed"),
    [
        # The drone is there after 5 min, loaded after 6, home after 20.
        (("08:00", "18:00"), ACCRA, "2026-11-30T12:00", "both"),
        (("08:00", "18:00"), ACCRA, "2026-11-30T17:40", "both"),
        (("08:00", "18:00"), ACCRA, "2026-11-30T17:41", "store"),
        (("08:00", "18:00"), ACCRA, "2026-11-30T17:54", "store"),
        (("08:00", "18:00"), ACCRA, "2026-11-30T17:55", "none"),
        (("08:00", "18:00"), ACCRA, "2026-11-30T07:54", "none"),
        (("08:00", "18:00"), ACCRA, "2026-11-30T07:55", "store"),
        (("08:00", "18:00"), ACCRA, "2026-11-30T08:00", "both"),
        (("20:00", "02:00"), ACCRA, "2026-11-30T23:50", "both"),
        # London, 29 March 2026: 01:00 is followed by 02:00. 25 October: 02:00 by 01:00.
        (("20:00", "01:30"), LONDON, "2026-03-29T00:50", "store"),
        (("20:00", "02:00"), LONDON, "2026-03-29T00:50", "store"),
        (("20:00", "03:00"), LONDON, "2026-03-29T00:50", "both"),
        (("20:00", "02:00"), LONDON, "2026-10-25T01:50", "both"),
        (("20:00", "01:55"), LONDON, "2026-10-25T01:50", "none"),
        # Adelaide: +09:30, and +10:30 in summer; 4 October 2026 02:00 is followed by 03:00.
        (("08:00", "18:00"), ADELAIDE, "2026-10-04T17:50", "store"),
        (("20:00", "02:30"), ADELAIDE, "2026-10-04T01:50", "store"),
        (("20:00", "03:00"), ADELAIDE, "2026-04-05T02:50", "both"),
    ],
)
def test_store_hours_count_for_loading_and_area_hours_for_the_flight(
    hours: tuple[str, str], zone: str, now: str, allowed: str
) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=ZoneInfo(zone))
    option = pairs((0, 0.0, 300.0, 1200.0))
    found = {
        kind: bool(
            Hours([[place(daily(*hours, zone), is_area=is_area)]], LOAD_S, at).allow(option)[0]
        )
        for kind, is_area in (("store", False), ("area", True))
    }
    assert found == {"store": allowed in ("store", "both"), "area": allowed == "both"}


def test_a_wait_counts_from_when_the_drone_starts() -> None:
    at = datetime(2026, 11, 30, 7, 50, tzinfo=UTC)
    area = Hours([[place(daily("08:00", "18:00"), is_area=True)], []], LOAD_S, at)
    options = pairs((0, 0.0, 300.0, 900.0), (0, 700.0, 1000.0, 1600.0), (1, 0.0, 300.0, 900.0))
    assert area.allow(options).tolist() == [False, True, True]


def test_a_holiday_that_begins_at_midnight_ends_the_evening_before() -> None:
    whole_day = daily("00:00", "24:00", d2026_12_25=True)
    late = datetime(2026, 12, 24, 23, 50, tzinfo=UTC)
    assert not Hours([[place(whole_day, is_area=True)]], LOAD_S, late).allow(
        pairs((0, 0.0, 60.0, 700.0))
    )[0]
    # Hours that began on the day before end as they do.
    night = place(daily("20:00", "02:00", d2026_12_25=True), is_area=True)
    assert Hours([[night]], LOAD_S, late).allow(pairs((0, 0.0, 60.0, 700.0)))[0]


MINUTES = st.integers(0, 95).map(lambda n: f"{n // 4:02}:{15 * (n % 4):02}")


@st.composite
def worlds(draw: Any) -> tuple[list[list[Place]], Options, datetime]:
    day = draw(st.sampled_from(["2026-03-28", "2026-10-24", "2026-10-03", "2026-04-04"]))
    start = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=UTC)
    at = start + timedelta(minutes=draw(st.integers(0, 3000)))
    known = [
        place(
            daily(opens, closes, draw(st.sampled_from([LONDON, ADELAIDE]))),
            is_area=draw(st.booleans()),
        )
        for opens, closes in draw(
            st.lists(st.tuples(MINUTES, MINUTES).filter(lambda p: p[0] != p[1]), max_size=3)
        )
    ]
    stores, areas = [p for p in known if not p.is_area], [p for p in known if p.is_area]
    places = [
        [*draw(_at_most_one(stores)), *draw(_at_most_one(areas))]
        for _ in range(draw(st.integers(1, 4)))
    ]
    rows = st.tuples(
        st.integers(0, len(places) - 1), *(st.integers(0, 60).map(float) for _ in range(3))
    )
    table = [
        (trip, wait * 60, (wait + there) * 60, (wait + there + back + 1) * 60)
        for trip, wait, there, back in draw(st.lists(rows, min_size=1, max_size=6))
    ]
    return places, pairs(*table), at


def _at_most_one(some: list[Place]) -> st.SearchStrategy[list[Place]]:
    return st.sampled_from([[], *([one] for one in some)])


@given(worlds())
def test_it_agrees_with_a_look_at_every_minute(
    world: tuple[list[list[Place]], Options, datetime],
) -> None:
    places, options, at = world
    hours = Hours(places, LOAD_S, at)
    found = hours.allow(options)
    for pair, trip in enumerate(options.trip.tolist()):
        is_open = all(
            one.hours.is_open(at + timedelta(seconds=second))
            for one in places[trip]
            for second in _seconds_of(options, pair, one)
        )
        times = hours.times(options.wait_s[pair], options.pickup_s[pair], options.home_s[pair])
        assert found[pair] == is_open
        assert (hours.against(trip, times, "WX-DRN-001") == []) == is_open


def _seconds_of(options: Options, pair: int, one: Place) -> Iterator[float]:
    """Every minute of the time in which the place must be open, without its end."""
    start_s = options.wait_s[pair] if one.is_area else options.pickup_s[pair]
    end_s = options.home_s[pair] if one.is_area else options.pickup_s[pair] + LOAD_S
    yield from np.arange(start_s, end_s, 60.0).tolist()


# --- runs ----------------------------------------------------------------------------------------


def at(text: str) -> Any:
    return time_machine.travel(datetime.fromisoformat(text), tick=False)


def store_until_six(**attributes: Any) -> Store:
    made: Store = StoreFactory(name="Osu", hours=daily("08:00", "18:00"), **attributes)
    return made


def of_store(store: Store, **attributes: Any) -> Order:
    order: Order = OrderFactory(store=store, merchant=store.merchant, **attributes)
    return order


def the_decision(order: Order) -> DispatchDecision:
    return DispatchDecision.objects.filter(order=order).latest("id")


@pytest.mark.django_db
def test_no_drone_is_sent_to_a_store_that_closes_before_it_is_there() -> None:
    with at("2026-11-30T17:59Z"):
        drone = able_drone()
        late, anywhere = of_store(store_until_six()), OrderFactory()
        run()
        assert status_of(late) == Status.QUEUED
        decision = the_decision(late)
        assert decision.outcome == Outcome.UNASSIGNED
        assert decision.why == (
            f"Osu closes at 18:00, and {drone.pk} would be there at 18:01. "
            "It opens on Tuesday 1 December at 08:00."
        )
        assert decision.ruled_out[0] == {"code": "store_closed", "drones": 1}
        # The drone is free for another order.
        assert status_of(anywhere) == Status.ASSIGNED


@pytest.mark.django_db
def test_the_order_goes_on_when_the_store_opens() -> None:
    with at("2026-11-30T19:00Z"):
        able_drone()
        order = of_store(store_until_six())
        run()
        assert the_decision(order).why == (
            "Osu is closed. It opens on Tuesday 1 December at 08:00."
        )
    with at("2026-12-01T08:00Z"):
        able_drone()
        run()
        assert status_of(order) == Status.ASSIGNED


@pytest.mark.django_db
def test_a_parcel_at_a_hub_needs_no_open_store() -> None:
    with at("2026-11-30T17:00Z"):
        order = of_store(store_until_six())
        lifecycle.unloaded(order.pk, HubFactory().pk, by=SYSTEM)
    with at("2026-11-30T19:00Z"):
        able_drone()
        run()
        assert status_of(order) == Status.ASSIGNED


@pytest.mark.django_db
def test_no_flight_goes_beyond_the_operating_hours() -> None:
    with at("2026-11-30T17:55Z"):
        drone = able_drone()
        area = ServiceArea.objects.get()
        area.hours = daily("08:00", "18:00")
        area.save()
        order = OrderFactory()
        run()
        decision = the_decision(order)
        assert decision.why.startswith(
            f"The service area {area.name} closes at 18:00, and {drone.pk} would be home at 18:0"
        )
        assert decision.ruled_out[0]["code"] == "area_closed"
    with at("2026-11-30T17:30Z"):
        able_drone()
        run()
        assert status_of(order) == Status.ASSIGNED


@pytest.mark.django_db
def test_stores_cost_a_run_one_statement() -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as found:
            run()
        return len(found)

    with at("2026-11-30T19:00Z"):
        Order.objects.filter(pk=OrderFactory().pk).update(payload_weight_kg=50)
        able_drone()
        without = statements()
        for name in ("Osu", "Ridge", "Labone"):
            of_store(StoreFactory(name=name, hours=daily("08:00", "18:00")))
        assert statements() == without + 1


# --- people --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_people_may_send_a_drone_to_a_closed_store_in_writing() -> None:
    with at("2026-11-30T19:00Z"):
        drone = able_drone()
        order = of_store(store_until_six())
        (candidate,) = candidates(order)
        (reason,) = candidate.reasons
        assert (reason.code, reason.overridable) == ("store_closed", True)
        assert reason.message.startswith("Osu is closed at 19:0")
        assert reason.message.endswith("It opens on Tuesday 1 December at 08:00.")
        with pytest.raises(Conflict, match="override_reason"):
            manual_assignment.assign(order.pk, drone.pk, by=AMA)
        manual_assignment.assign(order.pk, drone.pk, by=AMA, override_reason="Kofi opens for us.")
        assert status_of(order) == Status.ASSIGNED


@pytest.mark.django_db
def test_a_mission_that_is_sent_late_is_not_sent_to_a_closed_store(bridge: Any) -> None:
    with at("2026-11-30T17:30Z"):
        order = order_in(Status.ASSIGNED, drone=able_drone(), store=store_until_six())
    with at("2026-11-30T18:10Z"):
        able_drone()
        publishing.publish(mission_of(order).pk)
        order = stored(order)
        assert order.status == Status.QUEUED
        assert bridge.world.missions == {}


@pytest.mark.django_db
def test_a_mission_that_a_person_wants_is_sent_to_a_closed_store(bridge: Any) -> None:
    with at("2026-11-30T19:00Z"):
        drone = able_drone()
        order = of_store(store_until_six())
        manual_assignment.assign(order.pk, drone.pk, by=AMA, override_reason="Kofi opens for us.")
        publishing.publish(mission_of(order).pk)
        assert stored(order).status == Status.MISSION_SUBMITTED
