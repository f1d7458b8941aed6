"""`/hooks/escalation/<rule>`: receivers report here that a person looks after an alert.

PagerDuty: a V3 webhook with `X-PagerDuty-Signature`. Others: by the Standard Webhooks scheme, and
signed with the secret that signs what we send.
"""

import hmac
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from standardwebhooks import Webhook, WebhookVerificationError

from wingxtra.escalation import answers
from wingxtra.escalation.models import Rule
from wingxtra.webhooks import secrets

# A person who resolves it there looks after it, too: what is left on the list stays with us.
LOOKED_AFTER = ("incident.acknowledged", "incident.resolved")
ACKNOWLEDGED = "alert.acknowledged"
# PagerDuty sends no larger ones.
MAX_BODY_BYTES = 256 * 1024


class _Agent(msgspec.Struct):
    summary: str = ""


class _Incident(msgspec.Struct):
    incident_key: str | None = None


class _Event(msgspec.Struct):
    event_type: str
    agent: _Agent | None = None
    data: _Incident | None = None


class _PagerDuty(msgspec.Struct):
    event: _Event


class _Acknowledged(msgspec.Struct):
    key: str
    by: str


class _Notice(msgspec.Struct):
    type: str
    data: msgspec.Raw = msgspec.Raw(b"null")


@csrf_exempt  # a receiver has no cookie; it signs what it sends
@require_POST
def hook(request: HttpRequest, rule_id: UUID) -> HttpResponse:
    rule = get_object_or_404(Rule.objects.exclude(kind=Rule.Kind.EMAIL), pk=rule_id)
    if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY_BYTES:
        return _plain("The body is too large.", 413)
    is_pagerduty = rule.kind == Rule.Kind.PAGERDUTY
    is_signed = _is_pagerdutys if is_pagerduty else _is_standard
    if not is_signed(rule, request):
        return _plain("The signature is not valid.", 403)
    try:
        found = _of_pagerduty(request.body) if is_pagerduty else _of_a_notice(rule, request.body)
    except msgspec.MsgspecError:
        return _plain("This is no notification.", 400)
    if found is not None:
        answers.take(rule, *found, timezone.now())
    return HttpResponse(status=202)


def _plain(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain")


def _opened(sealed: Any) -> str | None:
    """None: there is no secret, or it cannot be read any more."""
    try:
        return secrets.opened(sealed) if sealed else None
    except secrets.Unreadable:
        return None


def _is_pagerdutys(rule: Rule, request: HttpRequest) -> bool:
    secret = _opened(rule.hook_secret)
    if secret is None:
        return False
    ours = "v1=" + hmac.new(secret.encode(), request.body, sha256).hexdigest()
    given = request.headers.get("X-PagerDuty-Signature", "").split(",")
    # While its secret is changed, PagerDuty signs with both. As bytes: a header may be no ASCII.
    return any(hmac.compare_digest(ours.encode(), one.strip().encode()) for one in given)


def _is_standard(rule: Rule, request: HttpRequest) -> bool:
    secret = _opened(rule.secret)
    if secret is None:
        return False
    try:
        Webhook(secret).verify(request.body, dict(request.headers.items()))
    except (WebhookVerificationError, ValueError):  # ValueError: no text, or no JSON
        return False
    return True


def _of_pagerduty(body: bytes) -> tuple[str, str] | None:
    """The key of the alert, and who looks after it; None for other events."""
    event = msgspec.json.decode(body, type=_PagerDuty).event
    if event.event_type not in LOOKED_AFTER or event.data is None:
        return None
    name = event.agent.summary if event.agent else ""
    return event.data.incident_key or "", f"PagerDuty: {name}" if name else "PagerDuty"


def _of_a_notice(rule: Rule, body: bytes) -> tuple[str, str] | None:
    notice = msgspec.json.decode(body, type=_Notice)
    if notice.type != ACKNOWLEDGED:
        return None
    told = msgspec.json.decode(notice.data, type=_Acknowledged)
    return told.key, f"{rule.name}: {told.by}"


urlpatterns = [path("hooks/escalation/<uuid:rule_id>", hook, name="escalation-hook")]
