"""Which flight records: by period, drone, area and outcome."""

from django_filters import rest_framework as filters

from dispatch.models import FlightRecord
from orders.api.filters import PeriodFilter
from orders.states import JobStatus


class FlightRecordFilter(filters.FilterSet):
    """`outcome` may be given several times."""

    drone = filters.CharFilter("drone_id", label="Id of the drone.")
    area = filters.UUIDFilter("service_area_id", label="Id of the service area.")
    outcome = filters.MultipleChoiceFilter(choices=JobStatus.choices, distinct=False)

    class Meta:
        model = FlightRecord
        fields: list[str] = []


# `from` is a keyword, so it cannot be an attribute of the class.
FlightRecordFilter.base_filters["from"] = PeriodFilter(
    "ended_at",
    "gte",
    "Jobs that ended since: a time with its offset, or a date by the clock of the area.",
)
FlightRecordFilter.base_filters["to"] = PeriodFilter(
    "ended_at", "lte", "Jobs that ended until: the same; a date includes the whole day."
)
