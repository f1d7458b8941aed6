"""Whether and when an order can be delivered: check everything at once, then write once.

Quotes, new orders and changes of the drop point or the window use the same `check`. Its Order may
be unsaved and incomplete: missing fields are skipped, so that a bad request gets every problem in
one answer.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
from django.utils import timezone

from fleet.airspace import rulebook
from fleet.airspace.rulebook import Rulebook, RulebookForOrders
from fleet.feasibility import best_case, judge, landing
from fleet.feasibility.geometry import Floats, Ints, distance_m
from fleet.feasibility.judge import Verdicts
from fleet.feasibility.reasons import Reason
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import DroneTable, TripTable, payload_bit, sides
from fleet.feasibility.winds import Winds
from fleet.models import ServiceArea
from orders import lifecycle, unit_of_work
from orders.models import Order, WaitingOrder
from orders.promises import memory, outlook, promise
from orders.promises.outlook import Flight
from orders.promises.promise import Promise
from orders.timing import opening, window
from orders.timing.window import Soonest
from wingxtra.accounts.identity import Actor
from wingxtra.problems import FieldProblem, Invalid, NotFound, Problem

# The current wind is used only for flights that start within this time.
WIND_VALID_FOR = timedelta(minutes=15)
NO_AREA = -2  # matches no drone's area index
NAMES = {"pickup": "pickup", "dropoff": "drop point"}
# The field to report for each refusal of feasibility.
FIELDS = {
    "payload_type_unsupported": "payload_type",
    "payload_too_heavy": "payload_weight_kg",
    "payload_too_large": "payload_size_cm",
    "in_no_fly_zone": "dropoff_lat",
    "out_of_range": "dropoff_lat",
}
Point = tuple[float, float]
# So often a trip is judged again when a zone in its way opens. A window of more closings than that
# counts as closed from there on.
MAX_OPENINGS = 50


@dataclass(frozen=True, slots=True)
class Draft:
    """An unsaved order, and the problems of the input that it was read from."""

    order: Order
    problems: list[FieldProblem]


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of `check`.

    flies_from: the first time of the window at which no zone is in the way of some drone; None if
    there is none. The ETA counts from then: `eta_low_s` with the fastest drone, free and charged at
    its hub; `eta_high_s` is the promise, or the slowest able drone where that is later. Both are
    None when the current wind grounds every drone; `held_up` says why. soonest: None when no drone
    can ever fly it. flights: of the able drones, as for `expect`.
    """

    problems: list[FieldProblem]
    service_area: ServiceArea | None = None
    eta_low_s: float | None = None
    eta_high_s: float | None = None
    held_up: Reason | None = None
    soonest: Soonest | None = None
    flights: tuple[Flight, ...] = ()
    flies_from: datetime | None = None


def check(order: Order, book: RulebookForOrders, now: datetime) -> Checked:
    """Every problem of an order at once. Pure: reads the order and the rulebook, writes nothing."""
    points = _points(order)
    area, in_no_area = _area(points, book)
    span = window.of(order, now)
    book = book.for_work_from(span[0], now)
    flight = _Flight.best(order, area, book, now)
    # Where a drone may fly at some time of the window, no end is closed throughout.
    closed = _in_zones(points, span, book) if flight.starts_at is None else []
    problems = [*window.problems(order, now), *accuracy_problems(order, book.rules), *in_no_area]
    problems += closed
    # A zone around an end of the trip also blocks every flight; report it once.
    problems += [p for p in flight.problems if not (closed and p.code == "in_no_fly_zone")]
    return Checked(
        problems,
        None if area is None else book.areas[area],
        flight.low_s,
        flight.high_s,
        flight.held_up,
        flight.soonest,
        flight.able,
        flight.starts_at,
    )


def straight_m(order: Order) -> float | None:
    """From pickup to drop point; None while an end is not known."""
    points = _points(order)
    return float(distance_m(*points["pickup"], *points["dropoff"])) if len(points) == 2 else None


def trip_table(orders: Iterable[Order | WaitingOrder], book: Rulebook) -> TripTable:
    """The orders as input of feasibility, one row each."""
    places = {area.pk: index for index, area in enumerate(book.areas)}
    return TripTable.from_rows(
        [_trip(order, places.get(order.service_area_id, NO_AREA)) for order in orders]
    )


