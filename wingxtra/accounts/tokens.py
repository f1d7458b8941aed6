"""`/api/v1/auth/token`: get, refresh and verify a user's pair of JWTs."""

import hashlib
from typing import Any, NoReturn
from uuid import uuid4

import structlog
from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken, UntypedToken

from wingxtra.accounts.authentication import CHALLENGE, user_of
from wingxtra.accounts.login_form import NAME_LENGTH, PASSWORD_LENGTH
from wingxtra.accounts.models import TokenFamily, User
from wingxtra.api.serializers import StrictSerializer, Text
from wingxtra.api.views import PublicView
from wingxtra.console.entry import second_factor

log = structlog.get_logger(__name__)


class Credentials(StrictSerializer):
    username = Text(max_length=NAME_LENGTH, help_text="The name of a user.")
    password = Text(max_length=PASSWORD_LENGTH, trim_whitespace=False, help_text="The password.")
    otp = Text(
        max_length=9,
        required=False,
        help_text="The six digits of the authenticator app, where staff need a second factor.",
    )


class Refresh(StrictSerializer):
    refresh = Text(max_length=5000, help_text="A refresh token that was not used yet.")


class AnyToken(StrictSerializer):
    token = Text(max_length=5000, help_text="An access or a refresh token.")


class TokenPair(serializers.Serializer[Any]):
    access = serializers.CharField(help_text="Claims: sub, role, merchant_id, exp.")
    refresh = serializers.CharField(help_text="Good for one use: the answer has the next one.")


class TokenView(PublicView):
    # The response is a secret that must not be stored, and a second call is harmless.
    idempotent = False

    def get_authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class ObtainToken(TokenView):
    """Get a pair of tokens for a name and a password. Guessing is slowed down: 429."""

    @extend_schema(request=Credentials, responses={200: TokenPair, 401: None})
    def post(self, request: Request) -> Response:
        credentials = self.read(Credentials)
        code = credentials.pop("otp", "")
        user = authenticate(request._request, **credentials)
        if not isinstance(user, User) or not user.may_log_in:
            raise AuthenticationFailed(
                "The username or the password is wrong, or the account is switched off.",
                code="invalid_credentials",
            )
        if second_factor.is_required_of(user):
            _check_second_factor(user, code)
        with transaction.atomic():  # one commit for all that a login writes
            user_logged_in.send(sender=User, request=request._request, user=user)
            return Response(_first_pair(user))


class RefreshPair(TokenView):
    """Get the next pair of tokens. Each refresh token works once. A second use means that it was
    stolen, or that the first answer was lost: then all tokens of this login end.
    """

    @extend_schema(request=Refresh, responses={200: TokenPair, 401: None})
    def post(self, request: Request) -> Response:
        try:
            token: Any = RefreshToken(self.read(Refresh)["refresh"])
        except TokenError as error:
            _refuse(error)
        user = user_of(token)
        if user is None:
            raise AuthenticationFailed(
                "The account is gone or was switched off, or this login has ended. Log in again.",
                "user_inactive",
            )
        next_pair = _pair(user, token["family"])
        current = TokenFamily.objects.filter(pk=token["family"], digest=_digest(token))
        if not current.update(digest=_digest(next_pair), expires_at=_expiry(next_pair)):
            end_families(user, "A refresh token was used twice.", family=token["family"])
            _refuse("Token was used before; all tokens of this login have ended. Log in again")
        return Response(_as_json(next_pair))


class VerifyToken(TokenView):
    """Check that a token is genuine, not expired and not used up; 401 if it is not."""

    @extend_schema(request=AnyToken, responses={200: None, 401: None})
    def post(self, request: Request) -> Response:
        try:
            token: Any = UntypedToken(self.read(AnyToken)["token"])
        except TokenError as error:
            _refuse(error)
        if user_of(token) is None:
            _refuse("This login has ended")
        if token["token_type"] == RefreshToken.token_type:
            current = TokenFamily.objects.filter(pk=token["family"], digest=_digest(token))
            if not current.exists():
                _refuse("Token was used before")
        return Response({})


def end_families(user: User, because: str, *, family: str | None = None) -> int:
    """End all tokens of a user, or of one login. Returns how many logins ended."""
    alive = TokenFamily.objects.filter(user=user, ended_at=None)
    if family is not None:
        alive = alive.filter(pk=family)
    ended = alive.update(ended_at=timezone.now(), ended_because=because)
    if ended:
        log.warning("tokens_ended", user_id=user.pk, because=because, logins=ended)
    return ended


def _check_second_factor(user: User, code: str) -> None:
    """Raises AuthenticationFailed."""
    if not second_factor.is_set_up(user):
        raise AuthenticationFailed(
            "Staff need a second factor. Log in to the console once to set up your authenticator "
            "app, then send its six digits as `otp`.",
            "second_factor_not_set_up",
        )
    if not code:
        message = "Send the six digits of your authenticator app as `otp`."
        raise AuthenticationFailed(message, "second_factor_required")
    if problem := second_factor.problem_with_code(user, code):
        raise AuthenticationFailed(problem, "second_factor_wrong")


def _first_pair(user: User) -> dict[str, str]:
    family = str(uuid4())
    refresh = _pair(user, family)
    TokenFamily.objects.create(
        pk=family, user=user, digest=_digest(refresh), expires_at=_expiry(refresh)
    )
    return _as_json(refresh)


def _pair(user: User, family: str) -> Any:
    """A refresh token. simplejwt copies its claims into the access token.

    Our checks read the user's row instead of `role` and `merchant_id`.
    """
    refresh: Any = RefreshToken.for_user(user)
    refresh["role"] = user.role
    refresh["merchant_id"] = str(user.merchant_id) if user.merchant_id else None
    refresh["family"] = family
    refresh["stamp"] = user.token_stamp
    return refresh


def _as_json(refresh: Any) -> dict[str, str]:
    return {"access": str(refresh.access_token), "refresh": str(refresh)}


def _digest(refresh: Any) -> str:
    return hashlib.sha256(refresh["jti"].encode()).hexdigest()


def _expiry(refresh: Any) -> Any:
    return refresh.current_time + api_settings.REFRESH_TOKEN_LIFETIME


def _refuse(why: object) -> NoReturn:
    raise AuthenticationFailed(f"{why}.", code="token_not_valid")
