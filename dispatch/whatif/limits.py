"""What limits a simulated day as it limits a run: hours, ready parcels, pilots on duty. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from dispatch.planning.limits import pilots, ready
from dispatch.planning.limits.open_hours import Hours
from dispatch.planning.limits.pilots import OnDuty
from fleet.feasibility.geometry import Floats, Ints
from fleet.models import Shift
from orders.timing.opening import Place


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """places, ready_s: of each order of the demand (T,): the places whose hours it depends on, and
    when its parcel is ready, in seconds since `start`. area: the place of the service area, None if
    it is always open. shifts: of the days that are simulated; None if no pilot is required.
    """

    start: datetime
    places: Sequence[Sequence[Place]]
    ready_s: Floats
    area: Place | None = None
    shifts: Sequence[Shift] | None = None

    def at(self, now_s: float) -> datetime:
        return self.start + timedelta(seconds=now_s)

    def near(self, orders: Ints, now_s: float) -> Ints:
        """Those of these orders whose parcel is ready soon enough for a plan."""
        return orders[self.ready_s[orders] - now_s <= ready.TO_PICKUP_AT_MOST.total_seconds()]

    def ready_in_s(self, orders: Ints, now_s: float) -> Floats:
        return np.maximum(0.0, self.ready_s[orders] - now_s)

    def hours(self, orders: Ints, load_time_s: float, now_s: float) -> Hours:
        return Hours([self.places[order] for order in orders], load_time_s, self.at(now_s))

    def pilots(self, now_s: float, supervised: Counter[int]) -> list[OnDuty] | None:
        """A pilot for each drone more that may start, None if no pilot is required. supervised: the
        number of drones in the air by pilot.
        """
        if self.shifts is None:
            return None
        at = self.at(now_s)
        on_duty = [shift for shift in self.shifts if shift.starts_at <= at < shift.ends_at]
        return pilots.places(pilots.on_duty_by(on_duty, supervised))

    def may_start_s(self, now_s: float) -> float:
        """The first time from now on at which the area is open and a pilot is on duty; infinite if
        there is none.
        """
        at = self.at(now_s)
        opens = self.area.hours.next_opening(at) if self.area else at
        if opens is None:
            return np.inf
        if self.shifts is not None:
            starts = [max(opens, shift.starts_at) for shift in self.shifts if shift.ends_at > opens]
            if not starts:
                return np.inf
            opens = min(starts)
        # `at` is rounded to microseconds.
        return now_s if opens <= at else (opens - self.start).total_seconds()


def none(start: datetime, orders: int) -> Limits:
    """No limits, for these many orders."""
    return Limits(start, [()] * orders, np.zeros(orders))


@dataclass(slots=True)
class Supervision:
    """The pilots of the drones of a simulated day: a drone counts until it has landed."""

    pilot_of: dict[int, int] = field(default_factory=dict)

    def in_the_air(self, free_at_s: Floats, now_s: float) -> Counter[int]:
        flying = ((d, pilot) for d, pilot in self.pilot_of.items() if free_at_s[d] > now_s)
        return Counter(pilot for _, pilot in flying)
