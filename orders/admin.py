"""Orders in the console: the list with its tabs, and the page of one order.

Nothing here edits an order. Changes are actions (`wingxtra.console.actions`) that `orders`,
`dispatch` and `pod` register in their console modules. Each action calls one lifecycle verb.
"""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
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
    import_pages,
    notes,
    order_view,
    store_admin,  # noqa: F401 (registers the stores' pages)
)
from orders.console import list_filters as by
from orders.console.new_order import new_order
from orders.console.order_list import (
    EVERY_S,
    RANK,
    OrderChangeList,
    answered,
    may_see_personal_data,
    sortable_by,
)
from orders.console.tabs import TabFilter, tab_links
from orders.files import exports
from orders.loading import admin as loading_admin  # noqa: F401 (places on the users' pages)
from orders.models import Order
from orders.personal_data.masking import masked_name, masked_phone
from orders.recurring import admin as recurring_admin  # noqa: F401 (recurring orders)
from wingxtra.console import past
from wingxtra.console.admin import ReadOnlyAdmin, badge, moment
from wingxtra.console.lists import saved_filters
from wingxtra.console.lists.filters import DaysFilter
from wingxtra.console.registry import Tone

SHOWN_ON_ITS_PAGE = ("merchant", "service_area", "store", "current_job", "holder_hub")


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
        by.StatusFilter,
        by.PriorityFilter,
        by.PromiseFilter,
        by.DroneFilter,
        by.MerchantFilter,
        by.StoreFilter,
        by.AreaFilter,
        by.HolderFilter,
        by.HoldFilter,
        by.ReasonFilter,
        ("created_at", DaysFilter),
        ("deliver_by", DaysFilter),
    )
    list_select_related = ("merchant", "current_job", "holder_hub")
    list_per_page = 100
    hidden_on_tablets = ("customer", "placed")  # the page of the order has them
    preserve_filters = False  # a hundred links would repeat them
    list_before_template = "console/above_orders.html"
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
            "renewed_every_s": EVERY_S,
            "save_filter_url": reverse("admin:orders_order_save_filter"),
            "may_import": request.user.has_perm(import_pages.PERMISSION),
        }
        if "X-Renew" not in request.headers:
            context |= saved_filters.shown(self.opts.label_lower, request)
        return answered(request, super().changelist_view(request, context))

    def get_sortable_by(self, request: HttpRequest) -> Any:
        return sortable_by(request)

    def get_urls(self) -> list[URLPattern]:
        def own(route: str, view: Any, name: str) -> URLPattern:
            return path(route, self.admin_site.admin_view(view), name=f"orders_order_{name}")

        return [
            own("export.csv", past.from_replica(self.export), "export"),
            own("new/", new_order, "new"),
            own("<uuid:order_id>/live/", self.live, "live"),
            own("<uuid:order_id>/note/", self.note, "note"),
            own("save-filter/", self.save_filter, "save_filter"),
            own("import/", import_pages.upload, "import"),
            own(
                "import/<uuid:merchant_id>/<uuid:import_id>/",
                import_pages.preview,
                "import_preview",
            ),
            *super().get_urls(),
        ]

    def save_filter(self, request: HttpRequest) -> HttpResponse:
        """Posted with the list's own query in the address."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        return saved_filters.save(self.get_changelist_instance(request), request)

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
        order = self.get_object(request, str(order_id))
        if order is None:
            raise Http404("There is no such order.")
        return order

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Order | None:
        """With the rows that its page shows the names of. None if there is no such order."""
        rows = self.get_queryset(request).select_related(*SHOWN_ON_ITS_PAGE)
        try:
            return rows.filter(pk=object_id).first()
        except ValidationError:
            return None

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """The list as its filters show it, all pages, as a CSV file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        listed: Any = self.get_changelist_instance(request)
        if listed.problem:
            return HttpResponse(listed.problem, "text/plain; charset=utf-8", 400)
        user: Any = request.user
        return exports.download(listed.queryset, user, "orders")

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

    @admin.display(description="Status", ordering="status")
    def state(self, order: Order) -> SafeString:
        return badge(order.get_status_display(), presentation.STATUS_TONE[order.status])

    @admin.display(description="Priority", ordering=RANK)
    def urgency(self, order: Order) -> SafeString:
        return badge(order.get_priority_display(), presentation.PRIORITY_TONE[order.priority])

    @admin.display(description="Promise", ordering="deliver_by")
    def promise(self, order: Order) -> SafeString | str:
        text, tone = presentation.promise(order, timezone.now())
        return badge(text, tone) if text != "—" else text

    @admin.display(description="Parcel", ordering="holder")
    def parcel(self, order: Order) -> SafeString:
        held = badge("On hold", Tone.BAD) if order.hold_code else ""
        where = badge(presentation.parcel_place(order), presentation.HOLDER_TONE[order.holder])
        return format_html("{} {}", where, held)

    @admin.display(description="Drone", ordering="current_job__drone")
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
