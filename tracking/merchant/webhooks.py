"""The merchant's webhooks of a mode: made, changed, tried out, switched off, removed."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms as django_forms
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from orders.api import forms
from orders.states import EventType
from tracking import actors
from tracking.merchant import frame, webhook_log, words
from tracking.merchant.access import PageCaller, merchant_page
from tracking.models import WebhookEndpoint
from tracking.webhooks import endpoints
from tracking.webhooks.serializers import WebhookChange, WebhookInput
from wingxtra.broker import enqueue
from wingxtra.console.registry import Tone
from wingxtra.problems import FieldProblem, NotFound, Problem

# How far back failed deliveries are sent again, in hours.
SPANS = {"1": "the last hour", "24": "the last day", "72": "the last 3 days", "720": "30 days"}
EVENTS = [(f"order.{kind.lower()}", kind.label) for kind in EventType]


class WebhookForm(django_forms.Form):
    url = forms.text("URL", help="Your server’s address, over HTTPS.", inputmode="url")
    description = forms.text("Description", help="For you, for example “shop, production”.")
    events = django_forms.MultipleChoiceField(
        choices=EVENTS, required=False, widget=django_forms.CheckboxSelectMultiple
    )

    def json(self) -> dict[str, Any]:
        """What was typed, as the API takes it."""
        self.is_valid()
        return dict(self.cleaned_data)


@require_safe
@merchant_page
def webhooks(request: HttpRequest, caller: PageCaller) -> HttpResponse:
    found = WebhookEndpoint.objects.visible_to(caller)
    now = timezone.now()
    rows = [
        {
            "id": endpoint.pk,
            "url": endpoint.url,
            "description": endpoint.description,
            "state": _state(endpoint),
            "events": _events(endpoint),
            "last_success": _last_success(endpoint, now),
        }
        for endpoint in found
    ]
    title = "Webhooks" if caller.live_mode else "Test webhooks"
    return frame.page(request, "webhooks.html", {"title": title, "rows": rows})


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_page
def new_webhook(request: HttpRequest, caller: PageCaller) -> HttpResponse:
    if request.method != "POST":
        return _form_page(request, WebhookForm())
    form = WebhookForm(request.POST)
    values, problems = WebhookInput.read(form.json())
    if problems or form.errors:
        return _form_page(request, form, problems)
    try:
        merchant_id = caller.merchant.pk
        made, secret = endpoints.create(merchant_id, live_mode=caller.live_mode, **values)
    except Problem as refused:
        return _form_page(request, form, [FieldProblem("", refused.code, refused.detail)])
    return _secret_page(request, made, secret, "The webhook is added", status=201)


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_page
def webhook(request: HttpRequest, caller: PageCaller, webhook_id: UUID) -> HttpResponse:
    """`?state=` and `?after=` choose the deliveries that are shown."""
    endpoint = _own(caller, webhook_id)
    if request.method == "POST":
        return _act(request, endpoint)
    return _page(request, endpoint)


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_page
def rotate_webhook(request: HttpRequest, caller: PageCaller, webhook_id: UUID) -> HttpResponse:
    endpoint = _own(caller, webhook_id)
    if request.method == "POST":
        changed, secret = endpoints.rotate_secret(endpoint.pk)
        return _secret_page(request, changed, secret, "The new secret signs from now on")
    context = {
        "title": "Make a new secret?",
        "text": "For a day the new and the present secret both sign, so you can switch your "
        "server over. Then the present one is over.",
        "about": endpoint.url,
        "button": "Make a new secret",
        "back": frame.address(request, "webhook", endpoint.pk),
    }
    return frame.page(request, "confirm.html", context, section="webhooks")


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_page
def remove_webhook(request: HttpRequest, caller: PageCaller, webhook_id: UUID) -> HttpResponse:
    endpoint = _own(caller, webhook_id)
    if request.method == "POST":
        endpoints.remove(endpoint.pk)
        frame.say(request, f"The webhook {endpoint.url} is removed.")
        return frame.see_other(frame.address(request, "webhooks"))
    context = {
        "title": "Remove this webhook?",
        "text": "It gets no more events, and the log of its deliveries goes with it. To stop the "
        "events for a while, switch it off instead.",
        "about": endpoint.url,
        "button": "Remove it",
        "back": frame.address(request, "webhook", endpoint.pk),
    }
    return frame.page(request, "confirm.html", context, section="webhooks")


def _own(caller: PageCaller, webhook_id: UUID) -> WebhookEndpoint:
    """Raises NotFound."""
    endpoint = WebhookEndpoint.objects.visible_to(caller).filter(pk=webhook_id).first()
    if endpoint is None:
        raise NotFound("webhook")
    return endpoint


def _state(endpoint: WebhookEndpoint) -> words.Said:
    if endpoint.switched_off_at:
        return words.Said("Switched off by us", Tone.BAD)
    return words.Said("On", Tone.GOOD) if endpoint.enabled else words.Said("Off")


# --- one webhook ---------------------------------------------------------------------------------


def _page(
    request: HttpRequest,
    endpoint: WebhookEndpoint,
    *,
    form: WebhookForm | None = None,
    refused: Problem | None = None,
) -> HttpResponse:
    now = timezone.now()
    values = {name: getattr(endpoint, name) for name in ("url", "description", "events")}
    former_until = endpoint.former_secret_until
    context = {
        "title": "Webhook",
        "endpoint": endpoint,
        "state": _state(endpoint),
        "events": _events(endpoint),
        "last_success": _last_success(endpoint, now),
        "former_until": former_until if former_until and former_until > now else None,
        "form": form or WebhookForm(initial=values),
        "spans": SPANS.items(),
        "refused": refused.detail if refused else "",
        **webhook_log.rows(request, endpoint, now),
    }
    status = refused.status if refused else 400 if form else 200
    return frame.page(request, "webhook.html", context, section="webhooks", status=status)


def _act(request: HttpRequest, endpoint: WebhookEndpoint) -> HttpResponse:
    """Carry out a form and redirect; a refusal shows the page with its reason."""
    handlers: dict[str, Callable[[HttpRequest, WebhookEndpoint], HttpResponse]] = {
        "test": _test,
        "on": _switch,
        "off": _switch,
        "change": _change,
        "replay": _replay_failed,
    }
    handler = handlers.get(request.POST.get("do", ""))
    if handler is None:
        return _page(request, endpoint, refused=Problem("invalid", "Please try again."))
    try:
        return handler(request, endpoint)
    except Problem as refused:
        return _page(request, endpoint, refused=refused)


def _test(request: HttpRequest, endpoint: WebhookEndpoint) -> HttpResponse:
    delivery = endpoints.make_test(endpoint)
    enqueue(actors.send_webhook, str(delivery.pk))
    return frame.see_other(webhook_log.link(request, delivery, follow=True))


def _switch(request: HttpRequest, endpoint: WebhookEndpoint) -> HttpResponse:
    enabled = request.POST["do"] == "on"
    endpoints.change(endpoint.pk, {"enabled": enabled})
    frame.say(request, "The webhook is switched on." if enabled else "The webhook is switched off.")
    return frame.see_other(frame.address(request, "webhook", endpoint.pk))


def _change(request: HttpRequest, endpoint: WebhookEndpoint) -> HttpResponse:
    form = WebhookForm(request.POST)
    values, problems = WebhookChange.read(form.json())
    if problems or form.errors:
        forms.show(form, problems, {})
        return _page(request, endpoint, form=form)
    endpoints.change(endpoint.pk, values)
    frame.say(request, "The webhook is changed.")
    return frame.see_other(frame.address(request, "webhook", endpoint.pk))


def _replay_failed(request: HttpRequest, endpoint: WebhookEndpoint) -> HttpResponse:
    hours = request.POST.get("hours", "")
    if hours not in SPANS:
        raise Problem("invalid", "Choose how far back.")
    since = timezone.now() - timedelta(hours=int(hours))
    replayed = endpoints.replay_failed(endpoint.pk, since)
    enqueue(actors.sweep_webhooks)
    events = "event is" if replayed == 1 else "events are"
    frame.say(request, f"{replayed} {events} sent again, the oldest first.")
    return frame.see_other(frame.address(request, "webhook", endpoint.pk))


# --- parts ---------------------------------------------------------------------------------------


def _form_page(
    request: HttpRequest, form: WebhookForm, problems: list[FieldProblem] | None = None
) -> HttpResponse:
    if problems:
        forms.show(form, problems, {})
    context = {"title": "Add a webhook", "form": form}
    status = 400 if form.is_bound else 200
    return frame.page(request, "new_webhook.html", context, section="webhooks", status=status)


def _secret_page(
    request: HttpRequest, endpoint: WebhookEndpoint, secret: str, title: str, status: int = 200
) -> HttpResponse:
    """Rendered without a redirect, so that the secret is stored nowhere in the clear."""
    context = {
        "title": title,
        "what": "the secret that signs what we send",
        "secret": secret,
        "explanation": "Check the header webhook-signature with it (Standard Webhooks).",
        "back": frame.address(request, "webhook", endpoint.pk),
    }
    return frame.page(request, "secret_once.html", context, section="webhooks", status=status)


def _events(endpoint: WebhookEndpoint) -> str:
    count = len(endpoint.events)
    return f"{count} kind{'s' if count > 1 else ''} of events" if count else "All events"


def _last_success(endpoint: WebhookEndpoint, now: Any) -> str:
    return words.clock(endpoint.last_success_at, now) if endpoint.last_success_at else "Never"
