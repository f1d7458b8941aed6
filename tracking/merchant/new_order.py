"""Place an order: first a quote, then the order, in one form that keeps what was typed.

Each form has a token. The order is placed under it as under an `Idempotency-Key`, so a second click
or a reload answers with the page of the first one, with the recipient's code on it.
"""

import redis
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from fleet.airspace import rulebook
from orders import quotes
from orders.api import placing
from orders.api.serializers import NewOrder, OrderInput, order_json
from orders.models import Order
from tracking.merchant import forms, frame, once, words
from tracking.merchant.access import PageCaller, merchant_page
from tracking.page import texts
from wingxtra.page_policy import for_map
from wingxtra.problems import FieldProblem, Invalid, Problem, Unavailable

log = structlog.get_logger(__name__)

NO_QUOTES = "We cannot answer just now, and nothing was placed. Try again in a minute."
ONLY_IN_ORDERS = set(NewOrder().fields) - set(OrderInput().fields)


@require_http_methods(["GET", "HEAD", "POST"])
@for_map
@merchant_page
def new_order(request: HttpRequest, caller: PageCaller) -> HttpResponse:
    if request.method != "POST":
        first = forms.OrderForm(initial=_usual(caller), live=caller.live_mode)
        return _page(request, caller, first)
    form = forms.OrderForm(request.POST, live=caller.live_mode)
    try:
        if "place" not in request.POST:
            return _quote(request, caller, form)
        return once.once(request, caller, lambda: _place(request, caller, form))
    except Problem as problem:
        return _page(request, caller, form, refused=problem)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        log.error("quotes_unavailable", error=str(error))
        return _page(request, caller, form, refused=Unavailable("redis_unavailable", NO_QUOTES))


def _usual(caller: PageCaller) -> dict[str, str]:
    """Where the merchant's last order was picked up."""
    last = Order.objects.filter(merchant=caller.merchant).first()
    if last is None:
        return {}
    pickup = f"{last.pickup_lat:.6f}, {last.pickup_lng:.6f}"
    return {"pickup_name": last.pickup_name, "pickup": pickup}


def _page(
    request: HttpRequest,
    caller: PageCaller,
    form: forms.OrderForm,
    *,
    quote: quotes.Quote | None = None,
    refused: Problem | None = None,
) -> HttpResponse:
    """The form with a new token. quote: allows to place the order."""
    areas = [area.polygon for area in rulebook.current(timezone.now()).areas]
    context = {
        "title": "Place an order" if caller.live_mode else "Place a test order",
        "form": form,
        "token": once.new_token(),
        "quote": quote,
        "quoted": words.quoted(quote.answer) if quote and quote.answer["serviceable"] else "",
        "distance": texts.distance(quote.answer["distance_m"] or 0) if quote else "",
        "refused": refused.detail if refused and not isinstance(refused, Invalid) else "",
        "areas": areas,
        "tile_url": settings.MAP_TILE_URL,
        "tile_attribution": settings.MAP_TILE_ATTRIBUTION,
    }
    return frame.page(request, "new_order.html", context, status=refused.status if refused else 200)


def _quote(request: HttpRequest, caller: PageCaller, form: forms.OrderForm) -> HttpResponse:
    data, problems = form.json()
    trip = {name: value for name, value in data.items() if name not in ONLY_IN_ORDERS}
    try:
        quote = placing.quote(caller, trip)
    except Invalid as invalid:
        _show(form, problems, invalid)
        return _page(request, caller, form, refused=invalid)
    return _page(request, caller, form, quote=quote)


def _place(request: HttpRequest, caller: PageCaller, form: forms.OrderForm) -> HttpResponse:
    data, problems = form.json()
    if quote_id := request.POST.get("quote_id"):
        data["quote_id"] = quote_id
    try:
        order = placing.place(caller, data)
    except Problem as problem:
        if isinstance(problem, Invalid):
            _show(form, problems, problem)
        return _page(request, caller, form, refused=problem)
    body = order_json(order, caller, timezone.now())
    context = {
        "title": "The order is placed",
        "order": body,
        "name": words.name(body),
        "tracking_id": words.grouped(order.public_tracking_id),
        "state": words.state(body),
        "scenario": order.get_test_scenario_display() if order.test_scenario else "",
        "otp_code": order.otp_code,
    }
    return frame.page(request, "placed.html", context, status=201)


def _show(form: forms.OrderForm, unreadable: list[FieldProblem], invalid: Invalid) -> None:
    """A point that cannot be read is not reported as missing, too."""
    known = {problem.field for problem in unreadable}
    others = [one for one in invalid.errors if forms.POINTS.get(one.field) not in known]
    forms.show(form, [*unreadable, *others], forms.POINTS)
