"""The landing completes a flight record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import pgbulk
from django.db import transaction

from dispatch.models import FlightRecord, Missing
from fleet.airworthiness import counters


@dataclass(frozen=True, slots=True)
class Landing:
    """Where telemetry shows that the drone of a mission stands, and since when. place: a hub, or
    empty. Coordinates are degrees.
    """

    mission_id: UUID
    at: datetime
    lat: float
    lng: float
    place: str = ""


def complete(landings: Sequence[Landing]) -> None:
    """Write the landings into the records of these missions that have none, and count the rest of
    the flight and one cycle for each drone. Nothing without landings.

    A drone that has stood since before its take-off has not landed: its record stays open.
    """
    if not landings:
        return
    by_mission = {landing.mission_id: landing for landing in landings}
    opened = FlightRecord.objects.filter(mission__in=by_mission, landed_at__isnull=True)
    with transaction.atomic():
        done = []
        for record in opened.select_for_update(no_key=True).order_by("pk"):
            counted = seconds(record)
            if record.mission_id and _land(record, by_mission[record.mission_id]):
                done.append(record)
                rest = max(seconds(record) - counted, 0)
                counters.add(record.drone_id, seconds=rest, cycles=1)
        names = ["landed_at", "landed_lat", "landed_lng", "landed_place", "missing"]
        pgbulk.update(FlightRecord, done, [*names, "duration_s", "seconds_total"])


def seconds(record: FlightRecord) -> int:
    """What the record adds to the counter of its drone's time in the air."""
    return round(record.duration_s or 0.0)


def _land(record: FlightRecord, landing: Landing) -> bool:
    """Change the record in memory; returns whether it did."""
    took_off_at = record.took_off_at
    if took_off_at is not None and landing.at <= took_off_at:
        return False
    record.landed_at, record.landed_place = landing.at, landing.place
    record.landed_lat, record.landed_lng = landing.lat, landing.lng
    known = {Missing.LANDING.value}
    if took_off_at is not None:
        duration_s = (landing.at - took_off_at).total_seconds()
        record.seconds_total += duration_s - (record.duration_s or 0.0)
        record.duration_s = duration_s
        known.add(Missing.DURATION.value)
    record.missing = [code for code in record.missing if code not in known]
    return True
