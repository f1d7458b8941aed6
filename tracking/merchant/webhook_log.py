"""What was sent to a webhook: the log of deliveries, and one delivery with tries and replay."""

import json
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_http_methods

from tracking import actors
from tracking.merchant import frame, words
from tracking.merchant.access import PageCaller, merchant_page
from tracking.models import WebhookDelivery, WebhookEndpoint
from tracking.webhooks import endpoints
from tracking.webhooks.console import STATE_TONE
from wingxtra.api.pagination import after_cursor
from wingxtra.broker import enqueue
from wingxtra.problems import Invalid, NotFound, Problem

ROWS = 25
FOLLOW_EVERY_S = 2
State = WebhookDelivery.State


def rows(request: HttpRequest, endpoint: WebhookEndpoint, now: datetime) -> dict[str, Any]:
    """The deliveries of `?state=` after the cursor `?after=`, newest first, for the template."""
    state = request.GET.get("state", "")
    found = WebhookDelivery.objects.filter(endpoint=endpoint).select_related("order")
    if state in State:
        found = found.filter(state=state)
    try:
        deliveries, next_cursor = after_cursor(found, request.GET.get("after", ""), ROWS)
    except Invalid:  # a link that was cut off: the first page is the useful answer
        deliveries, next_cursor = after_cursor(found, "", ROWS)
    here = frame.address(request, "webhook", endpoint.pk)
    tabs = [("", "All"), *State.choices]
    return {
        "deliveries": [_row(request, delivery, now) for delivery in deliveries],
        "tabs": [
            {"title": title, "url": _log_link(here, name), "current": name == state}
            for name, title in tabs
        ],
        "next_url": _log_link(here, state, next_cursor) if next_cursor else "",
        "first_url": _log_link(here, state) if request.GET.get("after") else "",
    }


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_page
def webhook_delivery(request: HttpRequest, caller: PageCaller, delivery_id: UUID) -> HttpResponse:
    """`?follow` loads itself again until the delivery was tried."""
    delivery = _own(caller, delivery_id)
    refused = None
    if request.method == "POST":
        try:
            endpoints.replay(delivery)
        except Problem as problem:
            refused = problem
        else:
            enqueue(actors.send_webhook, str(delivery.pk))
            return frame.see_other(link(request, delivery, follow=True))
    now = timezone.now()
    untried = delivery.state == State.WAITING and not delivery.tries
    context = {
        "title": delivery.type,
        "delivery": delivery,
        **_row(request, delivery, now),
        "tries": [_try(attempt, now) for attempt in reversed(delivery.attempts)],
        "next_try": words.clock(delivery.next_try_at, now)
        if delivery.state == State.WAITING and delivery.tries
        else "",
        "body": json.dumps(json.loads(delivery.body), indent=2, ensure_ascii=False),
        "follow_s": FOLLOW_EVERY_S if "follow" in request.GET and untried else None,
        "refused": refused.detail if refused else "",
    }
    status = refused.status if refused else 200
    return frame.page(request, "webhook_delivery.html", context, section="webhooks", status=status)


def link(request: HttpRequest, delivery: WebhookDelivery, *, follow: bool = False) -> str:
    address = frame.address(request, "webhook-delivery", delivery.pk)
    return f"{address}?follow" if follow else address


def _own(caller: PageCaller, delivery_id: UUID) -> WebhookDelivery:
    """Raises NotFound."""
    visible = WebhookEndpoint.objects.visible_to(caller)
    found = WebhookDelivery.objects.select_related("endpoint", "order")
    delivery = found.filter(pk=delivery_id, endpoint__in=visible).first()
    if delivery is None:
        raise NotFound("webhook delivery")
    return delivery


def _row(request: HttpRequest, delivery: WebhookDelivery, now: datetime) -> dict[str, Any]:
    order, last = delivery.order, delivery.attempts[-1] if delivery.attempts else None
    return {
        "url": link(request, delivery),
        "type": delivery.type,
        "state": words.Said(delivery.get_state_display(), STATE_TONE[delivery.state]),
        "tries_made": delivery.tries,
        "last_answer": _answer(last) if last else "—",
        "made": words.clock(delivery.created_at, now),
        "order_url": frame.address(request, "order", order.pk) if order else "",
        "order_name": _name(order) if order else "",
    }


def _name(order: Any) -> str:
    return order.external_id or words.grouped(order.public_tracking_id)


def _try(attempt: dict[str, Any], now: datetime) -> dict[str, Any]:
    at = parse_datetime(attempt["at"])
    return {
        "at": words.clock(at, now) if at else "",
        "answer": _answer(attempt),
        "took": _duration(attempt["took_ms"]),
        "text": attempt["answer"],
        "tone": "good" if 200 <= (attempt["status"] or 0) < 300 else "bad",
    }


def _answer(attempt: dict[str, Any]) -> str:
    return str(attempt["status"]) if attempt["status"] else "No answer"


def _duration(took_ms: int) -> str:
    return f"{took_ms} ms" if took_ms < 1000 else f"{took_ms / 1000:.1f} s"


def _log_link(address: str, state: str, after: str = "") -> str:
    given = urlencode({k: v for k, v in (("state", state), ("after", after)) if v})
    return f"{address}?{given}#log" if given else f"{address}#log"
