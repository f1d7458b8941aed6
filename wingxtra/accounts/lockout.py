"""When a password is not even tried: in the token call, the console's login and the merchants'.

- After too many wrong ones, the pair of name and address waits (axes).
- New addresses, without a login under a name so far, share a small number of tries of that name.
  So guesses from many addresses are slow, and they do not lock out the name's owner.
- Hashing takes much CPU and memory, so few passwords are hashed at the same time.
"""

import hashlib
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_cool_off, get_credentials
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import salted_hmac

from wingxtra.accounts.models import KnownAddress, User
from wingxtra.api import throttling
from wingxtra.api.errors import API_PREFIXES, Answer
from wingxtra.database.statements import Statement

KNOWN_FOR = timedelta(days=90)
BUSY = "Many people log in at this moment. Try again in a second."

_places = threading.BoundedSemaphore(settings.PASSWORDS_AT_ONCE)


@dataclass(frozen=True, slots=True)
class Refusal:
    detail: str
    retry_after_s: int
    status: int = 429
    code: str = "too_many_failures"


class WrongPasswords(AxesDatabaseHandler):
    """AXES_HANDLER: a right password ends the count of wrong ones. Their expired rows are deleted
    with the next wrong one and every hour (`actors.forget_wrong_passwords`), not by each login.
    """

    def user_logged_in(self, sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
        self.reset_user_attempts(request, get_credentials(user.get_username()))


class GuardedBackend(ModelBackend):
    """Tries a password unless the name's tries from new addresses, or all places, are used up."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **more: Any,
    ) -> Any:
        if request is None or username is None or password is None:
            return None
        if not _is_known(request, username):
            _count_as_stranger(request, username)
        if not _places.acquire(blocking=False):
            _refuse(request, Refusal(BUSY, 1, 503, "unavailable"))
        try:
            return super().authenticate(request, username, password, **more)
        finally:
            _places.release()


def address_for_axes(request: HttpRequest) -> str:
    """AXES_CLIENT_IP_CALLABLE: an IPv4 address, or the first one of an IPv6 /64."""
    return throttling.address_of(request).partition("/")[0]


def note_login(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    """Receiver of user_logged_in."""
    if digest := _digest_of_address(request):
        KnownAddress.objects.bulk_create(
            [KnownAddress(user=user, digest=digest, last_login_at=timezone.now())],
            update_conflicts=True,
            unique_fields=["user", "digest"],
            update_fields=["last_login_at"],
        )


def refusal(request: HttpRequest) -> Refusal:
    given: Refusal | None = getattr(request, "login_refusal", None)
    if given is not None:
        return given
    pause = get_cool_off(request)
    seconds = int(pause.total_seconds()) if pause else 0
    detail = f"Too many wrong passwords. Try again in {max(1, seconds // 60)} minutes."
    return Refusal(detail, seconds)


def answer(request: HttpRequest, credentials: dict[str, Any] | None = None) -> HttpResponse:
    """AXES_LOCKOUT_CALLABLE: axes returns it instead of the view's response."""
    refused = refusal(request)
    headers = {"Retry-After": str(refused.retry_after_s)}
    if request.path.startswith(API_PREFIXES):
        return Answer(refused.status, refused.detail, refused.code, headers=headers).response()
    return HttpResponse(
        refused.detail, status=refused.status, content_type="text/plain", headers=headers
    )


def _is_known(request: HttpRequest, username: str) -> bool:
    digest = _digest_of_address(request)
    since = timezone.now() - KNOWN_FOR
    return _KNOWN.first(username=username, digest=digest, since=since) is not None


_KNOWN = Statement(
    lambda username, digest, since: KnownAddress.objects.filter(
        last_login_at__gt=since, user__username=username, digest=digest
    ).order_by(),
    username=str,
    digest=str,
    since=datetime,
)


def _count_as_stranger(request: HttpRequest, username: str) -> None:
    """Names that do not exist are counted, too: the answer must not tell them apart."""
    name = hashlib.sha256(username.encode()).hexdigest()
    quota = throttling.Quota(settings.LOGIN_RATE_NEW_ADDRESSES, f"login:{name}", "new addresses")
    try:
        throttling.count(quota)
    except throttling.TooManyRequests as refused:
        wait_s = refused.window.reset_s
        detail = (
            "This user name was tried too often from new addresses. Try again in "
            f"{wait_s} seconds, or from where you have logged in before."
        )
        _refuse(request, Refusal(detail, wait_s))


def _refuse(request: HttpRequest, refusal: Refusal) -> NoReturn:
    """Ends Django's `authenticate`. axes answers with `refusal` and counts no failure."""
    request.axes_locked_out = True  # type: ignore[attr-defined]
    request.login_refusal = refusal  # type: ignore[attr-defined]
    raise PermissionDenied


def _digest_of_address(request: HttpRequest) -> str:
    """A keyed digest: the table must not tell from where people work. Empty without an address."""
    address = throttling.address_of(request)
    if not address:
        return ""
    return salted_hmac("accounts.known_address", address, algorithm="sha256").hexdigest()
