"""The figures of a shift: compared with a slow reading of random days, some of 23 and 25 hours."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from dispatch.shift import figures, presentation, queue, reading, report
from dispatch.shift.figures import NO_FLIGHTS, NOTHING, By, Flights
from dispatch.shift.spans import Span, day_of
from dispatch.tests import shift_worlds
from dispatch.tests.shift_worlds import World
from fleet.models import ServiceArea
from fleet.tests.factories import ServiceAreaFactory
from orders import lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import JobStatus, Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import GCS

NEW_YORK = ZoneInfo("America/New_York")
# The clocks go back, go forward, and stay.
DAYS = [date(2026, 11, 1), date(2026, 3, 8), date(2026, 6, 10)]


def test_a_day_has_23_24_or_25_hours() -> None:
    hours = {day: Span(day, 1, NEW_YORK).hours for day in DAYS}
    assert list(hours.values()) == [25, 23, 24]
    for day, expected in hours.items():
        assert len(Span(day, 1, NEW_YORK).slots) == expected
    week = Span(date(2026, 11, 3), 7, NEW_YORK)
    assert week.hours == 7 * 24 + 1
    assert len(week.slots) == 7
    assert week.slots[-1] == datetime(2026, 11, 3, 5, tzinfo=UTC)


def test_a_day_that_begins_at_one_has_its_first_moment() -> None:
    cairo = Span(date(2026, 4, 24), 1, ZoneInfo("Africa/Cairo"))
    assert cairo.hours == 23
    assert cairo.start == datetime(2026, 4, 23, 22, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-02-30", "yesterday", "0001-01-01", "9999-12-31", ""])
def test_a_day_that_does_not_exist_or_lies_ahead_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="day"):
        day_of(text, date(2026, 11, 30))


# --- against the slow reading --------------------------------------------------------------------


@pytest.fixture(params=range(3))
def world(request: Any, db: None) -> tuple[World, date]:
    """A random world around a day, and the day."""
    random, day = Random(request.param), DAYS[request.param]
    span = Span(day, 1, NEW_YORK)
    start, end = span.start - timedelta(hours=14), span.end + timedelta(hours=3)
    return shift_worlds.make(random, start, end, 45, str(NEW_YORK)), day


KEYS: dict[By, Callable[[Order], Any]] = {
    By.ALL: lambda order: None,
    By.AREA: lambda order: order.service_area_id,
    By.PRIORITY: lambda order: order.priority,
    By.MERCHANT: lambda order: order.merchant_id,
    By.HUB: lambda order: (
        order.current_job.drone.base_id if order.current_job and order.current_job.drone else None
    ),
}


KEYS_OF_FLIGHTS: dict[By, Callable[[DeliveryEvent], Any]] = {
    By.AREA: lambda event: event.order.service_area_id,
    By.PRIORITY: lambda event: event.order.priority,
    By.MERCHANT: lambda event: event.order.merchant_id,
    By.HUB: lambda event: event.job.drone.base_id if event.job and event.job.drone else None,
}


def test_the_figures_are_those_of_the_slow_reading(world: tuple[World, date]) -> None:
    made, day = world
    for span in (Span(day, 1, NEW_YORK), Span(day + timedelta(days=1), 7, NEW_YORK)):
        for now in (span.start + timedelta(hours=12), span.end + timedelta(days=3)):
            for area in (None, made.areas[0]):
                _compare_orders(span, area, now)
                _compare_flights(span, area, now)


def _compare_orders(span: Span, area: ServiceArea | None, now: datetime) -> None:
    found = reading.columns(span, area and area.pk, now)[0].figures()
    told = shift_worlds.orders_of(NEW_YORK, span.first, span.last)
    told = [order for order in told if area is None or order.service_area_id == area.pk]
    for by, key_of in KEYS.items():
        keys = {key_of(order) for order in told} | ({None} if by == By.ALL else set())
        expected = {
            key: shift_worlds.figures_of([o for o in told if key_of(o) == key], now) for key in keys
        }
        assert set(found[by]) == keys
        for key, one in expected.items():
            assert_same(found[by][key], one)
    by_slot = [found[By.SLOT].get(n, NOTHING) for n in range(len(span.slots))]
    assert sum(one.orders for one in by_slot) == len(told)
    ends = [*span.slots[1:], span.end]
    for start, end, one in zip(span.slots, ends, by_slot, strict=True):
        within = [o for o in told if start <= shift_worlds.start_of(o) < end]
        assert_same(one, shift_worlds.figures_of(within, now))
    ended_badly = [o for o in told if o.status in ("FAILED", "ABORTED", "CANCELED")]
    assert sum(one.orders for one in found[By.REASON].values()) == len(ended_badly)
    for order in ended_badly:
        why = order.cancel_reason if order.status == "CANCELED" else order.reason_code
        assert f"{order.status}:{why}" in found[By.REASON]


def assert_same(found: figures.Figures, expected: figures.Figures) -> None:
    for name in ("orders", "delivered", "kept", "broken", "canceled", "failed", "open"):
        assert getattr(found, name) == getattr(expected, name), name
    assert found.median_s == pytest.approx(expected.median_s)
    assert found.p95_s == pytest.approx(expected.p95_s)


def _compare_flights(span: Span, area: ServiceArea | None, now: datetime) -> None:
    found = reading.columns(span, area and area.pk, now)[1].figures()
    events = [
        event
        for event in shift_worlds.take_offs(span.start, span.end)
        if area is None or event.order.service_area_id == area.pk
    ]
    air_s, used = 0.0, []
    for event in events:
        job: Any = event.job
        air_s += max(0.0, ((job.ended_at or now) - event.occurred_at).total_seconds())
        state = job.flight.state if hasattr(job, "flight") else {}
        if state.get("battery_pct") is not None:
            used.append(state["ground_battery_pct"] - state["battery_pct"])
    expected = Flights(len(events), air_s, sum(used) if used else None, len(used))
    whole = found[By.ALL].get(None, NO_FLIGHTS)
    assert (whole.flights, whole.metered) == (expected.flights, expected.metered)
    assert whole.air_s == pytest.approx(expected.air_s)
    assert whole.battery_pct == pytest.approx(expected.battery_pct)
    for by, key_of in KEYS_OF_FLIGHTS.items():
        counted = Counter(key_of(event) for event in events)
        assert {key: one.flights for key, one in found[by].items()} == counted, by


def test_the_queue_is_that_of_the_slow_reading(world: tuple[World, date]) -> None:
    made, day = world
    span = Span(day, 1, NEW_YORK)
    points = queue.lengths(span, None, span.end + timedelta(days=2))
    assert len(points) == 1 + span.hours * 4
    for point in points[::3]:
        assert point.length == shift_worlds.waiting_at(point.at), point.at
    with time_machine.travel(span.start + timedelta(hours=30)):
        week = Span(day, 7, NEW_YORK)
        for point in queue.lengths(week, None, timezone.now())[::17]:
            assert point.length == shift_worlds.waiting_at(point.at), point.at
    for area in made.areas:
        for point in queue.lengths(span, area.pk, span.end + timedelta(days=2))[::13]:
            assert point.length == shift_worlds.waiting_at(point.at, area), point.at


@pytest.mark.django_db
def test_who_is_queued_again_long_after_the_day_has_not_waited_through_it() -> None:
    """It flew over midnight, and is in the queue today."""
    start = datetime(2026, 6, 10, tzinfo=UTC)
    with time_machine.travel(start - timedelta(hours=1), tick=False) as clock:
        order = order_in(Status.ASSIGNED)
        clock.shift(timedelta(days=5))
        lifecycle.mission_over(
            order.pk, ended=JobStatus.FAILED, by=GCS, why="The motor failed.", max_attempts=3
        )
        points = queue.lengths(Span(start.date(), 1, ZoneInfo("UTC")), None, timezone.now())
    assert {point.length for point in points} == {0}


@pytest.mark.django_db
def test_an_array_with_a_null_is_no_column() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_send(ARRAY[1, -7]::bigint[]), array_send(ARRAY[1, NULL]::bigint[])"
        )
        whole, holed = cursor.fetchone()
    assert reading._values_of(bytes(whole), int).tolist() == [1, -7]
    assert reading._values_of(None, float).tolist() == []
    with pytest.raises(ValueError, match="NULL"):
        reading._values_of(bytes(holed), int)


@pytest.mark.django_db
def test_the_queue_of_today_ends_now() -> None:
    now = datetime(2026, 6, 10, 9, 50, tzinfo=UTC)
    with time_machine.travel(now - timedelta(days=3)):
        OrderFactory(deliver_by=now)
    with time_machine.travel(now, tick=False):
        order_in(Status.QUEUED, live_mode=False)
        points = queue.lengths(Span(date(2026, 6, 10), 1, ZoneInfo("UTC")), None, now)
    assert points[-1].at == now
    assert {point.length for point in points} == {1}


# --- in words ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_without_data_there_are_sentences_and_no_figures() -> None:
    ServiceAreaFactory()
    span = Span(date(2026, 6, 10), 1, ZoneInfo("UTC"))
    found = report.compose(span, None, [], timezone.now())
    words = presentation.sentences(found)
    assert words == [
        "No order started in this time.",
        "No promise has been decided yet.",
        "Nothing has been delivered, so there is no time to the door.",
        "No drone took off with an order in this time.",
    ]
    assert all(plot.when_empty for plot in found.plots)
    for lines in report.FILES.values():
        assert not [cell for line in lines(found) for cell in line if str(cell) == "nan"]


@pytest.mark.parametrize(
    ("pct", "words"),
    [(100, "100 %"), (99.96, "99.9 %"), (0, "0 %"), (0.04, "0.04 %"), (91.4, "91 %")],
)
def test_only_all_is_100_percent_and_only_none_is_0(pct: float, words: str) -> None:
    assert presentation._pct(pct) == words
