"""`/api/v1/auth/token`: get, refresh and verify a user's pair of JWTs."""

from typing import Any, NoReturn

from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_logged_in
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken
from rest_framework_simplejwt.tokens import RefreshToken, UntypedToken

from wingxtra.accounts.authentication import CHALLENGE
from wingxtra.accounts.models import User
from wingxtra.api.serializers import StrictSerializer, Text
from wingxtra.api.views import PublicView


class Credentials(StrictSerializer):
    username = Text(max_length=150)
    password = Text(max_length=1000, trim_whitespace=False)


class Refresh(StrictSerializer):
    refresh = Text(max_length=5000)


class AnyToken(StrictSerializer):
    token = Text(max_length=5000)


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
        user = authenticate(request._request, **credentials)
        if not isinstance(user, User) or not user.may_log_in:
            raise AuthenticationFailed(
                "The username or the password is wrong, or the account is switched off.",
                code="invalid_credentials",
            )
        user_logged_in.send(sender=User, request=request._request, user=user)
        return Response(_pair(user))


class RefreshPair(TokenView):
    """Get the next pair of tokens. Each refresh token works once; a second use means that it was
    stolen, or that the first answer was lost.
    """

    @extend_schema(request=Refresh, responses={200: TokenPair, 401: None})
    def post(self, request: Request) -> Response:
        try:
            token: Any = RefreshToken(self.read(Refresh)["refresh"])
        except TokenError as error:
            _refuse(error)
        user = User.objects.select_related("merchant").filter(pk=token["sub"]).first()
        if user is None or not user.may_log_in:
            raise AuthenticationFailed("The account is gone or was switched off.", "user_inactive")
        _, is_first_use = token.blacklist()
        if not is_first_use:
            _refuse("Token is blacklisted")
        return Response(_pair(user))


class VerifyToken(TokenView):
    """Check that a token is genuine, not expired and not used up; 401 if it is not."""

    @extend_schema(request=AnyToken, responses={200: None, 401: None})
    def post(self, request: Request) -> Response:
        try:
            token: Any = UntypedToken(self.read(AnyToken)["token"])
        except TokenError as error:
            _refuse(error)
        if BlacklistedToken.objects.filter(token__jti=token["jti"]).exists():
            _refuse("Token is blacklisted")
        return Response({})


def _pair(user: User) -> dict[str, str]:
    refresh: Any = RefreshToken.for_user(user)
    # simplejwt copies these into the access token. Our checks read the user's row instead.
    refresh["role"] = user.role
    refresh["merchant_id"] = str(user.merchant_id) if user.merchant_id else None
    return {"access": str(refresh.access_token), "refresh": str(refresh)}


def _refuse(why: object) -> NoReturn:
    raise AuthenticationFailed(f"{why}.", code="token_not_valid")
