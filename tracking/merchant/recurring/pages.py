"""The merchant's recurring orders of a mode: made, changed, paused, a day skipped."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from fleet.airspace import rulebook
from orders.models import RecurringOrder, Store
from orders.recurring import verbs
from orders.recurring.serializers import with_days
from tracking.merchant import frame, words
from tracking.merchant.access import PageCaller, merchant_page
from tracking.merchant.recurring.form import ChangeForm, RecurringForm
from wingxtra.api.pagination import after_cursor
from wingxtra.console.registry import Tone
from wingxtra.middleware.page_policy import for_map
from wingxtra.opening_hours import text as as_text
from wingxtra.problems import Invalid, NotFound, Problem

ROWS = 50
STATES = {
    "PLANNED": words.Said("Planned"),
    "PLACED": words.Said("Placed", Tone.GOOD),
    "SKIPPED": words.Said("Skipped"),
    "REFUSED": words.Said("Not placed", Tone.BAD),
}


@require_safe
@merchant_page
def recurring_orders(request: HttpRequest, caller: PageCaller) -> HttpResponse:
    """`?after=`, the cursor of the next page."""
    here, after = frame.address(request, "recurring-orders"), request.GET.get("after", "")
    try:
        rows, next_cursor = after_cursor(RecurringOrder.objects.visible_to(caller), after, ROWS)
    except Invalid:  # a link that was cut off: the first page is the useful answer
        return frame.see_other(here)
    context = {
        "title": "Recurring orders" if caller.live_mode else "Recurring test orders",
        "rows": [_shown(request, row) for row in with_days(rows, timezone.now())],
        "first_url": here if after else "",
        "next_url": f"{here}?{urlencode({'after': next_cursor})}" if next_cursor else "",
    }
    return frame.page(request, "recurring_orders.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@for_map
@merchant_page
def new_recurring_order(request: HttpRequest, caller: PageCaller) -> HttpResponse:
    stores = _stores(caller)
    if request.method != "POST":
        usual = {
            "weekdays": "Mon-Fri",
            "local_time": "07:30",
            "starts_on": f"{timezone.now():%Y-%m-%d}",
            "hours_ahead": "24",
        }
        form = RecurringForm(initial=usual, live=caller.live_mode, stores=stores)
        return _form_page(request, form, stores)
    form = RecurringForm(request.POST, live=caller.live_mode, stores=stores)
    try:
        values = {"starts_on": timezone.now().date(), **form.values()}
        made = verbs.create(caller.merchant.pk, values, live_mode=caller.live_mode)
    except Invalid as refused:
        if not form.errors:
            form.show(refused.errors)
        return _form_page(request, form, stores, status=refused.status)
    frame.say(request, f"“{made.name}” is added.")
    return frame.see_other(frame.address(request, "recurring-order", made.pk))


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_page
def recurring_order(request: HttpRequest, caller: PageCaller, recurring_id: UUID) -> HttpResponse:
    found = _own(caller, recurring_id)
    if request.method != "POST":
        return _page(request, found)
    handlers: dict[str, Callable[[RecurringOrder, HttpRequest], str]] = {
        "pause": _switch,
        "resume": _switch,
        "skip": _decide,
        "unskip": _decide,
    }
    handler = handlers.get(request.POST.get("do", ""))
    try:
        if handler is None:
            raise Problem("form_not_ours", "No such form.")
        frame.say(request, handler(found, request))
    except Problem as refused:
        return _page(request, found, refused=refused)
    return frame.see_other(frame.address(request, "recurring-order", found.pk))


@require_http_methods(["GET", "HEAD", "POST"])
@for_map
@merchant_page
def change_recurring_order(
    request: HttpRequest, caller: PageCaller, recurring_id: UUID
) -> HttpResponse:
    """The same as the API's PATCH, with what was changed on the page."""
    found = _own(caller, recurring_id)
    stores = _stores(caller, also=found.order.get("store_id"))
    typed = request.POST if request.method == "POST" else None
    form = ChangeForm(typed, row=found, live=caller.live_mode, stores=stores)
    if typed is None:
        return _form_page(request, form, stores, row=found)
    try:
        asked = form.values()
        goes_on = verbs.change_as_asked(found.pk, asked) if asked else found
    except Invalid as refused:
        if not form.errors:
            form.show(refused.errors)
        return _form_page(request, form, stores, row=found, status=refused.status)
    said = f"“{goes_on.name}” is changed." if asked else "Nothing was changed."
    if goes_on.pk != found.pk:
        said = f"“{found.name}” ends on the day before, and this one goes on from that day."
    frame.say(request, said)
    return frame.see_other(frame.address(request, "recurring-order", goes_on.pk))


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_page
def remove_recurring_order(
    request: HttpRequest, caller: PageCaller, recurring_id: UUID
) -> HttpResponse:
    found = _own(caller, recurring_id)
    if request.method == "POST":
        verbs.remove(found.pk)
        frame.say(request, f"“{found.name}” is removed.")
        return frame.see_other(frame.address(request, "recurring-orders"))
    context = {
        "title": f"Remove “{found.name}”?",
        "text": "It places no more orders. Orders that are placed stay.",
        "button": "Remove it",
        "back": frame.address(request, "recurring-order", found.pk),
    }
    return frame.page(request, "confirm.html", context, section="recurring-orders")


