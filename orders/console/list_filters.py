"""The filters of the console's list of orders."""

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from fleet.feasibility.rules import Priority
from fleet.models import Drone, ServiceArea
from orders.console.tabs import LATE
from orders.models import Order, Store
from orders.models.parcel import AWAITS_STAFF
from orders.states import HoldCode, Holder, ReasonCode, Status
from wingxtra.accounts.models import Merchant
from wingxtra.console.lists.change_list import BadFilter
from wingxtra.console.lists.filters import FieldFilter, OneOf, OneRow

Orders = QuerySet[Order]


class StatusFilter(OneOf):
    title = "status"
    parameter_name = column = "status__exact"
    values = Status.choices


class PriorityFilter(OneOf):
    title = "priority"
    parameter_name = column = "priority__exact"
    values = Priority.choices


class PromiseFilter(OneOf):
    title = parameter_name = "promise"
    values = (("late", "Late"), ("kept", "On time so far"))

    def narrow(self, queryset: Orders, value: str) -> Orders:
        return queryset.filter(LATE) if value == "late" else queryset.exclude(LATE)


class HolderFilter(OneOf):
    title = "parcel"
    parameter_name = column = "holder__exact"
    values = Holder.choices


class HoldFilter(OneOf):
    title = parameter_name = "hold"
    values = (("any", "Waits for staff"), *HoldCode.choices)

    def narrow(self, queryset: Orders, value: str) -> Orders:
        return queryset.filter(AWAITS_STAFF if value == "any" else Q(hold_code=value))


class ReasonFilter(OneOf):
    title = "reason of the end"
    parameter_name = "reason"
    column = "reason_code"
    values = ReasonCode.choices


class DroneFilter(FieldFilter):
    """The drone of the attempt under way, or of the one that ended the order."""

    title = parameter_name = "drone"
    example = "WX-DRN-001"

    def narrow(self, queryset: Orders, value: str) -> Orders:
        drone = Drone.objects.filter(pk__iexact=value).first()
        if drone is None:
            raise BadFilter(f"There is no drone “{value}”.")
        return queryset.filter(current_job__drone=drone)


class AreaFilter(OneRow):
    title = "service area"
    parameter_name = column = "service_area__id__exact"

    def rows(self) -> QuerySet[Any]:
        return ServiceArea.objects.order_by("name")


class MerchantFilter(OneRow):
    title = "merchant"
    parameter_name = column = "merchant__id__exact"
    where_others_are = "Others: press Ctrl+K and type the name."

    def rows(self) -> QuerySet[Any]:
        return Merchant.objects.order_by("name")


class StoreFilter(OneRow):
    title = "store"
    parameter_name = column = "store__id__exact"
    where_others_are = "Choose the merchant first."

    def rows(self) -> QuerySet[Any]:
        stores = Store.objects.select_related("merchant").order_by("name")
        merchant = self.request.GET.get(MerchantFilter.parameter_name, "")
        try:
            return stores.filter(merchant=UUID(merchant)) if merchant else stores
        except ValueError:  # the merchant's own filter refuses it
            return stores

    def label(self, row: Any) -> str:
        return f"{row.name} ({row.merchant})"
