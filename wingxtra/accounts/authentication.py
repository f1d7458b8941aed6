"""How a caller proves who it is: an API key, or a JWT from `POST /api/v1/auth/token`.

Either tells what the database knows now: a key or a user that was switched off is out at once. A
token costs one statement; a key costs one where it was not asked about lately or something was
changed since (`ApiView` looks whether what we remember is still true).
"""

from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken

from wingxtra.accounts.models import ApiKey, User
from wingxtra.cache_version import Kept, Stamp
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

# Renewed whenever a key or a merchant is changed.
STAMP = Stamp("accounts:keys")
MOST_KEPT = 1_000
_kept: dict[str, Kept[ApiKey]] = {}


class ApiKeyAuthentication(BaseAuthentication):
    """`X-API-Key`, `x-de-api-key`, or `Authorization: Bearer wx_...` as the GCS's page may send it.

    `request.user` becomes the ApiKey, which has a role of its own.
    """

    def authenticate(self, request: Request) -> tuple[ApiKey, None] | None:
        key = self._key_of(request)
        if key is None:
            return None
        now, digest, stamp = timezone.now(), ApiKey.digest_of(key), STAMP.now()
        row = _USABLE_KEY.first(digest=digest, now=now)
        if row is None:
            raise AuthenticationFailed(
                "This API key is unknown, expired or revoked.", code="invalid_api_key"
            )
        row.note_use(now)
        if stamp:  # older than the row
            if len(_kept) >= MOST_KEPT:
                _kept.clear()
            _kept[digest] = Kept(row, stamp)
        return row, None

    @classmethod
    def remembered(cls, request: Request) -> Kept[ApiKey] | None:
        """The key as it was when it was last asked about: true if the stamp is still the same."""
        key = cls._key_of(request)
        kept = _kept.get(ApiKey.digest_of(key)) if key else None
        return kept if kept and not kept.value.has_expired(timezone.now()) else None

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
    """A bearer token, and the user behind it, merchant included."""

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE

    def get_user(self, validated_token: Any) -> User:  # type: ignore[override]
        user = (
            User.objects.select_related("merchant")
            .filter(Q(merchant__isnull=True) | Q(merchant__active=True))
            .filter(pk=validated_token.get("sub"), is_active=True)
            .first()
        )
        if user is None:
            raise InvalidToken("The user of this token is gone or was switched off.")
        return user
