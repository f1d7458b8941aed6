"""The merchant's stores of a mode: made, changed, closed, removed."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms as django_forms
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from fleet.airspace import rulebook
from fleet.models import ServiceArea
from orders import stores as verbs
from orders.api import forms
from orders.api.store_serializers import StoreInput
from orders.models import Order, Store
from tracking.merchant import frame, words
from tracking.merchant.access import PageCaller, merchant_page
from wingxtra.api.pagination import after_cursor
from wingxtra.console.registry import Tone
from wingxtra.middleware.page_policy import for_map
from wingxtra.opening_hours import text as as_text
from wingxtra.problems import FieldProblem, Invalid, NotFound, Problem

ROWS = 50
# The form has one field for the position, and texts for the hours.
FIELDS = {
    "lat": "place",
    "lng": "place",
    "hours.timezone": "timezone",
    "hours.weekly": "weekly",
    "hours.exceptions": "exceptions",
}


class StoreForm(django_forms.Form):
    name = forms.text("Name", help="No two of your stores have the same one.", maxlength=120)
    place = forms.text("Where parcels are picked up", help="Latitude, longitude.")
    instructions = forms.lines(
        "Instructions", help="For the pickup: where to go, whom to call.", maxlength=300, rows=2
    )
    weekly = forms.lines(
        "Opening hours",
        help="A line per weekday or range of them. Empty: open, but for the days below.",
        placeholder="Mon-Fri 08:00-12:00, 14:00-20:00",
        rows=4,
    )
    exceptions = forms.lines(
        "Other hours on single days",
        help="A line per date: closed, or its hours.",
        placeholder="2026-12-25 closed",
    )
    timezone = forms.text("Time zone of the hours", help="An IANA name, like Africa/Accra.")

    @classmethod
    def of(cls, store: Store, usual_zone: str) -> "StoreForm":
        hours = store.hours or {"timezone": usual_zone, "weekly": [], "exceptions": []}
        initial = {
            "name": store.name,
            "place": f"{store.lat:.6f}, {store.lng:.6f}",
            "instructions": store.instructions,
            "weekly": as_text.weekly_lines(hours),
            "exceptions": as_text.exception_lines(hours),
            "timezone": hours["timezone"],
        }
        return cls(initial=initial)

    def values(self) -> dict[str, Any]:
        """What was typed, for the verbs. Raises Invalid after putting each problem at its field."""
        self.is_valid()
        typed = {name: self.cleaned_data.get(name, "") for name in self.fields}
        hours, unreadable = _hours(typed)
        data = {
            "name": typed["name"],
            "instructions": forms.with_newlines(typed["instructions"]),
            "hours": None if unreadable else hours,
        }
        if at := forms.point(typed["place"]):
            data |= {"lat": at[0], "lng": at[1]}
        elif typed["place"]:
            unreadable.append(FieldProblem("place", "invalid", forms.NOT_A_POINT))
        values, problems = StoreInput.read(data)
        if unreadable or problems or self.errors:
            forms.show(self, problems, FIELDS, unreadable)
            raise Invalid([*unreadable, *problems])
        return values


def _hours(typed: dict[str, str]) -> tuple[dict[str, Any] | None, list[FieldProblem]]:
    """The hours as the API takes them; without a line the store is always open."""
    hours: dict[str, Any] = {"timezone": typed["timezone"]}
    problems = []
    for name, read in (("weekly", as_text.read_weekly), ("exceptions", as_text.read_exceptions)):
        try:
            hours[name] = read(typed[name])
        except as_text.Unreadable as why:
            problems.append(FieldProblem(name, "invalid", str(why)))
    if not typed["weekly"] and not typed["exceptions"]:
        return None, problems
    if not typed["timezone"]:
        message = "Opening hours need their time zone."
        problems.append(FieldProblem("timezone", "required", message))
    return hours, problems


# --- pages ---------------------------------------------------------------------------------------


@require_safe
@merchant_page
def stores(request: HttpRequest, caller: PageCaller) -> HttpResponse:
    """`?after=`, the cursor of the next page."""
    here, after = frame.address(request, "stores"), request.GET.get("after", "")
    try:
        rows, next_cursor = after_cursor(Store.objects.visible_to(caller), after, ROWS)
    except Invalid:  # a link that was cut off: the first page is the useful answer
        return frame.see_other(here)
    now = timezone.now()
    context = {
        "title": "Stores" if caller.live_mode else "Test stores",
        "rows": [_row(request, store, now) for store in rows],
        "first_url": here if after else "",
        "next_url": f"{here}?{urlencode({'after': next_cursor})}" if next_cursor else "",
    }
    return frame.page(request, "stores.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@for_map
@merchant_page
def new_store(request: HttpRequest, caller: PageCaller) -> HttpResponse:
    if request.method != "POST":
        return _new_page(request)
    form = StoreForm(request.POST)
    try:
        values = form.values()
        made = verbs.create(caller.merchant.pk, values, live_mode=caller.live_mode)
    except Problem as refused:
        _show(form, refused)
        return _new_page(request, form=form, status=refused.status)
    frame.say(request, f"The store “{made.name}” is added.")
    return frame.see_other(frame.address(request, "store", made.pk))


@require_http_methods(["GET", "HEAD", "POST"])
@for_map
@merchant_page
def store(request: HttpRequest, caller: PageCaller, store_id: UUID) -> HttpResponse:
    found = _own(caller, store_id)
    if request.method != "POST":
        return _page(request, found)
    handlers: dict[str, Callable[[HttpRequest, Store], HttpResponse]] = {
        "change": _change,
        "close": _switch,
        "open": _switch,
    }
    handler = handlers.get(request.POST.get("do", ""))
    if handler is None:
        refused = Problem("form_not_ours", "No such form.")
        return _page(request, found, refused=refused)
    return handler(request, found)


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_page
def remove_store(request: HttpRequest, caller: PageCaller, store_id: UUID) -> HttpResponse:
    found = _own(caller, store_id)
    if request.method == "POST":
        verbs.remove(found.pk)
        stays = Store.objects.filter(pk=found.pk).exists()
        frame.say(request, f"The store “{found.name}” is {'closed' if stays else 'removed'}.")
        return frame.see_other(frame.address(request, "stores"))
    has_orders = Order.objects.filter(store=found).exists()
    kept = "It has orders, so it stays in the list, closed: it takes no more orders."
    context = {
        "title": f"Remove the store “{found.name}”?",
        "text": kept if has_orders else "It has no orders. It cannot be brought back.",
        "button": "Close it" if has_orders else "Remove it",
        "back": frame.address(request, "store", found.pk),
    }
    return frame.page(request, "confirm.html", context, section="stores")


def _own(caller: PageCaller, store_id: UUID) -> Store:
    """Raises NotFound."""
    found = Store.objects.visible_to(caller).filter(pk=store_id).first()
    if found is None:
        raise NotFound("store")
    return found


# --- one store -----------------------------------------------------------------------------------


def _change(request: HttpRequest, found: Store) -> HttpResponse:
    form = StoreForm(request.POST)
    try:
        changed = verbs.change(found.pk, form.values())
    except Problem as refused:
        _show(form, refused)
        return _page(request, found, form=form, refused=refused)
    frame.say(request, f"The store “{changed.name}” is changed.")
    return frame.see_other(frame.address(request, "store", found.pk))


def _switch(request: HttpRequest, found: Store) -> HttpResponse:
    active = request.POST["do"] == "open"
    try:
        verbs.change(found.pk, {"active": active})
    except Problem as refused:  # no longer in a service area, for example
        return _page(request, found, refused=refused)
    said = "takes orders again" if active else "is closed and takes no more orders"
    frame.say(request, f"The store “{found.name}” {said}.")
    return frame.see_other(frame.address(request, "store", found.pk))


def _show(form: StoreForm, refused: Problem) -> None:
    """Put the problems of a verb at their fields; those of `StoreForm.values` are there already."""
    problems = [FieldProblem("name", refused.code, refused.detail)]
    if isinstance(refused, Invalid):
        problems = [] if form.errors else refused.errors
    forms.show(form, problems, FIELDS)


# --- parts ---------------------------------------------------------------------------------------


def _usual_zone(areas: Sequence[ServiceArea]) -> str:
    return areas[0].time_zone if areas else ""


def _new_page(
    request: HttpRequest, *, form: StoreForm | None = None, status: int = 200
) -> HttpResponse:
    areas = rulebook.current(timezone.now()).areas
    context = {
        "title": "Add a store" if frame.is_live(request) else "Add a test store",
        "form": form or StoreForm(initial={"timezone": _usual_zone(areas)}),
        **frame.map_context(areas),
    }
    return frame.page(request, "new_store.html", context, section="stores", status=status)


def _page(
    request: HttpRequest,
    found: Store,
    *,
    form: StoreForm | None = None,
    refused: Problem | None = None,
) -> HttpResponse:
    now = timezone.now()
    areas = rulebook.current(now).areas
    form = form or StoreForm.of(found, _usual_zone(areas))
    store_is = urlencode({"store_id": found.pk})
    context = {
        "title": found.name,
        "store": found,
        "state": _state(found, now),
        "opens": _opens(found, now),
        "form": form,
        "orders_url": f"{frame.address(request, 'orders')}?{store_is}",
        "new_order_url": f"{frame.address(request, 'new-order')}?{store_is}",
        "refused": refused.detail if refused and not form.errors else "",
        **frame.map_context(areas),
    }
    status = refused.status if refused else 200
    return frame.page(request, "store.html", context, section="stores", status=status)


def _row(request: HttpRequest, found: Store, now: datetime) -> dict[str, Any]:
    orders = frame.address(request, "orders")
    return {
        "url": frame.address(request, "store", found.pk),
        "name": found.name,
        "state": _state(found, now),
        "opens": _opens(found, now),
        "hours": as_text.weekly_lines(found.hours) if found.hours else "Always open",
        "place": f"{found.lat:.5f}, {found.lng:.5f}",
        "orders_url": f"{orders}?{urlencode({'store_id': found.pk})}",
    }


def _state(found: Store, now: datetime) -> words.Said:
    if not found.active:
        return words.Said("Takes no orders")
    hours = found.opening_hours
    is_open = hours is None or hours.is_open(now)
    return words.Said("Open", Tone.GOOD) if is_open else words.Said("Closed now", Tone.WARN)


def _opens(found: Store, now: datetime) -> str:
    """When a store that is closed opens next; empty for others."""
    hours = found.opening_hours if found.active else None
    if hours is None or hours.is_open(now):
        return ""
    opens_at = hours.next_opening(now)
    return f"It opens on {hours.said(opens_at)}." if opens_at else "It does not open within a year."
