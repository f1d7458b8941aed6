"""Orders on the dashboard: late ones, those about to be late, and those that ended undelivered."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db.models import Case, F, IntegerField, Q, QuerySet, Value, When
from django.urls import reverse

from fleet.feasibility.rules import Priority
from orders.console import tabs
from orders.models import Order
from orders.states import Status
from wingxtra.console import actions, registry
from wingxtra.console.admin import duration
from wingxtra.console.attention.counting import each, unseen, worst
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, Tone

# The actions (of dispatch) that can speed an order up before its launch.
REMEDIES = {Status.QUEUED: "assign", Status.ASSIGNED: "reassign"}
URGENCY = {Priority.MEDICAL: 30, Priority.URGENT: 20, Priority.NORMAL: 10}
# 0 for the most urgent: sorts orders by priority in the database.
RANK: dict[str, int] = {Priority.MEDICAL: 0, Priority.URGENT: 1, Priority.NORMAL: 2}
# What an item needs of an order that may wait or fly.
NEEDED = ("public_tracking_id", "priority", "status", "hold_code", "deliver_by", "created_at")
# Older ones are not listed, seen or not.
ENDED_SHOWN_FOR = timedelta(days=7)


def by_rank(order: str = "") -> Case:
    """For `order_by`: the most urgent first. `order`: the path to it, like “order__”."""
    ranked = [When(**{f"{order}priority": name}, then=Value(n)) for name, n in RANK.items()]
    return Case(*ranked, output_field=IntegerField())


def about(order: Order) -> str:
    """All items about an order are one: `Attention.about`."""
    return f"order:{order.pk}"


def page(order: Order) -> str:
    """Its address. A dashboard has hundreds."""
    return _page_of("ID").replace("ID", str(order.pk))


@cache
def _page_of(pk: str) -> str:
    return reverse("admin:orders_order_change", args=[pk])


@cache
def listed(query: str) -> str:
    """The address of the list of orders with these filters."""
    return f"{reverse('admin:orders_order_changelist')}?{query}"


# --- late ----------------------------------------------------------------------------------------


def late(now: datetime) -> QuerySet[Order]:
    return _urgent_first(Order.objects.live().filter(tabs.OPEN & Q(deliver_by__lt=now)))


def at_risk(now: datetime) -> QuerySet[Order]:
    return _urgent_first(
        Order.objects.live().filter(
            tabs.OPEN, deliver_by__gte=now, current_job__eta_at__gt=F("deliver_by")
        )
    )


def _urgent_first(orders: QuerySet[Order]) -> QuerySet[Order]:
    """There may be hundreds, so only what their items need."""
    some = orders.only(*NEEDED, "current_job__drone", "current_job__eta_at")
    return some.select_related("current_job").order_by(by_rank(), "deliver_by")


def late_orders(look: Look) -> Iterator[Attention]:
    """Open orders that are late, or will be by their ETA."""

    def is_late(order: Order) -> Attention:
        over = look.at - order.deliver_by
        return Attention(
            key=f"late:{order.pk}",
            level=URGENCY[Priority(order.priority)] + min(9, int(over.total_seconds() // 600)),
            text=f"{order.get_priority_display()} order {order} is late by {duration(over)}",
            tone=Tone.BAD,
            since=order.deliver_by,
            cause="late",
            many="orders are late",
            **_of(order),
        )

    def will_be(order: Order) -> Attention:
        eta_at = order.current_job.eta_at if order.current_job else None
        over = (eta_at or order.deliver_by) - order.deliver_by
        return Attention(
            key=f"at-risk:{order.pk}",
            level=URGENCY[Priority(order.priority)] - 5,
            text=f"{order.get_priority_display()} order {order} will be {duration(over)} late",
            cause="at-risk",
            many="orders will be late",
            **_of(order),
        )

    yield from each(look, late, is_late)
    yield from each(look, at_risk, will_be)


def _of(order: Order) -> dict[str, Any]:
    remedy = REMEDIES.get(Status(order.status))
    with_drone = f" with {order.assigned_drone_id}" if order.assigned_drone_id else ""
    return {
        "detail": f"{order.get_status_display()}{with_drone}",
        "url": page(order),
        "remedies": actions.buttons(order, remedy) if remedy else (),
        "all_url": listed("tab=attention"),
        "about": about(order),
        "is_symptom": True,
    }


# --- ended without a delivery --------------------------------------------------------------------


def ended(now: datetime) -> QuerySet[Order]:
    """Failed and aborted orders that no person has seen. Uses the index order_status_newest."""
    recent = Order.objects.live().filter(
        status__in=(Status.FAILED, Status.ABORTED), created_at__gt=now - ENDED_SHOWN_FOR
    )
    return unseen(recent, "ended:", now).order_by(by_rank(), "-created_at")


def undelivered_orders(look: Look) -> Iterator[Attention]:
    def item(order: Order) -> Attention:
        what = "has failed" if order.status == Status.FAILED else "was aborted"
        return Attention(
            key=f"ended:{order.pk}",
            level=6 - 2 * RANK[order.priority],
            text=f"{order.get_priority_display()} order {order} {what}",
            detail=f"{order.get_reason_code_display()}." if order.reason_code else "",
            url=page(order),
            remedies=actions.buttons(order, "correct"),
            since=order.last_step_at,
            cause="ended",
            many="orders have failed or were aborted",
            all_url=listed("tab=attention"),
            about=about(order),
            until_seen=True,
        )

    return each(look, ended, item)


for narrow in (late, at_risk, ended):
    tabs.needs_attention(narrow)
registry.add_attention(
    late_orders, checks="no order is late or about to be", reads=worst(late, at_risk)
)
registry.add_attention(
    undelivered_orders, checks="every failed or aborted order was seen", reads=worst(ended)
)
