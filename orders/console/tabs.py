"""The tabs and filters above the console's list of orders."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone

from orders.models import Order
from orders.states import IN_FLIGHT, TERMINAL, Status
from wingxtra.database.aggregates import bounded_counts


@dataclass(frozen=True, slots=True)
class Tab:
    title: str
    narrow: Callable[[QuerySet[Order]], QuerySet[Order]]
    empty: str
    is_urgent: bool = False  # the most urgent first, unless a column is chosen
    is_open: bool = True  # holds open orders only, which are few: every column sorts


MAX_COUNTED = 1_000  # more is “1,000+”: see docs/decisions/0019-list-totals.md
OPEN = ~Q(status__in=TERMINAL)
LATE = (OPEN & Q(deliver_by__lt=Now())) | Q(delivered_at__gt=F("deliver_by"))

# The orders behind each kind of line of the dashboard: their ids at a time.
_sources: list[Callable[[datetime], QuerySet[Any]]] = []


def needs_attention(ids: Callable[[datetime], QuerySet[Any]]) -> None:
    """Show these orders in the tab “Needs attention”. `ids(now)`: a queryset of orders, or of rows
    with `values("order")`.
    """
    _sources.append(ids)


def _needing(now: datetime) -> QuerySet[Any]:
    """One list of ids: a union, so that each part can use its own index."""
    first, *others = (
        found.order_by() if found.query.values_select else found.order_by().values("pk")
        for found in (source(now) for source in _sources)
    )
    return first.union(*others)


TABS: dict[str, Tab] = {
    "attention": Tab(
        "Needs attention",
        lambda orders: orders.filter(pk__in=_needing(timezone.now())),
        "No order needs you: none is late or about to be, and none is on the dashboard.",
        is_urgent=True,
    ),
    "queued": Tab(
        "Queued",
        lambda orders: orders.filter(status=Status.QUEUED),
        "No order is waiting for a drone.",
        is_urgent=True,
    ),
    "assigned": Tab(
        "Assigned",
        lambda orders: orders.filter(status__in=[Status.ASSIGNED, Status.MISSION_SUBMITTED]),
        "No drone is about to start.",
    ),
    "in_flight": Tab(
        "In flight",
        lambda orders: orders.filter(status__in=IN_FLIGHT),
        "No drone is flying an order.",
    ),
    "scheduled": Tab(
        "Scheduled",
        lambda orders: orders.filter(status__in=[Status.CREATED, Status.VALIDATED]),
        "No order is scheduled for later.",
    ),
    "done": Tab(
        "Done",
        lambda orders: orders.filter(status__in=TERMINAL),
        "No order has ended yet.",
        is_open=False,
    ),
}


def tab_links(request: HttpRequest) -> list[dict[str, Any]]:
    """Title, address, whether it is the current one, and how many orders are in it: one statement,
    which counts at most MAX_COUNTED of each. A tab link drops all other filters.
    """
    here = request.GET.get("tab", "")
    everything: QuerySet[Order] = Order.objects.all()
    found = bounded_counts([tab.narrow(everything) for tab in TABS.values()], MAX_COUNTED)
    links = [
        {
            "title": tab.title,
            "url": f"?tab={name}",
            "current": name == here,
            "count": f"{count:,}" if count <= MAX_COUNTED else f"{MAX_COUNTED:,}+",
        }
        for (name, tab), count in zip(TABS.items(), found, strict=True)
    ]
    return [*links, {"title": "All", "url": "?", "current": not here}]


class TabFilter(admin.SimpleListFilter):
    """Reads the tab from the address. Shown as tabs above the list, not among the filters."""

    title = "tab"
    parameter_name = "tab"
    template = "console/no_filter.html"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, tab.title) for name, tab in TABS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        tab = TABS.get(self.value() or "")
        return tab.narrow(queryset) if tab else queryset
