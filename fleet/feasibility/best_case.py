"""Judges a trip with ideal drones: whether any drone could ever fly it, and why not. Pure."""

from collections.abc import Set
from dataclasses import fields, replace

import numpy as np

from fleet.feasibility.geometry import Floats, Ints
from fleet.feasibility.judge import Verdicts
from fleet.feasibility.reasons import Reason, Rule, charge_for, cross_zone, in_cm, in_zone
from fleet.feasibility.tables import FITNESS, SIDES, Bools, DroneTable, payload_name

# Columns that change from minute to minute. An ideal drone has the best value in each.
_STATE = {
    "lat",
    "lng",
    "battery_pct",
    "telemetry_age_s",
    "armed",
    "grounded",
    "held",
    "carrying",
    "busy",
    "hub_full",
    "pads_taken",
    *FITNESS,
}


def at_their_best(drones: DroneTable) -> DroneTable:
    """One drone per kind and hub in service: at home, fully charged, free to fly.

    A trip that none of them can fly cannot be flown by any drone at any time (see `refusals`).
    """
    drones = drones.take(drones.registered & drones.active)
    drones = drones.take(np.sort(np.unique(_alike(drones), axis=1, return_index=True)[1]))
    return ready_at_home(drones)


def group_of(drones: DroneTable, best: DroneTable) -> Ints:
    """For each drone, the index into `best` of the one of its kind and hub; -1 if none is."""
    places = {tuple(column): index for index, column in enumerate(_alike(best).T.tolist())}
    return np.array([places.get(tuple(column), -1) for column in _alike(drones).T.tolist()], int)


def kind_of(best: DroneTable) -> Ints:
    """The same number for drones of the same kind, from 0."""
    kinds = _alike(best, but={"home_lat", "home_lng", "area"})
    return np.unique(kinds, axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _alike(drones: DroneTable, but: Set[str] = frozenset()) -> Floats:
    """The columns that do not change from minute to minute, one row each."""
    names = [c.name for c in fields(DroneTable) if c.name not in _STATE | {"drone_id"} | but]
    return np.array([getattr(drones, name) for name in names], dtype=float)


def ready_at_home(drones: DroneTable) -> DroneTable:
    """These drones at home, fully charged, with fresh telemetry and free to fly."""
    zeros = np.zeros(len(drones))
    return replace(
        drones,
        lat=drones.home_lat,
        lng=drones.home_lng,
        battery_pct=zeros + 100,
        telemetry_age_s=zeros,
        armed=zeros,
        grounded=zeros > 0,
        held=zeros > 0,
        carrying=zeros > 0,
        busy=zeros > 0,
        hub_full=zeros > 0,
        pads_taken=zeros > 0,
        **{name: np.full(len(drones), "", object) for name in FITNESS},
    )


def refusals(best: Verdicts) -> list[Reason]:
    """Why no drone can ever fly this trip; empty if at least one can.

    best: the verdicts of one trip with all drones `at_their_best`. Codes, as for placing an order:
    payload_type_unsupported, payload_too_heavy, payload_too_large, in_no_fly_zone, out_of_range.
    """
    if best.able.any():
        return []
    here = ~best.has(Rule.OUTSIDE_AREA)
    if not here.any():
        return [Reason("out_of_range", "No drone is based in the service area of this trip.")]
    found = _unliftable(best, here) + _unreachable(best, here)
    return found or best.explain(int(np.flatnonzero(here)[0]))


def held_up(calm: Verdicts, now: Verdicts) -> Reason:
    """Why the wind grounds every drone that could fly this trip in calm air.

    calm, now: the verdicts of the same pairs without and with the wind; none of `now` is able.
    """
    return now.explain(int(np.flatnonzero(calm.able)[0]))[0]


def _unliftable(best: Verdicts, here: Bools) -> list[Reason]:
    found = []
    t = best.t[0]
    carriers = here & ~best.has(Rule.PAYLOAD_TYPE_UNSUPPORTED)
    if not carriers.any():
        text = f"No drone here carries {payload_name(best.trips.payload_type[t])}."
        found.append(Reason("payload_type_unsupported", text))
        carriers = here
    if best.has(Rule.TOO_HEAVY)[carriers].all():
        weight_kg = float(best.trips.payload_weight_kg[t])
        most_kg = float(best.drones.max_payload_kg[best.d[carriers]].max())
        text = f"The payload weighs {weight_kg:g} kg; at most {most_kg:g} kg can be carried here."
        found.append(Reason("payload_too_heavy", text, needed=weight_kg, has=most_kg))
    else:
        carriers = carriers & ~best.has(Rule.TOO_HEAVY)
    if best.has(Rule.TOO_LARGE)[carriers].all():
        found.append(Reason("payload_too_large", _too_large(best, t, carriers)))
    return found


def _too_large(best: Verdicts, trip: int, carriers: Bools) -> str:
    """No kind's limit may contain another's, so each is named."""
    drones = best.drones.take(best.d[carriers])
    limits = np.unique([getattr(drones, f"max_{side}") for side in SIDES], axis=1)
    at_most = " or ".join(in_cm(limit) for limit in limits.T[::-1])
    size = in_cm(float(getattr(best.trips, side)[trip]) for side in SIDES)
    return f"The parcel measures {size}; at most {at_most} can be carried here."


def _unreachable(best: Verdicts, here: Bools) -> list[Reason]:
    if best.has(Rule.IN_NO_FLY_ZONE)[here].all():
        where = in_zone(best.inputs(int(np.flatnonzero(here)[0])))
        return [Reason("in_no_fly_zone", f"The pickup or the drop point is {where}.")]
    unliftable = Rule.TOO_HEAVY | Rule.TOO_LARGE | Rule.PAYLOAD_TYPE_UNSUPPORTED
    carriers = here & ~best.has(unliftable)
    reaching = carriers & ~best.has(Rule.NOT_ENOUGH_ENERGY)
    if carriers.any() and not reaching.any():
        return [_too_long(best, carriers)]
    blocked = best.has(Rule.CROSSES_NO_FLY_ZONE | Rule.TAKEOFF_OR_LANDING_IN_ZONE)
    if reaching.any() and blocked[reaching].all():
        return [_blocked(best, int(np.flatnonzero(reaching)[0]))]
    return []


def _blocked(best: Verdicts, i: int) -> Reason:
    inputs = best.inputs(i)
    ends = best.reasons[i] & Rule.TAKEOFF_OR_LANDING_IN_ZONE
    what = f"take off or land {in_zone(inputs)}" if ends else cross_zone(inputs)
    return Reason("in_no_fly_zone", f"Every drone that could fly this would {what}.")


def _too_long(best: Verdicts, carriers: Bools) -> Reason:
    nearest = np.flatnonzero(carriers)[best.needed_pct[carriers].argmin()]
    needed_pct = float(best.needed_pct[nearest])
    charge = charge_for(float(best.energy_pct[nearest]), needed_pct, 100.0, best.rules)
    text = f"The trip is too long: even the best drone here would need {charge}."
    return Reason("out_of_range", text, needed=needed_pct + best.rules.reserve_pct, has=100.0)
