"""On the page of a queued order: that dispatch is paused, by whom, since when and why."""

from django.db.models import Model
from django.http import HttpRequest

from fleet import pauses, policy
from fleet.policy import Policy
from orders.models import Order
from orders.states import Status
from wingxtra.console import actions
from wingxtra.console.registry import Section


def section(order: Order, request: HttpRequest) -> Section | None:
    """None while dispatch runs for this order."""
    if order.status != Status.QUEUED:
        return None
    target: Model
    if policy.current().dispatch_paused:
        target, change = Policy.objects.get(pk=1), pauses.latest()
        text = "Dispatch is paused everywhere."
    elif order.service_area.dispatch_paused:
        target, change = order.service_area, pauses.latest(order.service_area)
        text = f"Dispatch is paused in {order.service_area}."
    else:
        return None
    resume = actions.button(type(target), "resume", target.pk, next=actions.page_of(order))
    context = {
        "text": text,
        "who": pauses.said(change),
        "resume": resume if request.user.has_perm(resume.permission) else None,
    }
    return Section("Dispatch is paused", "console/order/paused.html", context)
