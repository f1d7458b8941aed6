"""The bearer token for the clearance service: from the settings, or by OAuth 2.0 client credentials
(RFC 6749, section 4.4), kept by the process until shortly before its end.
"""

import json
import time
from dataclasses import dataclass
from urllib.parse import urlencode

from django.conf import settings

from dispatch.missions.clearance.port import ClearanceUnavailable
from wingxtra.exchange import EXCHANGE_ERRORS, TooSlow, address, exchange, is_sendable

# A token is not used any more this long before it expires.
SPARE_S = 30.0
DEFAULT_LIFE_S = 300.0
MAX_ANSWER_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    ends_at: float  # of time.monotonic()


_kept: dict[tuple[str, str], _Token] = {}


class Tokens:
    def __init__(self) -> None:
        self._key = (settings.CLEARANCE_TOKEN_URL, settings.CLEARANCE_CLIENT_ID)

    def current(self, timeout_s: float) -> str:
        """Raises ClearanceUnavailable `clearance_no_token`, and what `exchange` raises."""
        if settings.CLEARANCE_TOKEN:
            return _sendable(settings.CLEARANCE_TOKEN)
        kept = _kept.get(self._key)
        if kept is None or kept.ends_at <= time.monotonic():
            kept = _kept[self._key] = self._fetch(timeout_s)
        return kept.value

    def forget(self) -> None:
        _kept.pop(self._key, None)

    def _fetch(self, timeout_s: float) -> _Token:
        url, client_id = self._key
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": settings.CLEARANCE_CLIENT_SECRET,
            "scope": settings.CLEARANCE_SCOPE,
        }
        if settings.CLEARANCE_AUDIENCE:
            form["audience"] = settings.CLEARANCE_AUDIENCE
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            with exchange(
                "POST",
                address(url),
                headers=headers,
                body=urlencode(form).encode(),
                timeout_s=timeout_s,
            ) as response:
                status, text = response.status, response.read(MAX_ANSWER_BYTES)
        except TooSlow:
            raise
        except (*EXCHANGE_ERRORS, ValueError) as error:
            raise _no_token(f"it was not reached: {type(error).__name__}") from error
        if status != 200:
            raise _no_token(f"it answered {status}")
        try:
            answer = json.loads(text)
            value, life_s = str(answer["access_token"]), answer.get("expires_in", DEFAULT_LIFE_S)
            ends_at = time.monotonic() + float(life_s) - SPARE_S
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _no_token("its answer has no access_token") from error
        return _Token(_sendable(value), ends_at)


def _sendable(token: str) -> str:
    if not is_sendable(token):
        raise _no_token("the token holds a character that no token has, like a line end")
    return token


def _no_token(why: str) -> ClearanceUnavailable:
    detail = f"No token for the clearance service from CLEARANCE_TOKEN_URL: {why}."
    return ClearanceUnavailable("clearance_no_token", detail)
