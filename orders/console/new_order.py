"""Place an order for a merchant, or a copy of one: the merchant, then a quote, then the order."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis
import structlog
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone

from fleet.airspace import rulebook
from orders import quotes
from orders.api import forms, placing
from orders.api.serializers import NewOrder, OrderInput
from orders.models import Order, Store
from wingxtra.accounts.models import Merchant
from wingxtra.api import once
from wingxtra.console import actions
from wingxtra.console.widgets import tiles
from wingxtra.problems import Invalid, Problem, Unavailable

log = structlog.get_logger(__name__)

PERMISSION = "orders.add_order"
MAX_FOUND = 20
NO_QUOTES = "Quotes are not available now, and nothing was placed. Try again in a minute."
ONLY_IN_ORDERS = set(NewOrder().fields) - set(OrderInput().fields)
COPIED = (
    "customer_name",
    "customer_phone",
    "customer_email",
    "customer_language",
    "pickup_name",
    "dropoff_address",
    "dropoff_instructions",
    "payload_type",
    "priority",
    "pod_requirement",
)


@dataclass(frozen=True, slots=True)
class Start:
    """What the form begins with. `again`: the order that is copied."""

    merchant: Merchant
    stores: list[Store]
    again: Order | None = None


def new_order(request: HttpRequest) -> HttpResponse:
    """`?merchant=` or `?again=` an order; without one the merchant is searched for, by `?q=`."""
    user: Any = request.user
    if not user.has_perm(PERMISSION):
        raise PermissionDenied
    start = _start(request)
    if start is None:
        return _choose_merchant(request)
    if request.method != "POST":
        return _page(request, start, forms.OrderForm(initial=_initial(start), **_options(start)))
    form = forms.OrderForm(request.POST, **_options(start))
    try:
        if "place" not in request.POST:
            return _page(request, start, form, quote=_quote(user, start, form))
        answer = once.once(request, str(user.pk), lambda: _place(request, start, form))
        return _to_its_page(request, answer) if answer.status_code == 201 else _shown(answer)
    except Problem as problem:
        return _shown(_page(request, start, form, refused=problem))
    except (redis.ConnectionError, redis.TimeoutError) as error:
        log.error("quotes_unavailable", error=str(error))
        away = Unavailable("redis_unavailable", NO_QUOTES)
        return _page(request, start, form, refused=away)


def _shown(answer: HttpResponse) -> HttpResponse:
    """A form with its problems is a page like any other, as everywhere in the console. `once` needs
    to see the refusal before.
    """
    if answer.status_code < 500:
        answer.status_code = 200
    return answer


# --- whose order ---------------------------------------------------------------------------------


def _start(request: HttpRequest) -> Start | None:
    """Raises Http404 for an unknown merchant or order, and one that is not open for orders."""
    again = merchant = None
    if order_id := request.GET.get("again"):
        orders = Order.objects.filter(forgotten_at=None, live_mode=True).select_related("merchant")
        again = orders.filter(pk=_uuid(order_id)).first()
        merchant = again.merchant if again and again.merchant.active else None
    elif merchant_id := request.GET.get("merchant"):
        merchant = Merchant.objects.filter(pk=_uuid(merchant_id), active=True).first()
    else:
        return None
    if merchant is None:
        raise Http404("There is no such merchant or order.")
    stores = Store.objects.filter(merchant=merchant, live_mode=True, active=True).order_by("name")
    return Start(merchant, list(stores), again)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Http404("There is no such merchant or order.") from error


def _choose_merchant(request: HttpRequest) -> HttpResponse:
    text = request.GET.get("q", "").strip()[:100]
    found = Merchant.objects.filter(active=True)
    for word in text.split():
        found = found.filter(name__icontains=word)
    listed = list(found.order_by("name")[: MAX_FOUND + 1])
    context = {
        **admin.site.each_context(request),
        "title": "Place an order: for whom?",
        "text": text,
        "merchants": listed[:MAX_FOUND],
        "are_more": len(listed) > MAX_FOUND,
        "most": MAX_FOUND,
    }
    return TemplateResponse(request, "console/order/merchants.html", context)


# --- the form ------------------------------------------------------------------------------------


def _options(start: Start) -> dict[str, Any]:
    return {"live": True, "stores": start.stores}


def _initial(start: Start) -> dict[str, str]:
    """The copied order, or where the merchant's last order was picked up."""
    again = start.again
    last = again or Order.objects.filter(merchant=start.merchant, live_mode=True).first()
    if last is None:
        return {}
    initial = {"pickup": _point(last.pickup_lat, last.pickup_lng), "pickup_name": last.pickup_name}
    if last.store_id in {store.pk for store in start.stores}:
        initial["store_id"] = str(last.store_id)
    if again is None:
        return initial
    initial |= {name: str(getattr(again, name) or "") for name in COPIED}
    initial["dropoff"] = _point(again.dropoff_lat, again.dropoff_lng)
    initial["payload_weight_kg"] = f"{again.payload_weight_kg:g}"
    initial["payload_size_cm"] = " x ".join(f"{side:g}" for side in again.payload_size_cm or ())
    initial["metadata"] = "" if _lost_metadata(again) else _lines(again)
    return initial


