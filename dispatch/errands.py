"""Which drones are on a mission without an order, where drones land, who supervises them, and what
they have flown. For `fleet.work`.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Coalesce, Round

from dispatch.models import MAX_FLIGHT, FlightRecord, Mission


def errands_of(drone_ids: Collection[str]) -> QuerySet[Any, Any]:
    errands = Mission.objects.errands().filter(drone__drone_id__among=list(drone_ids))
    return errands.order_by().values_list("drone_id")


def landings(now: datetime) -> QuerySet[Any, Any]:
    coming = Mission.objects.coming(now).filter(return_to__isnull=False).order_by()
    return coming.values_list("drone_id", "return_to_id").distinct()


def supervised(pilot_ids: Collection[int], now: datetime) -> dict[int, set[str]]:
    """One statement. A drone that flies one mission and waits with the next counts for the pilots
    of both.
    """
    found: dict[int, set[str]] = {}
    missions = Mission.objects.coming(now).filter(pilot__in=pilot_ids).order_by()
    for pilot_id, drone_id in missions.values_list("pilot_id", "drone_id"):
        found.setdefault(pilot_id, set()).add(drone_id)
    return found


def flown_since(drone_id: str, then: datetime) -> tuple[int, int]:
    """Flights that took off after `then`; one without a known take-off counts by its end."""
    # The first condition is for the index.
    recent = FlightRecord.objects.filter(drone=drone_id, ended_at__gt=then - MAX_FLIGHT)
    began = Coalesce("took_off_at", "ended_at")
    seconds = Sum(Round(Coalesce("duration_s", 0.0)))
    found = recent.annotate(began=began).filter(began__gt=then).order_by()
    totals = found.aggregate(flights=Count("pk"), seconds=seconds)
    return totals["flights"], round(totals["seconds"] or 0)
