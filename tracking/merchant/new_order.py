"""Place an order: first a quote, then the order, in one form that keeps what was typed.

Each form has a token. The order is placed under it as under an `Idempotency-Key`, so a second click
or a reload answers with the page of the first one, with the recipient's code on it.
"""

from collections.abc import Sequence

import redis
import structlog
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from fleet.airspace import rulebook
from orders import quotes
from orders.api import forms, placing
from orders.api.serializers import NewOrder, OrderInput, order_json
from orders.models import Order, Store
from tracking.merchant import frame, words
from tracking.merchant.access import PageCaller, merchant_page
from tracking.page import texts
from wingxtra.api import once
from wingxtra.middleware.page_policy import for_map
from wingxtra.problems import Invalid, Problem, Unavailable

log = structlog.get_logger(__name__)

NO_QUOTES = "We cannot answer just now, and nothing was placed. Try again in a minute."
ONLY_IN_ORDERS = set(NewOrder().fields) - set(OrderInput().fields)


@require_http_methods(["GET", "HEAD", "POST"])
@for_map
@merchant_page
def new_order(request: HttpRequest, caller: PageCaller) -> HttpResponse:
    """`?store_id=` chooses a store."""
    stores = list(Store.objects.visible_to(caller).filter(active=True).order_by("name"))
    if request.method != "POST":
        usual = _usual(caller, stores, request.GET.get("store_id", ""))
        form = forms.OrderForm(initial=usual, live=caller.live_mode, stores=stores)
        return _page(request, form, stores)
    form = forms.OrderForm(request.POST, live=caller.live_mode, stores=stores)
    try:
        if "place" not in request.POST:
            quote = _quote(caller, form)
            return _page(request, form, stores, quote=quote)
        return once.once(request, caller.key, lambda: _place(request, caller, form, stores))
    except Problem as problem:
        return _page(request, form, stores, refused=problem)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        log.error("quotes_unavailable", error=str(error))
        away = Unavailable("redis_unavailable", NO_QUOTES)
        return _page(request, form, stores, refused=away)


def _usual(caller: PageCaller, stores: Sequence[Store], chosen: str) -> dict[str, str]:
    """The chosen store, else where the merchant's last order was picked up."""
    open_stores = {str(store.pk) for store in stores}
    last = Order.objects.filter(merchant=caller.merchant).first()
    usual = {"store_id": chosen} if chosen in open_stores else {}
    if last is not None:
        pickup = f"{last.pickup_lat:.6f}, {last.pickup_lng:.6f}"
        usual = {"store_id": str(last.store_id or ""), "pickup": pickup} | usual
        usual["pickup_name"] = last.pickup_name
    return usual


def _page(
    request: HttpRequest,
    form: forms.OrderForm,
    stores: Sequence[Store],
    *,
    quote: quotes.Quote | None = None,
    refused: Problem | None = None,
) -> HttpResponse:
    """The form with a new token. quote: allows to place the order."""
    context = {
        "title": "Place an order" if frame.is_live(request) else "Place a test order",
        "form": form,
        "token": once.new_token(),
        "quote": quote,
        "quoted": words.quoted(quote.answer) if quote and quote.answer["serviceable"] else "",
        "distance": texts.distance(quote.answer["distance_m"] or 0) if quote else "",
        "refused": refused.detail if refused and not isinstance(refused, Invalid) else "",
        "stores": {str(store.pk): [store.lat, store.lng] for store in stores},
        **frame.map_context(rulebook.current(timezone.now()).areas),
    }
    return frame.page(request, "new_order.html", context, status=refused.status if refused else 200)


def _quote(caller: PageCaller, form: forms.OrderForm) -> quotes.Quote:
    data, unreadable = form.json()
    trip = {name: value for name, value in data.items() if name not in ONLY_IN_ORDERS}
    try:
        return placing.quote(caller, trip)
    except Invalid as invalid:
        forms.show(form, invalid.errors, form.names, unreadable)
        raise


def _place(
    request: HttpRequest, caller: PageCaller, form: forms.OrderForm, stores: Sequence[Store]
) -> HttpResponse:
    data, unreadable = form.json()
    if quote_id := request.POST.get("quote_id"):
        data["quote_id"] = quote_id
    try:
        order = placing.place(caller, data)
    except Problem as problem:
        if isinstance(problem, Invalid):
            forms.show(form, problem.errors, form.names, unreadable)
        return _page(request, form, stores, refused=problem)
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
