"""What was found and done on a drone between a flight and its next one."""

from dataclasses import dataclass

from django.db.models import QuerySet
from django.db.models.functions import Coalesce

from dispatch.models import FlightRecord
from fleet.models import Defect, Maintenance


@dataclass(frozen=True, slots=True)
class Afterwards:
    """The oldest first. A defect may have been released since."""

    defects: list[Defect]
    maintenance: list[Maintenance]


def of(record: FlightRecord) -> Afterwards:
    """Until the next take-off of the drone, or until now. Three statements."""
    later = FlightRecord.objects.filter(drone=record.drone_id, ended_at__gt=record.ended_at)
    began = Coalesce("took_off_at", "ended_at")
    until = later.order_by("ended_at", "id").values_list(began, flat=True).first()
    defects: QuerySet[Defect] = Defect.objects.filter(
        drone=record.drone_id, reported_at__gte=record.ended_at
    )
    done = Maintenance.objects.filter(drone=record.drone_id, done_at__gte=record.ended_at)
    if until is not None:
        defects, done = defects.filter(reported_at__lt=until), done.filter(done_at__lt=until)
    return Afterwards(
        list(defects.order_by("reported_at", "pk")),
        list(done.select_related("rule").order_by("done_at", "pk")),
    )
