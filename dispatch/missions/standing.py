"""Drones that stand on the ground: where, and since when.

A drone whose samples all show it disarmed at a hub for CONFIRMED_AFTER_S flies no mission: its live
missions are over. A drone that stands elsewhere for that time is held. A single sample, or one
without a value, proves nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

import pgbulk
from django.db.models import Exists, OuterRef, QuerySet

from dispatch.missions.flight.trust import stands
from dispatch.missions.live_missions import mark_over
from dispatch.models import Mission, MissionPart
from fleet import registry
from fleet.feasibility.geometry import distance_m
from fleet.feasibility.rules import Rules
from fleet.live.picture import Picture
from fleet.models import DroneHold, Hub
from orders.states import JobStatus
from wingxtra.accounts.identity import TELEMETRY

CONFIRMED_AFTER_S = 60.0
# Longer than any flight home. A drone grounded for longer was held earlier.
MAX_TIME_HOME = timedelta(hours=1)
HUB_RADIUS_M = 60.0


@dataclass(frozen=True, slots=True)
class Hubs:
    places: list[tuple[str, float, float]]

    @classmethod
    def load(cls) -> Self:
        return cls(list(Hub.objects.values_list("name", "lat", "lng")))

    def at(self, lat: float, lng: float) -> str | None:
        """The name of the hub within HUB_RADIUS_M of this position, None without one."""
        near = ((float(distance_m(lat, lng, *at)), name) for name, *at in self.places)
        away_m, name = min(near, default=(float("inf"), ""))
        return name if away_m <= HUB_RADIUS_M else None


def hold_landed_away(drone_id: str, why: str) -> None:
    registry.hold(drone_id, DroneHold.Code.LANDED_AWAY, why, by=TELEMETRY)


def end_grounded_missions(picture: Picture, hubs: Hubs, rules: Rules, now: datetime) -> None:
    """Update since when the drones of live missions stand at a hub, and end the missions of ended
    jobs whose drones have stood for CONFIRMED_AFTER_S. Two statements while nothing changes.
    """
    _hold_drones_away(picture, hubs, rules, now)
    changed, over = [], []
    for part in MissionPart.objects.live().select_related("mission", "job"):
        mission = part.mission
        is_standing = _stands_at_a_hub(mission.drone_id, picture, hubs)
        if picture.age_s_of(mission.drone_id, now) > rules.telemetry_max_age_s:
            is_standing = False  # a stale sample proves nothing
        if is_standing is None:
            continue
        if not is_standing and mission.stands_since is not None:
            mission.stands_since = None
            changed.append(mission)
        elif is_standing and mission.stands_since is None:
            mission.stands_since = now
            changed.append(mission)
        elif is_standing and part.job.status != JobStatus.ACTIVE and _is_confirmed(mission, now):
            over.append(part.job_id)
    pgbulk.update(Mission, changed, ["stands_since"])
    if over:
        why = f"Its drone has stood disarmed at a hub for {CONFIRMED_AFTER_S:.0f} s."
        mark_over(over, by=str(TELEMETRY), because=why)


def _hold_drones_away(picture: Picture, hubs: Hubs, rules: Rules, now: datetime) -> None:
    """Hold drones that stand away from every hub after their mission, such as at the door after the
    delivery. For an ended mission `stands_since` is the start of that time. A hold that staff
    released is set again only after the drone has moved.
    """
    holds = DroneHold.objects.filter(drone=OuterRef("drone"))
    latest: QuerySet[Any] = (  # with is_held and was_released
        Mission.objects.filter(over_at__gt=now - MAX_TIME_HOME, tries__gt=0, drone__active=True)
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
        if is_stray and _is_confirmed(mission, now):
            if mission.is_held or mission.was_released:
                continue
            why = f"It has stood disarmed away from every hub for {CONFIRMED_AFTER_S:.0f} s."
            hold_landed_away(drone_id, why)
        elif is_stray != (mission.stands_since is not None):
            mission.stands_since = now if is_stray else None
            changed.append(mission)
    pgbulk.update(Mission, changed, ["stands_since"])


def _is_confirmed(mission: Mission, now: datetime) -> bool:
    since = mission.stands_since
    return since is not None and (now - since).total_seconds() >= CONFIRMED_AFTER_S


def _stands_at_a_hub(drone_id: str, picture: Picture, hubs: Hubs) -> bool | None:
    """None when the sample does not show it."""
    sample = picture.telemetry.get(drone_id)
    if sample is None or sample.lat is None or sample.lng is None:
        return None
    if sample.armed is None:
        return None
    is_down = stands(sample, None)
    if is_down:
        return hubs.at(sample.lat, sample.lng) is not None
    return is_down
