"""Drones that will be able soon: busy ones once they are home, others once they are charged. Pure.

A good drone in two minutes can be better than a poor one now. So pairs with drones that are not
able yet enter the plan with their waiting time. Only able drones are assigned.
"""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from fleet.feasibility import judge, reach
from fleet.feasibility.geometry import Floats, Ints, Zones
from fleet.feasibility.judge import Verdicts
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import Bools, DroneTable, TripTable
from fleet.feasibility.winds import Winds

# Up to this many pairs, judging them all is faster than filtering them first.
MAX_UNFILTERED_PAIRS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """Pairs (P,) that the plan may choose from, as indices into the tables of drones and trips.

    wait_s: until the drone is able, 0 for now. pickup_s, delivery_s: from now to the pickup and to
    the door, with the wait.
    home_s: from now until the drone is home again. busy_s: the drone's time for the trip, until it
    is home and charged as before. battery_pct: its charge at the start.
    """

    drone: Ints
    trip: Ints
    wait_s: Floats
    pickup_s: Floats
    delivery_s: Floats
    home_s: Floats
    busy_s: Floats
    energy_pct: Floats
    battery_pct: Floats
    distance_m: Floats

    def __len__(self) -> int:
        return len(self.drone)

    def take(self, index: Ints | Bools) -> "Options":
        """The options at these indices, or under this mask."""
        return Options(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def charge_s(energy_pct: Floats, rules: Rules) -> Floats:
    """The time that charging this many percent takes at the hub."""
    return energy_pct * rules.full_charge_s / 100


def now(verdicts: Verdicts) -> Options:
    """The options with drones that are able now."""
    able = np.flatnonzero(verdicts.able)
    battery_pct = verdicts.drones.battery_pct[verdicts.d[able]]
    return _options(verdicts, able, np.zeros(len(able)), battery_pct)


def soon(
    drones: DroneTable,
    free_in_s: Floats,
    trips: TripTable,
    rules: Rules,
    zones: Zones,
    at: datetime,
    winds: Winds | None = None,
    charge_in_s: Floats | None = None,
) -> Options:
    """The options with drones that are not able now but will be within `rules.look_ahead_s`.

    drones: as expected at their hubs when they are free. free_in_s: the time until then; 0 for
    drones that charge there, NaN for drones about which nothing is known. charge_in_s: the time
    until they begin to charge (see `charging.begins_s`); None: when they are free.
    """
    charge_in_s = free_in_s if charge_in_s is None else charge_in_s
    index = np.flatnonzero(free_in_s <= rules.look_ahead_s)
    later, plugged_s = drones.take(index), charge_in_s[index]
    left_s = np.maximum(0.0, rules.look_ahead_s - plugged_s)
    gained_pct = 100 * left_s / rules.full_charge_s
    charged = replace(later, battery_pct=np.minimum(100.0, later.battery_pct + gained_pct))
    few = len(later) * len(trips) <= MAX_UNFILTERED_PAIRS
    pairs = (
        judge.every_pair(len(later), len(trips))
        if few
        else reach.likely_pairs(charged, trips, rules, at, winds)
    )
    verdicts = judge.judge(charged, trips, *pairs, rules, zones, at, winds)
    battery_pct = later.battery_pct[verdicts.d]
    needed_pct = np.maximum(verdicts.needed_pct + rules.reserve_pct, rules.battery_min_pct)
    lacks_pct = np.maximum(0.0, needed_pct - battery_pct)
    starts_s = np.where(lacks_pct > 0, plugged_s[verdicts.d], free_in_s[index][verdicts.d])
    wait_s = starts_s + charge_s(lacks_pct, rules)
    found = np.flatnonzero(verdicts.able & (wait_s > 0))
    starts_with_pct = np.maximum(battery_pct, needed_pct)[found]
    options = _options(verdicts, found, wait_s[found], starts_with_pct)
    return replace(options, drone=index[options.drone])


def _options(verdicts: Verdicts, pairs: Ints, wait_s: Floats, battery_pct: Floats) -> Options:
    energy_pct = verdicts.energy_pct[pairs]
    return Options(
        drone=verdicts.d[pairs],
        trip=verdicts.t[pairs],
        wait_s=wait_s,
        pickup_s=verdicts.to_pickup_s[pairs] + wait_s,
        delivery_s=verdicts.delivery_s[pairs] + wait_s,
        home_s=verdicts.busy_s[pairs] + wait_s,
        busy_s=verdicts.busy_s[pairs] + charge_s(energy_pct, verdicts.rules),
        energy_pct=energy_pct,
        battery_pct=battery_pct,
        distance_m=verdicts.distance_m[pairs],
    )


def together(able: Options, later: Options, due_s: Floats) -> Options:
    """Both, without waits that break a promise which an able drone can keep, and without a wait for
    a drone that is able now: what is expected of it may differ a little from what it is now.
    """
    one_row = 1 + max(able.drone.max(initial=0), later.drone.max(initial=0))
    cells = (options.trip * one_row + options.drone for options in (later, able))
    later = later.take(~np.isin(*cells))
    soonest_s = np.full(len(due_s), np.inf)
    np.minimum.at(soonest_s, able.trip, able.delivery_s)
    kept = soonest_s <= due_s
    late = later.delivery_s > due_s[later.trip]
    later = later.take(~(late & kept[later.trip]))
    return Options(
        *(
            np.concatenate([getattr(able, name), getattr(later, name)])
            for name in Options.__dataclass_fields__
        )
    )
