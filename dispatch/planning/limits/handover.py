"""Flights go from one pilot to another: handovers, and flights whose pilot is not on duty."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet, Subquery, UUIDField
from django.db.models.functions import Coalesce
from django.utils import timezone

from dispatch.models import Mission, MissionPart, PilotChange
from dispatch.planning.limits.pilots import NO_PILOT
from fleet.airworthiness import pilots
from fleet.models import Pilot, ServiceArea, Shift
from wingxtra.accounts.identity import Actor
from wingxtra.problems import Conflict, FieldProblem, Invalid

MAX_NOTE = 300

log = structlog.get_logger(__name__)


def without_a_pilot(now: datetime) -> QuerySet[Any]:
    """Flights, from the assignment until the landing, in areas that require pilots, whose pilot is
    not on duty there. With `area_id`.
    """
    parts = MissionPart.objects.filter(mission=OuterRef("pk"))
    on_duty = Shift.objects.on_duty(now).filter(
        pilot=OuterRef("pilot"), service_area=OuterRef("area_id")
    )
    required = ServiceArea.objects.filter(pilots_required=True)
    in_areas: QuerySet[Any] = Mission.objects.coming(now).annotate(
        area_id=Coalesce(
            Subquery(parts.values("order__service_area")[:1]),
            F("drone__hub__service_area"),
            output_field=UUIDField(),
        )
    )
    return in_areas.filter(~Exists(on_duty), area_id__in=required.values("pk"))


@transaction.atomic
def hand_over(former: Pilot, to: Pilot, *, note: str, by: Actor) -> list[PilotChange]:
    """All drones that `former` supervises go to `to`, who is on duty where `former` is, or was
    last. Raises Invalid without a note, and Conflict: `same_pilot`, `nothing_to_hand_over`,
    `no_pilot_on_duty` when `to` is not on duty there, and `pilots_at_their_cap` with the numbers.
    """
    if former.pk == to.pk:
        raise Conflict("same_pilot", f"{to} has these flights already.")
    pilots.lock([former.pk, to.pk])
    now = timezone.now()
    begun = Shift.objects.filter(pilot=former, starts_at__lte=now).select_related("service_area")
    last = begun.order_by("-starts_at").first()
    if last is None:
        raise Conflict("nothing_to_hand_over", f"{former} has had no shift yet.")
    missions = list(Mission.objects.coming(now).filter(pilot=former).select_related("drone"))
    if not missions:
        raise Conflict("nothing_to_hand_over", f"{former} supervises no drone now.")
    return _give(missions, last.service_area, to, note=note, by=by, now=now)


@transaction.atomic
def supervise(area: ServiceArea, to: Pilot, *, note: str, by: Actor) -> list[PilotChange]:
    """All flights of the area whose pilot is not on duty go to `to`. Raises as `hand_over` does."""
    # Their former pilots are not on duty: no run gives them drones. The lock of `to` is enough.
    pilots.lock([to.pk])
    now = timezone.now()
    missions = list(without_a_pilot(now).filter(area_id=area.pk).select_related("drone"))
    if not missions:
        raise Conflict("nothing_to_hand_over", f"Each flight in {area} has a pilot on duty.")
    return _give(missions, area, to, note=note, by=by, now=now)


def _give(
    missions: Sequence[Mission],
    area: ServiceArea,
    to: Pilot,
    *,
    note: str,
    by: Actor,
    now: datetime,
) -> list[PilotChange]:
    note = note.strip()
    if not 0 < len(note) <= MAX_NOTE:
        message = f"Say in 1 to {MAX_NOTE} characters what the next pilot must know."
        raise Invalid([FieldProblem("note", "required" if not note else "too_long", message)])
    _refuse_without_room(missions, area, to, now)
    changes = [
        PilotChange(
            mission=mission,
            former_id=mission.pilot_id,
            former_name=mission.pilot_name,
            pilot=to,
            pilot_name=to.name,
            note=note,
            changed_by=str(by)[:180],
            changed_at=now,
        )
        for mission in missions
    ]
    Mission.objects.filter(pk__in=[mission.pk for mission in missions]).update(
        pilot=to, pilot_name=to.name
    )
    PilotChange.objects.bulk_create(changes)
    log.info("flights_handed_over", to=to.name, missions=len(missions), area=area.name, by=str(by))
    return changes


def _refuse_without_room(
    missions: Sequence[Mission], area: ServiceArea, to: Pilot, now: datetime
) -> None:
    shift = Shift.objects.on_duty(now).filter(pilot=to, service_area=area).first()
    if shift is None:
        raise Conflict(NO_PILOT, f"{to} is not on duty in {area} now.")
    has = set(pilots.supervised(to.pk, now))
    more = {mission.drone_id for mission in missions} - has
    if len(has) + len(more) > shift.at_once:
        raise Conflict(
            "pilots_at_their_cap",
            f"{to} may supervise {shift.at_once} drones at once, has {len(has)} and would get "
            f"{len(more)} more. Choose another pilot, or raise the number of this shift.",
        )
