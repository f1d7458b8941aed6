"""Who logs in: checks the ID token and finds or makes the account.

The library exchanges the code. It checks neither audience, issuer nor expiry of an ID token, so
this is done here.
"""

from typing import Any, NoReturn
from urllib.parse import urlencode

import jwt
import structlog
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import User
from wingxtra.console.entry.second_factor import SECOND_FACTOR
from wingxtra.console.roles import CONSOLE_ROLES
from wingxtra.oidc import claims as said
from wingxtra.oidc import provider

log = structlog.get_logger(__name__)

# With keys that only the provider has. HS256 would make the client's secret a key.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384")
REQUIRED = ["iss", "sub", "aud", "exp", "iat", "nonce"]
CLOCK_SKEW_S = 30
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class LoginRefused(Exception):
    """The text is for the person who wants to log in."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class OidcBackend(OIDCAuthenticationBackend):
    OIDC_OP_TOKEN_ENDPOINT = property(lambda self: provider.endpoint("token_endpoint"))
    OIDC_OP_USER_ENDPOINT = property(lambda self: provider.endpoint("userinfo_endpoint"))
    OIDC_RP_CLIENT_ID = property(lambda self: settings.OIDC_CLIENT_ID)
    OIDC_RP_CLIENT_SECRET = property(lambda self: settings.OIDC_CLIENT_SECRET)

    def __init__(self) -> None:
        """Nothing is asked here: each request of a logged-in person makes a backend."""

    def authenticate(  # type: ignore[override]
        self, request: HttpRequest | None, **given: Any
    ) -> User | None:
        """Raises LoginRefused and provider.NotReached. None for a login by password."""
        if not given.get("nonce"):
            return None
        user: User | None = super().authenticate(request, **given)
        return user

    def get_user(self, user_id: Any) -> User | None:
        """None once the account is switched off."""
        found: User | None = ModelBackend().get_user(user_id)
        return found

    def get_token(self, payload: dict[str, str]) -> dict[str, Any]:
        return provider.call(
            "POST", self.OIDC_OP_TOKEN_ENDPOINT, headers=FORM, body=urlencode(payload).encode()
        )

    def get_userinfo(
        self, access_token: Any, id_token: Any, payload: dict[str, Any]
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {access_token}"}
        about = provider.call("GET", self.OIDC_OP_USER_ENDPOINT, headers=headers)
        if about.get("sub") != payload["sub"]:
            _refuse_token("userinfo of another person")
        return about

    def verify_token(self, token: Any, **given: Any) -> dict[str, Any]:
        """The claims of an ID token. Raises LoginRefused."""
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm not in ALGORITHMS:
                _refuse_token(f"algorithm {algorithm}")
            key = provider.key_of(header.get("kid"), algorithm)
            if key is None:
                _refuse_token("unknown key")
            payload = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=settings.OIDC_CLIENT_ID,
                issuer=settings.OIDC_ISSUER,
                leeway=CLOCK_SKEW_S,
                options={"require": REQUIRED},
            )
        except jwt.PyJWTError as error:
            _refuse_token(type(error).__name__)
        if not constant_time_compare(str(payload["nonce"]), given["nonce"]):
            _refuse_token("nonce")
        if payload.get("azp", settings.OIDC_CLIENT_ID) != settings.OIDC_CLIENT_ID:
            _refuse_token("authorized party")
        return payload

    def get_or_create_user(
        self, access_token: Any, id_token: Any, payload: dict[str, Any]
    ) -> User | None:
        """The account with the verified e-mail of these claims. Raises LoginRefused."""
        claims = {**self.get_userinfo(access_token, id_token, payload), **payload}
        role = said.role_of(claims, settings.OIDC_ROLE_CLAIM, settings.OIDC_ROLES)
        if role is None:
            raise LoginRefused("no_role", "Your account has no role in Wingxtra Delivery.")
        email = said.verified_email(claims)
        if not email:
            raise LoginRefused(
                "email_not_verified", "Your provider does not say that your e-mail is verified."
            )
        user = _account(email) or _created(email, claims, role)
        _refuse_unfit(user)
        _update(user, role)
        self.request.session[SECOND_FACTOR] = said.has_second_factor(
            payload, settings.OIDC_SECOND_FACTOR_AMR
        )
        return user


def _refuse_token(why: str) -> NoReturn:
    log.warning("oidc_token_refused", why=why)
    raise LoginRefused("bad_token", "What your provider says about you is not valid.")


def _account(email: str) -> User | None:
    """Raises LoginRefused for several."""
    # The database compares in upper case, where two addresses may become one: “ı” and “i”.
    alike = User.objects.filter(email__iexact=email)
    found = [user for user in alike if user.email.casefold() == email.casefold()]
    if len(found) > 1:
        raise LoginRefused("ambiguous", "Several accounts have your e-mail address.")
    return found[0] if found else None


def _created(email: str, claims: dict[str, Any], role: Role) -> User:
    """A new account without a password, named by its e-mail address. Raises LoginRefused."""
    names = {
        ours: str(claims.get(theirs) or "")[:150].replace("\0", "")
        for ours, theirs in (("first_name", "given_name"), ("last_name", "family_name"))
    }
    is_staff = role in CONSOLE_ROLES
    try:
        with transaction.atomic():
            made: User = User.objects.create_user(
                email, email, role=role, is_staff=is_staff, **names
            )
            return made
    except IntegrityError as error:  # a second tab was first, or the name is another account's
        found = _account(email)
        if found is None:
            raise LoginRefused("name_taken", "Another account has your e-mail as name.") from error
        return found


def _refuse_unfit(user: User) -> None:
    if not user.is_active:
        raise LoginRefused("switched_off", "Your account is switched off.")
    if user.role == Role.MERCHANT:
        raise LoginRefused("a_merchants", "Your account belongs to a merchant.")


def _update(user: User, role: Role) -> None:
    """The provider decides on the role at each login."""
    is_staff = role in CONSOLE_ROLES
    if (user.role, user.is_staff) != (role, is_staff):
        user.role, user.is_staff = role, is_staff
        user.save(update_fields=["role", "is_staff"])