# --- verbs ---------------------------------------------------------------------------------------


def quote(order: Order) -> tuple[Checked, Promise]:
    """Check an order as `place` would, and say when it would be at the door. Writes nothing."""
    now = timezone.now()
    book = rulebook.current(now)
    checked = _prepare(order, book, now)
    return checked, _promise(order, checked, book, now)


def place(order: Order, *, by: Actor, known: Sequence[FieldProblem] = ()) -> Order:
    """Check a new order and write it.

    `known`: problems of the input, reported with the others. Raises Invalid with every problem, or
    Conflict naming the order that has its `external_id`; nothing is written then.
    """
    now = timezone.now()
    book = rulebook.current(now)
    checked = _prepare(order, book, now)
    if problems := [*known, *checked.problems]:
        raise Invalid([*problems, *_duplicate_external_id(order)])
    _promise(order, checked, book, now).keep_in(order)
    if order.live_mode:
        memory.note_area(order.merchant_id, order.service_area_id)
    return lifecycle.place(order, by=by)


def check_many(drafts: Sequence[Draft]) -> list[list[FieldProblem]]:
    """The problems of each draft as `place` reports them, those of a duplicate included. Writes
    nothing; the number of statements does not grow with the drafts.
    """
    now = timezone.now()
    book = rulebook.current(now)
    duplicates = unit_of_work.duplicates_of([draft.order for draft in drafts])
    found = []
    for draft in drafts:
        problems = [*draft.problems, *_prepare(draft.order, book, now).problems]
        if duplicate := duplicates.get(draft.order.pk):
            problems.append(of_external_id(duplicate))
        found.append(problems)
    return found


def _duplicate_external_id(order: Order) -> list[FieldProblem]:
    duplicate = unit_of_work.duplicate_of(order)
    return [of_external_id(duplicate)] if duplicate else []


def of_external_id(duplicate: Problem) -> FieldProblem:
    return FieldProblem("external_id", duplicate.code, duplicate.detail)


def _prepare(order: Order, book: RulebookForOrders, now: datetime) -> Checked:
    """Fill in `deliver_by` from the policy and `service_area` from the map, and check the order."""
    too_far = order.not_before is not None and order.not_before > now + window.MAX_AHEAD
    is_promise = order.deliver_by is None
    if is_promise and order.priority and not too_far:
        promise = timedelta(seconds=book.rules.promise_s[order.priority])
        order.deliver_by = window.pickup_at(order, now) + promise
    # Test orders fly in calm air: no real drone flies them.
    checked = check(order, book if order.live_mode else replace(book, winds=None), now)
    if checked.service_area is not None:
        order.service_area = checked.service_area
    # Not in `check`: a store that has closed since is no problem of a drop point that moves.
    found = opening.places(order, checked.service_area)
    problems = opening.closed(found, window.pickup_at(order, now), checked.soonest)
    is_judged = is_promise or problems or window.problems(order, now)
    if checked.soonest and not is_judged:
        problems = window.too_soon(order, checked.soonest)
    return replace(checked, problems=[*checked.problems, *problems]) if problems else checked


def _promise(order: Order, checked: Checked, book: Rulebook, now: datetime) -> Promise:
    """When the order is expected at the door. One read of Redis; nothing for a refused order."""
    if checked.service_area is None or checked.problems:
        return Promise()
    trip = promise.Trip(
        order.priority,
        max(window.starts_at(order, now), checked.flies_from or now),
        order.ready_at,
        checked.flights,
        checked.eta_low_s,
        checked.eta_high_s,
        checked.held_up,
    )
    if order.live_mode:
        made = promise.of(trip, checked.service_area, book.rules, now)
    else:
        made = promise.of_a_test(trip)
    places = opening.places(order, checked.service_area)
    return promise.within_hours(made, places, window.pickup_at(order, now), checked.soonest)


def check_window(
    order_id: UUID, *, not_before: datetime | None, deliver_by: datetime | None
) -> datetime:
    """Check a new window like a new order's; returns its end, by default from the promise.

    Raises Invalid when we cannot deliver in it, and NotFound.
    """
    now = timezone.now()
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        raise NotFound
    order.not_before = not_before
    order.deliver_by = deliver_by  # type: ignore[assignment]  # `_prepare` fills it in
    checked = _prepare(order, rulebook.current(now), now)
    if checked.problems:
        raise Invalid(checked.problems)
    return order.deliver_by


