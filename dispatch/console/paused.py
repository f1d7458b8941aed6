"""On the page of a queued order: that dispatch is paused, by whom, since when and why."""

from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.http import HttpRequest

from fleet import policy
from fleet.policy import Policy
from orders.models import Order
from orders.states import Status
from wingxtra.console import actions
from wingxtra.console.admin import moment
from wingxtra.console.registry import Section

# How the actions of fleet.console.pages begin their entry in the history.
ENTRY = "Pause dispatch"


def section(order: Order, request: HttpRequest) -> Section | None:
    """None while dispatch runs for this order."""
    if order.status != Status.QUEUED:
        return None
    target: Model
    if policy.current().dispatch_paused:
        target, text = Policy.objects.get(pk=1), "Dispatch is paused everywhere."
    elif order.service_area.dispatch_paused:
        target, text = order.service_area, f"Dispatch is paused in {order.service_area}."
    else:
        return None
    resume = actions.button(type(target), "resume", target.pk, next=actions.page_of(order))
    context = {
        "text": text,
        **_entry(target),
        "resume": resume if request.user.has_perm(resume.permission) else None,
    }
    return Section("Dispatch is paused", "console/order/paused.html", context)


def _entry(target: Model) -> dict[str, Any]:
    """Who paused it, when and why, from the history of what staff did; empty if not there."""
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(target),
        object_id=str(target.pk),
        change_message__startswith=ENTRY,
    )
    entry = entries.select_related("user").order_by("-id").first()
    if entry is None:
        return {}
    _, _, what = entry.change_message.partition(": ")
    return {"text": what, "who": entry.user.get_username(), "since": moment(entry.action_time)}
