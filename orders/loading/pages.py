"""`/load/`: the list of a hub on a phone, and the page of a scanned parcel.

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
from orders.loading.board import ParcelAction
from orders.models import Order
from wingxtra.accounts.identity import STAFF_ROLES, Role
from wingxtra.console import second_factor
from wingxtra.problems import NotFound, Problem

View = Callable[..., HttpResponse]

REFRESH_EVERY_S = 10
MAX_ROWS = 200
HUB_IN_SESSION = "loading_hub"
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
    """The hub's page if there is only one, else the choice of hubs."""
    hubs = list(access.hubs_of(_caller(request)))
    if len(hubs) == 1:
        return redirect("loading-hub", hubs[0].pk)
    return render(request, "loading/hubs.html", {"hubs": hubs, "title": "Loading"})


@require_http_methods(["GET", "HEAD", "POST"])
@for_loaders
def hub_page(request: HttpRequest, hub_id: int) -> HttpResponse:
    hub = access.hubs_of(_caller(request)).filter(pk=hub_id).first()
    if hub is None:
        return _notice(request, 404, "There is no such place, or it is not yours.")
    if request.session.get(HUB_IN_SESSION) != hub.pk:
        request.session[HUB_IN_SESSION] = hub.pk
    if request.method == "POST":
        return _act(request, hub, lambda **refusal: _list(request, hub, **refusal))
    return _list(request, hub)


def _list(request: HttpRequest, hub: Hub, *, refused: str = "", status: int = 200) -> HttpResponse:
    orders = access.orders_at(hub).select_related(*access.RELATED).order_by("deliver_by", "pk")
    first = list(orders[: MAX_ROWS + 1])
    context = {
        "title": hub.name,
        "hub": hub,
        "sections": board.compose(first[:MAX_ROWS], hub),
        "more_than": MAX_ROWS if len(first) > MAX_ROWS else None,
        "at": timezone.now(),
        "every_s": REFRESH_EVERY_S,
        "refused": refused,
    }
    return render(request, "loading/hub.html", context, status=status)


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
    hub = _current_hub(request)
    if request.method == "POST" and hub is not None:
        return _act(request, hub, lambda **refusal: _parcel(request, order.pk, hub, **refusal))
    return _parcel(request, order.pk, hub)


def _parcel(
    request: HttpRequest, order_id: UUID, hub: Hub | None, *, refused: str = "", status: int = 200
) -> HttpResponse:
    order = _named(request, str(order_id))  # fetched again: a tap may have changed it
    if order is None:
        return _unknown(request)
    context = {
        "title": "Parcel",
        "hub": hub,
        "row": board.row_of(order, hub, in_hand=True),
        "hubs": [] if hub else access.hubs_of(_caller(request)),
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


def _act(request: HttpRequest, hub: Hub, page: Callable[..., HttpResponse]) -> HttpResponse:
    """Carry out a tap and redirect to the page; a refusal shows the page with its reason."""
    try:
        action, order_id, job_id = _parsed_tap(request.POST.get("tap", ""))
        order = access.loadable_by(_caller(request)).filter(pk=order_id).first()
        if order is None:
            raise NotFound
        _carry_out(action, order, hub, job_id, request)
    except Problem as problem:
        return page(refused=REFUSALS.get(problem.code, problem.detail), status=problem.status)
    short_id = board.row_of(order, hub).short_id
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
    action: ParcelAction, order: Order, hub: Hub, job_id: UUID | None, request: HttpRequest
) -> None:
    by = _caller(request).actor
    match action:
        case ParcelAction.READY:
            lifecycle.ready(order.pk, by=by)
        case ParcelAction.LOADED:
            message = f"Loaded at {hub.name}."
            lifecycle.loaded(order.pk, by=by, message=message, job_id=job_id)
        case ParcelAction.UNLOADED:
            lifecycle.unloaded(order.pk, hub.pk, by=by)


# --- helpers -------------------------------------------------------------------------------------


def _caller(request: HttpRequest) -> Any:
    return request.user


def _named(request: HttpRequest, code: str) -> Order | None:
    try:
        return access.order_named(_caller(request), code)
    except NotFound:
        return None


def _current_hub(request: HttpRequest) -> Hub | None:
    """The loader's hub: the one whose list was opened last, else the only one."""
    hubs = access.hubs_of(_caller(request))
    last = request.session.get(HUB_IN_SESSION)
    if last is not None and (hub := hubs.filter(pk=last).first()):
        return hub
    first_two = list(hubs[:2])
    return first_two[0] if len(first_two) == 1 else None


def _unknown(request: HttpRequest) -> HttpResponse:
    text = "We do not know this code, or the parcel does not belong to your hub. Is it complete?"
    return _notice(request, 404, text)


def _notice(request: HttpRequest, status: int, text: str) -> HttpResponse:
    context = {"title": "Loading", "text": text}
    return render(request, "loading/notice.html", context, status=status)


urlpatterns = [
    path("load/", home, name="loading"),
    path("load/leave/", leave, name="loading-leave"),
    path("load/scan/", find, name="loading-find"),
    path("load/scan/<str:code>", scan, name="loading-scan"),
    path("load/<int:hub_id>/", hub_page, name="loading-hub"),
]