def refuse_unless(
    order: Order, statuses: Iterable[str], rule: str, code: str = "invalid_transition"
) -> None:
    if order.status not in statuses:
        raise lifecycle.Refused(order, f"The order is {order.status}; {rule}.", code=code)


# --- what is checked -----------------------------------------------------------------------------


def accuracy_problems(order: Order, rules: Rules) -> list[FieldProblem]:
    accuracy_m, most_m = order.dropoff_accuracy_m, rules.dropoff_max_accuracy_m
    if accuracy_m is None or accuracy_m <= most_m:
        return []
    message = f"The drop point is known to {accuracy_m:.0f} m; {most_m:.0f} m or better is needed."
    return [FieldProblem("dropoff_accuracy_m", "dropoff_too_inaccurate", message)]


def _points(order: Order) -> dict[str, Point]:
    """Pickup and drop point, without the ones that are not known."""
    ends = {
        "pickup": (order.pickup_lat, order.pickup_lng),
        "dropoff": (order.dropoff_lat, order.dropoff_lng),
    }
    return {end: point for end, point in ends.items() if None not in point}


def _area(
    points: dict[str, Point], book: RulebookForOrders
) -> tuple[int | None, list[FieldProblem]]:
    """The index of the first area that contains both ends, or the problems."""
    problems: list[FieldProblem] = []
    place, area = book.area_shapes.contains(*_columns(points))
    areas = {end: set(area[place == i].tolist()) for i, end in enumerate(points)}
    for end, (lat, lng) in points.items():
        if not areas[end]:
            message = f"The {NAMES[end]} at {lat:.5f}, {lng:.5f} is in none of our service areas."
            problems.append(FieldProblem(f"{end}_lat", "outside_service_area", message))
    if problems or len(areas) < 2:
        return None, problems
    if common := areas["pickup"] & areas["dropoff"]:
        return min(common), []
    pickup, dropoff = (book.areas[min(areas[end])].name for end in ("pickup", "dropoff"))
    message = f"The pickup is in {pickup} and the drop point in {dropoff}; one area must hold both."
    return None, [FieldProblem("dropoff_lat", "outside_service_area", message)]


def _in_zones(
    points: dict[str, Point], window: tuple[datetime, datetime], book: Rulebook
) -> list[FieldProblem]:
    """A problem for each end that is in no-fly zones, or in their margin, at every time of the
    window.
    """
    problems, margin_m = [], book.rules.zone_margin_m
    lats, lngs = _columns(points)
    since_s, _ = book.zone_shapes.in_the_way(lats, lngs, lats, lngs, window[0], margin_m)
    is_closed = since_s <= window[0].timestamp()
    for (end, (lat, lng)), closed in zip(points.items(), is_closed, strict=True):
        if not closed:
            continue
        point = (np.array([lat], float), np.array([lng], float))
        zone = _closed_throughout(point, window, book)
        if zone is not None:
            inside = book.zone_shapes.meets(zone, *point, *point)[0]
            where = "in" if inside else f"within {margin_m:g} m of"
            name = book.zone_shapes.names[zone]
            message = f"The {NAMES[end]} is {where} the no-fly zone “{name}”."
            problems.append(FieldProblem(f"{end}_lat", "in_no_fly_zone", message))
    return problems


def _columns(points: dict[str, Point]) -> Floats:
    """Their latitudes and longitudes (2, n)."""
    return np.array([*points.values()], float).reshape(-1, 2).T


def _closed_throughout(
    point: tuple[Floats, Floats], window: tuple[datetime, datetime], book: Rulebook
) -> int | None:
    """The zone that closes a point when the window starts, if it is never open within it."""
    first, at = None, window[0]
    for _ in range(MAX_OPENINGS):
        since_s, zone = book.zone_shapes.in_the_way(*point, *point, at, book.rules.zone_margin_m)
        if since_s[0] > at.timestamp():
            return None
        first = int(zone[0]) if first is None else first
        opens_at = _next_opening(zone, book, at)
        if opens_at is None or opens_at >= window[1]:
            return first
        at = opens_at
    return first


