"""Discrepancies and publishing pauses in the console. Read only."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.paginator import InfinitePaginator

from dispatch.console.attention_doubts import remedies_of
from dispatch.models import Discrepancy, PublishingPause
from orders.models import Order
from wingxtra.console.admin import ReadOnlyAdmin, badge, moment, said_by
from wingxtra.console.lists.filters import DaysFilter
from wingxtra.console.registry import Section, Tone, add_section


def _standing(order: Order) -> tuple[QuerySet[Discrepancy]]:
    return (order.discrepancies.filter(settled_at__isnull=True),)


def _settled(order: Order) -> tuple[QuerySet[Discrepancy]]:
    return (order.discrepancies.filter(settled_at__isnull=False),)


def standing_doubts(
    order: Order, request: HttpRequest, standing: list[Discrepancy]
) -> Section | None:
    """First on the page, with the actions that end each."""
    rows = [
        {
            "label": doubt.get_code_display(),
            "message": doubt.message,
            "raised": moment(doubt.raised_at),
            "remedies": [b for b in remedies_of(doubt) if request.user.has_perm(b.permission)],
        }
        for doubt in standing
    ]
    return (
        Section("What is not clear", "console/order/doubts.html", {"rows": rows}) if rows else None
    )


def settled_doubts(
    order: Order, request: HttpRequest, settled: list[Discrepancy]
) -> Section | None:
    rows = [
        {
            "label": doubt.get_code_display(),
            "message": doubt.message,
            "raised": moment(doubt.raised_at),
            "settled": moment(doubt.settled_at),
            "by": said_by(doubt.settled_by),
            "how": doubt.settlement,
        }
        for doubt in settled
    ]
    return (
        Section("What was not clear", "console/order/doubts.html", {"rows": rows}) if rows else None
    )


add_section(Order, 3, standing_doubts, _standing)
add_section(Order, 65, settled_doubts, _settled)


class StandingFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Stands"), ("no", "Settled")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(settled_at__isnull=self.value() == "yes")


@admin.register(Discrepancy)
class DiscrepancyAdmin(ReadOnlyAdmin):
    list_display = ("raised", "what", "about", "message", "state", "how")
    list_filter = (StandingFilter, "code", ("raised_at", DaysFilter))
    list_select_related = ("order", "job")
    search_fields = ("order__public_tracking_id", "job__drone__drone_id")
    search_help_text = "Tracking id or drone"
    when_empty = (
        "No reports have contradicted each other yet. "
        "A line begins when ground control and telemetry differ about a flight."
    )
    fields = ("what", "about", "drone", "message", "raised", "state", "by", "how")
    readonly_fields = fields
    paginator = InfinitePaginator
    show_full_result_count = False

    @admin.display(description="Since", ordering="raised_at")
    def raised(self, doubt: Discrepancy) -> SafeString | str:
        return moment(doubt.raised_at, seconds=True)

    @admin.display(description="What")
    def what(self, doubt: Discrepancy) -> str:
        return str(doubt.get_code_display())

    @admin.display(description="Order")
    def about(self, doubt: Discrepancy) -> SafeString:
        url = reverse("admin:orders_order_change", args=[doubt.order_id])
        return format_html('<a class="wx-link" href="{}">{}</a>', url, doubt.order)

    @admin.display(description="Drone")
    def drone(self, doubt: Discrepancy) -> str:
        return str(doubt.job)

    @admin.display(description="State")
    def state(self, doubt: Discrepancy) -> SafeString:
        return badge("Settled", Tone.IDLE) if doubt.settled_at else badge("Stands", Tone.BAD)

    @admin.display(description="Settled by")
    def by(self, doubt: Discrepancy) -> SafeString | str:
        if doubt.settled_at is None:
            return "—"
        return format_html("{}, {}", said_by(doubt.settled_by), moment(doubt.settled_at))

    @admin.display(description="How it was")
    def how(self, doubt: Discrepancy) -> str:
        return doubt.settlement or "—"


@admin.register(PublishingPause)
class PublishingPauseAdmin(ReadOnlyAdmin):
    list_display = ("began", "because", "refused", "ended")
    when_empty = (
        "Publishing has never been paused. "
        "It pauses when ground control refuses the form of several missions in a row."
    )
    fields = ("began", "because", "refused", "ended")
    readonly_fields = fields

    @admin.display(description="Since", ordering="began_at")
    def began(self, pause: PublishingPause) -> SafeString | str:
        return moment(pause.began_at, seconds=True)

    @admin.display(description="Until")
    def ended(self, pause: PublishingPause) -> SafeString | str:
        if pause.ended_at is None:
            return badge("Paused", Tone.BAD)
        return format_html("{}, by {}", moment(pause.ended_at), said_by(pause.ended_by))
