"""What the claims of a provider say about a person. Pure."""

from collections.abc import Mapping
from typing import Any

from wingxtra.accounts.identity import Role

# The first one that a person has counts.
HIGHEST_FIRST = (Role.ADMIN, Role.OPS, Role.READONLY, Role.LOADER)


def role_of(claims: Mapping[str, Any], claim: str, roles: Mapping[str, str]) -> Role | None:
    """`roles`: value of the claim -> our role. None: the person has none of them."""
    given = _values(claims, claim)
    has = {roles[value] for value in given if value in roles}
    return next((role for role in HIGHEST_FIRST if role in has), None)


def verified_email(claims: Mapping[str, Any]) -> str | None:
    email = claims.get("email")
    return email if isinstance(email, str) and claims.get("email_verified") is True else None


def has_second_factor(claims: Mapping[str, Any], methods: list[str]) -> bool:
    """Whether the provider says so: `amr` (RFC 8176) has one of these methods."""
    amr = claims.get("amr")
    return isinstance(amr, list) and any(method in amr for method in methods)


def _values(claims: Mapping[str, Any], claim: str) -> list[str]:
    """A text or a list of texts. “realm_access.roles” is also a member of a member."""
    found: Any = claims.get(claim)
    if found is None:
        found = claims
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    values = [found] if isinstance(found, str) else found
    return [one for one in values if isinstance(one, str)] if isinstance(values, list) else []
