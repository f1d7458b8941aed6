"""On the page of a queued order: that dispatch is paused, by whom, since when and why."""

from typing import Any

from django.db.models import Model
from django.http import HttpRequest

from fleet import pauses, policy
from fleet.models import ServiceArea
from fleet.policy import Policy
from orders.models import Order
from orders.states import Status
from wingxtra.console import actions
from wingxtra.console.registry import Section


def section(order: Order, request: HttpRequest) -> Section | None:
    """None while dispatch runs for this order."""
    if order.status != Status.QUEUED:
        return None
    paused: type[Model]
    pk: Any
    if policy.current_for(request).dispatch_paused:
        paused, pk, change = Policy, 1, pauses.latest()
        text = "Dispatch is paused everywhere."
    elif order.service_area.dispatch_paused:
        paused, pk = ServiceArea, order.service_area_id
        change = pauses.latest(order.service_area)
        text = f"Dispatch is paused in {order.service_area}."
    else:
        return None
    resume = actions.button(paused, "resume", pk, next=actions.page_of(order))
    context = {
        "text": text,
        "who": pauses.said(change),
        "resume": resume if request.user.has_perm(resume.permission) else None,
    }
    return Section("Dispatch is paused", "console/order/paused.html", context)
