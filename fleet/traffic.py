"""How many drones stand at each hub, come to it, and belong elsewhere."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, F

from fleet import work
from fleet.models import Drone, DroneQuerySet, Hub


@dataclass(frozen=True, slots=True)
class Traffic:
    """Drones in service at one hub.

    standing: telemetry shows them there. coming: they have still to land there. surplus: the hub
    has them, and they belong to another one. away: they belong here, and another hub has them.
    """

    standing: int = 0
    coming: int = 0
    surplus: int = 0
    away: int = 0

    def pads_text(self, hub: Hub) -> str:
        """“3 of 8”, or “3” where any number has room."""
        return f"{self.standing}" if hub.pads is None else f"{self.standing} of {hub.pads}"

    def is_over(self, hub: Hub) -> bool:
        """Whether more drones stand there or come than it has pads."""
        return hub.pads is not None and self.standing + self.coming > hub.pads


NONE = Traffic()


def now_at_each(now: datetime) -> dict[int, Traffic]:
    """By the hub's primary key; `NONE` for a hub that is left out. Four statements."""
    drones = Drone.objects.filter(active=True)
    standing = _counted(drones.filter(stands_at__isnull=False), "stands_at")
    elsewhere = drones.exclude(hub=F("base"))
    surplus, away = _counted(elsewhere, "hub"), _counted(elsewhere, "base")
    coming = work.coming(now)
    return {
        hub: Traffic(standing.get(hub, 0), coming[hub], surplus.get(hub, 0), away.get(hub, 0))
        for hub in {*standing, *surplus, *away, *coming}
    }


def _counted(drones: DroneQuerySet, by: str) -> dict[int, int]:
    return dict(drones.order_by().values_list(by).annotate(Count("pk")))
