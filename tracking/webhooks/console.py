"""Webhooks in the console: the deliveries of each order, and endpoints that were switched off."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Count, QuerySet, Window
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from orders.models import Order
from tracking import actors
from tracking.models import WebhookDelivery, WebhookEndpoint
from tracking.webhooks import endpoints
from wingxtra.broker import enqueue
from wingxtra.console import actions, registry, roles
from wingxtra.console.admin import badge
from wingxtra.console.attention.counting import each, worst
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, Section, Tone, add_section
from wingxtra.console.widgets import MomentInput

MOST_SHOWN = 50
STATE_TONE: dict[str, Tone] = {
    WebhookDelivery.State.WAITING: Tone.WARN,
    WebhookDelivery.State.DELIVERED: Tone.GOOD,
    WebhookDelivery.State.GIVEN_UP: Tone.BAD,
}

roles.seen_by_all("tracking.view_webhookendpoint", "tracking.view_webhookdelivery")
roles.done_by_ops("tracking.change_webhookdelivery", "tracking.change_webhookendpoint")


def _deliveries_of(order: Order) -> tuple[QuerySet[WebhookDelivery]]:
    """The newest MOST_SHOWN. `of_all`: how many there are."""
    found = order.webhook_deliveries.select_related("endpoint").order_by("-created_at", "-event_id")
    shown = ("order", "type", "state", "attempts", "endpoint__url")
    return (found.only(*shown).annotate(of_all=Window(Count("pk")))[:MOST_SHOWN],)


def section(order: Order, request: HttpRequest, deliveries: list[Any]) -> Section | None:
    rows = [
        {
            "delivery": delivery,
            "state": badge(delivery.get_state_display(), STATE_TONE[delivery.state]),
            "url": reverse("admin:tracking_webhookdelivery_change", args=[delivery.pk]),
        }
        for delivery in deliveries
    ]
    if not rows:
        return None
    listed = reverse("admin:tracking_webhookdelivery_changelist")
    context = {
        "rows": rows,
        "more": deliveries[0].of_all - len(rows),
        "all_url": f"{listed}?order__id__exact={order.pk}",
    }
    return Section("Webhooks to the merchant", "console/order/webhooks.html", context)


def endpoints_switched_off(now: datetime) -> QuerySet[WebhookEndpoint]:
    off = WebhookEndpoint.objects.switched_off()
    return off.select_related("merchant").order_by("switched_off_at")


def switched_off(look: Look) -> Iterator[Attention]:
    def item(endpoint: WebhookEndpoint) -> Attention:
        return Attention(
            key=f"webhook:{endpoint.pk}",
            level=6,
            text=f"A webhook of {endpoint.merchant} was switched off",
            detail=f"{endpoint.url}: {endpoint.switched_off_because}",
            url=reverse("admin:tracking_webhookendpoint_change", args=[endpoint.pk]),
            since=endpoint.switched_off_at,
            remedies=(actions.button(WebhookEndpoint, "switch-on", endpoint.pk),),
            cause="webhook",
            many="webhooks were switched off",
            all_url=reverse("admin:tracking_webhookendpoint_changelist"),
        )

    return each(look, endpoints_switched_off, item)


def _switch_on(endpoint: WebhookEndpoint, data: dict[str, Any], user: Any) -> str:
    endpoints.change(endpoint.pk, {"enabled": True})
    return f"Events are sent to {endpoint} again: {data['reason']}"


def _replay(delivery: WebhookDelivery, data: dict[str, Any], user: Any) -> str:
    endpoints.replay(delivery)
    enqueue(actors.send_webhook, str(delivery.pk))
    return f"{delivery.type} is sent to {delivery.endpoint} again."


class SinceForm(actions.ActionForm):
    since = forms.DateTimeField(label="Events since (UTC)", widget=MomentInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial = {"since": timezone.now() - timedelta(days=1)}


def _replay_failed(endpoint: WebhookEndpoint, data: dict[str, Any], user: Any) -> str:
    replayed = endpoints.replay_failed(endpoint.pk, data["since"])
    enqueue(actors.sweep_webhooks)
    return f"{replayed} messages that failed since {data['since']:%d %B, %H:%M} UTC are sent again."


add_section(Order, 75, section, _deliveries_of)
registry.add_attention(
    switched_off, checks="no webhook is switched off", reads=worst(endpoints_switched_off)
)
actions.register(
    actions.Action(
        model=WebhookEndpoint,
        name="switch-on",
        label="Switch on",
        permission="tracking.change_webhookendpoint",
        form=actions.ReasonForm,
        carry_out=_switch_on,
        why_not=lambda endpoint: "It is switched on." if endpoint.enabled else None,
        explanation="New events are sent to it. What failed before can be sent again afterwards.",
    ),
    actions.Action(
        model=WebhookEndpoint,
        name="replay-failed",
        label="Send again what failed",
        permission="tracking.change_webhookendpoint",
        form=SinceForm,
        carry_out=_replay_failed,
        why_not=lambda endpoint: None if endpoint.enabled else "It is switched off.",
        explanation="Sends every event again that failed since then, the oldest first.",
    ),
    actions.Action(
        model=WebhookDelivery,
        name="replay",
        label="Send again",
        permission="tracking.change_webhookdelivery",
        carry_out=_replay,
        explanation="Sends the same message with the same id: a receiver can drop duplicates.",
    ),
)
