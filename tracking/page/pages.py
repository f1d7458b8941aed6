"""`/track/<id>/`: the customer's page. It works without JavaScript.

Forms are posted to the page itself and call the same functions as the API. There is no session and
no cookie: the link is the credential. Each form has a token derived from the link's id, against
cross-site request forgery.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache, partial
from io import BytesIO
from typing import Any

import msgspec
import segno
import structlog
from django.conf import settings
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import InterfaceError, OperationalError
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import re_path
from django.utils import translation
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from orders.changes import dropoff
from orders.models import Order
from orders.states import PodRequirement, Status
from pod import cases
from pod.models import Case
from pod.pictures import images
from pod.serializers import SIGNATURE_MAX_BYTES, CaseInput, CodeInput, SignatureInput
from tracking.page import cache, customer, headers, limits, page_context, texts
from tracking.page.texts import LANGUAGES
from tracking.page.views import DropoffInput, InstructionsInput
from wingxtra.accounts.branding import ink_on
from wingxtra.api import throttling
from wingxtra.problems import FieldProblem, Invalid, NotFound, Problem

log = structlog.get_logger(__name__)

HOUSE_COLOR = "#1f56e0"
IMAGE_MAX_AGE_S = 86_400
FORM_MAX_BYTES = 16 * 1024
SIGNED_FORM_MAX_BYTES = 512 * 1024
FORM_WITH_PHOTO_MAX_BYTES = images.STRANGERS_MAX_BYTES + 64 * 1024
RETRY_AFTER_S = 10


@csrf_exempt  # `token_of` replaces Django's token, which needs a cookie
@require_http_methods(["GET", "HEAD", "POST"])
def track(request: HttpRequest, tracking_id: str) -> HttpResponse:
    with translation.override(texts.language_of(request)):
        answer = _answer(request, tracking_id)
        answer["Content-Language"] = translation.get_language()
    patch_vary_headers(answer, ["Accept-Language"])
    return answer


def path_of(tracking_id: str) -> str:
    return f"/track/{tracking_id}/"


def _answer(request: HttpRequest, tracking_id: str) -> HttpResponse:
    try:
        throttling.count(limits.ceiling(request))
        if request.method == "POST":
            return _act(request, tracking_id)
        return _show(request, _read_copy(tracking_id))
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
            _("This page was opened very often in the last minute. It comes back by itself."),
            refused.retry_after_s,
        )
    except (OperationalError, InterfaceError) as error:
        log.error("tracking_page_unavailable", error=str(error), exc_info=error)
        return _notice(
            request,
            503,
            _("We cannot look just now"),
            _("Your delivery goes on. This page tries again by itself."),
            RETRY_AFTER_S,
        )


def _show(request: HttpRequest, copy: cache.Copy) -> HttpResponse:
    page = _page(request, copy, thanks=texts.THANKS.get(request.GET.get("done", "")))
    # The tag is of the rendered page, not of the copy: a new release of the template changes it.
    tag = f'"page-{hashlib.sha256(page.content).hexdigest()[:32]}"'
    answer: Any = get_conditional_response(request, etag=tag) or page
    answer["ETag"] = tag
    return headers.add(answer, max_age_s=cache.MAX_AGE_S, policy=page["Content-Security-Policy"])


def _page(
    request: HttpRequest,
    copy: cache.Copy,
    *,
    status: int = 200,
    thanks: texts.Text | None = None,
    refused: str = "",
) -> HttpResponse:
    tracking_id = copy.view["public_tracking_id"]
    color = copy.sender.brand_color or HOUSE_COLOR
    style = f":root{{--brand:{color};--on-brand:{ink_on(color)}}}"
    path = path_of(tracking_id)
    language = request.GET.get("lang", "")
    query = f"?lang={language}" if language in LANGUAGES else ""
    context = {
        **page_context.context_of(copy),
        "style": style,
        "path": path,
        "here": f"{path}{query}",
        "position": f"{path}position{query}",
        "stream": f"{path}stream{query}",
        "link": f"{settings.PUBLIC_BASE_URL}{path}",
        "token": token_of(tracking_id),
        "languages": LANGUAGES,
        "tile_url": settings.PUBLIC_MAP_TILE_URL,
        "tile_attribution": settings.PUBLIC_MAP_TILE_ATTRIBUTION,
        "thanks": thanks,
        "refused": refused,
    }
    answer = render(request, "tracking/page.html", context, status=status)
    return headers.add(answer, policy=headers.page_policy(style, settings.PUBLIC_MAP_TILE_URL))


def _notice(
    request: HttpRequest, status: int, title: str, text: str, retry_after_s: int | None = None
) -> HttpResponse:
    context = {"title": title, "text": text, "reload_s": retry_after_s}
    answer = render(request, "tracking/notice.html", context, status=status)
    if retry_after_s is not None:
        answer["Retry-After"] = str(retry_after_s)
    return headers.add(answer)


# --- forms ---------------------------------------------------------------------------------------


def token_of(tracking_id: str) -> str:
    return salted_hmac("tracking.form", tracking_id, algorithm="sha256").hexdigest()[:32]


def _act(request: HttpRequest, tracking_id: str) -> HttpResponse:
    """Carry out a form and redirect to the page. After a refusal show the page with the reason."""
    order = cache.order_of(tracking_id)
    try:
        _check_form(request, order)
    except Problem as problem:
        return _refused(request, cache.fetch(tracking_id), problem)
    try:
        if not _is_large(request):
            kind = limits.Kind.CODE if request.POST.get("do") == "otp" else limits.Kind.WRITE
            throttling.count(limits.of_link(kind, tracking_id))
        done = _do(request, order)
    except Problem as problem:
        return _refused(request, cache.fetch(tracking_id, fresh=True), problem)
    cache.drop(tracking_id)
    query = QueryDict(mutable=True)
    query["done"] = done
    if request.GET.get("lang") in LANGUAGES:
        query["lang"] = request.GET["lang"]
    answer = redirect(f"{path_of(order.public_tracking_id)}?{query.urlencode()}")
    answer.status_code = 303
    return headers.add(answer)


def _check_form(request: HttpRequest, order: Order) -> None:
    """Raises Problem. Reading a large form is what costs: it is checked and counted before that."""
    has_file = request.content_type == "multipart/form-data"
    if has_file and order.status == Status.DELIVERED:  # only then there are cases with a photo
        max_bytes = FORM_WITH_PHOTO_MAX_BYTES
    elif order.pod_requirement == PodRequirement.SIGNATURE and not order.is_terminal:
        max_bytes = SIGNED_FORM_MAX_BYTES
    else:
        max_bytes = FORM_MAX_BYTES
    if _size_bytes(request) > max_bytes:
        raise Problem("form_too_large", "This form is too large.")
    if _is_large(request):
        throttling.count(limits.of_link(limits.Kind.WRITE, order.public_tracking_id))
    token = request.POST.get("token", "")
    if not constant_time_compare(token, token_of(order.public_tracking_id)):
        raise Problem("form_not_ours", "This form was not made by this page.")


def _is_large(request: HttpRequest) -> bool:
    return _size_bytes(request) > FORM_MAX_BYTES


def _size_bytes(request: HttpRequest) -> int:
    return int(request.META.get("CONTENT_LENGTH") or 0)


def _refused(request: HttpRequest, copy: cache.Copy, problem: Problem) -> HttpResponse:
    values = {
        "radius_m": round(copy.dropoff_radius_m),
        "seconds": problem.retry_after_s,
        "size_mb": number_format(_size_bytes(request) / 2**20, 1),
        "max_mb": images.STRANGERS_MAX_BYTES // 2**20,
        **problem.extra,
    }
    answer = _page(request, copy, status=problem.status, refused=texts.refusal(problem, values))
    if problem.retry_after_s is not None:
        answer["Retry-After"] = str(problem.retry_after_s)
    return answer


def _do(request: HttpRequest, order: Order) -> str:
    """Carry out a form. Returns a key of `texts.THANKS`. Raises what `customer` raises."""
    form = request.POST
    handlers: dict[str, Callable[[Order, QueryDict], str]] = {
        "otp": _enter_code,
        "signature": _sign,
        "confirm": _confirm,
        "dropoff": _move_dropoff,
        "instructions": _instruct,
        "case": partial(_complain, photo=request.FILES.get("photo")),
    }
    name = form.get("do", "")
    if name not in handlers:
        raise Problem("form_not_ours", "There is no such form.")
    return handlers[name](order, form)


def _enter_code(order: Order, form: QueryDict) -> str:
    customer.enter_code(order, CodeInput.valid({"otp_code": form.get("otp_code")})["otp_code"])
    return "otp"


def _confirm(order: Order, form: QueryDict) -> str:
    customer.confirm(order)
    return "confirm"


def _sign(order: Order, form: QueryDict) -> str:
    text = form.get("signature") or "[]"
    if len(text) > SIGNATURE_MAX_BYTES:
        raise Invalid([FieldProblem("signature", "too_long", "This signature is too long.")])
    if text == "[]":
        raise Invalid([FieldProblem("signature", "nothing_drawn", "Nothing was drawn.")])

    def explained() -> dict[str, Any]:
        try:
            strokes = msgspec.json.decode(text)
        except (ValueError, RecursionError):
            strokes = None
        return SignatureInput.valid({"signature": strokes})

    customer.sign(order, b'{"signature":%b}' % text.encode(), explained)
    return "signature"


def _move_dropoff(order: Order, form: QueryDict) -> str:
    given = _place(order, form)
    if accuracy_m := form.get("accuracy_m"):
        given["accuracy_m"] = _number(accuracy_m)
    if captured_at := form.get("captured_at"):
        given["captured_at"] = captured_at
    done = customer.move_dropoff(order, customer.Fix(**DropoffInput.valid(given)))
    return "dropoff" if done.changed else "dropoff-same"


def _instruct(order: Order, form: QueryDict) -> str:
    # A form sends a line break as two characters, which the field's limit counts as one.
    given = {"instructions": form.get("instructions", "").replace("\r\n", "\n")}
    customer.instruct(order, InstructionsInput.valid(given)["instructions"])
    return "instructions"


def _complain(order: Order, form: QueryDict, *, photo: UploadedFile | None) -> str:
    given = CaseInput.valid({"kind": form.get("kind"), "text": form.get("text") or ""})
    uploaded = photo.read() if photo else b""
    kind = Case.Kind(given["kind"])
    customer.complain(order, cases.Complaint(kind, given["text"], uploaded))
    return "case"


def _place(order: Order, form: QueryDict) -> dict[str, Any]:
    """`lat` and `lng`. On a plan without map pictures the pin is moved by metres: the page knows
    the drop point only rounded, so its coordinates would be wrong by as much.
    """
    if not form.get("north_m"):
        return {"lat": _number(form.get("lat")), "lng": _number(form.get("lng"))}
    north_m, east_m = _number(form.get("north_m")), _number(form.get("east_m"))
    if not isinstance(north_m, float) or not isinstance(east_m, float):
        raise Invalid([FieldProblem("lat", "invalid", "north_m and east_m are metres.")])
    lat, lng = dropoff.beside_given_point(order, north_m=north_m, east_m=east_m)
    return {"lat": lat, "lng": lng}


def _number(text: str | None) -> float | str | None:
    """The number, with a decimal point or comma; the text itself if it is not a number."""
    try:
        return float((text or "").strip().replace(",", "."))
    except ValueError:
        return text


# --- images --------------------------------------------------------------------------------------


def _image(draw: Callable[[cache.Copy], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """The view of an image that `draw` makes."""

    @require_safe
    def view(request: HttpRequest, tracking_id: str) -> HttpResponseBase:
        try:
            throttling.count(limits.ceiling(request))
            return draw(_read_copy(tracking_id))
        except NotFound as error:
            raise Http404 from error
        except throttling.TooManyRequests as refused:
            answer = HttpResponse(refused.detail, "text/plain", 429)
            answer["Retry-After"] = str(refused.retry_after_s)
            return headers.add(answer)

    return view


@_image
def qr_code(copy: cache.Copy) -> HttpResponse:
    """The link as a QR code, to open the delivery on another phone."""
    path = path_of(copy.view["public_tracking_id"])
    image = _qr_svg(f"{settings.PUBLIC_BASE_URL}{path}")
    return headers.add(HttpResponse(image, "image/svg+xml"), max_age_s=IMAGE_MAX_AGE_S)


# Making one takes 100 times as long as the rest of the answer.
@lru_cache(maxsize=1_000)
def _qr_svg(link: str) -> bytes:
    code, image = segno.make(link, error="m"), BytesIO()
    code.save(image, kind="svg", border=4, light="#fff", omitsize=True, xmldecl=False)
    return image.getvalue()


@_image
def logo(copy: cache.Copy) -> HttpResponseBase:
    """The merchant's logo, at a URL that does not name the merchant."""
    if not copy.sender.logo:
        raise Http404
    try:
        image = default_storage.open(copy.sender.logo)
    except FileNotFoundError as error:
        raise Http404 from error
    return headers.add(FileResponse(image, content_type="image/png"), max_age_s=IMAGE_MAX_AGE_S)


def _read_copy(tracking_id: str) -> cache.Copy:
    """Raises NotFound and TooManyRequests."""
    copy = cache.fetch(tracking_id)
    throttling.count(limits.of_link(limits.Kind.READ, tracking_id))
    return copy


urlpatterns = [
    re_path(r"^track/(?P<tracking_id>[^/]+)/?\Z", track, name="track"),
    re_path(r"^track/(?P<tracking_id>[^/]+)/qr\.svg\Z", qr_code, name="track-qr"),
    re_path(r"^track/(?P<tracking_id>[^/]+)/logo\Z", logo, name="track-logo"),
]
