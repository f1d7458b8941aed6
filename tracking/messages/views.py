"""`/hooks/whatsapp`: Meta reports here what became of our WhatsApp messages."""

import msgspec
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from tracking.messages import receipts, whatsapp


@csrf_exempt  # Meta has no cookie; it signs what it sends
@require_http_methods(["GET", "POST"])
def hook(request: HttpRequest) -> HttpResponse:
    if not (settings.WHATSAPP_APP_SECRET and settings.WHATSAPP_VERIFY_TOKEN):
        raise Http404
    return _handshake(request) if request.method == "GET" else _notified(request)


def _handshake(request: HttpRequest) -> HttpResponse:
    """Meta asks once, when the address is registered, and wants its challenge back."""
    asked = request.GET
    is_meta = asked.get("hub.mode") == "subscribe" and constant_time_compare(
        asked.get("hub.verify_token", ""), settings.WHATSAPP_VERIFY_TOKEN
    )
    if not is_meta:
        return HttpResponse("The verify token is not ours.", status=403, content_type="text/plain")
    return HttpResponse(asked.get("hub.challenge", ""), content_type="text/plain")


def _notified(request: HttpRequest) -> HttpResponse:
    if int(request.META.get("CONTENT_LENGTH") or 0) > settings.API_MAX_BODY_BYTES:
        return HttpResponse("The body is too large.", status=413, content_type="text/plain")
    if not whatsapp.is_signed(request.body, request.headers.get("X-Hub-Signature-256", "")):
        return HttpResponse("The signature is not valid.", status=403, content_type="text/plain")
    try:
        receipts.take(whatsapp.receipts(request.body))
    except msgspec.MsgspecError:
        return HttpResponse("This is no notification.", status=400, content_type="text/plain")
    return HttpResponse(status=200)


urlpatterns = [path("hooks/whatsapp", hook, name="whatsapp-hook")]
