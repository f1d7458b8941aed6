"""The merchant's API keys of a mode: made here, shown once, revoked here."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from tracking.merchant import frame, words
from tracking.merchant.access import PageCaller, merchant_page
from wingxtra.accounts import keys as verbs
from wingxtra.accounts.models import ApiKey
from wingxtra.console import actions
from wingxtra.console.registry import Tone
from wingxtra.problems import NotFound, Problem

# Usable keys come first, and are at most `verbs.MAX_PER_MODE`.
MOST_SHOWN = 100
SOON = timedelta(days=14)
LIVES = [("", "Until you revoke it")] + [
    (str(days), text) for days, text in ((30, "30 days"), (90, "90 days"), (365, "A year"))
]


class KeyForm(forms.Form):
    name = forms.CharField(
        max_length=80,
        help_text="What uses it, for example “till 3”. Give each program a key of its own.",
    )
    lives = forms.ChoiceField(label="How long it works", choices=LIVES, required=False)


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_page
def keys(request: HttpRequest, caller: PageCaller) -> HttpResponse:
    if request.method != "POST":
        return _page(request, caller, KeyForm())
    form = KeyForm(request.POST)
    if not form.is_valid():
        return _page(request, caller, form, status=400)
    try:
        row, key = verbs.make_own(
            caller.user,
            name=form.cleaned_data["name"],
            live_mode=caller.live_mode,
            expires_at=_end(form.cleaned_data["lives"]),
        )
    except Problem as refused:
        return _page(request, caller, KeyForm(), refused=refused)
    context = {
        "title": f"The key “{row.name}” is made",
        "what": "the key",
        "secret": key,
        "explanation": "Programs send it as the header X-API-Key.",
        "back": frame.address(request, "keys"),
    }
    # Rendered without a redirect, so that the key is stored nowhere.
    return frame.page(request, "secret_once.html", context, section="keys", status=201)


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_page
def revoke_key(request: HttpRequest, caller: PageCaller, key_id: int) -> HttpResponse:
    key = _own(caller).filter(pk=key_id).first()
    if key is None:
        raise NotFound("key")
    back = frame.address(request, "keys")
    if request.method == "POST":
        try:
            verbs.revoke(key)
        except Problem as refused:
            title = "Nothing was changed"
            return frame.notice(request, refused.status, title, refused.detail)
        actions.log(caller.user, key, "Revoked on the merchant's page.")
        frame.say(request, f"The key “{key.name}” is revoked.")
        return frame.see_other(back)
    context = {
        "title": f"Revoke the key “{key.name}”?",
        "text": "All programs that use this key are locked out at once. It cannot be undone.",
        "about": _last_use(key, timezone.now()),
        "button": "Revoke it",
        "back": back,
    }
    return frame.page(request, "confirm.html", context, section="keys")


def _own(caller: PageCaller) -> Any:
    return ApiKey.objects.filter(merchant=caller.merchant, live_mode=caller.live_mode)


def _page(
    request: HttpRequest,
    caller: PageCaller,
    form: KeyForm,
    *,
    refused: Problem | None = None,
    status: int = 200,
) -> HttpResponse:
    now = timezone.now()
    usable = list(_own(caller).usable(now)[:MOST_SHOWN])
    ended = list(_own(caller).exclude(pk__in=[key.pk for key in usable])[:MOST_SHOWN])
    why_none = refused or verbs.why_none(caller.merchant, live_mode=caller.live_mode)
    context = {
        "title": "API keys" if caller.live_mode else "Test keys",
        "rows": [_row(key, now) for key in (*usable, *ended)],
        "why_none": why_none.detail if why_none else "",
        "form": None if why_none else form,
        "test_keys_url": reverse("merchant:keys", current_app=frame.TEST),
    }
    return frame.page(request, "keys.html", context, status=refused.status if refused else status)


def _row(key: ApiKey, now: datetime) -> dict[str, Any]:
    state = words.Said("Works", Tone.GOOD)
    if key.revoked_at:
        state = words.Said(f"Revoked {words.clock(key.revoked_at, now)}")
    elif key.has_expired(now):
        state = words.Said("Expired", Tone.WARN)
    elif key.expires_at and key.expires_at < now + SOON:
        state = words.Said("Expires soon", Tone.WARN)
    return {
        "id": key.pk,
        "name": key.name,
        "hint": key.hint,
        "state": state,
        "made": words.clock(key.created_at, now),
        "last_use": words.clock(key.last_used_at, now) if key.last_used_at else "Never",
        "expires": words.clock(key.expires_at, now) if key.expires_at else "—",
        "can_be_revoked": key.revoked_at is None and not key.has_expired(now),
    }


def _last_use(key: ApiKey, now: datetime) -> str:
    if key.last_used_at is None:
        return "It was never used."
    return f"It was last used {words.since(key.last_used_at, now)} ago."


def _end(days: str) -> datetime | None:
    return timezone.now() + timedelta(days=int(days)) if days else None
