"""The figures of the orders and flights of some days, grouped (see docs/decisions/0054). Pure.

An order belongs to the day on which it was to start: when it was placed, or the agreed start.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from math import isnan
from uuid import UUID

import numpy as np

from fleet.feasibility.geometry import Floats, Ints

Key = str | UUID | int | None


class By(StrEnum):
    """What the orders are grouped by."""

    ALL = "all"
    AREA = "area"
    PRIORITY = "priority"
    MERCHANT = "merchant"
    HUB = "hub"
    REASON = "reason"
    SLOT = "slot"


GROUPS = (By.AREA, By.PRIORITY, By.MERCHANT, By.HUB)


class Outcome(IntEnum):
    """How the report counts an order. OVERDUE: it is open, and its promise has passed."""

    OPEN = 0
    OVERDUE = 1
    KEPT = 2
    LATE = 3
    CANCELED = 4
    FAILED = 5
    ABORTED = 6


@dataclass(frozen=True, slots=True)
class Figures:
    """A group of orders. Each is kept, broken, canceled or open.

    kept: delivered by its promise. broken: delivered later, failed or aborted, or open past its
    promise. open: not decided yet. failed: failed or aborted. median_s, p95_s: from the start to
    the door, of the delivered ones; None without any.
    """

    orders: int
    delivered: int
    kept: int
    broken: int
    canceled: int
    failed: int
    median_s: float | None
    p95_s: float | None

    @property
    def open(self) -> int:
        return self.orders - self.kept - self.broken - self.canceled

    @property
    def decided(self) -> int:
        return self.kept + self.broken

    @property
    def kept_pct(self) -> float | None:
        return 100 * self.kept / self.decided if self.decided else None


NOTHING = Figures(0, 0, 0, 0, 0, 0, None, None)


@dataclass(frozen=True, slots=True)
class Flights:
    """Flights that took off. air_s: from take-off to the landing that telemetry showed, or to the
    end of the attempt where it showed none. battery_pct: used until the attempt ended, summed over
    the `metered` flights, whose battery is known before and after; None without any.
    """

    flights: int
    air_s: float
    battery_pct: float | None
    metered: int


NO_FLIGHTS = Flights(0, 0.0, None, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """What rows are grouped by: for each row the place of its key in `keys`."""

    places: Ints
    keys: Sequence[Key]

    def counted(self, kinds: Ints, of: int) -> Ints:
        """For each key, how many rows are of each of the kinds from 0 to before `of`."""
        counts = np.bincount(self.places * of + kinds, minlength=len(self.keys) * of)
        return counts.reshape(len(self.keys), of)

    def summed(self, values: Floats) -> Floats:
        sums = np.bincount(self.places, weights=values, minlength=len(self.keys))
        return np.asarray(sums, dtype=float)


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Orders as columns. door_s: seconds from the start to the door; NaN without a delivery."""

    by: dict[By, Column]
    outcome: Ints
    door_s: Floats

    def figures(self) -> dict[By, dict[Key, Figures]]:
        """The figures of each group that has an order, by the group's key."""
        delivered = (self.outcome == Outcome.KEPT) | (self.outcome == Outcome.LATE)
        (rows,) = np.nonzero(delivered)
        rows = rows[np.argsort(self.door_s[rows])]
        found = {by: self._figures(column, rows) for by, column in self.by.items()}
        found[By.REASON].pop(None, None)  # those that neither failed nor were canceled
        return found

    def _figures(self, column: Column, by_door: Ints) -> dict[Key, Figures]:
        """by_door: the rows that were delivered, the fastest first."""
        counts = column.counted(self.outcome, len(Outcome)).tolist()
        medians, p95s = percentiles(
            column.places[by_door], self.door_s[by_door], len(column.keys), (0.5, 0.95)
        )
        return {
            key: _figures(one, median_s, p95_s)
            for key, one, median_s, p95_s in zip(column.keys, counts, medians, p95s, strict=True)
            if any(one)
        }


def _figures(counts: list[int], median_s: float, p95_s: float) -> Figures:
    _, overdue, kept, late, canceled, failed, aborted = counts
    return Figures(
        orders=sum(counts),
        delivered=kept + late,
        kept=kept,
        broken=overdue + late + failed + aborted,
        canceled=canceled,
        failed=failed + aborted,
        median_s=None if isnan(median_s) else median_s,
        p95_s=None if isnan(p95_s) else p95_s,
    )


def percentiles(
    places: Ints, values: Floats, groups: int, shares: Sequence[float]
) -> list[list[float]]:
    """For each share that percentile of each group, between its two neighbours; NaN without any.

    places, values: the group and the value of each row, the least value first.
    """
    # NumPy sorts numbers of 8 and 16 bits by their digits, four times faster.
    small = places.astype(np.min_scalar_type(groups))
    by_group = values[np.argsort(small, kind="stable")]
    counts = np.bincount(places, minlength=groups)
    found = np.full((len(shares), groups), np.nan)
    has_any = counts > 0
    first, last = (np.cumsum(counts) - counts)[has_any], counts[has_any] - 1
    for row, share in zip(found, shares, strict=True):
        place = share * last
        low = first + place.astype(int)
        high = np.minimum(low + 1, first + last)
        row[has_any] = by_group[low] + (place % 1) * (by_group[high] - by_group[low])
    return found.tolist()


@dataclass(frozen=True, slots=True, eq=False)
class Flown:
    """Flights as columns. air_s: seconds in the air. battery_pct: used charge; NaN if not known."""

    by: dict[By, Column]
    air_s: Floats
    battery_pct: Floats

    def figures(self) -> dict[By, dict[Key, Flights]]:
        """The figures of each group that has a flight, by the group's key."""
        return {by: dict(self._flights(column)) for by, column in self.by.items()}

    def _flights(self, column: Column) -> list[tuple[Key, Flights]]:
        is_metered = ~np.isnan(self.battery_pct)
        counts = column.counted(is_metered.astype(int), 2).tolist()
        air_s = column.summed(self.air_s).tolist()
        used_pct = column.summed(np.where(is_metered, self.battery_pct, 0.0)).tolist()
        return [
            (key, Flights(without + metered, air, used if metered else None, metered))
            for key, (without, metered), air, used in zip(
                column.keys, counts, air_s, used_pct, strict=True
            )
            if without + metered
        ]
