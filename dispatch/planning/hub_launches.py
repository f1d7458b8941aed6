"""Hubs that launch only so many drones at once: how many more each may be given now."""

from collections.abc import Mapping, Sequence

from django.db.models import Count, Q

from fleet.models import Drone, Hub
from orders.states import JobStatus, Status

# A drone with such an order has not taken off yet.
BEFORE_TAKE_OFF = (Status.ASSIGNED, Status.MISSION_SUBMITTED)


def free_launches() -> dict[int, int]:
    """By hub, for those with a limit: how many more drones may wait for take-off. One statement."""
    waiting = Q(
        drones__jobs__status=JobStatus.ACTIVE, drones__jobs__order__status__in=BEFORE_TAKE_OFF
    )
    limited = Hub.objects.filter(launches_at_once__isnull=False)
    counted = limited.annotate(waiting=Count("drones__jobs", filter=waiting))
    return {hub.pk: max(0, (hub.launches_at_once or 0) - hub.waiting) for hub in counted}


def full(launches: Mapping[int, int]) -> set[int]:
    """The hubs whose drones are not able now."""
    return {hub_id for hub_id, more in launches.items() if more == 0}


def within(drones: Sequence[Drone], launches: Mapping[int, int]) -> list[bool]:
    """For drones in the order of what they gain: whether the hub of each can still launch it."""
    left = dict(launches)
    taken = []
    for drone in drones:
        more = left.get(drone.hub_id)
        if more is not None:
            left[drone.hub_id] = max(0, more - 1)
        taken.append(more is None or more > 0)
    return taken
