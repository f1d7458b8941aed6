"""Looks whether each cleared flight is in the air, and inside the corridor that was declared.

Each poll of the fleet is a look. What it finds new is stored, and the outbox tells the service
(`following`), tried again until the mission is over. Height is not judged: ours is above ground.
"""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django.conf import settings

from dispatch.missions.clearance import port
from dispatch.missions.clearance.planned import CORRIDOR_M, Leg, Place
from dispatch.missions.clearance.timeline import note
from dispatch.missions.flight.state import FlightState
from dispatch.models import Clearance, Mission, MissionPart
from orders.states import IN_FLIGHT

Flown = Clearance.Flown
# Positions are not exact: a flight along the edge is not told again and again.
BACK_INSIDE_M = 10.0
FOLLOWED = (Clearance.State.GRANTED, Clearance.State.WITHDRAWN)


def watch(area_id: UUID, now: datetime) -> None:
    """The flights of drones with their base in this area. Two statements while nothing changes;
    none without a clearance service.
    """
    if settings.CLEARANCE == port.NONE:
        return
    for row, at in _in_the_air(area_id):
        outside_m = _outside_m(row, at)
        flown_as = Flown.NONCONFORMING if outside_m else Flown.ACTIVATED
        if flown_as == row.flown_as:
            continue
        known = Clearance.objects.filter(pk=row.pk, flown_as=row.flown_as)
        known.update(flown_as=flown_as, flown_since=now, next_try_at=now)
        if flown_as == Flown.NONCONFORMING:
            why = f"The drone is {outside_m:.0f} m outside of the corridor that was declared."
            note(row.mission, "clearance_left", why)
        elif row.flown_as == Flown.NONCONFORMING:
            note(row.mission, "clearance_kept", "The drone is back in the declared corridor.")


def _in_the_air(area_id: UUID) -> Iterator[tuple[Clearance, Place | None]]:
    """Each cleared flight that has taken off, and where it was last seen."""
    of_area = {"mission__drone__base__service_area": area_id}
    parts = MissionPart.objects.live().filter(
        **of_area,
        mission__clearance__state__in=FOLLOWED,
        mission__over_at__isnull=True,
        order__status__in=IN_FLIGHT,
    )
    for part in parts.select_related("mission__clearance", "job__flight"):
        flight = getattr(part.job, "flight", None)
        fix = FlightState.from_dict(flight.state).fix if flight else None
        yield part.mission.clearance, (fix.lat, fix.lng) if fix else None
    errands = Clearance.objects.filter(
        **of_area,
        mission__kind=Mission.Kind.REPOSITION,
        mission__over_at__isnull=True,
        mission__errand_flight__isnull=False,
        state__in=FOLLOWED,
    )
    for row in errands.select_related("mission__errand_flight"):
        errand = row.mission.errand_flight
        if errand.took_off_at is not None:
            yield row, (errand.points[-1][1], errand.points[-1][2]) if errand.points else None


def _outside_m(row: Clearance, at: Place | None) -> float:
    """From the nearest leg; 0 while its place or its corridor is not known."""
    was_outside = row.flown_as == Flown.NONCONFORMING
    half_width_m = CORRIDOR_M - BACK_INSIDE_M if was_outside else CORRIDOR_M
    legs = [Leg(tuple(start), tuple(end), 0.0) for start, end in row.legs]
    return min((leg.outside_m(*at, half_width_m) for leg in legs), default=0.0) if at else 0.0
