"""The provider over HTTP: its endpoints by discovery, its keys, and calls with a deadline."""

import time
from collections.abc import Mapping
from typing import Any

import jwt
import msgspec
from django.conf import settings

from wingxtra.exchange import EXCHANGE_ERRORS, address, exchange

TIMEOUT_S = 10.0
MAX_BYTES = 1_000_000
# A provider that changes an endpoint is followed after this; a new key at once.
DISCOVERED_FOR_S = 3600.0

_discovered: dict[str, tuple[float, dict[str, Any]]] = {}


class NotReached(Exception):
    """The provider gives no usable answer. The text has no secrets."""


def endpoint(name: str) -> str:
    """An address of the provider's discovery document. Raises NotReached."""
    found = _configuration().get(name)
    if not isinstance(found, str):
        raise NotReached(f"Its discovery document has no {name}.")
    return found


def key_of(kid: str | None, algorithm: str) -> jwt.PyJWK | None:
    """The key that signs with this id and algorithm; None if it has none. Raises NotReached."""
    keys = call("GET", endpoint("jwks_uri")).get("keys")
    for key in keys if isinstance(keys, list) else []:
        fits = isinstance(key, dict) and key.get("use", "sig") == "sig"
        if fits and key.get("kid") == kid and key.get("alg", algorithm) == algorithm:
            try:
                return jwt.PyJWK(key, algorithm)
            except jwt.PyJWTError as error:
                raise NotReached("It published a key that is none.") from error
    return None


def call(
    method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> dict[str, Any]:
    """The JSON object of the answer. Raises NotReached."""
    try:
        with exchange(
            method, address(url), headers=headers or {}, body=body, timeout_s=TIMEOUT_S
        ) as answer:
            if answer.status != 200:
                raise NotReached(f"It answered {answer.status}.")
            return msgspec.json.decode(answer.read(MAX_BYTES), type=dict[str, Any])
    except (*EXCHANGE_ERRORS, ValueError, msgspec.MsgspecError) as error:
        raise NotReached(f"No usable answer: {type(error).__name__}.") from error


def _configuration() -> dict[str, Any]:
    issuer = settings.OIDC_ISSUER
    read_at, found = _discovered.get(issuer, (0.0, {}))
    if not found or time.monotonic() - read_at > DISCOVERED_FOR_S:
        found = call("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise NotReached("Its discovery document names another issuer.")
        _discovered[issuer] = (time.monotonic(), found)
    return found
