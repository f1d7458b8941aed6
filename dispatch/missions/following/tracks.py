"""The flown track of a job: for the record, the trail on the map, and disputes.

One trusted measurement is kept per EVERY_S, from take-off to the end of the job. The newest points
are in the Flight row, which every poll writes anyway; PIECE_POINTS of them become a TrackPiece,
which is never updated. The track is deleted with the customer's personal data (policy:
personal_data_days).
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, Self
from uuid import UUID

from django.db.models import QuerySet

from dispatch.missions.flight.phases import Fix
from dispatch.models import Flight, TrackPiece
from orders.models import DeliveryJob
from orders.states import JobStatus
from wingxtra.database import bulk, together

EVERY_S = 3.0
PIECE_POINTS = 20


class Point(NamedTuple):
    """One kept measurement; `at` is the drone's clock. The charge is the last reading then."""

    at: datetime
    lat: float
    lng: float
    alt_m: float | None
    speed_mps: float | None
    battery_pct: float | None = None  # unknown in tracks of earlier versions

    @classmethod
    def of(cls, stored: list[Any]) -> Self:
        at, *rest = stored
        return cls(datetime.fromtimestamp(at, tz=UTC), *rest)


class Track(Protocol):
    """The newest points of a job's track, which its Flight row keeps."""

    job_id: UUID
    recent: list[list[Any]]


def keep(track: Track, fix: Fix | None, battery_pct: float | None) -> None:
    """Add a measurement to the track unless the last point is younger than EVERY_S."""
    if fix is None or (track.recent and fix.at - track.recent[-1][0] < EVERY_S):
        return
    track.recent.append(stored_point(fix, battery_pct))


def stored_point(fix: Fix, battery_pct: float | None) -> list[Any]:
    """As `Point.of` reads it."""
    return [
        round(fix.at, 1),
        round(fix.lat, 6),
        round(fix.lng, 6),
        _rounded(fix.alt_m),
        _rounded(fix.speed_mps),
        _rounded(battery_pct),
    ]


def move_to_pieces(tracks: Sequence[Track]) -> None:
    """Move long tracks to pieces, in the transaction that saves the flights.

    The last point stays with the flight, where `keep` reads it. One statement for all pieces, none
    without pieces.
    """
    pieces = []
    for track in tracks:
        if len(track.recent) > PIECE_POINTS:
            pieces.append(TrackPiece(job_id=track.job_id, points=track.recent[:-1]))
            track.recent = track.recent[-1:]
    bulk.copy(pieces)


def stored_since(since: datetime) -> tuple[QuerySet[Any, Any], QuerySet[Any, Any]]:
    """The rows that `latest` takes, of active flights with telemetry since then."""
    flights = Flight.objects.filter(
        job__status=JobStatus.ACTIVE, job__drone__isnull=False, heard_at__gte=since
    )
    pieces = TrackPiece.objects.filter(job__flight__in=flights).values_list("job", "points")
    return pieces, flights.values_list("pk", "recent", "job__drone_id")


def latest(
    since: datetime, pieces: Iterable[tuple[UUID, Any]], flights: Iterable[tuple[UUID, Any, str]]
) -> dict[str, list[Point]]:
    """Drone id to its points since then, oldest first."""
    stored: dict[UUID, list[Any]] = {}
    for job_id, points in pieces:
        stored.setdefault(job_id, []).extend(points)
    start = since.timestamp()
    return {
        drone_id: points_of(p for p in (*stored.get(job_id, ()), *end) if p[0] >= start)
        for job_id, end, drone_id in flights
    }


def track_of(job: DeliveryJob) -> list[Point]:
    """The job's track so far, oldest first. One statement."""
    return tracks_of([job.pk])[job.pk]


def tracks_of(job_ids: Sequence[UUID]) -> dict[UUID, list[Point]]:
    """The track of each of these jobs, oldest first; empty without one. One statement."""
    pieces, newest = together.read(*stored_of(job_ids))
    stored: dict[UUID, list[Any]] = {job_id: [] for job_id in job_ids}
    for job_id, points in (*pieces, *newest):
        stored[job_id] += points
    return {job_id: points_of(points) for job_id, points in stored.items()}


def stored_of(job_ids: Sequence[UUID]) -> tuple[QuerySet[Any, Any], QuerySet[Any, Any]]:
    """(job, points) of the pieces of these jobs, and of their newest points, in order of time."""
    pieces = TrackPiece.objects.filter(job__in=job_ids).values_list("job", "points")
    return pieces, Flight.objects.filter(job__in=job_ids).values_list("pk", "recent")


def points_of(stored: Iterable[list[Any]]) -> list[Point]:
    return [Point.of(one) for one in stored]


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 1)
