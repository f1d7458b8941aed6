"""Orders in the console: the list with its tabs, and the page of one order.

Nothing here edits an order. Changes are actions (`wingxtra.console.actions`) that `orders`,
`dispatch` and `pod` register in their console modules. Each action calls one lifecycle verb.
"""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from unfold.paginator import InfinitePaginator

from orders import presentation
from orders.console import (
    notes,
    order_view,
    store_admin,  # noqa: F401 (registers the stores' pages)
)
from orders.console.new_order import new_order
from orders.console.tabs import TABS, HoldFilter, LateFilter, TabFilter, tab_links
from orders.files import exports
from orders.loading import admin as loading_admin  # noqa: F401 (places on the users' pages)
from orders.models import Order
from orders.personal_data.masking import masked_name, masked_phone
from orders.promises import memory
from orders.recurring import admin as recurring_admin  # noqa: F401 (recurring orders)
from wingxtra.console.admin import ConsoleChangeList, ReadOnlyAdmin, badge, moment
from wingxtra.console.filters import DaysFilter
from wingxtra.console.registry import Tone


def may_see_personal_data(request: HttpRequest) -> bool:
    return request.user.has_perm("orders.view_personal_data")


class OrderChangeList(ConsoleChangeList):
    """The tab is a filter in the address, but does not count as an active filter."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        if not may_see_personal_data(request):
            self.search_help_text = "Tracking id or merchant's reference"

    def get_filters(self, request: HttpRequest) -> Any:
        found = super().get_filters(request)
        active = any(f.used_parameters for f in found[0] if not isinstance(f, TabFilter))
        return (*found[:-1], active)

    def get_results(self, request: HttpRequest) -> None:
        """With the places in line of waiting orders."""
        super().get_results(request)
        memory.attach(list(self.result_list), timezone.now())

    @property
    def when_empty(self) -> str:
        tab = TABS.get(self.params.get("tab", ""))
        return tab.empty if tab else "No order was placed yet."


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    list_display = (
        "tracking_id",
        "state",
        "urgency",
        "promise",
        "parcel",
        "merchant",
        "drone",
        "customer",
        "placed",
    )
    list_filter = (
        TabFilter,
        "status",
        "priority",
        LateFilter,
        "holder",
        HoldFilter,
        "service_area",
        "merchant",
        ("created_at", DaysFilter),
        ("deliver_by", DaysFilter),
    )
    list_select_related = ("merchant", "current_job", "holder_hub")
    sortable_by = ("tracking_id", "promise", "placed")  # the columns with an index
    list_before_template = "console/tabs.html"
    search_fields = ("public_tracking_id", "external_id", "customer_name", "customer_phone")
    search_help_text = "Tracking id, merchant's reference, name or phone"
    # Counting a million orders takes longer than reading the newest fifty.
    paginator = InfinitePaginator
    show_full_result_count = False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        """The same search as the API: one index answers it."""
        orders: Any = queryset
        if text := search_term.strip():
            orders = orders.matching(text, in_full=may_see_personal_data(request))
        return orders, False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        query = request.GET.urlencode()
        context = {
            **(extra_context or {}),
            "tabs": tab_links(request),
            "export_url": reverse("admin:orders_order_export") + (f"?{query}" if query else ""),
        }
        return super().changelist_view(request, context)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("export.csv", view(self.export), name="orders_order_export"),
            path("new/", view(new_order), name="orders_order_new"),
            path("<uuid:order_id>/live/", view(self.live), name="orders_order_live"),
            path("<uuid:order_id>/note/", view(self.note), name="orders_order_note"),
            *super().get_urls(),
        ]

    def live(self, request: HttpRequest, order_id: UUID) -> HttpResponseBase:
        """The parts of an order's page, which an open page polls."""
        return order_view.live(self._visible(request, order_id), request)

    def note(self, request: HttpRequest, order_id: UUID) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        return notes.add(request, self._visible(request, order_id))

    def _visible(self, request: HttpRequest, order_id: UUID) -> Order:
        if not self.has_view_permission(request):
            raise PermissionDenied
        related = ("merchant", "service_area", "store", "current_job", "holder_hub")
        order = self.get_queryset(request).select_related(*related).filter(pk=order_id).first()
        if order is None:
            raise Http404("There is no such order.")
        return order

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """The list as its filters show it, all pages, as a CSV file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            listed: Any = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseRedirect(reverse("admin:orders_order_changelist"))
        user: Any = request.user
        return exports.download(listed, user, "orders")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[OrderChangeList]:
        return OrderChangeList

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        order = self.get_object(request, object_id)
        if order is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            **order_view.page(order, request),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "console/order.html", context)

    @admin.display(description="Order", ordering="public_tracking_id")
    def tracking_id(self, order: Order) -> SafeString | str:
        if order.live_mode:
            return order.public_tracking_id
        return format_html("{} {}", order.public_tracking_id, badge("Test", Tone.IDLE))

    @admin.display(description="Status")
    def state(self, order: Order) -> SafeString:
        return badge(order.get_status_display(), presentation.STATUS_TONE[order.status])

    @admin.display(description="Priority")
    def urgency(self, order: Order) -> SafeString:
        return badge(order.get_priority_display(), presentation.PRIORITY_TONE[order.priority])

    @admin.display(description="Promise", ordering="deliver_by")
    def promise(self, order: Order) -> SafeString | str:
        text, tone = presentation.promise(order, timezone.now())
        return badge(text, tone) if text != "—" else text

    @admin.display(description="Parcel")
    def parcel(self, order: Order) -> SafeString:
        held = badge("On hold", Tone.BAD) if order.hold_code else ""
        where = badge(presentation.parcel_place(order), presentation.HOLDER_TONE[order.holder])
        return format_html("{} {}", where, held)

    @admin.display(description="Drone")
    def drone(self, order: Order) -> SafeString | str:
        drone_id = order.assigned_drone_id
        if drone_id is None:
            lines = presentation.in_line_shortly(order.in_line)
            return format_html_join(mark_safe("<br>"), '<span class="wx-whole">{}</span>', lines)
        url = reverse("admin:fleet_drone_change", args=[drone_id])
        return format_html('<a class="wx-whole" href="{}">{}</a>', url, drone_id)

    @admin.display(description="Customer")
    def customer(self, order: Order) -> str:
        shown = [masked_name(order.customer_name), masked_phone(order.customer_phone)]
        return " ".join(filter(None, shown)) or "—"

    @admin.display(description="Placed", ordering="created_at")
    def placed(self, order: Order) -> SafeString | str:
        return moment(order.created_at)
