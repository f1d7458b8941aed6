"""Follows the flights without an order by telemetry: their track for the record, and their end."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from dispatch.missions.flight.state import Fix
from dispatch.missions.flight.trust import stands
from dispatch.missions.following.standing import CONFIRMED_AFTER_S, LANDED_AFTER_S
from dispatch.missions.following.tracks import EVERY_S, stored_point
from dispatch.missions.reposition import verbs
from dispatch.models import ErrandFlight, Mission
from fleet.feasibility.rules import Rules
from fleet.live.picture import Picture
from fleet.live.telemetry import Telemetry
from orders.states import JobStatus
from wingxtra.accounts.identity import TELEMETRY
from wingxtra.database import few_rows

BY_TELEMETRY = ("start_lat", "start_lng", "battery_before_pct", "battery_after_pct", "points")


def follow(area_id: UUID, picture: Picture, rules: Rules, now: datetime) -> None:
    """Keep what telemetry shows of each drone with its base in this area, and end the flights of
    those that stand at a hub again.

    One statement if none is at ground control; one more for each that is in the air.
    """
    sent = Mission.objects.errands().filter(drone__base__service_area=area_id, tries__gt=0)
    for mission in sent.select_related("drone__stands_at", "return_to", "errand_flight"):
        sample = picture.telemetry.get(mission.drone_id)
        is_fresh = picture.age_s_of(mission.drone_id, now) <= rules.telemetry_max_age_s
        if sample is not None and is_fresh:
            _see(mission, sample)
        _end_if_landed(mission, now)


def _see(mission: Mission, sample: Telemetry) -> None:
    fix, is_down = Fix.of(sample), stands(sample, None)
    if fix is None or is_down is None:
        return
    flight = getattr(mission, "errand_flight", None) or ErrandFlight(mission=mission)
    before = _values(flight)
    if is_down and not flight.is_seen_flying:
        # It has not left; a single sample in the air was wrong.
        flight.start_lat, flight.start_lng, flight.points = fix.lat, fix.lng, []
        flight.battery_before_pct = sample.battery_pct
    elif not is_down and (not flight.points or fix.at - flight.points[-1][0] >= EVERY_S):
        flight.points.append(stored_point(fix, sample.battery_pct))
    if flight.is_seen_flying and sample.battery_pct is not None:
        flight.battery_after_pct = sample.battery_pct
    if _values(flight) != before:
        _save(flight)


def _values(flight: ErrandFlight) -> tuple[Any, ...]:
    start = flight.start_lat, flight.start_lng
    return (*start, flight.battery_before_pct, flight.battery_after_pct, len(flight.points))


@transaction.atomic
def _save(flight: ErrandFlight) -> None:
    """Write what telemetry shows, and nothing once the mission is over: its record has the flight.

    The flight was read without a lock. So `launched_at`, which ground control may have reported
    since, is left alone.
    """
    going_on = Mission.objects.filter(pk=flight.pk, over_at__isnull=True)
    if not going_on.select_for_update(no_key=True).values_list("pk").first():
        return
    if flight._state.adding and few_rows.insert_if_new(flight):
        return
    seen = {name: getattr(flight, name) for name in BY_TELEMETRY}
    ErrandFlight.objects.filter(pk=flight.pk).update(**seen)


def _end_if_landed(mission: Mission, now: datetime) -> None:
    drone = mission.drone
    # It stood at the hub of departure before ground control had the mission.
    if drone.stands_at is None or (drone.stands_since or now) <= mission.created_at:
        return
    at_base = drone.stands_at_id == mission.return_to_id
    stood_s = (now - (drone.stands_since or now)).total_seconds()
    if stood_s < (LANDED_AFTER_S if at_base else CONFIRMED_AFTER_S):
        return
    verbs.end(
        Mission.objects.filter(pk=mission.pk),
        by=TELEMETRY,
        because=f"{drone} stands at {drone.stands_at}.",
        outcome=JobStatus.COMPLETED if at_base else JobStatus.ABORTED,
    )


def launched(mission: Mission, at: datetime | None) -> None:
    """Ground control reports the take-off; `at` is clamped to the life of the mission."""
    now = timezone.now()
    at = min(max(at or now, mission.created_at), now)
    ErrandFlight.objects.update_or_create(mission=mission, defaults={"launched_at": at})
