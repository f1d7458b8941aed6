"""What drones do now, and what stands against them: all that a plan or a forecast asks the database
about drones, in one statement.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np

from dispatch.planning.inputs import engagements
from dispatch.planning.limits import hub_launches
from dispatch.planning.releases import Work
from fleet import registry
from fleet.airworthiness import fitness
from fleet.feasibility.tables import TripTable, payload_bit
from fleet.registry import Engaged
from orders.models import DeliveryJob
from orders.states import JobStatus
from wingxtra.database.joined import Joined
from wingxtra.database.statements import Statement

# After a delivery a drone may be on its way home for at most this long.
MAX_WAY_HOME = timedelta(minutes=30)


class Job(NamedTuple):
    """An active job with the trip of its order."""

    drone_id: str
    eta_at: datetime | None
    pickup_lat: float
    pickup_lng: float
    dropoff_lat: float
    dropoff_lng: float
    payload_weight_kg: float
    payload_type: str


@dataclass(frozen=True, slots=True)
class AtWork:
    """jobs: of the drones of these areas. engaged: what stands against drones besides jobs.
    launches: how many more drones each hub with a limit may launch. delivered: the drones that may
    be on their way home from a delivery.
    """

    jobs: list[Job]
    engaged: Engaged
    launches: dict[int, int]
    delivered: set[str]

    @property
    def busy(self) -> set[str | None]:
        """The drones with a job or on their way to their base."""
        return {*(job.drone_id for job in self.jobs), *self.engaged.busy}


def read(area_ids: Iterable[UUID], now: datetime) -> AtWork:
    """Reads what the drones of these areas do. One statement."""
    jobs, engaged, unfit, limited, delivered = _ROWS.lists(
        area_ids=list(area_ids), since=now - MAX_WAY_HOME
    )
    return AtWork(
        jobs=[Job._make(row) for row in jobs],
        engaged=engagements.engaged(engaged, fitness.judged(unfit, now)),
        launches=hub_launches.free(limited),
        delivered={drone_id for (drone_id,) in delivered},
    )


def _jobs(area_ids: Any) -> Any:
    here = DeliveryJob.objects.active().filter(drone__hub__service_area__id__among=area_ids)
    trip = (f"order__{name}" for name in Job._fields[2:])
    return here.order_by().values_list("drone_id", "eta_at", *trip)


def _delivered(since: datetime) -> Any:
    ended = DeliveryJob.objects.filter(
        status=JobStatus.COMPLETED, ended_at__gt=since, drone__isnull=False
    )
    return ended.order_by().values_list("drone_id").distinct()


_ROWS = Joined(
    (
        Statement(_jobs, area_ids=list),
        engagements.WITHOUT_A_JOB,
        fitness.IN_AREAS,
        hub_launches.LIMITED,
        Statement(_delivered, since=datetime),
    )
)


def work_of(
    jobs: Sequence[Job], drones: Collection[str | None], places: Mapping[str, int], now: datetime
) -> Work:
    """The jobs of those of `drones` that have a place, by it."""
    known = [job for job in jobs if job.drone_id in drones and job.drone_id in places]
    trips = TripTable.from_rows(
        job._asdict() | {"payload_type": payload_bit(job.payload_type), "area": registry.NO_AREA}
        for job in known
    )
    to_door_s = [_seconds_until(job.eta_at, now) for job in known]
    drone = np.array([places[job.drone_id] for job in known], np.int64)
    return Work(drone, trips, np.array(to_door_s, float))


def _seconds_until(at: datetime | None, now: datetime) -> float:
    return np.nan if at is None else max(0.0, (at - now).total_seconds())
