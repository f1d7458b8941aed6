"""The merchant's orders as a CSV file, filtered like `GET /orders`."""

from urllib.parse import urlencode

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from orders.api.filters import OrderFilter
from orders.files import exports
from orders.models import Order
from orders.states import Status
from tracking.merchant import frame
from tracking.merchant.access import PageCaller, merchant_page


@require_safe
@merchant_page
def export_orders(request: HttpRequest, caller: PageCaller) -> HttpResponseBase:
    """Takes the filters of the API, and refuses others: a misspelled one must not answer all."""
    own = Order.objects.visible_to(caller)
    chosen = OrderFilter(request.GET, queryset=own, request=request)
    problems = [
        f"There is no filter “{name[:40]}”." for name in request.GET if name not in chosen.filters
    ]
    problems += [f"{name}: {' '.join(errors)}" for name, errors in chosen.errors.items()]
    if problems:
        return frame.notice(request, 400, "No file was made", " ".join(problems))
    return exports.download(chosen.qs, caller, "orders" if caller.live_mode else "test-orders")


def link(request: HttpRequest, statuses: tuple[Status, ...], search: str) -> str:
    """The address of the file for these states (none: all) and this search."""
    chosen = [("status", status.value) for status in statuses]
    query = urlencode([*chosen, ("q", search)] if search else chosen)
    return frame.address(request, "export-orders") + (f"?{query}" if query else "")
