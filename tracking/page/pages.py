"""`/track/<id>/`: the customer's page, useful on any phone without a line of JavaScript.

Forms are posted to the page itself and go through the same verbs as the API's calls. There is no
session and no cookie: who holds the link may act. A token made from the link's id stands in every
form, so that no other site can have one filled in.
"""

import hashlib
import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import redis
import segno
import structlog
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import InterfaceError, OperationalError
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import re_path
from django.utils import translation
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from orders.models import Order
from pod.serializers import CodeInput, SignatureInput
from tracking.page import cache, customer, headers, page_context, texts
from tracking.page.views import DropoffInput
from wingxtra.accounts.branding import ink_on
from wingxtra.api import throttling
from wingxtra.api.serializers import StrictSerializer
from wingxtra.problems import FieldProblem, Invalid, NotFound, Problem

log = structlog.get_logger(__name__)

HOUSE_COLOR = "#1f56e0"
LANGUAGES = dict(settings.LANGUAGES)
QR_KEPT_S = 86_400
FORM_MAX_BYTES = 512 * 1024
COMES_BACK_IN_S = 10


@csrf_exempt  # see the token above: Django's own needs a cookie
@require_http_methods(["GET", "HEAD", "POST"])
def track(request: HttpRequest, tracking_id: str) -> HttpResponse:
    with translation.override(language_of(request)):
        answer = _answer(request, tracking_id)
        answer["Content-Language"] = translation.get_language()
    patch_vary_headers(answer, ["Accept-Language"])
    return answer


def language_of(request: HttpRequest) -> str:
    """What `?lang=` says, else what the browser prefers of what we speak."""
    chosen = request.GET.get("lang", "")
    return chosen if chosen in LANGUAGES else translation.get_language_from_request(request)


def path_of(tracking_id: str) -> str:
    return f"/track/{tracking_id}/"


def _answer(request: HttpRequest, tracking_id: str) -> HttpResponse:
    try:
        throttling.count(request, None)
        if request.method == "POST":
            return _act(request, tracking_id)
        return _show(request, cache.fetch(tracking_id))
    except NotFound:
        return _notice(
            request,
            404,
            _("We do not know this delivery"),
            _(
                "Please check the link in your message. The number of a delivery has 13 letters "
                "and digits, for example 7Q2K-M9XW-4TZ1H."
            ),
        )
    except throttling.TooManyRequests as refused:
        return _notice(
            request,
            429,
            _("One moment, please"),
            _("This page was opened very often from where you are. It comes back by itself."),
            refused.retry_after_s,
        )
    except (redis.RedisError, OperationalError, InterfaceError) as error:
        log.error("tracking_page_unavailable", error=str(error), exc_info=error)
        return _notice(
            request,
            503,
            _("We cannot look just now"),
            _("Your delivery goes on. This page tries again by itself."),
            COMES_BACK_IN_S,
        )


def _show(request: HttpRequest, copy: cache.Copy) -> HttpResponse:
    page = _page(request, copy, thanks=texts.THANKS.get(request.GET.get("done", "")))
    # Of what is sent, and not of the copy: a new version of the page is new, too.
    tag = f'"page-{hashlib.sha256(page.content).hexdigest()[:32]}"'
    answer: Any = get_conditional_response(request, etag=tag) or page
    answer["ETag"] = tag
    return headers.add(answer, kept_s=cache.KEPT_S, policy=page["Content-Security-Policy"])


def _page(
    request: HttpRequest,
    copy: cache.Copy,
    *,
    status: int = 200,
    thanks: texts.Words | None = None,
    refused: str = "",
) -> HttpResponse:
    tracking_id = copy.view["public_tracking_id"]
    color = copy.sender.brand_color or HOUSE_COLOR
    style = f":root{{--brand:{color};--on-brand:{ink_on(color)}}}"
    path = path_of(tracking_id)
    language = request.GET.get("lang", "")
    shown = {
        **page_context.of(copy),
        "style": style,
        "path": path,
        "here": f"{path}?lang={language}" if language in LANGUAGES else path,
        "link": f"{settings.PUBLIC_BASE_URL}{path}",
        "token": token_of(tracking_id),
        "languages": LANGUAGES,
        "tile_url": settings.PUBLIC_MAP_TILE_URL,
        "tile_attribution": settings.PUBLIC_MAP_TILE_ATTRIBUTION,
        "thanks": thanks,
        "refused": refused,
    }
    answer = render(request, "tracking/page.html", shown, status=status)
    return headers.add(answer, policy=headers.page_policy(style, settings.PUBLIC_MAP_TILE_URL))


def _notice(
    request: HttpRequest, status: int, title: str, text: str, again_s: int | None = None
) -> HttpResponse:
    shown = {"title": title, "text": text, "reload_s": again_s}
    answer = render(request, "tracking/notice.html", shown, status=status)
    if again_s is not None:
        answer["Retry-After"] = str(again_s)
    return headers.add(answer)


# --- what is posted ------------------------------------------------------------------------------


def token_of(tracking_id: str) -> str:
    return salted_hmac("tracking.form", tracking_id, algorithm="sha256").hexdigest()[:32]


