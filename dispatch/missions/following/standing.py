"""Drones that stand on the ground: where, and since when.

A drone whose samples all show it disarmed at a hub for CONFIRMED_AFTER_S flies no mission: its live
missions are over. A drone that stands elsewhere for that time is held. A single sample, or one
without a value, proves nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import numpy as np
import pgbulk
import structlog
from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When

from dispatch.missions.flight.trust import stands
from dispatch.missions.live_missions import mark_over
from dispatch.missions.records import landing, writing
from dispatch.models import MAX_TIME_HOME, FlightRecord, Mission, MissionPart
from fleet import registry
from fleet.airspace import rulebook
from fleet.feasibility.geometry import distance_m
from fleet.feasibility.rules import Rules
from fleet.live.picture import Picture
from fleet.live.telemetry import Telemetry
from fleet.models import Drone, DroneHold, Hub
from orders.states import JobStatus
from wingxtra.accounts.identity import TELEMETRY
from wingxtra.database import bulk

CONFIRMED_AFTER_S = 60.0
# A few polls of the Fleet API: all their samples agree where the drone stands.
LANDED_AFTER_S = 10.0
HUB_RADIUS_M = 60.0

log = structlog.get_logger(__name__)


class Hubs:
    def __init__(self, hubs: Iterable[Hub]) -> None:
        self.hubs = list(hubs)
        self._lat = np.array([hub.lat for hub in self.hubs])
        self._lng = np.array([hub.lng for hub in self.hubs])

    @classmethod
    def load(cls) -> Self:
        return cls(Hub.objects.select_related("service_area"))

    def at(self, lat: float, lng: float) -> Hub | None:
        """The hub within HUB_RADIUS_M of this position, None without one."""
        return self.at_each([lat], [lng], [0])[0]

    def at_each(
        self, lats: Sequence[float], lngs: Sequence[float], own: Sequence[int]
    ) -> list[Hub | None]:
        """The same for many drones. Within the radius of several hubs, a drone is at its own."""
        if not self.hubs:
            return [None] * len(lats)
        from_lat, from_lng = np.array(lats)[:, None], np.array(lngs)[:, None]
        away_m = distance_m(from_lat, from_lng, self._lat, self._lng)
        is_own = np.array(own)[:, None] == [hub.pk for hub in self.hubs]
        away_m[is_own & (away_m <= HUB_RADIUS_M)] = -1.0  # before every other one
        nearest = away_m.argmin(axis=1)
        is_near = away_m.min(axis=1) <= HUB_RADIUS_M
        pairs = zip(nearest.tolist(), is_near.tolist(), strict=True)
        return [self.hubs[i] if near else None for i, near in pairs]


# --- where each drone stands ---------------------------------------------------------------------


def note_where_drones_stand(
    area_id: UUID, picture: Picture, hubs: Hubs, rules: Rules, now: datetime
) -> None:
    """Update at which hub each drone with its base in this area stands, by fresh telemetry alone.

    When all samples of LANDED_AFTER_S show it disarmed at the same hub, that hub of its area is
    where it belongs to dispatch from now on (`Drone.hub`). A hub of another area holds it once; a
    hold that staff released is set again only after the drone has moved. One statement while
    nothing changes.
    """
    seen = _news(area_id, picture, hubs, rules, now)
    if not seen:
        return
    with transaction.atomic():
        # In id order, as every lock of drones; a drone that another verb has locked is next time's.
        rows = Drone.objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
        known = _with_hold(rows).select_related("base__service_area").order_by("pk")
        drones = [drone for drone in known.filter(pk__in=seen) if _is_news(drone, *seen[drone.pk])]
        landed = [drone.pk for drone in drones if _note(drone, *seen[drone.pk])]
        pgbulk.update(Drone, drones, ["hub", "stands_at", "stands_since"])
        if landed:
            rulebook.VERSION.bump()


Seen = tuple[Hub | None, datetime]


def _news(
    area_id: UUID, picture: Picture, hubs: Hubs, rules: Rules, now: datetime
) -> dict[str, Seen]:
    """Drones whose fresh sample shows them at another hub than noted, or at one that is not theirs
    and where they are not held yet: where, and when.
    """
    rows = Drone.objects.filter(active=True, base__service_area=area_id).order_by()
    shown, lats, lngs, own = [], [], [], []
    is_away = Q(stands_at__isnull=False) & ~Q(stands_at=F("hub"))
    # Asked of the few drones that stand at another hub than their own.
    is_held = Case(When(is_away, then=_is_held_here()), default=Value(False))
    columns = rows.values_list("pk", "hub_id", "stands_at_id", is_held)
    held = set[str]()
    for pk, hub_id, stands_at_id, is_held_here in columns:
        sample = picture.telemetry.get(pk)
        if sample is None or sample.lat is None or sample.lng is None:
            continue
        is_down = stands(sample, None)
        if is_down is None or not (is_down or stands_at_id):
            continue
        if abs(picture.age_s_of(pk, now)) <= rules.telemetry_max_age_s:
            if is_held_here:
                held.add(pk)
            shown.append((pk, is_down, stands_at_id, sample.measured_at))
            lats.append(sample.lat)
            lngs.append(sample.lng)
            own.append(hub_id)
    news = {}
    at = hubs.at_each(lats, lngs, own)
    for (pk, is_down, stands_at_id, seen_at), hub, own_id in zip(shown, at, own, strict=True):
        here = hub if is_down else None
        here_id = here.pk if here else None
        is_foreign = here_id is not None and here_id != own_id and pk not in held
        if here_id != stands_at_id or is_foreign:
            news[pk] = here, seen_at
    return news


def _with_hold(drones: QuerySet[Drone]) -> QuerySet[Any]:
    """With `is_held_here`: whether a hold was set for where the drone stands."""
    return drones.annotate(is_held_here=_is_held_here())


def _is_held_here() -> Exists:
    of_it = DroneHold.objects.filter(drone=OuterRef("pk"), code=DroneHold.Code.LANDED_AWAY)
    still = Q(released_at__isnull=True) | Q(released_at__gte=OuterRef("stands_since"))
    return Exists(of_it.filter(still))


def _is_news(drone: Any, hub: Hub | None, at: datetime) -> bool:
    if (hub.pk if hub else None) != drone.stands_at_id:
        return True
    if hub is None or hub.pk == drone.hub_id or not _agree(drone, at):
        return False
    return _is_of_its_area(drone, hub) or not drone.is_held_here


def _is_of_its_area(drone: Drone, hub: Hub) -> bool:
    return hub.service_area_id == drone.base.service_area_id


def _agree(drone: Drone, at: datetime) -> bool:
    since = drone.stands_since
    return since is not None and (at - since).total_seconds() >= LANDED_AFTER_S


def _note(drone: Drone, hub: Hub | None, at: datetime) -> bool:
    """Change the drone in memory; returns whether another hub has it now."""
    if (hub.pk if hub else None) != drone.stands_at_id:
        drone.stands_at, drone.stands_since = hub, at if hub else None
    elif hub is not None and _is_of_its_area(drone, hub):
        log.info("drone_landed", drone_id=drone.pk, at=hub.name, base=drone.base.name)
        drone.hub = hub
        return True
    elif hub is not None:
        hold_landed_away(
            drone.pk,
            f"It stands at {hub}, a hub of {hub.service_area}; its base, {drone.base}, is in "
            f"{drone.base.service_area}. Bring it back, or enter {hub} as its hub and base.",
        )
    return False


# --- missions whose drones stand -----------------------------------------------------------------


def hold_landed_away(drone_id: str, why: str) -> None:
    registry.hold(drone_id, DroneHold.Code.LANDED_AWAY, why, by=TELEMETRY)


def end_grounded_missions(
    area_id: UUID, picture: Picture, hubs: Hubs, rules: Rules, now: datetime
) -> None:
    """Update since when the drones of live missions stand at a hub, and end the missions of ended
    jobs whose drones have stood for CONFIRMED_AFTER_S: those of drones with their base in this
    area. Two statements while nothing changes.
    """
    _close_ways_home(area_id, picture, hubs, rules, now)
    changed: dict[UUID, datetime | None] = {}
    over = []
    for mission_id, drone_id, since, job_id, job_status, is_recorded in _live_parts(area_id):
        is_standing = _stands_at_a_hub(drone_id, picture, hubs)
        has_ended = job_status != JobStatus.ACTIVE
        is_away = has_ended and not is_recorded and _is_away(drone_id, picture, hubs)
        if not (is_standing or since or is_away):
            continue
        if picture.age_s_of(drone_id, now) > rules.telemetry_max_age_s:
            is_standing = is_away = False  # a stale sample proves nothing
        if is_away:
            at = min(picture.telemetry[drone_id].measured_at, now)
            writing.write_late(job_id, at, inferred=True)
        if is_standing is None:
            continue
        if not is_standing and since is not None:
            changed[mission_id] = None
        elif is_standing and since is None:
            changed[mission_id] = now
        elif is_standing and has_ended and _is_confirmed(since, now):
            over.append(job_id)
    bulk.update(Mission, list(changed), {"stands_since": list(changed.values())})
    if over:
        why = f"Its drone has stood disarmed at a hub for {CONFIRMED_AFTER_S:.0f} s."
        mark_over(over, by=str(TELEMETRY), because=why)


def _live_parts(area_id: UUID) -> QuerySet[Any, Any]:
    recorded = FlightRecord.objects.filter(job=OuterRef("job"))
    live = MissionPart.objects.live().filter(mission__drone__base__service_area=area_id)
    columns = "mission_id", "mission__drone_id", "mission__stands_since", "job_id", "job__status"
    return live.values_list(*columns, Exists(recorded))


def _close_ways_home(
    area_id: UUID, picture: Picture, hubs: Hubs, rules: Rules, now: datetime
) -> None:
    """Note which drones are at a hub after their mission, and hold those that stand away from every
    hub, such as at the door after the delivery. For an ended mission `stands_since` is the start of
    that time. A hold that staff released is set again only after the drone has moved.
    """
    changed, landings = {}, []
    for mission in _latest_over(area_id, now):
        drone_id = mission.drone_id
        is_at_hub = _stands_at_a_hub(drone_id, picture, hubs)
        if is_at_hub is None or picture.age_s_of(drone_id, now) > rules.telemetry_max_age_s:
            continue
        sample = picture.telemetry[drone_id]
        if is_at_hub and mission.landed_at is None and _agree(mission.drone, sample.measured_at):
            mission.landed_at = now
            changed[mission.pk] = mission
            if mission.awaits_landing:
                landings.append(_landing(mission, sample, mission.drone.stands_since))
        is_stray = not is_at_hub and bool(stands(sample, None))
        if is_stray and _is_confirmed(mission.stands_since, now):
            if mission.awaits_landing:
                landings.append(_landing(mission, sample, mission.stands_since))
            if mission.is_held or mission.was_released:
                continue
            why = f"It has stood disarmed away from every hub for {CONFIRMED_AFTER_S:.0f} s."
            hold_landed_away(drone_id, why)
        elif is_stray != (mission.stands_since is not None):
            mission.stands_since = now if is_stray else None
            changed[mission.pk] = mission
    landing.complete(landings)  # before the missions: after a crash it is done again
    pgbulk.update(Mission, list(changed.values()), ["stands_since", "landed_at"])


def _latest_over(area_id: UUID, now: datetime) -> QuerySet[Any]:
    """The latest mission of each drone of this area without a job that may still be on its way
    home, with is_held, was_released and awaits_landing.
    """
    holds = DroneHold.objects.filter(drone=OuterRef("drone"))
    records = FlightRecord.objects.filter(mission=OuterRef("pk"), landed_at__isnull=True)
    return (
        Mission.objects.filter(over_at__gt=now - MAX_TIME_HOME, tries__gt=0, drone__active=True)
        .filter(drone__base__service_area=area_id)
        .exclude(drone__jobs__status=JobStatus.ACTIVE)
        .annotate(
            is_held=Exists(holds.standing()),
            was_released=Exists(holds.filter(released_at__gte=OuterRef("stands_since"))),
            awaits_landing=Exists(records),
        )
        .select_related("drone__stands_at")
        .defer("body")
        .order_by("drone_id", "-over_at")
        .distinct("drone_id")
    )


def _landing(mission: Any, sample: Telemetry, at: datetime) -> landing.Landing:
    hub = mission.drone.stands_at
    assert sample.lat is not None  # noqa: S101 (it shows where the drone stands)
    assert sample.lng is not None  # noqa: S101
    return landing.Landing(mission.pk, at, sample.lat, sample.lng, hub.name if hub else "")


def _is_confirmed(since: datetime | None, now: datetime) -> bool:
    return since is not None and (now - since).total_seconds() >= CONFIRMED_AFTER_S


def _is_away(drone_id: str, picture: Picture, hubs: Hubs) -> bool:
    """Whether the sample shows it in the air, and at no hub. Armed at a hub, it may be tested."""
    sample = picture.telemetry.get(drone_id)
    if sample is None or sample.lat is None or sample.lng is None:
        return False
    return stands(sample, None) is False and hubs.at(sample.lat, sample.lng) is None


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
