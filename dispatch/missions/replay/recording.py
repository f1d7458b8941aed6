"""What a replay shows: tracks, events and decisions of one flight, or of an area in a window.

A Recording holds no personal data. A track is there until the customer's data is deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q, QuerySet

from dispatch.missions.following import tracks
from dispatch.missions.following.tracks import Point
from dispatch.missions.replay.thinning import thinned
from dispatch.models import MAX_FLIGHT, DispatchDecision
from fleet.models import ServiceArea
from orders.models import DeliveryEvent, DeliveryJob

# What a screen shows of one flight, and of an area in one window.
POINTS_OF_A_FLIGHT = 2000
POINTS_OF_AN_AREA = 20_000
MAX_NOTES = 2000
WINDOW = timedelta(hours=1)
KEPT = timedelta(hours=24)
# A run starts before the job that it makes.
DECIDED_BEFORE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Track:
    """A job's flight as columns; `t` is POSIX seconds by the drone's clock.

    gaps: the indexes i where nothing is known between point i and point i + 1.
    """

    job: str
    drone: str
    order: str
    order_id: str
    t: list[float]
    lat: list[float]
    lng: list[float]
    alt_m: list[float | None]
    battery_pct: list[float | None]
    gaps: list[int]


@dataclass(frozen=True, slots=True)
class Recording:
    """tracks: those with points in the window. notes_left_out: how many there are beside MAX_NOTES
    events and as many decisions.
    """

    start: datetime
    end: datetime
    tracks: list[Track]
    events: list[DeliveryEvent]
    decisions: list[DispatchDecision]
    notes_left_out: int


def of_flight(job: DeliveryJob, now: datetime) -> Recording:
    """From the assignment to the end. Three statements. `job` has its order loaded."""
    end = job.ended_at or now
    its_own = Q(job=job) | Q(job__isnull=True, occurred_at__range=(job.created_at, end))
    events = list(job.order.history().filter(its_own).select_related("order", "job"))
    decisions = DispatchDecision.objects.filter(
        order=job.order,
        run__dry_run=False,
        run__started_at__range=(job.created_at - DECIDED_BEFORE, end),
    )
    track = track_of(job, tracks.track_of(job), POINTS_OF_A_FLIGHT)
    times = [event.occurred_at for event in events]
    if track:
        times += [datetime.fromtimestamp(at, UTC) for at in (track.t[0], track.t[-1])]
    return Recording(
        start=min([job.created_at, *times]),
        end=max([job.created_at, *times, *([now] if job.ended_at is None else [])]),
        tracks=[track] if track else [],
        events=events,
        decisions=list(_with_run(decisions)),
        notes_left_out=0,
    )


def of_area(area: ServiceArea, start: datetime) -> Recording:
    """All flights of the area in the WINDOW from `start` on. Four statements.

    A track starts with the last point before the window and ends with the first one after it.
    """
    end = start + WINDOW
    jobs = list(
        DeliveryJob.objects.filter(
            Q(ended_at__isnull=True) | Q(ended_at__gte=start),
            order__service_area=area,
            drone__isnull=False,
            created_at__gte=start - MAX_FLIGHT,
            created_at__lt=end,
        ).select_related("order")
    )
    stored = tracks.tracks_of([job.pk for job in jobs])
    in_window = {job.pk: _clipped(stored[job.pk], start, end) for job in jobs}
    flown = [job for job in jobs if in_window[job.pk]]
    each = max(2, POINTS_OF_AN_AREA // max(1, len(flown)))
    found = [track_of(job, in_window[job.pk], min(each, POINTS_OF_A_FLIGHT)) for job in flown]
    events = DeliveryEvent.objects.since(start).filter(
        job__in=jobs, occurred_at__gte=start, occurred_at__lt=end
    )
    decisions = DispatchDecision.objects.filter(
        order__in={job.order_id for job in jobs},
        outcome=DispatchDecision.Outcome.ASSIGNED,
        run__dry_run=False,
        run__started_at__gte=start,
        run__started_at__lt=end,
    )
    notes = list(events.select_related("order", "job")[: MAX_NOTES + 1])
    chosen = list(_with_run(decisions))
    left_out = events.count() - MAX_NOTES if len(notes) > MAX_NOTES else 0
    left_out += decisions.count() - MAX_NOTES if len(chosen) > MAX_NOTES else 0
    return Recording(
        start=start,
        end=end,
        tracks=[track for track in found if track],
        events=notes[:MAX_NOTES],
        decisions=chosen[:MAX_NOTES],
        notes_left_out=left_out,
    )


def windows(now: datetime) -> list[datetime]:
    """The starts of the windows of an area's last KEPT, on the hour (UTC); oldest first."""
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    count = KEPT // WINDOW
    return [last - WINDOW * back for back in range(count, -1, -1)]


def _with_run(decisions: QuerySet[DispatchDecision]) -> QuerySet[DispatchDecision]:
    return decisions.select_related("run", "order").order_by("id")[: MAX_NOTES + 1]


def _clipped(points: Sequence[Point], start: datetime, end: datetime) -> list[Point]:
    """Points in the window and one on each side; none if the flight is not in it at all."""
    inside = [i for i, point in enumerate(points) if start <= point.at < end]
    spans = points and points[0].at < start and points[-1].at >= end
    if not inside and not spans:
        return []
    if not inside:
        after = next(i for i, point in enumerate(points) if point.at >= end)
        return list(points[after - 1 : after + 1])
    return list(points[max(0, inside[0] - 1) : inside[-1] + 2])


def track_of(job: DeliveryJob, points: Sequence[Point], at_most: int) -> Track | None:
    """The thinned track; None without points. `job` has its order loaded."""
    if not points:
        return None
    runs = thinned(points, at_most)
    kept = [point for run in runs for point in run]
    ends = [sum(map(len, runs[: i + 1])) - 1 for i in range(len(runs) - 1)]
    return Track(
        job=str(job.pk),
        drone=job.drone_id or "",
        order=str(job.order),
        order_id=str(job.order_id),
        t=[round(point.at.timestamp(), 1) for point in kept],
        lat=[point.lat for point in kept],
        lng=[point.lng for point in kept],
        alt_m=[point.alt_m for point in kept],
        battery_pct=[point.battery_pct for point in kept],
        gaps=ends,
    )
