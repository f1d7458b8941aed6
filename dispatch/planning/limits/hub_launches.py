"""Hubs with a launch limit: how many more drones each may launch now."""

from collections.abc import Mapping, Sequence

from django.db.models import Count, F, Q

from dispatch.models import Mission
from fleet.models import Drone, Hub
from orders.states import JobStatus, Status

# A drone with such an order has not taken off yet.
BEFORE_TAKE_OFF = (Status.ASSIGNED, Status.MISSION_SUBMITTED)


def free_launches() -> dict[int, int]:
    """How many more drones may wait for take-off, by hub with a limit. One statement."""
    with_an_order = Q(jobs__status=JobStatus.ACTIVE, jobs__order__status__in=BEFORE_TAKE_OFF)
    # A drone on its way to its base stands at no hub, as telemetry shows.
    errands = Mission.objects.errands().exclude(said="LAUNCHED").values("drone")
    waiting = Drone.objects.filter(with_an_order | Q(pk__in=errands, stands_at=F("hub")))
    limited = Hub.objects.filter(launches_at_once__isnull=False)
    counted = limited.annotate(
        waiting=Count("drones", filter=Q(drones__in=waiting.order_by().values("pk")), distinct=True)
    )
    return {hub.pk: max(0, (hub.launches_at_once or 0) - hub.waiting) for hub in counted}


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
