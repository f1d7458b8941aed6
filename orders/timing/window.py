"""The window in which an order may be delivered. Pure.

It starts at `not_before` and ends at `deliver_by`. An Order may be unsaved and incomplete.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import numpy as np

from fleet.feasibility.judge import Verdicts
from orders.models import Order
from orders.scenarios import PROMISES
from wingxtra.problems import FieldProblem

MAX_AHEAD = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Soonest:
    """The soonest that any drone can do with an order: the fastest one, charged at its hub, in
    still air. Each time can be of another drone.
    """

    loaded_at: datetime
    at_door: datetime
    home_at: datetime

    @classmethod
    def of(cls, best: Verdicts, starts_at: datetime, ready_at: datetime) -> Self:
        """best: the verdicts of one trip with ideal drones, at least one of them able."""
        waits_s = max(0.0, (ready_at - starts_at).total_seconds())
        there_s = best.to_pickup_s[best.able]
        loading_s = np.maximum(there_s, waits_s) - there_s

        def first(seconds: np.ndarray) -> datetime:
            return starts_at + timedelta(seconds=float((seconds + loading_s).min()))

        return cls(
            first(there_s + best.rules.load_time_s),
            first(best.delivery_s[best.able]),
            first(best.busy_s[best.able]),
        )

    def with_door_at(self, at: datetime) -> Self:
        """The same flight, later, so that it is at the door then; itself if that is sooner."""
        later = max(timedelta(0), at - self.at_door)
        return type(self)(self.loaded_at + later, self.at_door + later, self.home_at + later)


def starts_at(order: Order, now: datetime) -> datetime:
    """When work on the order may start: its `not_before`, or now if that is past or not set."""
    return max(order.not_before or now, now)


def pickup_at(order: Order, now: datetime) -> datetime:
    """When the parcel may be picked up first; valid also for an invalid window."""
    return min(max(starts_at(order, now), order.ready_at or now), now + MAX_AHEAD)


def of(order: Order, now: datetime) -> tuple[datetime, datetime]:
    """Start and end of the time in which the order may fly; valid also for an invalid window."""
    start = min(starts_at(order, now), now + MAX_AHEAD)
    return start, max(order.deliver_by or start, start)


def problems(order: Order, now: datetime) -> list[FieldProblem]:
    field, message = "deliver_by", ""
    if order.not_before and order.not_before > now + MAX_AHEAD:
        field, message = "not_before", "An order can be placed up to a year ahead, no further."
    elif order.deliver_by and order.not_before and order.deliver_by <= order.not_before:
        message = "The window ends before it starts: deliver_by must be later than not_before."
    elif order.deliver_by and order.deliver_by <= now:
        message = "The window is over already: deliver_by must lie ahead."
    elif order.deliver_by and order.deliver_by > now + 2 * MAX_AHEAD:
        message = "The window must end within two years."
    return [FieldProblem(field, "window_invalid", message)] if message else []


def too_soon(order: Order, soonest: Soonest) -> list[FieldProblem]:
    """A problem if `deliver_by` cannot be kept by any drone. Test orders that play a late delivery
    may ask for it.
    """
    if order.deliver_by >= soonest.at_door or order.test_scenario in PROMISES:
        return []
    zone = order.service_area.zone
    first, due = soonest.at_door.astimezone(zone), order.deliver_by.astimezone(zone)
    shape = "%H:%M" if first.date() == due.date() else "%Y-%m-%d %H:%M"
    if f"{first:{shape}}" == f"{due:{shape}}":
        shape += ":%S"
    message = (
        f"The soonest is {first:{shape}}; deliver_by is {due:{shape}} ({zone.key}). Without "
        "deliver_by the promise for the priority holds."
    )
    return [FieldProblem("deliver_by", "too_soon", message)]
