"""`/load/`: the list of a hub on a phone, and one parcel that was scanned.

The pages are whole without JavaScript.
Forms are posted to the page itself and call the verbs of `orders.lifecycle`. A tap names the order
and the attempt that the page showed, so that a second tap, or one on an old page, changes nothing.
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
from orders.loading.board import Deed
from orders.models import Order
from wingxtra.accounts.identity import STAFF_ROLES, Role
from wingxtra.console import second_factor
from wingxtra.problems import NotFound, Problem

View = Callable[..., HttpResponse]

RENEWED_EVERY_S = 10
AT_MOST = 200
HUB_IN_SESSION = "loading_hub"
SAID = {
    Deed.READY: "{}: ready to be loaded.",
    Deed.LOADED: "{}: loaded.",
    Deed.UNLOADED: "{}: it is here.",
}
# Where the words of the verb do not help somebody who stands beside the drone.
REFUSED = {
    "job_is_over": "It has another drone by now, or none. Look at the list before you load it.",
    "no_active_job": "It has no drone to be loaded onto. Leave it where it is.",
    "not_found": "This parcel does not belong to this place any more.",
    "not_a_tap": "This was not understood. Please tap again.",
}


def for_loaders(view: View) -> View:
    """Of a LOADER, OPS or ADMIN, with the second factor where it is asked for."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user: Any = request.user
        if not user.is_authenticated or second_factor.is_missing(request):
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        if user.role not in (Role.LOADER, *STAFF_ROLES):
            return _notice(request, 403, "This page is for those who load drones.")
        return view(request, *args, **kwargs)

    return never_cache(guarded)


@require_safe
@for_loaders
def home(request: HttpRequest) -> HttpResponse:
    """The hub's page where there is but one, else the choice."""
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
        return _act(request, hub, lambda **shown: _list(request, hub, **shown))
    return _list(request, hub)


def _list(request: HttpRequest, hub: Hub, *, refused: str = "", status: int = 200) -> HttpResponse:
    orders = access.orders_at(hub).select_related(*access.SHOWN).order_by("deliver_by", "pk")
    found = list(orders[: AT_MOST + 1])
    shown = {
        "title": hub.name,
        "hub": hub,
        "sections": board.compose(found[:AT_MOST], hub),
        "more_than": AT_MOST if len(found) > AT_MOST else None,
        "at": timezone.now(),
        "every_s": RENEWED_EVERY_S,
        "refused": refused,
    }
    return render(request, "loading/hub.html", shown, status=status)


@require_safe
@for_loaders
def find(request: HttpRequest) -> HttpResponse:
    """From the field for a scan to the page of the parcel, whose address names no tracking id."""
    order = _named(request, request.GET.get("code", ""))
    if order is None:
        return _unknown(request)
    return redirect("loading-scan", order.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@for_loaders
def scan(request: HttpRequest, code: str) -> HttpResponse:
    """One parcel: what the QR code of its label opens."""
    order = _named(request, code)
    if order is None:
        return _unknown(request)
    hub = _where(request)
    if request.method == "POST" and hub is not None:
        return _act(request, hub, lambda **shown: _parcel(request, order.pk, hub, **shown))
    return _parcel(request, order.pk, hub)


def _parcel(
    request: HttpRequest, order_id: UUID, hub: Hub | None, *, refused: str = "", status: int = 200
) -> HttpResponse:
    order = _named(request, str(order_id))  # as it is after what was just done
    if order is None:
        return _unknown(request)
    shown = {
        "title": "Parcel",
        "hub": hub,
        "row": board.row_of(order, hub, in_hand=True),
        "hubs": [] if hub else access.hubs_of(_caller(request)),
        "label_url": reverse("order-label", args=[order.pk]),
        "refused": refused,
    }
    return render(request, "loading/scan.html", shown, status=status)


@require_POST
@for_loaders
def leave(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect_to_login(reverse("loading"), reverse("admin:login"))


# --- what is tapped ------------------------------------------------------------------------------


def _act(request: HttpRequest, hub: Hub, page: Callable[..., HttpResponse]) -> HttpResponse:
    """Do what was tapped and show the page as it is then; or say why not."""
    try:
        deed, order_id, job_id = _tapped(request.POST.get("tap", ""))
        order = access.loadable_by(_caller(request)).filter(pk=order_id).first()
        if order is None:
            raise NotFound
        _do(deed, order, hub, job_id, request)
    except Problem as problem:
        return page(refused=REFUSED.get(problem.code, problem.detail), status=problem.status)
    short_id = board.row_of(order, hub).short_id
    messages.success(request, SAID[deed].format(short_id))
    answer = redirect(request.path)
    answer.status_code = 303
    return answer


def _tapped(value: str) -> tuple[Deed, UUID, UUID | None]:
    """`deed:order:job` as a button of ours says it; the last one is empty without a job."""
    try:
        deed, order_id, job_id = value.split(":")
        return Deed(deed), UUID(order_id), UUID(job_id) if job_id else None
    except ValueError as error:
        raise Problem("not_a_tap", str(error)) from error


def _do(deed: Deed, order: Order, hub: Hub, job_id: UUID | None, request: HttpRequest) -> None:
    by = _caller(request).actor
    match deed:
        case Deed.READY:
            lifecycle.ready(order.pk, by=by)
        case Deed.LOADED:
            words = f"Loaded at {hub.name}."
            lifecycle.loaded(order.pk, by=by, message=words, job_id=job_id)
        case Deed.UNLOADED:
            lifecycle.unloaded(order.pk, hub.pk, by=by)


# --- helpers -------------------------------------------------------------------------------------


def _caller(request: HttpRequest) -> Any:
    return request.user


def _named(request: HttpRequest, code: str) -> Order | None:
    try:
        return access.order_named(_caller(request), code)
    except NotFound:
        return None


def _where(request: HttpRequest) -> Hub | None:
    """Where the person is: the hub whose list they opened last, else their only one."""
    hubs = access.hubs_of(_caller(request))
    last = request.session.get(HUB_IN_SESSION)
    if last is not None and (hub := hubs.filter(pk=last).first()):
        return hub
    found = list(hubs[:2])
    return found[0] if len(found) == 1 else None


def _unknown(request: HttpRequest) -> HttpResponse:
    words = "We do not know this code, or the parcel is not one of your place. Is it whole?"
    return _notice(request, 404, words)


def _notice(request: HttpRequest, status: int, words: str) -> HttpResponse:
    shown = {"title": "Loading", "words": words}
    return render(request, "loading/notice.html", shown, status=status)


urlpatterns = [
    path("load/", home, name="loading"),
    path("load/leave/", leave, name="loading-leave"),
    path("load/scan/", find, name="loading-find"),
    path("load/scan/<str:code>", scan, name="loading-scan"),
    path("load/<int:hub_id>/", hub_page, name="loading-hub"),
]
