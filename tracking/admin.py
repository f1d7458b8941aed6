"""Webhooks in the console: endpoints, their deliveries and every try. Read only."""

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.paginator import InfinitePaginator

from tracking.models import WebhookDelivery, WebhookEndpoint
from tracking.webhooks.console import STATE_TONE
from wingxtra.accounts.models import Merchant
from wingxtra.console.admin import ReadOnlyAdmin, badge, moment
from wingxtra.console.lists.filters import of_row
from wingxtra.console.registry import Tone


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ReadOnlyAdmin):
    """Merchants create and change endpoints by the API. Staff see them and switch them on again."""

    list_display = ("url", "merchant", "live_mode", "state", "last_success", "made")
    when_empty = "There are no webhooks yet. Merchants add them on their page or by the API."
    list_filter = (
        "enabled",
        "live_mode",
        of_row("merchant", lambda: Merchant.objects.order_by("name")),
    )
    list_select_related = ("merchant",)
    search_fields = ("url", "merchant__name")
    fields = (
        "url",
        "merchant",
        "live_mode",
        "description",
        "events",
        "enabled",
        "switched_off_at",
        "switched_off_because",
        "last_success_at",
        "created_at",
    )

    @admin.display(description="State", ordering="enabled")
    def state(self, endpoint: WebhookEndpoint) -> SafeString:
        if endpoint.switched_off_at:
            return badge("Switched off: it kept failing", Tone.BAD)
        return badge("On", Tone.GOOD) if endpoint.enabled else badge("Paused", Tone.IDLE)

    @admin.display(description="Last success", ordering="last_success_at")
    def last_success(self, endpoint: WebhookEndpoint) -> SafeString | str:
        return moment(endpoint.last_success_at)

    @admin.display(description="Made", ordering="created_at")
    def made(self, endpoint: WebhookEndpoint) -> SafeString | str:
        return moment(endpoint.created_at)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    list_display = ("type", "order", "endpoint", "standing", "tries", "made")
    when_empty = (
        "Nothing was sent to a webhook yet. Each event of an order is a line here for each webhook."
    )
    list_filter = ("state", of_row("endpoint__merchant", lambda: Merchant.objects.order_by("name")))
    list_select_related = ("endpoint", "order")
    ordering = ("-created_at", "-id")
    fields = (
        "id",
        "type",
        "order",
        "endpoint",
        "standing",
        "given_up_because",
        "created_at",
        "delivered_at",
        "next_try_at",
        "every_try",
        "as_sent",
    )
    readonly_fields = ("standing", "every_try", "as_sent")
    paginator = InfinitePaginator
    show_full_result_count = False

    def get_fields(self, request: HttpRequest, obj: WebhookDelivery | None = None) -> Any:
        """The body names the customer, so it needs `view_personal_data`."""
        if request.user.has_perm("orders.view_personal_data"):
            return self.fields
        return self.fields[:-1]

    @admin.display(description="State", ordering="state")
    def standing(self, delivery: WebhookDelivery) -> SafeString:
        return badge(delivery.get_state_display(), STATE_TONE[delivery.state])

    @admin.display(description="Made", ordering="created_at")
    def made(self, delivery: WebhookDelivery) -> SafeString | str:
        return moment(delivery.created_at)

    @admin.display(description="Every try")
    def every_try(self, delivery: WebhookDelivery) -> SafeString | str:
        if not delivery.attempts:
            return "None yet."
        rows = ((_one_try(attempt),) for attempt in delivery.attempts)
        return format_html("<ol>{}</ol>", format_html_join("", "<li>{}</li>", rows))

    @admin.display(description="As sent")
    def as_sent(self, delivery: WebhookDelivery) -> SafeString:
        body = json.dumps(json.loads(delivery.body), indent=2)
        return format_html('<pre class="wx-code" tabindex="0">{}</pre>', body)


def _one_try(attempt: dict[str, Any]) -> str:
    status = attempt["status"] or "no answer"
    return f"{attempt['at']}: {status} after {attempt['took_ms']} ms. {attempt['answer'][:200]}"
