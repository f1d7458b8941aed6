"""Who may open the pages of `/merchant/`, and as which caller: users of role MERCHANT."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.cache import never_cache

from tracking.merchant import frame
from wingxtra.accounts.identity import Actor, Role
from wingxtra.accounts.models import Merchant, User
from wingxtra.problems import NotFound

View = Callable[..., HttpResponseBase]

ELSEWHERE = {
    Role.LOADER: ("/load/", "Loaders work on the page of their hub."),
}
OTHERS = ("/admin/", "Staff work in the console.")


@dataclass(slots=True)
class PageCaller:
    """A merchant's user on a page: a `Caller` like the API's, in the mode of the page."""

    user: User
    merchant: Merchant
    live_mode: bool
    role: str = field(default=Role.MERCHANT, init=False)
    merchant_id: UUID | None = field(init=False)

    def __post_init__(self) -> None:
        self.merchant_id = self.merchant.pk

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def actor(self) -> Actor:
        return self.user.actor

    @property
    def key(self) -> str:
        """Names the caller among those who send an Idempotency-Key."""
        return f"{self.actor.kind}:{self.user.pk}:{'live' if self.live_mode else 'test'}"


def merchant_page(view: View) -> View:
    """Calls `view(request, caller, ...)` for users of role MERCHANT.

    Others are told where their page is. NotFound becomes a page with 404. Nothing is cached.
    """

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        user: Any = request.user
        if not user.is_authenticated:
            return redirect_to_login(request.get_full_path(), reverse("merchant-login"))
        if user.role != Role.MERCHANT:
            return _wrong_door(request, user)
        if not user.may_log_in:
            logout(request)
            return redirect_to_login(request.get_full_path(), reverse("merchant-login"))
        caller = PageCaller(user, user.merchant, frame.is_live(request))
        try:
            return view(request, caller, *args, **kwargs)
        except NotFound as problem:
            return frame.notice(request, 404, "Not found", problem.detail)

    return never_cache(guarded)


def where_to(role: str) -> tuple[str, str]:
    """The address of the page of another role, and a sentence about it."""
    return ELSEWHERE.get(Role(role), OTHERS)


def _wrong_door(request: HttpRequest, user: User) -> HttpResponse:
    link, sentence = where_to(user.role)
    text = f"You are logged in as {user.get_username()}. This page is for merchants. {sentence}"
    return frame.notice(request, 403, "This page is for merchants", text, link=link)
