"""The list of the merchant's orders."""

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from orders.api.serializers import order_json
from orders.models import Order
from tracking.merchant import frame
from tracking.merchant.access import PageCaller, merchant_page

ROWS = 25


@require_safe
@merchant_page
def orders(request: HttpRequest, caller: PageCaller) -> HttpResponse:
    now = timezone.now()
    visible = Order.objects.visible_to(caller).select_related("current_job", "holder_hub")
    rows = [order_json(order, caller, now, in_full=False) for order in visible[:ROWS]]
    return frame.page(request, "orders.html", {"title": "Orders", "rows": rows})
