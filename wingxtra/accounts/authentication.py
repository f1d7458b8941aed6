"""Authentication by an API key, or by a JWT from `POST /api/v1/auth/token`.

A key or user that is switched off is refused at once. A token costs one SQL statement per call. A
key is cached: it costs a statement only when it is not in the cache or the cache is stale
(`ApiView` checks that).
"""

from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken

from wingxtra.accounts.models import ApiKey, User
from wingxtra.cache_version import Cached, CacheVersion
from wingxtra.database.statements import Statement

CHALLENGE = 'Bearer realm="api"'
KEY_HEADERS = ("X-API-Key", "x-de-api-key")


_USABLE_KEY = Statement(
    lambda digest, now: (
        ApiKey.objects.usable(now).select_related("merchant").filter(digest=digest).order_by()
    ),
    digest=str,
    now=datetime,
)

# Bumped when a key or a merchant changes.
VERSION = CacheVersion("accounts:keys")
MAX_CACHED_KEYS = 1_000
_cache: dict[str, Cached[ApiKey]] = {}


class ApiKeyAuthentication(BaseAuthentication):
    """`X-API-Key`, `x-de-api-key`, or `Authorization: Bearer wx_...` as the GCS page may send it.

    `request.user` is the ApiKey, which has its own role.
    """

    def authenticate(self, request: Request) -> tuple[ApiKey, None] | None:
        key = self._key_of(request)
        if key is None:
            return None
        # The version is read before the row: a change in between makes the cached row stale.
        now, digest, version = timezone.now(), ApiKey.digest_of(key), VERSION.current()
        row = _USABLE_KEY.first(digest=digest, now=now)
        if row is None:
            raise AuthenticationFailed(
                "This API key is unknown, expired or revoked.", code="invalid_api_key"
            )
        row.note_use(now)
        if version:
            if len(_cache) >= MAX_CACHED_KEYS:
                _cache.clear()
            _cache[digest] = Cached(row, version)
        return row, None

    @classmethod
    def cached(cls, request: Request) -> Cached[ApiKey] | None:
        """The cached key of this request, if any. The caller must check that it `is_fresh`."""
        key = cls._key_of(request)
        cached = _cache.get(ApiKey.digest_of(key)) if key else None
        return cached if cached and not cached.value.has_expired(timezone.now()) else None

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE

    @staticmethod
    def _key_of(request: Request) -> str | None:
        for header in KEY_HEADERS:
            if key := request.headers.get(header):
                return key
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip()
        return token if scheme.lower() == "bearer" and token.startswith("wx_") else None


class JwtAuthentication(JWTAuthentication):
    """A bearer token. `request.user` is its user, with the merchant loaded."""

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE

    def get_user(self, validated_token: Any) -> User:  # type: ignore[override]
        user = user_of(validated_token)
        if user is None:
            raise InvalidToken("The user of this token is gone, or this login has ended.")
        return user


def user_of(token: Any) -> User | None:
    """The user of a genuine token with the merchant; None when they may not log in (any more), or
    when the login was ended: by a reused refresh token, or a new password, role or merchant.
    """
    family = token.get("family")
    if family is None:  # issued before there were families
        return None
    users = User.objects.select_related("merchant").filter(
        Q(merchant__isnull=True) | Q(merchant__active=True),
        pk=token.get("sub"),
        is_active=True,
        token_families__pk=family,
        token_families__ended_at=None,
    )
    user = users.first()
    if user is None or not constant_time_compare(str(token.get("stamp")), user.token_stamp):
        return None
    return user
