"""How many drones stand at each hub, come to it, and belong elsewhere."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, QuerySet

from fleet import work
from fleet.models import Drone, DroneQuerySet, Hub
from wingxtra.database import together


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
    """By the hub's primary key; `NONE` for a hub that is left out. One statement."""
    return by_hub(*together.read(*counts(now)))


Counts = list[tuple[int, int]]


def counts(now: datetime) -> tuple[QuerySet[Any, Any], ...]:
    """The querysets whose rows `by_hub` takes."""
    drones = Drone.objects.filter(active=True)
    standing = drones.filter(stands_at__isnull=False)
    elsewhere = drones.exclude(hub=F("base"))
    counted = (_counted(standing, "stands_at"), _counted(elsewhere, "hub"))
    return *counted, _counted(elsewhere, "base"), work.landings(now)


def by_hub(
    standing: Counts, surplus: Counts, away: Counts, landings: list[tuple[str, int]]
) -> dict[int, Traffic]:
    coming = Counter(hub for _, hub in landings)
    there, foreign, elsewhere = dict(standing), dict(surplus), dict(away)
    return {
        hub: Traffic(there.get(hub, 0), coming[hub], foreign.get(hub, 0), elsewhere.get(hub, 0))
        for hub in {*there, *foreign, *elsewhere, *coming}
    }


def _counted(drones: DroneQuerySet, by: str) -> QuerySet[Any, Any]:
    """(hub id, how many of these drones)."""
    return drones.order_by().values_list(by).annotate(Count("pk"))
