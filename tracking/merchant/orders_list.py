"""The list of the merchant's orders: tabs by state, search, and pages."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from orders.api.serializers import order_json
from orders.models import Order
from orders.states import IN_FLIGHT, Status
from tracking.merchant import export, frame, words
from tracking.merchant.access import PageCaller, merchant_page
from wingxtra.api.pagination import after_cursor
from wingxtra.problems import Invalid

ROWS = 25
MAX_SEARCH = 200


@dataclass(frozen=True, slots=True)
class Tab:
    title: str
    statuses: tuple[Status, ...]
    empty: str


TABS = {
    "waiting": Tab(
        "Waiting",
        (Status.CREATED, Status.VALIDATED, Status.QUEUED),
        "No order is waiting for its time or for a drone.",
    ),
    "under_way": Tab(
        "Under way",
        (Status.ASSIGNED, Status.MISSION_SUBMITTED, *IN_FLIGHT),
        "No drone is on its way with an order of yours.",
    ),
    "delivered": Tab("Delivered", (Status.DELIVERED,), "No order has been delivered yet."),
    "not_delivered": Tab(
        "Not delivered",
        (Status.CANCELED, Status.FAILED, Status.ABORTED),
        "No order was canceled and none has failed.",
    ),
}


@require_safe
@merchant_page
def orders(request: HttpRequest, caller: PageCaller) -> HttpResponse:
    """`?tab=`, `?q=` and `?after=`, the cursor of the next page."""
    tab = request.GET.get("tab", "")
    search = request.GET.get("q", "").strip()[:MAX_SEARCH].replace("\0", "")
    found = Order.objects.visible_to(caller).select_related("current_job", "holder_hub")
    if tab in TABS:
        found = found.filter(status__in=TABS[tab].statuses)
    if search:
        found = found.matching(search)
    try:
        rows, next_cursor = after_cursor(found, request.GET.get("after", ""), ROWS)
    except Invalid:  # a link that was cut off: the first page is the useful answer
        return frame.see_other(_link(request, tab, search))
    now = timezone.now()
    context = {
        "title": "Orders",
        "rows": [_row(request, caller, order, now) for order in rows],
        "tabs": _tabs(request, tab, search),
        "tab": tab,
        "search": search,
        "empty": TABS[tab].empty if tab in TABS else "",
        "all_url": _link(request),
        "export_url": export.link(request, TABS[tab].statuses if tab in TABS else (), search),
        "first_url": _link(request, tab, search) if request.GET.get("after") else "",
        "next_url": _link(request, tab, search, next_cursor) if next_cursor else "",
        "now": now,
    }
    return frame.page(request, "orders.html", context)


def _row(request: HttpRequest, caller: PageCaller, order: Order, now: datetime) -> dict[str, Any]:
    body = order_json(order, caller, now, in_full=False)
    return {
        "url": frame.address(request, "order", order.pk),
        "name": words.name(body),
        "tracking_id": words.grouped(order.public_tracking_id),
        "customer": body["customer_name"] or body["customer_phone"] or "—",
        "state": words.state(body),
        "timing": words.timing(body, now),
        "placed": words.clock(order.created_at, now),
        "created_at": order.created_at,
        "scenario": order.get_test_scenario_display() if order.test_scenario else "",
    }


def _tabs(request: HttpRequest, here: str, search: str) -> list[dict[str, Any]]:
    titles = {"": "All"} | {name: tab.title for name, tab in TABS.items()}
    return [
        {"title": title, "url": _link(request, name, search), "current": name == here}
        for name, title in titles.items()
    ]


def _link(request: HttpRequest, tab: str = "", search: str = "", after: str = "") -> str:
    query = {"tab": tab, "q": search, "after": after}
    given = urlencode({name: value for name, value in query.items() if value})
    return frame.address(request, "orders") + (f"?{given}" if given else "")
