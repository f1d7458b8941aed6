"""Which pairs the hours of stores and service areas allow, and why not the others. Pure.

A drone must be loaded while the store is open, and its whole flight, until it is home, must lie
within the operating hours of the area. An order that no drone can do in time waits, and says until
when.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np

from dispatch.planning.lookahead import Options
from fleet.feasibility.geometry import Floats, Ints
from fleet.feasibility.reasons import Reason
from fleet.feasibility.tables import Bools
from orders.timing.opening import Place, opening

ALWAYS_OPEN = -1
# Rounds a time up, so that no message reads “closes at 18:00, and would be there at 18:00”.
ALMOST_A_MINUTE = timedelta(seconds=59)
STORE_CLOSED, AREA_CLOSED = "store_closed", "area_closed"
# They follow a number of drones, like those of `explanations`.
PHRASES = {
    STORE_CLOSED: "too late or too early for the store",
    AREA_CLOSED: "not home within the operating hours",
}


@dataclass(frozen=True, slots=True)
class Times:
    """One flight: when it starts, when the drone is at the pickup and loaded, when it is home."""

    starts_at: datetime
    there_at: datetime
    loaded_at: datetime
    home_at: datetime

    def at(self, place: Place) -> tuple[datetime, datetime]:
        """The time in which the place must be open."""
        span = (self.starts_at, self.home_at), (self.there_at, self.loaded_at)
        return span[0] if place.is_area else span[1]


@dataclass(frozen=True, slots=True, eq=False)
class Hours:
    """The places (T,) that each trip depends on; trips that share a place share the object."""

    places: Sequence[Sequence[Place]]
    load_time_s: float
    now: datetime

    def allow(self, options: Options) -> Bools:
        """Whether each pair (P,) keeps the hours of its places."""
        loaded_s = options.pickup_s + self.load_time_s
        ends = {False: (options.pickup_s, loaded_s), True: (options.wait_s, options.home_s)}
        allowed = np.ones(len(options), bool)
        for is_area, (from_s, until_s) in ends.items():
            known, which = self._of_trips(is_area)
            if known and len(options):
                place = which[options.trip]
                allowed &= self._within(known, place, from_s, until_s) | (place == ALWAYS_OPEN)
        return allowed

    def _of_trips(self, is_area: bool) -> tuple[list[Place], Ints]:
        """The places of one kind, and the index of each trip's one (T,) or ALWAYS_OPEN."""
        known: dict[int, tuple[int, Place]] = {}
        which = np.full(len(self.places), ALWAYS_OPEN, np.int64)
        for trip, found in enumerate(self.places):
            for place in found:
                if place.is_area == is_area:
                    which[trip], _ = known.setdefault(id(place), (len(known), place))
        return [place for _, place in known.values()], which

    def _within(self, known: list[Place], place: Ints, from_s: Floats, until_s: Floats) -> Bools:
        """Whether one span of opening of its place holds each pair's time.

        All spans lie on one line, each place on a stretch of its own, so that one search answers
        for all pairs.
        """
        horizon_s = 1 + float(until_s.max())
        end = self.now + timedelta(seconds=horizon_s)
        opens, closes, stretch_s = [], [], 2 * horizon_s
        for i, one in enumerate(known):
            for opens_at, closes_at in one.hours.spans(self.now, end):
                opens.append(i * stretch_s + self._seconds(opens_at))
                closes.append(i * stretch_s + self._seconds(closes_at))
        if not opens:
            return np.zeros(len(place), bool)
        span = np.searchsorted(np.array(opens), place * stretch_s + from_s, side="right") - 1
        within: Bools = (span >= 0) & (place * stretch_s + until_s <= np.array(closes)[span])
        return within

    def _seconds(self, at: datetime) -> float:
        return (at - self.now).total_seconds()

    def times(self, start_s: float, pickup_s: float, home_s: float) -> Times:
        loaded_s = pickup_s + self.load_time_s
        return Times(
            *(self.now + timedelta(seconds=float(s)) for s in (start_s, pickup_s, loaded_s, home_s))
        )

    def against(self, trip: int, times: Times, drone_id: str) -> list[Reason]:
        """The reasons against one flight; staff may override them with a written reason."""
        found = (
            _against(place, *times.at(place), self.now, drone_id) for place in self.places[trip]
        )
        return [reason for reason in found if reason]

    def waiting(
        self, refused: Sequence[Options], served: Ints, drone_ids: Sequence[str]
    ) -> dict[int, list[Reason]]:
        """Why trips that are not `served` wait for an opening: a place is closed now, or closes
        before the drone that is home first would be done.
        """
        left = set(range(len(self.places))).difference(served.tolist())
        every = {id(place): place for trip in left for place in self.places[trip]}
        shut = {key: _closed_now(place, self.now) for key, place in every.items()}
        found = {}
        for trip in left:
            closed = [reason for place in self.places[trip] for reason in shut[id(place)]]
            if closed:
                found[trip] = closed
        for options in refused:
            for pair in _first_home(options):
                trip = int(options.trip[pair])
                if trip in left and trip not in found:
                    columns = (options.wait_s, options.pickup_s, options.home_s)
                    times = self.times(*(float(column[pair]) for column in columns))
                    found[trip] = self.against(trip, times, drone_ids[options.drone[pair]])
        return found


def _first_home(options: Options) -> list[int]:
    """The pair of each trip whose drone is home first."""
    order = np.argsort(options.home_s, kind="stable")
    _, first = np.unique(options.trip[order], return_index=True)
    return [int(pair) for pair in order[first]]


def _against(
    place: Place, start: datetime, end: datetime, now: datetime, drone_id: str
) -> Reason | None:
    closes_at, since = _closing(place, now) or end, now
    if start >= closes_at and place.hours.is_open(start):
        closes_at, since = _closing(place, start) or end, start
    if end <= closes_at:
        return None
    if closes_at > since:
        what, at = ("home", end) if place.is_area else ("loaded", end)
        if not place.is_area and closes_at <= start:
            what, at = "there", start
        text = f"closes at {_clock(place, closes_at)}, and {drone_id} would be {what} at "
        text += f"{_clock(place, at + ALMOST_A_MINUTE)}."
    else:
        what = "on its way" if place.is_area else "there"
        text = f"is closed at {_clock(place, start)}, when {drone_id} would be {what}."
    code = AREA_CLOSED if place.is_area else STORE_CLOSED
    return Reason(code, f"{place.name} {text} {_opening(place, closes_at)}", overridable=True)


# Thousands of orders of one run wait for the same closing and opening.
@lru_cache(maxsize=1024)
def _closing(place: Place, at: datetime) -> datetime | None:
    return place.hours.next_closing(at)


@lru_cache(maxsize=1024)
def _opening(place: Place, at: datetime) -> str:
    return opening(place.hours, at)


def _closed_now(place: Place, now: datetime) -> list[Reason]:
    if place.hours.is_open(now):
        return []
    code = AREA_CLOSED if place.is_area else STORE_CLOSED
    text = f"{place.name} is closed. {opening(place.hours, now)}"
    return [Reason(code, text, overridable=True)]


def _clock(place: Place, at: datetime) -> str:
    return f"{at.astimezone(place.hours.zone):%H:%M}"
