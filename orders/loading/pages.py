"""`/load/`: the list of a hub or a store on a phone, and the page of a scanned parcel.

The pages work without JavaScript. Forms are posted to the page itself and call the verbs of
`orders.lifecycle`. A tap names the order and the attempt that the page showed, so that a second
tap, or a tap on an old page, changes nothing.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fleet.models import Hub
from orders import lifecycle
from orders.loading import access, board
from orders.loading.access import Place
from orders.loading.board import ParcelAction
from orders.models import Order
from wingxtra.accounts.identity import STAFF_ROLES, Role
from wingxtra.console.entry import second_factor
from wingxtra.problems import NotFound, Problem

View = Callable[..., HttpResponse]

REFRESH_EVERY_S = 10
MAX_ROWS = 200
PLACE_IN_SESSION = "loading_place"
CONFIRMATIONS = {
    ParcelAction.READY: "{}: ready to be loaded.",
    ParcelAction.LOADED: "{}: loaded.",
    ParcelAction.UNLOADED: "{}: it is here.",
}
# Replace the verb's message where it does not help a loader beside the drone.
REFUSALS = {
    "job_is_over": "It has another drone by now, or none. Look at the list before you load it.",
    "no_active_job": "It has no drone to be loaded onto. Leave it where it is.",
    "not_found": "This parcel does not belong to this place any more.",
    "not_a_tap": "This was not understood. Please tap again.",
}


def for_loaders(view: View) -> View:
    """Requires LOADER, OPS or ADMIN, with the second factor where it is configured."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user: Any = request.user
        if not user.is_authenticated or second_factor.is_missing(request):
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        if user.role not in (Role.LOADER, *STAFF_ROLES):
            return _notice(request, 403, "This page is for loaders and operations.")
        return view(request, *args, **kwargs)

    return never_cache(guarded)


@require_safe
@for_loaders
def home(request: HttpRequest) -> HttpResponse:
    """The page of the caller's place if there is only one, else the choice of places."""
    places = _choices(request)
    if len(places) == 1:
        return redirect(_path_of(places[0]))
    return render(request, "loading/places.html", {"places": _links(places), "title": "Loading"})


@require_http_methods(["GET", "HEAD", "POST"])
@for_loaders
def place_page(request: HttpRequest, key: int | UUID) -> HttpResponse:
    place = access.place_of(_caller(request), str(key))
    if place is None:
        return _notice(request, 404, "There is no such place, or it is not yours.")
    if request.session.get(PLACE_IN_SESSION) != str(place.pk):
        request.session[PLACE_IN_SESSION] = str(place.pk)
    if request.method == "POST":
        return _act(request, place, lambda **refusal: _list(request, place, **refusal))
    return _list(request, place)


def _list(
    request: HttpRequest, place: Place, *, refused: str = "", status: int = 200
) -> HttpResponse:
    orders = access.orders_at(place).select_related(*access.RELATED).order_by("deliver_by", "pk")
    first = list(orders[: MAX_ROWS + 1])
    context = {
        "title": place.name,
        "sections": board.compose(first[:MAX_ROWS], place),
        "more_than": MAX_ROWS if len(first) > MAX_ROWS else None,
        "at": timezone.now(),
        "every_s": REFRESH_EVERY_S,
        "refused": refused,
    }
    return render(request, "loading/place.html", context, status=status)


