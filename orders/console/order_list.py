"""The console's list of orders: its order, its search, and how it renews itself."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from django.db.models import Case, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone

from fleet.feasibility.rules import Priority
from orders.console.tabs import TABS, Tab, TabFilter
from orders.models import search
from orders.promises import memory
from wingxtra.console import actions
from wingxtra.console.lists.change_list import ConsoleChangeList

EVERY_S = 5
EMPTY = "No order was placed yet. Merchants place them by the API or on their page, staff here."
RANK = Case(
    When(priority=Priority.MEDICAL, then=Value(0)),
    When(priority=Priority.URGENT, then=Value(1)),
    default=Value(2),
)
MOST_URGENT_FIRST = (RANK.asc(), "deliver_by", "pk")
# With an index, so that a million orders are sorted by them.
SORT_ALL = ("tracking_id", "state", "promise", "placed")
# For the few open orders.
SORT_OPEN = (*SORT_ALL, "urgency", "parcel", "merchant", "drone")
# The rest of the index that starts with the column.
AS_INDEXED: dict[tuple[str, ...], list[Any]] = {
    ("status", "-pk"): ["status", "-created_at", "-id"],
    ("-status", "-pk"): ["-status", "created_at", "id"],
}


def may_see_personal_data(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("orders.view_personal_data"))


def tab_of(request: HttpRequest) -> Tab | None:
    return TABS.get(request.GET.get("tab", ""))


def sortable_by(request: HttpRequest) -> Sequence[str]:
    tab = tab_of(request)
    return SORT_OPEN if tab and tab.is_open else SORT_ALL


class OrderChangeList(ConsoleChangeList):
    """The tab is a filter in the address, but does not count as an active filter."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        if not may_see_personal_data(request):
            self.search_help_text = "Tracking id or merchant's reference"

    def get_filters(self, request: HttpRequest) -> Any:
        found = super().get_filters(request)
        active = any(
            any(f.used_parameters.values()) for f in found[0] if not isinstance(f, TabFilter)
        )
        return (*found[:-1], active)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        if self.is_by_urgency:
            return [*MOST_URGENT_FIRST]
        if self.is_by_promise:
            return ["-deliver_by", "-pk"]
        ordering: list[Any] = [*super().get_ordering(request, queryset)]
        return AS_INDEXED.get(tuple(map(str, ordering)), ordering)

    def get_ordering_field_columns(self) -> dict[int, str]:
        """No column is marked where no column is the order."""
        if self.is_by_urgency or self.is_by_promise:
            return {}
        return super().get_ordering_field_columns()

    @property
    def is_by_urgency(self) -> bool:
        tab = TABS.get(self.params.get("tab", ""))
        return bool(tab and tab.is_urgent and not self.params.get("o"))

    @property
    def is_by_promise(self) -> bool:
        """Of days of the promise the latest comes first: by the time of placing, the database would
        read all orders since.
        """
        has_days = any(self.params.get(f"deliver_by_{end}") for end in ("from", "to"))
        return has_days and not self.params.get("o")

    def get_results(self, request: HttpRequest) -> None:
        """With the places in line of waiting orders."""
        super().get_results(request)
        memory.attach(list(self.result_list), timezone.now())

    @property
    def when_empty(self) -> str:
        tab = TABS.get(self.params.get("tab", ""))
        return tab.empty if tab else EMPTY


def answered(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The response for a list that renews itself, or for a search that names one order."""
    context: Any = getattr(response, "context_data", None) or {}
    if "cl" not in context or request.method != "GET":
        return response
    if "X-Renew" in request.headers:
        return _as_it_is_now(request, response)
    found = context["cl"].result_list
    if context["cl"].query and len(found) == 1 and context["cl"].page_num == 1:
        (order,) = found
        if search.names(context["cl"].query, order, in_full=may_see_personal_data(request)):
            return HttpResponseRedirect(actions.page_of(order))
    return response


def _as_it_is_now(request: HttpRequest, response: Any) -> HttpResponse:
    """Tabs and rows without their frame; 204 if they are those that the page has."""
    now = TemplateResponse(
        request, "console/list_now.html", response.context_data, status=response.status_code
    ).render()
    tag = sha256(now.content).hexdigest()[:16]
    if request.headers["X-Renew"] == tag:
        return HttpResponse(status=204)
    now["X-Renewed"] = tag
    return now
