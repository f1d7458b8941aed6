"""Where a job's flight was: for the record, the trail on the map, and when somebody disputes it.

Of the measurements that `flight.phases` trusted, one is kept every few seconds from take-off
until the job is over. The newest lie in the Flight's own row, which every look writes anyway; once
there are enough of them they become a TrackPiece, which is never written again. All of it goes when
the order's customer is forgotten (policy: personal_data_days).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

from django.db import transaction

from dispatch.missions.flight.phases import Fix
from dispatch.models import Flight, TrackPiece
from orders.models import DeliveryJob
from orders.states import JobStatus

EVERY_S = 3.0
PIECE_POINTS = 20


class Point(NamedTuple):
    """One kept measurement, by the drone's clock."""

    at: datetime
    lat: float
    lng: float
    alt_m: float | None
    speed_mps: float | None

    @classmethod
    def of(cls, stored: list[Any]) -> Self:
        at, *rest = stored
        return cls(datetime.fromtimestamp(at, tz=UTC), *rest)


def keep(flight: Flight, fix: Fix | None) -> None:
    """Add a measurement to the flight's track, unless the last one kept is younger than EVERY_S."""
    if fix is None or (flight.recent and fix.at - flight.recent[-1][0] < EVERY_S):
        return
    flight.recent.append(
        [
            round(fix.at, 1),
            round(fix.lat, 6),
            round(fix.lng, 6),
            _rounded(fix.alt_m),
            _rounded(fix.speed_mps),
        ]
    )


@contextmanager
def moving_to_pieces(flights: Sequence[Flight]) -> Iterator[None]:
    """Move the tracks that have grown long to pieces, together with the saving of the flights.

    The last point stays with the flight: `keep` measures from it. One statement for all pieces, and
    none while there are none.
    """
    pieces = []
    for flight in flights:
        if len(flight.recent) > PIECE_POINTS:
            pieces.append(TrackPiece(job_id=flight.pk, points=flight.recent[:-1]))
            flight.recent = flight.recent[-1:]
    if not pieces:
        yield
        return
    with transaction.atomic():
        TrackPiece.objects.bulk_create(pieces)
        yield


def latest_of_all(since: datetime) -> dict[UUID, list[Point]]:
    """Of every flight under way that was heard since then, its points since then. Two statements.

    By job, oldest first.
    """
    flights = Flight.objects.filter(job__status=JobStatus.ACTIVE, heard_at__gte=since)
    recent = dict(flights.values_list("pk", "recent"))
    stored: dict[UUID, list[Any]] = {job_id: [] for job_id in recent}
    pieces = TrackPiece.objects.filter(job__in=recent).values_list("job", "points")
    for job_id, points in pieces:
        stored[job_id] += points
    for job_id, points in recent.items():
        stored[job_id] += points
    start = since.timestamp()
    return {
        job_id: [Point.of(point) for point in points if point[0] >= start]
        for job_id, points in stored.items()
    }


def track_of(job: DeliveryJob) -> list[Point]:
    """The job's track as far as it is known, oldest first. Two statements."""
    stored: list[Any] = []
    for points in TrackPiece.objects.filter(job=job).values_list("points", flat=True):
        stored += points
    for recent in Flight.objects.filter(job=job).values_list("recent", flat=True):
        stored += recent
    return [Point.of(point) for point in stored]


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 1)