@require_safe
@for_loaders
def find(request: HttpRequest) -> HttpResponse:
    """Redirect a scanned code to the parcel's page, whose address contains no tracking id."""
    order = _named(request, request.GET.get("code", ""))
    if order is None:
        return _unknown(request)
    return redirect("loading-scan", order.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@for_loaders
def scan(request: HttpRequest, code: str) -> HttpResponse:
    """The page of one parcel; the QR code of its label opens it."""
    order = _named(request, code)
    if order is None:
        return _unknown(request)
    place = _current_place(request)
    if request.method == "POST" and place is not None:
        return _act(request, place, lambda **refusal: _parcel(request, order.pk, place, **refusal))
    return _parcel(request, order.pk, place)


def _parcel(
    request: HttpRequest,
    order_id: UUID,
    place: Place | None,
    *,
    refused: str = "",
    status: int = 200,
) -> HttpResponse:
    order = _named(request, str(order_id))  # fetched again: a tap may have changed it
    if order is None:
        return _unknown(request)
    context = {
        "title": "Parcel",
        "place": place,
        "row": board.row_of(order, place, in_hand=True),
        "place_url": _path_of(place) if place else "",
        "places": [] if place else _links(_choices(request)),
        "label_url": reverse("order-label", args=[order.pk]),
        "refused": refused,
    }
    return render(request, "loading/scan.html", context, status=status)


@require_POST
@for_loaders
def leave(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect_to_login(reverse("loading"), reverse("admin:login"))


# --- taps ----------------------------------------------------------------------------------------


def _act(request: HttpRequest, place: Place, page: Callable[..., HttpResponse]) -> HttpResponse:
    """Carry out a tap and redirect to the page; a refusal shows the page with its reason."""
    try:
        action, order_id, job_id = _parsed_tap(request.POST.get("tap", ""))
        order = access.loadable_by(_caller(request)).filter(pk=order_id).first()
        if order is None:
            raise NotFound
        _carry_out(action, order, place, job_id, request)
    except Problem as problem:
        return page(refused=REFUSALS.get(problem.code, problem.detail), status=problem.status)
    short_id = board.row_of(order, place).short_id
    messages.success(request, CONFIRMATIONS[action].format(short_id))
    answer = redirect(request.path)
    answer.status_code = 303
    return answer


def _parsed_tap(value: str) -> tuple[ParcelAction, UUID, UUID | None]:
    """`value`: `action:order:job` from a button; the job is empty without one. Raises Problem."""
    try:
        action, order_id, job_id = value.split(":")
        return ParcelAction(action), UUID(order_id), UUID(job_id) if job_id else None
    except ValueError as error:
        raise Problem("not_a_tap", str(error)) from error


def _carry_out(
    action: ParcelAction, order: Order, place: Place, job_id: UUID | None, request: HttpRequest
) -> None:
    by = _caller(request).actor
    match action:
        case ParcelAction.READY:
            lifecycle.ready(order.pk, by=by)
        case ParcelAction.LOADED:
            message = f"Loaded at {place.name}."
            lifecycle.loaded(order.pk, by=by, message=message, job_id=job_id)
        case ParcelAction.UNLOADED if isinstance(place, Hub):
            lifecycle.unloaded(order.pk, place.pk, by=by)
        case _:
            raise Problem("not_a_tap", f"No parcel comes back to {place.name}.")


# --- helpers -------------------------------------------------------------------------------------


def _caller(request: HttpRequest) -> Any:
    return request.user


def _named(request: HttpRequest, code: str) -> Order | None:
    try:
        return access.order_named(_caller(request), code)
    except NotFound:
        return None


def _current_place(request: HttpRequest) -> Place | None:
    """The loader's place: the one whose list was opened last, else the only one."""
    last = request.session.get(PLACE_IN_SESSION)
    if last is not None and (place := access.place_of(_caller(request), last)):
        return place
    places = _choices(request)
    return places[0] if len(places) == 1 else None


def _choices(request: HttpRequest) -> list[Place]:
    """The places of a loader; for staff the hubs: stores link to their page from the console."""
    caller = _caller(request)
    stores = [] if caller.role in STAFF_ROLES else access.stores_of(caller)
    return [*access.hubs_of(caller), *stores]


def _links(places: list[Place]) -> list[dict[str, str]]:
    return [{"name": place.name, "url": _path_of(place)} for place in places]


def _path_of(place: Place) -> str:
    name = "loading-hub" if isinstance(place, Hub) else "loading-store"
    return reverse(name, args=[place.pk])


def _unknown(request: HttpRequest) -> HttpResponse:
    text = "We do not know this code, or the parcel does not belong to your place. Is it complete?"
    return _notice(request, 404, text)


def _notice(request: HttpRequest, status: int, text: str) -> HttpResponse:
    context = {"title": "Loading", "text": text}
    return render(request, "loading/notice.html", context, status=status)


urlpatterns = [
    path("load/", home, name="loading"),
    path("load/leave/", leave, name="loading-leave"),
    path("load/scan/", find, name="loading-find"),
    path("load/scan/<str:code>", scan, name="loading-scan"),
    path("load/<int:key>/", place_page, name="loading-hub"),
    path("load/<uuid:key>/", place_page, name="loading-store"),
]