def _point(lat: float, lng: float) -> str:
    return f"{lat:.6f}, {lng:.6f}"


def _lines(order: Order) -> str:
    return "\n".join(f"{name}: {value}" for name, value in order.metadata.items())


def _lost_metadata(order: Order) -> bool:
    """Whether the merchant's data would change in the form, which has a line for each member."""
    try:
        return forms.members(_lines(order)) != order.metadata
    except forms.NoMember:
        return True


def _page(
    request: HttpRequest,
    start: Start,
    form: forms.OrderForm,
    *,
    quote: quotes.Quote | None = None,
    refused: Problem | None = None,
) -> HttpResponse:
    """The form with a new token. quote: allows to place the order."""
    again = start.again
    about = f"Order {again} again" if again else f"Place an order for {start.merchant}"
    context = {
        **admin.site.each_context(request),
        "title": about,
        "merchant": start.merchant,
        "again": again,
        "lost_metadata": again is not None and _lost_metadata(again),
        "form": form,
        "token": once.new_token(),
        "quote": quote,
        "quoted": quoted(quote.answer) if quote and quote.answer["serviceable"] else "",
        "refused": refused.detail if refused and not isinstance(refused, Invalid) else "",
        "stores": {str(store.pk): [store.lat, store.lng] for store in start.stores},
        "areas": [area.polygon for area in rulebook.current(timezone.now()).areas],
        "tiles": tiles(),
    }
    status = refused.status if refused else 200
    return TemplateResponse(request, "console/order/new.html", context, status=status).render()


def quoted(answer: dict[str, Any]) -> str:
    """“12 to 60 min to the door, over 2.3 km. All drones are busy, so it waits for one.”"""
    over = f"over {(answer['distance_m'] or 0) / 1000:.1f} km"
    if held_up := answer["held_up"]:
        return f"It can be flown {over}, but it is not known when. {held_up['message']}"
    low, high = answer["eta_seconds"]["low"], answer["eta_seconds"]["high"]
    words = f"{math.floor(low / 60)} to {math.ceil(high / 60)} min to the door, {over}."
    return f"{words} All drones are busy, so it waits for one." if answer["busy"] else words


# --- quote and place -----------------------------------------------------------------------------


def _data(start: Start, form: forms.OrderForm) -> tuple[dict[str, Any], Sequence[Any]]:
    data, unreadable = form.json()
    return {**data, "merchant_id": str(start.merchant.pk)}, unreadable


def _quote(user: Any, start: Start, form: forms.OrderForm) -> quotes.Quote:
    data, unreadable = _data(start, form)
    trip = {name: value for name, value in data.items() if name not in ONLY_IN_ORDERS}
    try:
        return placing.quote(user, trip)
    except Invalid as invalid:
        forms.show(form, invalid.errors, form.names, unreadable)
        raise


def _place(request: HttpRequest, start: Start, form: forms.OrderForm) -> HttpResponse:
    """201 with the id of the order, which is kept for a second click; or the form again."""
    user: Any = request.user
    data, unreadable = _data(start, form)
    if quote_id := request.POST.get("quote_id"):
        data["quote_id"] = quote_id
    try:
        order = placing.place(user, data)
    except Problem as problem:
        if isinstance(problem, Invalid):
            forms.show(form, problem.errors, form.names, unreadable)
        return _page(request, start, form, refused=problem)
    copy = f", a copy of {start.again}" if start.again else ""
    actions.log(user, order, f"Placed for {start.merchant}{copy}.")
    return HttpResponse(str(order.pk), status=201)


def _to_its_page(request: HttpRequest, answer: HttpResponse) -> HttpResponse:
    order = Order.objects.select_related("merchant").get(pk=answer.content.decode())
    messages.success(request, f"Order {order} is placed for {order.merchant}.")
    return HttpResponseRedirect(actions.page_of(order))
