"""Recurring orders in the console: list, pause, and the days that could not be placed."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from orders.models import Occurrence, RecurringOrder
from orders.recurring import verbs
from orders.recurring.serializers import with_days
from wingxtra.accounts.models import Merchant
from wingxtra.console import registry, roles
from wingxtra.console.admin import ConsoleAdmin, badge
from wingxtra.console.attention.counting import each, worst
from wingxtra.console.lists.filters import of_row
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, Tone
from wingxtra.opening_hours import text as as_text

roles.seen_by_all("orders.view_recurringorder")
roles.done_by_ops("orders.change_recurringorder")
# A day that was not placed is shown this long after its time.
SHOWN_FOR = timedelta(days=1)
STATES: dict[str, str] = {"PLANNED": "Planned", **dict(Occurrence.State.choices)}
TONES = {"PLACED": Tone.GOOD, "REFUSED": Tone.BAD, "SKIPPED": Tone.IDLE, "PLANNED": Tone.BUSY}


class RecurringForm(forms.ModelForm):
    class Meta:
        model = RecurringOrder
        fields = ("paused",)
        help_texts = {"paused": "It places no orders. Days that pass are not made up for."}


@admin.register(RecurringOrder)
class RecurringOrderAdmin(ConsoleAdmin):
    """Merchants make and change them; staff only pause them."""

    form = RecurringForm
    list_display = ("name", "merchant", "mode", "state", "when")
    list_filter = (
        "paused",
        "live_mode",
        of_row("merchant", lambda: Merchant.objects.order_by("name")),
    )
    list_select_related = ("merchant",)
    search_fields = ("name", "merchant__name")
    when_empty = "There are no recurring orders. Merchants add them on their page or by the API."
    readonly_fields = ("name", "merchant", "mode", "when", "starts_on", "ends_on", "days")
    fields = ("name", "merchant", "mode", "when", "starts_on", "ends_on", "paused", "days")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        verbs.pause(obj.pk, paused=form.cleaned_data["paused"])

    @admin.display(description="Mode")
    def mode(self, row: RecurringOrder) -> SafeString | str:
        return "Live" if row.live_mode else badge("Test", Tone.IDLE)

    @admin.display(description="State", ordering="paused")
    def state(self, row: RecurringOrder) -> SafeString:
        return badge("Paused", Tone.WARN) if row.paused else badge("Places orders", Tone.GOOD)

    @admin.display(description="When")
    def when(self, row: RecurringOrder) -> str:
        days = as_text.days_said(row.weekdays)
        return f"{days} at {row.local_time:%H:%M} ({row.time_zone})"

    @admin.display(description="Next days")
    def days(self, row: RecurringOrder) -> SafeString | str:
        known: Any = row
        with_days([row], timezone.now())
        if not known.next:
            return "It has no more days."
        return format_html(
            "<ul>{}</ul>",
            format_html_join(
                "",
                "<li>{} {} {}</li>",
                (
                    (
                        f"{day['on']:%a %d %b}",
                        badge(STATES[day["state"]], TONES[day["state"]]),
                        " ".join([*(one["message"] for one in day["problems"]), day["note"]]),
                    )
                    for day in known.next
                ),
            ),
        )


def refused(now: datetime) -> QuerySet[Occurrence]:
    return (
        Occurrence.objects.filter(
            state=Occurrence.State.REFUSED,
            at__gt=now - SHOWN_FOR,
            recurring__live_mode=True,
            recurring__paused=False,
        )
        .select_related("recurring__merchant")
        .order_by("at")
    )


def not_placed(look: Look) -> Iterator[Attention]:
    """Days of recurring orders that could not be placed."""

    def item(one: Occurrence) -> Attention | None:
        row = one.recurring
        if not row.schedule.has(one.on):  # changed since
            return None
        return Attention(
            key=f"recurring:{one.pk}",
            level=30 if one.at <= look.at else 20,
            text=f"“{row}” of {row.merchant} was not placed for {one.on:%A} {one.on.day} "
            f"{one.on:%B}",
            detail=" ".join(problem["message"] for problem in one.problems),
            url=reverse("admin:orders_recurringorder_change", args=[row.pk]),
            since=one.changed_at,
            cause="recurring",
            many="days of recurring orders were not placed",
            all_url=reverse("admin:orders_recurringorder_changelist"),
        )

    return each(look, refused, item)


registry.add_attention(not_placed, checks="every recurring order was placed", reads=worst(refused))
