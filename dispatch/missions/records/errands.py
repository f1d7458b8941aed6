"""The record of a flight without an order, written in the transaction that ends its mission."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from dispatch.missions.flight.state import between_m
from dispatch.missions.records import track
from dispatch.missions.records.building import airframe, attested, energy, lasted_s, missing
from dispatch.missions.records.conformance import Place, conformance
from dispatch.missions.records.writing import ATTESTED_WITHIN, insert, of_drone
from dispatch.models import ErrandFlight, FlightRecord, Mission
from orders.states import EventType, JobStatus

ENDS = {JobStatus.FAILED: EventType.FAILED, JobStatus.ABORTED: EventType.ABORTED}


def write(mission_ids: list[UUID], outcome: JobStatus) -> None:
    """Write a record for each of these ended missions that left the ground.

    One statement for missions that did not; what was seen of a flight is deleted, because the
    record has it.
    """
    flights = ErrandFlight.objects.filter(mission__in=mission_ids)
    seen = {flight.pk: flight for flight in flights}
    if not seen and outcome != JobStatus.COMPLETED:
        return
    found = [
        (mission, seen.get(mission.pk) or ErrandFlight(mission=mission))
        for mission in _missions(mission_ids)
    ]
    insert([_build(*one, outcome) for one in found if _left_the_ground(*one, outcome)])
    flights.delete()


def _left_the_ground(mission: Mission, flight: ErrandFlight, outcome: JobStatus) -> bool:
    """It is at its base, was seen in the air, or was reported in the air and telemetry does not
    show that it has stood since before.
    """
    if outcome == JobStatus.COMPLETED or flight.is_seen_flying:
        return True
    since = mission.drone.stands_since
    return flight.launched_at is not None and (since is None or since > mission.created_at)


def _missions(ids: list[UUID]) -> QuerySet[Any]:
    related = ("drone__kind", "drone__hub__service_area", "alternate__service_area", "return_to")
    missions = Mission.objects.filter(pk__in=ids).order_by("pk").select_related(*related)
    since = timezone.now() - ATTESTED_WITHIN
    return missions.annotate(**of_drone(hub="alternate", attested_after=since))


def _build(mission: Any, flight: ErrandFlight, outcome: JobStatus) -> FlightRecord:
    at = flight.took_off_at
    legs = track.legs_of(track.Sample(*point[:4]) for point in flight.points)
    start = _took_off_from(flight, legs)
    hub = mission.alternate or mission.drone.hub
    record = FlightRecord(
        mission=mission,
        **airframe(mission.drone, lasted_s(at, mission.over_at)),
        operator_id=settings.OPERATOR_ID,
        pilot=mission.pilot_name,
        preflight=attested(mission.preflight or [], hub, at or mission.over_at),
        defects=mission.defects or [],
        packs=mission.packs or [],
        service_area_id=hub.service_area_id,
        hub=hub.name,
        activity=mission.kind,
        took_off_at=at,
        took_off_lat=start[0] if start else None,
        took_off_lng=start[1] if start else None,
        ended_at=mission.over_at,
        outcome=outcome,
        airspace_version=mission.body.get("airspace_version", ""),
        events=_events(flight, outcome, mission.over_at),
        **_path(mission, start, legs),
        **energy(mission.drone, flight.battery_before_pct, flight.battery_after_pct),
    )
    record.missing = sorted(missing(record))
    return record


def _took_off_from(flight: ErrandFlight, legs: list[track.Leg]) -> Place | None:
    if flight.start_lat is not None and flight.start_lng is not None:
        return flight.start_lat, flight.start_lng
    return (legs[0][0].lat, legs[0][0].lng) if legs else None


def _path(mission: Any, start: Place | None, legs: list[track.Leg]) -> dict[str, Any]:
    """The drone is planned to fly straight to the hub that receives it."""
    base = mission.body["return_to"]
    end = (base["lat"], base["lng"])
    found = None
    if start is not None and not mission.detours:  # else ground control finds its own way
        found = conformance(legs, [start, end], mission.corridor_m)
    return {
        "planned_m": round(between_m(*start, *end), 1) if start else None,
        "distance_m": round(track.length_m(legs), 1) if legs else None,
        "track": track.stored(legs),
        "conformance": found and found.as_json(),
    }


def _events(flight: ErrandFlight, outcome: JobStatus, over_at: datetime) -> list[dict[str, Any]]:
    found = []
    if flight.took_off_at is not None:
        found.append({"type": EventType.LAUNCHED, "at": flight.took_off_at.isoformat()})
    if outcome in ENDS:
        found.append({"type": ENDS[outcome], "at": over_at.isoformat()})
    return found