def _next_opening(zones: Ints, book: Rulebook, at: datetime) -> datetime | None:
    """When the first of these zones opens that are closed at `at` or close next; None: never."""
    known = np.unique(zones[zones >= 0])
    ends_s = book.zone_shapes.closures(at.timestamp())[1][known]
    ends_s = ends_s[np.isfinite(ends_s)]
    # Rounded up, so that the zone is open then.
    return datetime.fromtimestamp(math.ceil(ends_s.min()), UTC) if len(ends_s) else None


def _trip(order: Order | WaitingOrder, area: int) -> dict[str, Any]:
    pickup_lat, pickup_lng = order.flown_from
    return {
        "pickup_lat": pickup_lat,
        "pickup_lng": pickup_lng,
        "dropoff_lat": order.dropoff_lat,
        "dropoff_lng": order.dropoff_lng,
        "payload_weight_kg": order.payload_weight_kg,
        "payload_type": payload_bit(order.payload_type),
        "area": area,
        **sides(order.payload_size_cm),
    }


@dataclass(frozen=True, slots=True)
class _Flight:
    """Best-case feasibility of an order. starts_at: the first time of its window at which some
    drone is able; the times are in seconds from then. able: the flights of the able drones.
    """

    problems: list[FieldProblem]
    low_s: float | None = None
    high_s: float | None = None
    held_up: Reason | None = None
    soonest: Soonest | None = None
    able: tuple[Flight, ...] = ()
    starts_at: datetime | None = None

    @classmethod
    def best(
        cls, order: Order, area: int | None, book: RulebookForOrders, now: datetime
    ) -> "_Flight":
        if not (order.payload_weight_kg and order.payload_type):
            return cls([])
        if area is None:
            return cls(_payload_refusals(order, book, now))
        trips, drones = TripTable.from_rows([_trip(order, area)]), book.best_in[area]
        start, end = window.of(order, now)
        refused: list[FieldProblem] = []
        at = start
        # A zone that opens within the window only delays the flight.
        for _ in range(MAX_OPENINGS):
            calm = verdicts = _judge(drones, trips, book, at)
            if calm.able.any():
                soonest = Soonest.of(verdicts, at, window.pickup_at(order, now))
                # The current wind refuses no order; it only changes the ETA, or removes it.
                if book.winds is not None and at <= now + WIND_VALID_FOR:
                    verdicts = _judge(drones, trips, book, at, book.winds)
                if not verdicts.able.any():
                    held_up = best_case.held_up(calm, verdicts)
                    return cls([], held_up=held_up, soonest=soonest, starts_at=at)
                able_s = verdicts.delivery_s[verdicts.able]
                promise_s = book.rules.promise_s.get(order.priority, 0.0)
                high_s = max(float(able_s.max()), promise_s - (at - start).total_seconds())
                able = tuple(outlook.flights(verdicts))
                low_s = float(able_s.min())
                return cls([], low_s, high_s, soonest=soonest, able=able, starts_at=at)
            refused = refused or _as_problems(calm)
            opens_at = _next_opening(calm.zone, book, at)
            if opens_at is None or opens_at >= end:
                break
            at = opens_at
        return cls(refused)


def _judge(
    drones: DroneTable,
    trips: TripTable,
    book: Rulebook,
    at: datetime,
    winds: Winds | None = None,
) -> Verdicts:
    trips = landing.toward(trips, book.hub_table, book.rules, book.zone_shapes, at)
    pairs = judge.every_pair(len(drones), len(trips))
    return judge.judge(drones, trips, *pairs, book.rules, book.zone_shapes, at, winds)


def _as_problems(verdicts: Verdicts) -> list[FieldProblem]:
    return [
        FieldProblem(FIELDS.get(reason.code, ""), reason.code, reason.message)
        for reason in best_case.refusals(verdicts)
    ]


def _payload_refusals(order: Order, book: RulebookForOrders, now: datetime) -> list[FieldProblem]:
    """Payload problems that hold in every area: judged at one hub, with all our drones."""
    if not len(book.best_drones):
        return []
    drones = replace(book.best_drones, area=np.zeros(len(book.best_drones), np.int64))
    hub = {"lat": drones.home_lat[0], "lng": drones.home_lng[0]}
    trip = _trip(order, 0) | {f"{end}_{axis}": hub[axis] for end in NAMES for axis in hub}
    problems = _as_problems(_judge(drones, TripTable.from_rows([trip]), book, now))
    return [problem for problem in problems if problem.code.startswith("payload_")]