def _own(caller: PageCaller, recurring_id: UUID) -> RecurringOrder:
    """Raises NotFound."""
    found = RecurringOrder.objects.visible_to(caller).filter(pk=recurring_id).first()
    if found is None:
        raise NotFound("recurring order")
    return found


def _stores(caller: PageCaller, also: str | None = None) -> list[Store]:
    """The stores that take orders, and this one."""
    offered = Q(active=True) | Q(pk=also)
    return list(Store.objects.visible_to(caller).filter(offered).order_by("name"))


# --- forms of one --------------------------------------------------------------------------------


def _switch(found: RecurringOrder, request: HttpRequest) -> str:
    paused = request.POST["do"] == "pause"
    verbs.pause(found.pk, paused=paused)
    return f"“{found.name}” {'is paused' if paused else 'places orders again'}."


def _decide(found: RecurringOrder, request: HttpRequest) -> str:
    try:
        on = date.fromisoformat(request.POST.get("on", ""))
    except ValueError as error:
        raise Problem("form_not_ours", "No such day.") from error
    if request.POST["do"] == "skip":
        verbs.skip(found.pk, on)
        return f"{on:%A} {on.day} {on:%B} is skipped."
    verbs.unskip(found.pk, on)
    return f"{on:%A} {on.day} {on:%B} is placed after all."


# --- parts ---------------------------------------------------------------------------------------


def _form_page(
    request: HttpRequest,
    form: RecurringForm,
    stores: Sequence[Store],
    *,
    row: RecurringOrder | None = None,
    status: int = 200,
) -> HttpResponse:
    """row: the one that is changed; None for a new one."""
    live = frame.is_live(request)
    added = "Add a recurring order" if live else "Add a recurring test order"
    context = {
        "title": f"Change “{row.name}”" if row else added,
        "row": row,
        "form": form,
        "stores": {str(store.pk): [store.lat, store.lng] for store in stores},
        **frame.map_context(rulebook.current(timezone.now()).areas),
    }
    section = "recurring-orders"
    return frame.page(request, "recurring_form.html", context, section=section, status=status)


def _page(
    request: HttpRequest, found: RecurringOrder, *, refused: Problem | None = None
) -> HttpResponse:
    with_days([found], timezone.now())
    context = {
        "title": found.name,
        "row": _shown(request, found),
        "refused": refused.detail if refused else "",
    }
    status = refused.status if refused else 200
    section = "recurring-orders"
    return frame.page(request, "recurring.html", context, section=section, status=status)


def _shown(request: HttpRequest, row: Any) -> dict[str, Any]:
    """row: a RecurringOrder `with_days`."""
    zone = row.schedule.zone
    last = [
        {name: getattr(one, name) for name in ("on", "at", "state", "order_id", "problems", "note")}
        for one in row.last
    ]
    paused, places = words.Said("Paused", Tone.WARN), words.Said("Places orders", Tone.GOOD)
    return {
        "pk": row.pk,
        "url": frame.address(request, "recurring-order", row.pk),
        "name": row.name,
        "state": paused if row.paused else places,
        "is_paused": row.paused,
        "days": as_text.days_said(row.weekdays),
        "time": f"{row.local_time:%H:%M}",
        "zone": row.time_zone,
        "hours_ahead": row.hours_ahead,
        "ends_on": row.ends_on,
        "next": [_day(request, one, zone) for one in row.next],
        "last": [_day(request, one, zone) for one in last],
        "refused": sum(1 for one in row.next if one["state"] == "REFUSED"),
    }


def _day(request: HttpRequest, one: dict[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    on, local = one["on"], one["at"].astimezone(zone)
    order_id = one["order_id"]
    return {
        "on": f"{on:%Y-%m-%d}",
        "said": f"{on:%a} {on.day} {on:%b}, {local:%H:%M}",
        "state": STATES[one["state"]],
        "order_url": frame.address(request, "order", order_id) if order_id else "",
        "problems": [problem["message"] for problem in one["problems"]],
        "note": one["note"],
        "may_skip": one["state"] in ("PLANNED", "REFUSED"),
        "is_skipped": one["state"] == "SKIPPED",
    }
