"""Drones that stand: where, and since when every look agrees.

A drone that has stood disarmed at a hub for KNOWN_AFTER_S with every look agreeing flies no
mission: what was live for it is over. One that stands elsewhere for as long is on hold. One look is
not enough, and neither is a look without a value.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

import pgbulk
from django.db.models import Exists, OuterRef, QuerySet

from dispatch.missions.flight.trust import stands
from dispatch.missions.live_missions import set_over
from dispatch.models import Mission, MissionPart
from fleet import registry
from fleet.feasibility.geometry import distance_m
from fleet.feasibility.rules import Rules
from fleet.live.picture import Picture
from fleet.models import DroneHold, Hub
from orders.states import JobStatus
from wingxtra.accounts.identity import TELEMETRY

KNOWN_AFTER_S = 60.0
# Longer than any way home; a drone that lies somewhere since before that was asked about then.
COMES_HOME_WITHIN = timedelta(hours=1)
AT_A_HUB_M = 60.0


@dataclass(frozen=True, slots=True)
class Hubs:
    places: list[tuple[str, float, float]]

    @classmethod
    def load(cls) -> Self:
        return cls(list(Hub.objects.values_list("name", "lat", "lng")))

    def at(self, lat: float, lng: float) -> str | None:
        """The name of the hub that this place is at, within AT_A_HUB_M."""
        near = ((float(distance_m(lat, lng, *at)), name) for name, *at in self.places)
        away_m, name = min(near, default=(float("inf"), ""))
        return name if away_m <= AT_A_HUB_M else None


def hold_away(drone_id: str, words: str) -> None:
    registry.hold(drone_id, DroneHold.Code.LANDED_AWAY, words, by=TELEMETRY)


def look_after(picture: Picture, hubs: Hubs, rules: Rules, now: datetime) -> None:
    """Remember since when the drones of live missions stand at a hub, and end the missions of ended
    jobs whose drones have stood for long enough. Two statements while nothing changes.
    """
    _hold_strays(picture, hubs, rules, now)
    changed, over = [], []
    for part in MissionPart.objects.live().select_related("mission", "job"):
        mission = part.mission
        is_standing = _stands_at_a_hub(mission.drone_id, picture, hubs)
        if picture.age_s_of(mission.drone_id, now) > rules.telemetry_max_age_s:
            is_standing = False  # an old look agrees with nothing
        if is_standing is None:
            continue
        if not is_standing and mission.stands_since is not None:
            mission.stands_since = None
            changed.append(mission)
        elif is_standing and mission.stands_since is None:
            mission.stands_since = now
            changed.append(mission)
        elif is_standing and part.job.status != JobStatus.ACTIVE and _long_enough(mission, now):
            over.append(part.job_id)
    pgbulk.update(Mission, changed, ["stands_since"])
    if over:
        words = f"Its drone has stood disarmed at a hub for {KNOWN_AFTER_S:.0f} s."
        set_over(over, by=str(TELEMETRY), because=words)


def _hold_strays(picture: Picture, hubs: Hubs, rules: Rules, now: datetime) -> None:
    """A drone that does not come home from a mission that is over, such as one that landed at the
    door after it delivered, is on hold. Of such a mission `stands_since` counts standing elsewhere.
    Who releases it has seen it stand there: it is held again only when it stood up meanwhile.
    """
    holds = DroneHold.objects.filter(drone=OuterRef("drone"))
    latest: QuerySet[Any] = (  # with is_held and was_released
        Mission.objects.filter(over_at__gt=now - COMES_HOME_WITHIN, tries__gt=0, drone__active=True)
        .exclude(drone__jobs__status=JobStatus.ACTIVE)
        .annotate(
            is_held=Exists(holds.standing()),
            was_released=Exists(holds.filter(released_at__gte=OuterRef("stands_since"))),
        )
        .order_by("drone_id", "-over_at")
        .distinct("drone_id")
    )
    changed = []
    for mission in latest:
        drone_id = mission.drone_id
        is_at_hub = _stands_at_a_hub(drone_id, picture, hubs)
        if is_at_hub is None or picture.age_s_of(drone_id, now) > rules.telemetry_max_age_s:
            continue
        is_stray = not is_at_hub and bool(stands(picture.telemetry[drone_id], None))
        if is_stray and _long_enough(mission, now):
            if mission.is_held or mission.was_released:
                continue
            words = f"It has stood disarmed away from every hub for {KNOWN_AFTER_S:.0f} s."
            hold_away(drone_id, words)
        elif is_stray != (mission.stands_since is not None):
            mission.stands_since = now if is_stray else None
            changed.append(mission)
    pgbulk.update(Mission, changed, ["stands_since"])


def _long_enough(mission: Mission, now: datetime) -> bool:
    since = mission.stands_since
    return since is not None and (now - since).total_seconds() >= KNOWN_AFTER_S


def _stands_at_a_hub(drone_id: str, picture: Picture, hubs: Hubs) -> bool | None:
    """None when this look cannot say."""
    sample = picture.telemetry.get(drone_id)
    if sample is None or sample.lat is None or sample.lng is None:
        return None
    if sample.armed is None:
        return None
    is_down = stands(sample, None)
    if is_down:
        return hubs.at(sample.lat, sample.lng) is not None
    return is_down
