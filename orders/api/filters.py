"""Filters and ordering of the lists of orders and jobs."""

from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from operator import or_
from typing import Any, cast
from zoneinfo import ZoneInfo

from django import forms
from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_date
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ErrorDetail, ValidationError

from fleet.feasibility.rules import Priority
from fleet.models import ServiceArea
from orders.models import DeliveryJob, Order, OrderQuerySet
from orders.models.jobs import DeliveryJobQuerySet
from orders.states import Holder, Status
from wingxtra.accounts.identity import STAFF_ROLES, Caller
from wingxtra.api.serializers import Timestamp


class StableOrdering(filters.OrderingFilter):
    """Sorts by id as well, so that rows with equal values keep their order across pages."""

    def filter(self, qs: QuerySet[Any], value: list[str] | None) -> QuerySet[Any]:
        if not value:
            return qs
        qs = super().filter(qs, value)
        return qs.order_by(*qs.query.order_by, "-id")


@extend_schema_field({"type": "string", "enum": ["true", "false", "all"]})
class ModeFilter(filters.ChoiceFilter):
    """Default: live rows for staff, and the mode of its key for a merchant."""

    def __init__(self, field_name: str = "live_mode") -> None:
        modes = [("true", "Live"), ("false", "Test"), ("all", "Both")]
        super().__init__(field_name=field_name, choices=modes)

    def filter(self, qs: QuerySet[Any], value: str | None) -> QuerySet[Any]:
        caller: Caller = self.parent.request.user
        if value == "all" or (not value and caller.role not in STAFF_ROLES):
            return qs
        is_live = value == "true" if value else caller.live_mode
        return qs.filter(**{self.field_name: is_live})


class InstantField(forms.Field):
    """A time with its offset from UTC, or with `days` also a date, which stands for that day."""

    def __init__(self, *, days: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.days = days

    def to_python(self, value: Any) -> date | datetime | None:
        text = str(value or "").strip()
        if not text:
            return None
        with suppress(ValueError):
            if self.days and (day := parse_date(text)):
                return day
        try:
            return _in_utc(Timestamp().to_internal_value(text))
        except ValidationError as error:
            [detail] = cast(list[ErrorDetail], error.detail)
            raise forms.ValidationError(str(detail), code=detail.code) from None


def _in_utc(moment: datetime) -> datetime:
    """PostgreSQL rejects some of the offsets that ISO 8601 allows."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # year 1 or 9999: the offset does not matter
        return moment.replace(tzinfo=UTC)


@extend_schema_field({"type": "string", "format": "date-time"})
class InstantFilter(filters.Filter):
    field_class = InstantField


@extend_schema_field({"type": "string"})
class PeriodFilter(filters.Filter):
    """The start (`gte`) or the end (`lte`) of a period. A date includes its whole day, by the clock
    of each order's service area.
    """

    field_class = InstantField

    def __init__(self, field_name: str, lookup_expr: str, label: str) -> None:
        super().__init__(field_name, lookup_expr, label=label, days=True)

    def filter(self, qs: Any, value: date | datetime | None) -> Any:
        if value is None or isinstance(value, datetime):
            return super().filter(qs, value)
        is_start = self.lookup_expr == "gte"
        try:
            day = value if is_start else value + timedelta(days=1)
            zones = ServiceArea.objects.order_by().values_list("time_zone", flat=True).distinct()
            bounds = {zone: _midnight(day, zone) for zone in zones}
        except OverflowError:  # the first or last day that there is
            return qs
        lookup = f"{self.field_name}__{'gte' if is_start else 'lt'}"
        if len(set(bounds.values())) > 1:
            # Beside the condition for all areas, which has the index.
            own = [Q(service_area__time_zone=zone, **{lookup: at}) for zone, at in bounds.items()]
            qs = qs.filter(reduce(or_, own))
        widest = min if is_start else max
        return qs.filter(**{lookup: widest(bounds.values())}) if bounds else qs


def _midnight(day: date, time_zone: str) -> datetime:
    """When a day begins. Raises OverflowError outside of the years 1 to 9999."""
    return datetime.combine(day, time.min, ZoneInfo(time_zone)).astimezone(UTC)


SEARCHES = {"q", "search"}


class OrderFilter(filters.FilterSet):
    """`status` and `custody` may be given several times; `q` and `search` are the same."""

    status = filters.MultipleChoiceFilter(choices=Status.choices, distinct=False)
    custody = filters.MultipleChoiceFilter("holder", choices=Holder.choices, distinct=False)
    priority = filters.ChoiceFilter(choices=Priority.choices)
    merchant_id = filters.UUIDFilter()
    store_id = filters.UUIDFilter(label="Picked up from this store.")
    external_id = filters.CharFilter(label="Exactly this reference of the merchant.")
    updated_since = InstantFilter(
        "updated_at", "gte", label="Changed at or after this time, which needs its offset."
    )
    assigned_drone_id = filters.CharFilter(method="flown_by")
    q = filters.CharFilter(method="matching", label="Id, tracking id, external id, name or phone.")
    search = filters.CharFilter(method="matching", label="The same as q.")
    live_mode = ModeFilter()
    ordering = StableOrdering(fields=["created_at", "updated_at", "deliver_by"])

    class Meta:
        model = Order
        fields: list[str] = []

    def flown_by(self, orders: OrderQuerySet, _name: str, drone_id: str) -> OrderQuerySet:
        # Drone ids are masked for merchants; the filter must not reveal them.
        if self.request is None or self.request.user.role not in STAFF_ROLES:
            return orders.none()
        return orders.filter(current_job__drone_id=drone_id)

    def matching(self, orders: OrderQuerySet, _name: str, text: str) -> OrderQuerySet:
        return orders.matching(text)


# `from` is a keyword, so it cannot be an attribute of the class.
OrderFilter.base_filters["from"] = PeriodFilter(
    "created_at",
    "gte",
    "Placed since: a time with its offset, or a date, which starts at 00:00 UTC.",
)
OrderFilter.base_filters["to"] = PeriodFilter(
    "created_at",
    "lte",
    "Placed until: a time with its offset, or a date, which includes the whole day. Days are those "
    "of the time zone of each order's area.",
)


class JobFilter(filters.FilterSet):
    active = filters.ChoiceFilter(
        choices=[("true", "Active"), ("false", "All")],
        method="being_active",
        label="true: only active jobs. false: no filter.",
    )
    order_id = filters.UUIDFilter()
    live_mode = ModeFilter("order__live_mode")

    class Meta:
        model = DeliveryJob
        fields: list[str] = []

    def being_active(
        self, jobs: DeliveryJobQuerySet, _name: str, wanted: str
    ) -> DeliveryJobQuerySet:
        return jobs.active() if wanted == "true" else jobs
