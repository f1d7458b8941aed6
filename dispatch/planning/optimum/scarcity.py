"""Keeps the only large drone free from small NORMAL parcels that another drone can fly. Pure.

A drone is large for a parcel if another drone of its area that the parcel fits carries less: it
lifts less, or takes fewer sizes or types, and more of nothing. It is the only one if no other drone
in the plan carries as much. Where all drones of an area are alike there is none.
"""

from dataclasses import dataclass

import numpy as np

from fleet.feasibility.geometry import Floats, Ints
from fleet.feasibility.tables import SIDES, Bools, DroneTable

# A fitting smaller drone may deliver this much later than the only large one.
LATER_S = 300.0


@dataclass(frozen=True, slots=True, eq=False)
class Sizes:
    """What drones (m,) carry. of (m,): the size of each drone, an index. smaller (s, s): whether
    the second size carries less than the first, and nothing more.
    """

    of: Ints
    smaller: Bools


def of(drones: DroneTable) -> Sizes:
    """Drones of one area that carry the same have the same size. A drone that is not registered
    carries nothing.
    """
    carried = [drones.max_payload_kg, *(getattr(drones, f"max_{side}") for side in SIDES)]
    rows = np.array([drones.area, drones.payload_types, *carried], float)
    rows[np.isnan(rows)] = 0.0
    found, size = np.unique(rows, axis=1, return_inverse=True)
    area, types, most = found[0], found[1].astype(np.int64), found[2:]
    no_more = (area[:, None] == area) & ((types[:, None] | types) == types[:, None])
    no_more &= (most[:, :, None] >= most[:, None]).all(axis=0)
    return Sizes(size, no_more & ~no_more.T)


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """Pairs (P,): the indices of order and drone, and the delivery in seconds from now. due_s (n,):
    until each order's promise. spares (n,): the orders that the rule is for.
    """

    order: Ints
    drone: Ints
    delivery_s: Floats
    due_s: Floats
    spares: Bools


def raised(cost: Floats, unit_s: float, choices: Choices, sizes: Sizes) -> Floats:
    """The costs (P,) in weighted seconds, which count in whole units of `unit_s`, raised where an
    order would take the only large drone although a smaller one fits.

    The large drone then costs a unit more than every smaller one that delivers at most LATER_S
    later and breaks no promise that the large one keeps. So no optimal plan gives it to the order
    while such a drone is left over. The pair stays possible: if the plan needs the smaller drones
    for other orders, this one still gets the large drone.
    """
    planned = np.bincount(choices.drone, minlength=len(sizes.of)) > 0
    counts = np.bincount(sizes.of[planned], minlength=len(sizes.smaller))
    as_much = sizes.smaller.T | np.eye(len(counts), dtype=bool)
    alone = (counts == 1) & (as_much @ counts == 1) & sizes.smaller.any(axis=1)
    if not alone.any():
        return cost
    cost, size = cost.copy(), sizes.of[choices.drone]
    for large in np.flatnonzero(alone):
        _raise(cost, unit_s, np.flatnonzero(size == large), sizes.smaller[large][size], choices)
    return cost


def _raise(cost: Floats, unit_s: float, pairs: Ints, smaller: Bools, choices: Choices) -> None:
    """Raise the costs of these pairs, all with one drone, above those with a smaller one."""
    orders = len(choices.due_s)
    by_large_s = np.full(orders, np.inf)
    by_large_s[choices.order[pairs]] = choices.delivery_s[pairs]
    late = choices.delivery_s > choices.due_s[choices.order]
    large_late = by_large_s > choices.due_s
    fits = smaller & (choices.delivery_s <= by_large_s[choices.order] + LATER_S)
    fits &= ~late | large_late[choices.order]
    above = np.zeros(orders)
    np.maximum.at(above, choices.order[fits], (np.rint(cost[fits] / unit_s) + 1) * unit_s)
    pairs = pairs[choices.spares[choices.order[pairs]]]
    cost[pairs] = np.maximum(cost[pairs], above[choices.order[pairs]])