def _act(request: HttpRequest, tracking_id: str) -> HttpResponse:
    """Do what a form asks for, and show the page as it is then; or say why not."""
    order = cache.order_of(tracking_id)
    try:
        done = _do(request, order)
    except Problem as problem:
        copy = cache.fetch(tracking_id, fresh=True)
        known = {"radius_m": round(copy.dropoff_radius_m), **problem.extra}
        refused = texts.refusal(problem, known)
        return _page(request, copy, status=problem.status, refused=refused)
    cache.fetch(tracking_id, fresh=True)
    asked = QueryDict(mutable=True)
    asked["done"] = done
    if request.GET.get("lang") in LANGUAGES:
        asked["lang"] = request.GET["lang"]
    answer = redirect(f"{path_of(order.public_tracking_id)}?{asked.urlencode()}")
    answer.status_code = 303
    return headers.add(answer)


def _do(request: HttpRequest, order: Order) -> str:
    """Carry a form out; returns what to thank for. Raises what the verbs of `customer` raise."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > FORM_MAX_BYTES:
        raise Problem("form_too_large", "This form is too large.")
    form = request.POST
    if not constant_time_compare(form.get("token", ""), token_of(order.public_tracking_id)):
        raise Problem("form_not_ours", "This form was not made by this page.")
    deeds: dict[str, Callable[[Order, QueryDict], str]] = {
        "otp": _enter_code,
        "signature": _sign,
        "confirm": _confirm,
        "dropoff": _move_dropoff,
    }
    name = form.get("do", "")
    if name not in deeds:
        raise Problem("form_not_ours", "There is no such form.")
    return deeds[name](order, form)


def _enter_code(order: Order, form: QueryDict) -> str:
    customer.enter_code(order, _read(CodeInput, {"otp_code": form.get("otp_code")})["otp_code"])
    return "otp"


def _confirm(order: Order, form: QueryDict) -> str:
    customer.confirm(order)
    return "confirm"


def _sign(order: Order, form: QueryDict) -> str:
    try:
        strokes = json.loads(form.get("signature") or "[]")
    except (ValueError, RecursionError):
        strokes = None
    if strokes == []:
        raise Invalid([FieldProblem("signature", "nothing_drawn", "Nothing was drawn.")])
    customer.sign(order, _read(SignatureInput, {"signature": strokes})["signature"])
    return "signature"


def _move_dropoff(order: Order, form: QueryDict) -> str:
    given: dict[str, Any] = {"lat": _number(form.get("lat")), "lng": _number(form.get("lng"))}
    if accuracy_m := form.get("accuracy_m"):
        given["accuracy_m"] = _number(accuracy_m)
    if captured_at := form.get("captured_at"):
        given["captured_at"] = captured_at
    done = customer.move_dropoff(order, customer.Fix(**_read(DropoffInput, given)))
    return "dropoff" if done.changed else "dropoff-same"


def _read(kind: type[StrictSerializer], data: dict[str, Any]) -> dict[str, Any]:
    given = kind(data=data)
    if not given.is_valid():
        raise Invalid(
            [
                FieldProblem(name, str(error.code), str(error))
                for name, errors in given.errors.items()
                for error in errors
            ]
        )
    return dict(given.validated_data)


def _number(text: str | None) -> float | str | None:
    """As people type it, with a comma for the point, too; left alone where it is no number."""
    try:
        return float((text or "").strip().replace(",", "."))
    except ValueError:
        return text


# --- pictures ------------------------------------------------------------------------------------


@require_safe
def qr_code(request: HttpRequest, tracking_id: str) -> HttpResponse:
    """The link as a QR code, to hand the delivery over to somebody else's phone."""
    found = _sent_by(request, tracking_id)
    path = path_of(found.view["public_tracking_id"])
    code = segno.make(f"{settings.PUBLIC_BASE_URL}{path}", error="m")
    drawn = BytesIO()
    code.save(drawn, kind="svg", border=4, light="#fff", omitsize=True, xmldecl=False)
    return headers.add(HttpResponse(drawn.getvalue(), "image/svg+xml"), kept_s=QR_KEPT_S)


@require_safe
def logo(request: HttpRequest, tracking_id: str) -> HttpResponseBase:
    """The merchant's logo, at an address that does not name the merchant."""
    found = _sent_by(request, tracking_id)
    if not found.sender.logo:
        raise Http404
    try:
        picture = default_storage.open(found.sender.logo)
    except FileNotFoundError as error:
        raise Http404 from error
    return headers.add(FileResponse(picture, content_type="image/png"), kept_s=QR_KEPT_S)


def _sent_by(request: HttpRequest, tracking_id: str) -> cache.Copy:
    try:
        throttling.count(request, None)
        return cache.fetch(tracking_id)
    except (NotFound, throttling.TooManyRequests) as error:
        raise Http404 from error


urlpatterns = [
    re_path(r"^track/(?P<tracking_id>[^/]+)/?\Z", track, name="track"),
    re_path(r"^track/(?P<tracking_id>[^/]+)/qr\.svg\Z", qr_code, name="track-qr"),
    re_path(r"^track/(?P<tracking_id>[^/]+)/logo\Z", logo, name="track-logo"),
]
