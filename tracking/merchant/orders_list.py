"""The list of the merchant's orders: tabs by state, search, and pages."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from orders.api.serializers import order_json
from orders.models import Order, Store
from orders.promises import memory
from orders.states import IN_FLIGHT, Status
from tracking.merchant import export, frame, words
from tracking.merchant.access import PageCaller, merchant_page
from wingxtra.api.pagination import after_cursor
from wingxtra.problems import Invalid, NotFound

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


@dataclass(frozen=True, slots=True)
class Shown:
    """Which orders are shown; empty: all."""

    tab: str = ""
    search: str = ""
    store_id: str = ""


@require_safe
@merchant_page
def orders(request: HttpRequest, caller: PageCaller) -> HttpResponse:
    """`?tab=`, `?q=`, `?store_id=`, and `?after=`, the cursor of the next page."""
    store = _store(caller, request.GET.get("store_id", ""))
    search = request.GET.get("q", "").strip()[:MAX_SEARCH].replace("\0", "")
    shown = Shown(request.GET.get("tab", ""), search, str(store.pk) if store else "")
    tab = shown.tab
    found = Order.objects.visible_to(caller).select_related("current_job", "holder_hub")
    if tab in TABS:
        found = found.filter(status__in=TABS[tab].statuses)
    if search:
        found = found.matching(search)
    if store:
        found = found.filter(store=store)
    try:
        rows, next_cursor = after_cursor(found, request.GET.get("after", ""), ROWS)
    except Invalid:  # a link that was cut off: the first page is the useful answer
        return frame.see_other(_link(request, shown))
    now = timezone.now()
    memory.attach(rows, now)
    context = {
        "title": "Orders",
        "rows": [_row(request, caller, order, now) for order in rows],
        "tabs": _tabs(request, shown),
        "tab": tab,
        "search": search,
        "store": store,
        "of_all_stores_url": _link(request, replace(shown, store_id="")),
        "empty": TABS[tab].empty if tab in TABS else "",
        "all_url": _link(request, Shown(store_id=shown.store_id)),
        "export_url": export.link(
            request, TABS[tab].statuses if tab in TABS else (), search, shown.store_id
        ),
        "first_url": _link(request, shown) if request.GET.get("after") else "",
        "next_url": _link(request, shown, next_cursor) if next_cursor else "",
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


def _store(caller: PageCaller, store_id: str) -> Store | None:
    """Raises NotFound."""
    if not store_id:
        return None
    try:
        wanted = UUID(store_id)
    except ValueError:
        raise NotFound("store") from None
    store = Store.objects.visible_to(caller).filter(pk=wanted).first()
    if store is None:
        raise NotFound("store")
    return store


def _tabs(request: HttpRequest, shown: Shown) -> list[dict[str, Any]]:
    titles = {"": "All"} | {name: tab.title for name, tab in TABS.items()}
    return [
        {
            "title": title,
            "url": _link(request, replace(shown, tab=name)),
            "current": name == shown.tab,
        }
        for name, title in titles.items()
    ]


def _link(request: HttpRequest, shown: Shown, after: str = "") -> str:
    query = {"tab": shown.tab, "q": shown.search, "store_id": shown.store_id, "after": after}
    given = urlencode({name: value for name, value in query.items() if value})
    return frame.address(request, "orders") + (f"?{given}" if given else "")
