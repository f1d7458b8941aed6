"""When a new order is expected at the door: the range that a quote names and an order keeps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from fleet.feasibility.reasons import Reason
from fleet.feasibility.rules import Rules
from fleet.models import ServiceArea
from orders.models import Order
from orders.promises import memory
from orders.promises.outlook import Flight, expect
from orders.states import WhyHeldUp
from orders.timing import opening
from orders.timing.opening import Place
from orders.timing.window import Soonest

# A forecast says nothing about orders that start later than this.
NEAR: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class HeldUp:
    """Why no time can be named. `until`: when that is over, if it is known."""

    code: str
    message: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Promise:
    """The range at the door, None where no time can be named. expected_at and case: of a forecast
    whose range is calibrated. busy: it waits for a drone, or how long is not known.
    """

    low_at: datetime | None = None
    high_at: datetime | None = None
    busy: bool = False
    held_up: HeldUp | None = None
    expected_at: datetime | None = None
    case: str = ""

    def keep_in(self, order: Order) -> None:
        """Note in the order what it was told when it was placed."""
        order.quoted_low_at, order.quoted_high_at = self.low_at, self.high_at
        order.quoted_expected_at, order.quoted_case = self.expected_at, self.case


@dataclass(frozen=True, slots=True)
class Trip:
    """start: when work on the order may start. flights: of the drones that can fly it. least_s,
    most_s: the best case and the promise, from the start; None if the wind grounds every drone:
    `grounded` says why.
    """

    priority: str
    start: datetime
    ready_at: datetime | None
    flights: Sequence[Flight]
    least_s: float | None
    most_s: float | None
    grounded: Reason | None


def of(trip: Trip, area: ServiceArea, rules: Rules, now: datetime) -> Promise:
    """By the forecast of the area; without one, from the best case to the promise."""
    if held_up := paused(area, rules):
        return Promise(busy=True, held_up=held_up)
    if trip.least_s is None or trip.most_s is None:
        return Promise(busy=True, held_up=_grounded(trip.grounded))
    if found := expected(trip, area.pk, rules, now):
        return found
    return replace(_at_the_best(trip), busy=trip.start <= now + NEAR)


def of_a_test(trip: Trip) -> Promise:
    """For a test order, which no pause, queue or wind holds up: the best case to the promise."""
    return _at_the_best(trip)


def _at_the_best(trip: Trip) -> Promise:
    if trip.least_s is None or trip.most_s is None:
        return Promise()
    low_at, high_at = (trip.start + timedelta(seconds=s) for s in (trip.least_s, trip.most_s))
    return Promise(low_at, high_at)


def within_hours(
    made: Promise, places: list[Place], pickup_at: datetime, soonest: Soonest | None
) -> Promise:
    """The promise, without a time if a place closes before its range begins. If one closes before
    it ends, the range ends with the soonest delivery after the next opening.
    """
    if made.low_at is None or made.high_at is None or soonest is None:
        return made
    problems = opening.closed(places, pickup_at, soonest.with_door_at(made.low_at))
    if not problems:
        late = opening.closed(places, pickup_at, soonest.with_door_at(made.high_at))
        if not late or late[0].until is None:
            return made
        return replace(made, high_at=late[0].until + (soonest.at_door - pickup_at), case="")
    held_up = HeldUp(problems[0].code, problems[0].message, problems[0].until)
    return Promise(busy=True, held_up=held_up)


def paused(area: ServiceArea, rules: Rules) -> HeldUp | None:
    if not (rules.dispatch_paused or area.dispatch_paused):
        return None
    where = "everywhere" if rules.dispatch_paused else f"in {area.name}"
    message = f"Flights are paused {where} by our staff. It flies once they go on."
    return HeldUp("dispatch_paused", message)


def _grounded(reason: Reason | None) -> HeldUp | None:
    if reason is None:
        return None
    return HeldUp(reason.code, f"{reason.message} It flies once it may.")


def expected(trip: Trip, area_id: UUID, rules: Rules, now: datetime) -> Promise | None:
    """By the area's outlook; None where it says nothing: too old, too far ahead. Without a time if
    it knows no drone.

    The drone is sent so that it arrives when the parcel is ready.
    """
    begin = trip.start
    if trip.ready_at is not None:
        begin = max(begin, trip.ready_at - timedelta(seconds=rules.launch_time_s))
    outlook = memory.outlook_of(area_id) if begin <= now + NEAR else None
    if outlook is None or not outlook.is_fresh(now):
        return None
    found = expect(outlook, trip.priority, trip.flights, rules, now)
    if found is None:
        message = f"{WhyHeldUp.NO_DRONE.label}. It flies once one can."
        return Promise(busy=True, held_up=HeldUp(WhyHeldUp.NO_DRONE, message))
    delay_s = max(0.0, (begin - now).total_seconds())
    left_s = max(0.0, found.start_s - delay_s) + found.delivery_s
    low_at, at, high_at = (
        now + timedelta(seconds=delay_s + share * left_s) for share in (found.low, 1.0, found.high)
    )
    # Deliveries that start later are not compared with those that start at once.
    case = found.case if delay_s == 0 else ""
    return Promise(low_at, high_at, found.busy, expected_at=at, case=case)
