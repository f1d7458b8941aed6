"""What the page of an order shows: all of it, and the parts that an open page polls."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import get_conditional_response

from orders import presentation
from orders.console import new_order
from orders.console.order_page import open_question
from orders.models import Order
from orders.promises import memory
from wingxtra.console import actions, registry
from wingxtra.console.admin import badge, moment

# An open page asks this often what is new; an ended order changes seldom.
EVERY_S = 5
EVERY_S_WHEN_OVER = 30


@dataclass(frozen=True, slots=True)
class Link:
    """A page of its own, among the buttons of the actions."""

    label: str
    url: str


def parts(order: Order, request: HttpRequest) -> dict[str, Any]:
    """The context of console/order_parts.html."""
    now = timezone.now()
    memory.attach([order], now)
    promise, tone = presentation.promise(order, now)
    offered = actions.possible(order, request.user)
    answers = [(action, url) for action, url in offered if action.is_answer]
    return {
        "original": order,
        "state": badge(order.get_status_display(), presentation.STATUS_TONE[order.status]),
        "urgency": badge(order.get_priority_display(), presentation.PRIORITY_TONE[order.priority]),
        "promise": badge(promise, tone) if promise != "—" else "",
        "holder": badge(presentation.parcel_place(order), presentation.HOLDER_TONE[order.holder]),
        "question": open_question(order),
        "held_since": moment(order.hold_since or order.holder_since),
        "answers": answers,
        "links": _links(order, request.user),
        "offered": [one for one in offered if one not in answers],
        "sections": registry.sections_of(order, request),
    }


def _links(order: Order, user: Any) -> list[Link]:
    is_copied = order.live_mode and order.forgotten_at is None
    if not is_copied or not user.has_perm(new_order.PERMISSION):
        return []
    url = reverse("admin:orders_order_new", query={"again": order.pk})
    return [Link("Order again", url)]


def page(order: Order, request: HttpRequest) -> dict[str, Any]:
    """The context of console/order.html, without that of the site."""
    return {
        "title": f"Order {order.public_tracking_id}",
        "live_url": reverse("admin:orders_order_live", args=[order.pk]),
        "every_s": EVERY_S_WHEN_OVER if order.is_terminal else EVERY_S,
        **parts(order, request),
    }


def live(order: Order, request: HttpRequest) -> HttpResponseBase:
    """The parts as they are now; 304 if they are those of `If-None-Match`."""
    context = {**parts(order, request), "is_poll": True}
    html = render_to_string("console/order_parts.html", context, request)
    etag = f'"{sha256(html.encode()).hexdigest()[:32]}"'
    answer = HttpResponse(html, headers={"ETag": etag})
    return get_conditional_response(request, etag=etag, response=answer) or answer
