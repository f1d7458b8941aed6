"""Hubs with a launch limit: how many more drones each may launch now."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from django.db.models import Count, F, Q, QuerySet

from dispatch.models import Mission
from fleet.feasibility.geometry import Floats, Ints
from fleet.models import Drone, Hub
from orders.states import JobStatus, Status
from wingxtra.database.statements import Statement

# A drone with such an order has not taken off yet.
BEFORE_TAKE_OFF = (Status.ASSIGNED, Status.MISSION_SUBMITTED)


def free_launches() -> dict[int, int]:
    """How many more drones may wait for take-off, by hub with a limit. One statement."""
    return free(LIMITED.all())


def free(rows: Iterable[tuple[int, int, int]]) -> dict[int, int]:
    """The same from the rows of LIMITED."""
    return {hub_id: max(0, at_once - waiting) for hub_id, at_once, waiting in rows}


def _limited() -> QuerySet[Any, Any]:
    """Each hub with a limit: its id, the limit, and how many drones wait for take-off."""
    with_an_order = Q(jobs__status=JobStatus.ACTIVE, jobs__order__status__in=BEFORE_TAKE_OFF)
    # A drone on its way to its base stands at no hub, as telemetry shows.
    errands = Mission.objects.errands().exclude(said="LAUNCHED").values("drone")
    waiting = Drone.objects.filter(with_an_order | Q(pk__in=errands, stands_at=F("hub")))
    limited = Hub.objects.filter(launches_at_once__isnull=False)
    counted = limited.annotate(
        waiting=Count("drones", filter=Q(drones__in=waiting.order_by().values("pk")), distinct=True)
    )
    return counted.order_by().values_list("pk", "launches_at_once", "waiting")


LIMITED = Statement(_limited)


def may_start_s(
    hub: Ints,
    free_in_s: Floats,
    launches: Mapping[int, int],
    at_once: Mapping[int, int],
    each_s: float,
) -> Floats:
    """When each drone (N,) may start, if all start as soon as they can: seconds from now, not
    before it is free. Pure.

    hub: the key of the hub where each is free. launches: how many more each hub with a limit may
    launch now, of `at_once`. each_s: from its assignment to its take-off a drone takes a launch.
    """
    starts_s = free_in_s.copy()
    for place, more in launches.items():
        here = np.flatnonzero((hub == place) & np.isfinite(free_in_s))
        ends = [0.0] * more + [each_s] * (at_once[place] - more)
        for drone in here[np.argsort(free_in_s[here], kind="stable")]:
            starts_s[drone] = max(free_in_s[drone], heapq.heappop(ends))
            heapq.heappush(ends, starts_s[drone] + each_s)
    return starts_s


def full(launches: Mapping[int, int]) -> set[int]:
    """The hubs without a free launch; their drones are not able now."""
    return {hub_id for hub_id, more in launches.items() if more == 0}


def within(drones: Sequence[Drone], launches: Mapping[int, int]) -> list[bool]:
    """Whether the hub of each drone can still launch it, given the launches of those before it."""
    left = dict(launches)
    can_launch = []
    for drone in drones:
        more = left.get(drone.hub_id)
        if more is not None:
            left[drone.hub_id] = max(0, more - 1)
        can_launch.append(more is None or more > 0)
    return can_launch
