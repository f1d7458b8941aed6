"""The figures of a day, simulated or real, by priority. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dispatch.whatif.simulation import Outcome
from fleet.feasibility.geometry import Floats
from fleet.feasibility.tables import Bools

ALL = "all"


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a group of orders: counts, minutes to the door, and kept promises in percent.

    The minutes are those of delivered orders; None if there are none. An order that was not
    delivered counts as a broken promise.
    """

    orders: int
    delivered: int
    median_min: float | None
    p95_min: float | None
    mean_min: float | None
    longest_min: float | None
    kept_pct: float


def figures(minutes: Floats, kept: Bools) -> Figures:
    """minutes (n,): to the door, NaN for an order that was not delivered. kept (n,). n > 0."""
    delivered = minutes[np.isfinite(minutes)]
    return Figures(
        orders=len(minutes),
        delivered=len(delivered),
        median_min=_percentile(delivered, 50),
        p95_min=_percentile(delivered, 95),
        mean_min=round(float(delivered.mean()), 2) if len(delivered) else None,
        longest_min=_percentile(delivered, 100),
        kept_pct=round(100 * float(kept.mean()), 2),
    )


def _percentile(minutes: Floats, pct: float) -> float | None:
    return round(float(np.percentile(minutes, pct)), 2) if len(minutes) else None


def by_priority(minutes: Floats, kept: Bools, priority: Sequence[str]) -> dict[str, Any]:
    """The figures of all orders (key ALL) and of each priority that occurs, as JSON."""
    names = np.array(priority, object)
    groups = {ALL: np.ones(len(minutes), bool)} | {
        name: names == name for name in sorted(set(priority))
    }
    return {
        name: asdict(figures(minutes[rows], kept[rows]))
        for name, rows in groups.items()
        if rows.any()
    }


def simulated(outcome: Outcome, drones: int, unflyable: int) -> dict[str, Any]:
    """One simulation, as JSON. unflyable: the number of orders that no drone can fly."""
    return {
        "orders": by_priority(outcome.minutes, outcome.kept, outcome.priority.tolist()),
        "drone_km": round(outcome.drone_km, 1),
        "drones": drones,
        "unflyable": unflyable,
    }
