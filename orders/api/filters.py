"""Filters and ordering of the lists of orders and jobs."""

from datetime import UTC
from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field

from fleet.feasibility.rules import Priority
from orders.models import DeliveryJob, Order, OrderQuerySet
from orders.models.jobs import DeliveryJobQuerySet
from orders.states import Holder, JobStatus, Status
from wingxtra.accounts.identity import STAFF_ROLES, Caller


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


class InstantFilter(filters.IsoDateTimeFilter):
    """Converts the time to UTC: PostgreSQL rejects some of the offsets that ISO 8601 allows."""

    def filter(self, qs: Any, value: Any) -> Any:
        if not value:
            return qs
        try:
            value = value.astimezone(UTC)
        except OverflowError:  # year 1 or 9999: the offset does not matter
            value = value.replace(tzinfo=UTC)
        return super().filter(qs, value)


SEARCHES = ("q", "search")


class OrderFilter(filters.FilterSet):
    """`status` and `custody` may be given several times; `q` and `search` are the same."""

    status = filters.MultipleChoiceFilter(choices=Status.choices, distinct=False)
    custody = filters.MultipleChoiceFilter("holder", choices=Holder.choices, distinct=False)
    priority = filters.ChoiceFilter(choices=Priority.choices)
    merchant_id = filters.UUIDFilter()
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
OrderFilter.base_filters["from"] = InstantFilter("created_at", "gte")
OrderFilter.base_filters["to"] = InstantFilter("created_at", "lte")


class JobFilter(filters.FilterSet):
    active = filters.ChoiceFilter(
        choices=[("true", "Active"), ("false", "Ended")], method="being_active"
    )
    order_id = filters.UUIDFilter()
    live_mode = ModeFilter("order__live_mode")

    class Meta:
        model = DeliveryJob
        fields: list[str] = []

    def being_active(
        self, jobs: DeliveryJobQuerySet, _name: str, wanted: str
    ) -> DeliveryJobQuerySet:
        return jobs.active() if wanted == "true" else jobs.exclude(status=JobStatus.ACTIVE)
