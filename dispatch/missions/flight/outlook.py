"""Whether live missions may still go on as planned, and what speaks against them. Pure.

One function, `judge_missions`, for missions that wait for their launch and for those in the air.
It asks `fleet.feasibility.judge`, like dispatch and the last check before publishing, about what
is left to fly: from where the drone is, by the pickup and the door that are ahead, to where it
lands.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

import numpy as np

from fleet.airspace.rulebook import Rulebook
from fleet.feasibility import judge
from fleet.feasibility.geometry import Floats
from fleet.feasibility.judge import Verdicts
from fleet.feasibility.reasons import Reason, Rule
from fleet.feasibility.tables import DroneTable, Flown, TripTable, payload_bits

Place = tuple[float, float]
# Matches no drone's area: an area does not affect what is left to fly.
NO_AREA = -2
# A parcel that is no longer aboard.
NO_PAYLOAD_KG = 0.001
# Readings are whole percents, and a flight lands with a little less or more than planned. In the
# air a shortage up to this neither raises nor ends a doubt.
LEEWAY_PCT = 1.0
# With less behind it, the ratio of used to planned charge says nothing.
MIN_PLANNED_PCT = 5.0


# Nothing is known now, so a doubt neither begins nor ends.
UNSURE: Literal["unsure"] = "unsure"
Finding = Reason | None | Literal["unsure"]


class Concern(StrEnum):
    """What can speak against a mission. The values are codes of discrepancies."""

    AIRSPACE = "AIRSPACE"
    WEATHER = "WEATHER"
    BATTERY = "BATTERY"


@dataclass(frozen=True, slots=True)
class LiveMission:
    """One mission as planned, and how far it is.

    at: the drone's last trusted position, None if unknown. lands: the hub that receives the drone.
    flown: what is behind it; after an abort request, the drop. payload_kg: 0 once the parcel is
    handed over. battery_pct: the last reading, None if there is none. battery_age_s: its age when
    the drone was heard last, None if it is not heard now. start, start_battery_pct: where it took
    off and its charge then, None if that was not seen.
    """

    at: Place | None
    pickup: Place
    drop: Place
    lands: Place
    flown: Flown
    payload_kg: float
    battery_pct: float | None = None
    battery_age_s: float | None = None
    start: Place | None = None
    start_battery_pct: float | None = None

    @property
    def is_flying(self) -> bool:
        return self.flown != Flown.NOTHING

    def stops(self) -> tuple[Place, Place, Place]:
        """Where its legs to the pickup, to the door and to its landing start. A stop that is behind
        the drone is where it is; an unknown position is the next stop.
        """
        if self.flown < Flown.PICKUP:
            return self.at or self.pickup, self.pickup, self.drop
        here = self.at or self.drop
        return here, here, self.drop if self.flown == Flown.PICKUP else here


@dataclass(frozen=True, slots=True)
class Outlook:
    """against: what speaks against the mission, with its numbers. unsure: see UNSURE.
    zone: the name of the zone in the way.
    """

    against: dict[Concern, Reason]
    unsure: frozenset[Concern]
    zone: str


def judge_missions(
    drones: DroneTable, missions: Sequence[LiveMission], book: Rulebook, now: datetime
) -> list[Outlook]:
    """The outlook of each mission (N,), flown by the drone (N,), from now until it has landed.

    drones: only the kinds count; position and charge are those of the missions.
    """
    # The margin to zones is for plans: a flight that passes beside a zone, or drifts into the
    # margin, is not reported.
    in_the_air = replace(book, rules=replace(book.rules, zone_margin_m=0.0))
    outlooks: dict[int, Outlook] = {}
    for is_flying, its_book in ((False, book), (True, in_the_air)):
        rows = [i for i, mission in enumerate(missions) if mission.is_flying == is_flying]
        if rows:
            alike = [missions[i] for i in rows]
            found = _outlooks(drones.take(rows), alike, its_book, now)
            outlooks |= dict(zip(rows, found, strict=True))
    return [outlooks[i] for i in range(len(missions))]


def _outlooks(
    drones: DroneTable, missions: Sequence[LiveMission], book: Rulebook, now: datetime
) -> list[Outlook]:
    ahead = _judged(drones, missions, book, now)
    drain = _drain(drones, missions, ahead, book, now)
    return [_outlook(mission, ahead, i, float(drain[i]), now) for i, mission in enumerate(missions)]


def _judged(
    drones: DroneTable, missions: Sequence[LiveMission], book: Rulebook, now: datetime
) -> Verdicts:
    stops = np.array([mission.stops() for mission in missions])
    landing = np.array([mission.lands for mission in missions])
    here = replace(
        drones,
        lat=stops[:, 0, 0],
        lng=stops[:, 0, 1],
        home_lat=landing[:, 0],
        home_lng=landing[:, 1],
        battery_pct=np.array([mission.battery_pct for mission in missions], float),
    )
    trips = TripTable(
        pickup_lat=stops[:, 1, 0],
        pickup_lng=stops[:, 1, 1],
        dropoff_lat=stops[:, 2, 0],
        dropoff_lng=stops[:, 2, 1],
        payload_weight_kg=np.maximum([mission.payload_kg for mission in missions], NO_PAYLOAD_KG),
        payload_type=np.full(len(missions), payload_bits(["PARCEL"])),  # it is aboard or accepted
        area=np.full(len(missions), NO_AREA),
        flown=np.array([mission.flown for mission in missions]),
    )
    each = np.arange(len(missions))
    return judge.judge(here, trips, each, each, book.rules, book.zone_shapes, now, book.winds)


def _drain(
    drones: DroneTable,
    missions: Sequence[LiveMission],
    ahead: Verdicts,
    book: Rulebook,
    now: datetime,
) -> Floats:
    """How many times the planned charge each flight has used so far (N,); 1 if not known."""
    planned = [replace(mission, at=mission.start, flown=Flown.NOTHING) for mission in missions]
    whole = _judged(drones, planned, book, now)
    planned_pct = whole.energy_pct - ahead.energy_pct
    used_pct = np.array([_used_pct(mission) for mission in missions])
    known = np.isfinite(used_pct) & (planned_pct >= MIN_PLANNED_PCT)
    return np.where(known, used_pct / np.where(known, planned_pct, 1.0), 1.0)


def _used_pct(mission: LiveMission) -> float:
    """Since its take-off; NaN if not known, or if it no longer flies as planned."""
    first_pct, last_pct = mission.start_battery_pct, mission.battery_pct
    if mission.start is None or first_pct is None or last_pct is None:
        return math.nan
    return first_pct - last_pct if mission.flown < Flown.DROP else math.nan


# --- one mission ---------------------------------------------------------------------------------


def _outlook(mission: LiveMission, ahead: Verdicts, i: int, drain: float, now: datetime) -> Outlook:
    found = {
        Concern.AIRSPACE: _zone(ahead, i, now),
        Concern.WEATHER: _wind(mission, ahead, i),
        Concern.BATTERY: _charge(mission, ahead, i, drain),
    }
    return Outlook(
        against={concern: one for concern, one in found.items() if isinstance(one, Reason)},
        unsure=frozenset(concern for concern, one in found.items() if one is UNSURE),
        zone=ahead.zones.names[ahead.zone[i]] if ahead.zone[i] >= 0 else "",
    )


def _zone(ahead: Verdicts, i: int, now: datetime) -> Finding:
    if ahead.zone[i] < 0:
        return None
    zones, zone, drone_id = ahead.zones, ahead.zone[i], ahead.drones.drone_id[i]
    starts_s = zones.closures(now.timestamp())[0][zone]
    since = ""
    if starts_s > now.timestamp():
        since = f" from {datetime.fromtimestamp(starts_s, UTC):%H:%M} UTC on"
    too_near = f"is nearer than {ahead.rules.zone_margin_m:.0f} m to"
    where = too_near if ahead.inputs(i).in_margin else "lies across"
    return Reason(
        Rule.CROSSES_NO_FLY_ZONE.code,
        f"The no-fly zone {zones.names[zone]} {where} what {drone_id} has still to fly{since}.",
    )


def _wind(mission: LiveMission, ahead: Verdicts, i: int) -> Finding:
    """An unknown wind keeps a drone on the ground. In the air it decides nothing: turning round is
    in the same wind.
    """
    if windy := _reason(ahead, i, Rule.TOO_WINDY):
        return windy
    unknown = _reason(ahead, i, Rule.WEATHER_UNKNOWN)
    return UNSURE if unknown and mission.is_flying else unknown


def _charge(mission: LiveMission, ahead: Verdicts, i: int, drain: float) -> Finding:
    drone_id, rules, has_pct = ahead.drones.drone_id[i], ahead.rules, mission.battery_pct
    if mission.battery_age_s is None:
        return UNSURE  # the lost link is told of by itself
    if mission.battery_age_s > rules.telemetry_hard_age_s:
        return Reason(
            Rule.NO_BATTERY_READING.code,
            f"{drone_id} is heard, and has sent no battery reading for "
            f"{mission.battery_age_s:.0f} s.",
            needed=rules.telemetry_hard_age_s,
            has=mission.battery_age_s,
        )
    if has_pct is None:
        return UNSURE
    if not mission.is_flying:
        below = _reason(ahead, i, Rule.BATTERY_BELOW_MINIMUM)
        return below or _reason(ahead, i, Rule.NOT_ENOUGH_ENERGY)
    needed_pct = float(ahead.needed_pct[i]) * max(1.0, drain) + rules.reserve_pct
    if has_pct >= needed_pct:
        return None
    if not needed_pct - has_pct > LEEWAY_PCT:  # also if the need is not known, in too much wind
        return UNSURE
    fails = ", also if the drop fails" if mission.flown < Flown.DROP else ""
    message = (
        f"{drone_id} needs {math.ceil(needed_pct)} % battery for what is left to fly{fails}, with "
        f"the {rules.reserve_pct:.0f} % reserve, and has {math.floor(has_pct)} %."
    )
    if drain > 1:
        message += f" So far it has used {drain:.1f} times the charge that was planned."
    return Reason(Rule.NOT_ENOUGH_ENERGY.code, message, needed=needed_pct, has=has_pct)


def _reason(ahead: Verdicts, i: int, rule: Rule) -> Reason | None:
    if not ahead.reasons[i] & rule:
        return None
    return next(one for one in ahead.explain(i) if one.code == rule.code)
