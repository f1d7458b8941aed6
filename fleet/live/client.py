"""Client of the Fleet API: one GET, with limits on size and time. The answer is untrusted."""

import zlib
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse, IncompleteRead
from urllib.parse import SplitResult

from django.conf import settings

from fleet.live.telemetry import Decoded, MalformedAnswer, decode_answer
from wingxtra.exchange import EXCHANGE_ERRORS, TooSlow, address, below, exchange, is_sendable
from wingxtra.problems import Unavailable

PATH = "/api/v1/telemetry/latest"
MAX_BYTES = 64 * 2**20
CHUNK_BYTES = 256 * 2**10


class FleetUnavailable(Unavailable):
    """The Fleet API gave no usable answer.

    Codes: fleet_api_not_configured, fleet_api_unreachable, fleet_api_slow, fleet_api_error (a
    status other than 200), fleet_api_redirects, fleet_api_truncated, fleet_api_too_large,
    fleet_api_malformed.
    """

    title = "The Fleet API gives no usable answer"


class FleetClient:
    """The Fleet API at FLEET_API_URL; sends FLEET_API_KEY if it is set.

    FLEET_API_TIMEOUT_S limits the whole exchange.
    """

    def __init__(self) -> None:
        self._key = settings.FLEET_API_KEY
        self._timeout_s = settings.FLEET_API_TIMEOUT_S

    def latest(self) -> Decoded:
        """The current telemetry of all drones. Raises FleetUnavailable."""
        body = self._get(self._base())
        try:
            return decode_answer(body)
        except MalformedAnswer as error:
            raise FleetUnavailable("fleet_api_malformed", str(error)) from error

    def _base(self) -> SplitResult:
        found = repr(settings.FLEET_API_URL) if settings.FLEET_API_URL else "not set"
        wrong = f"FLEET_API_URL is {found}; it must be like https://fleet.example.com"
        try:
            base = address(settings.FLEET_API_URL)
        except ValueError as error:
            raise _misconfigured(wrong) from error
        if not is_sendable(self._key):
            raise _misconfigured("FLEET_API_KEY holds a character not allowed in a header")
        return base

    def _get(self, base: SplitResult) -> bytes:
        """The complete, decompressed body of a 200 answer, within the limits of size and time."""
        try:
            with exchange(
                "GET", below(base, PATH), headers=self._headers(), timeout_s=self._timeout_s
            ) as response:
                return _body_of(response)
        except TooSlow as error:
            raise FleetUnavailable(
                "fleet_api_slow",
                f"The Fleet API did not answer completely within {self._timeout_s:g} s.",
            ) from error
        except EXCHANGE_ERRORS as error:
            raise _as_unavailable(error, base) from error

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        return headers | ({"X-API-Key": self._key} if self._key else {})


def _misconfigured(what: str) -> FleetUnavailable:
    return FleetUnavailable(
        "fleet_api_not_configured", f"{what}. Without it there is no telemetry and no dispatch."
    )


def _body_of(response: HTTPResponse) -> bytes:
    if 300 <= response.status < 400:
        raise FleetUnavailable(
            "fleet_api_redirects",
            f"The Fleet API answers {response.status} and redirects to "
            f"{response.getheader('Location')!r}. Redirects are not followed. "
            "Correct FLEET_API_URL.",
        )
    if response.status != 200:
        hint = " Check FLEET_API_KEY." if response.status in (401, 403) else ""
        raise FleetUnavailable(
            "fleet_api_error", f"The Fleet API answers {response.status} {response.reason}.{hint}"
        )
    if (response.length or 0) > MAX_BYTES:
        raise _too_large()
    body = bytearray()
    for chunk in _decompressed(response):
        body += chunk
        if len(body) > MAX_BYTES:
            raise _too_large()
    if response.length:  # http.client: the announced bytes that did not arrive
        raise _truncated(f"{response.length:,} bytes are missing")
    return bytes(body)


def _decompressed(response: HTTPResponse) -> Iterator[bytes]:
    """The body in chunks of bounded size, so that a small gzip body cannot fill the memory."""
    encoding = response.getheader("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise FleetUnavailable(
            "fleet_api_malformed",
            f"The Fleet API's answer has the Content-Encoding {encoding!r}; only gzip is accepted.",
        )
    if encoding == "identity":
        while chunk := response.read(CHUNK_BYTES):
            yield chunk
        return
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # gzip format
    try:
        while chunk := response.read(CHUNK_BYTES):
            while chunk:
                yield inflater.decompress(chunk, CHUNK_BYTES)
                chunk = inflater.unconsumed_tail
    except zlib.error as error:
        raise FleetUnavailable(
            "fleet_api_malformed", f"The Fleet API's answer is not valid gzip: {error}."
        ) from error
    if not inflater.eof:
        raise _truncated("its gzip stream has no end")


def _too_large() -> FleetUnavailable:
    return FleetUnavailable(
        "fleet_api_too_large",
        f"The Fleet API's answer is larger than {MAX_BYTES // 2**20} MiB; the rest was not read.",
    )


def _truncated(how: str) -> FleetUnavailable:
    return FleetUnavailable("fleet_api_truncated", f"The Fleet API's answer is truncated: {how}.")


def _as_unavailable(error: Exception, base: SplitResult) -> FleetUnavailable:
    match error:
        case IncompleteRead():
            return _truncated("a chunk of it is missing")
        case HTTPException() if not isinstance(error, OSError):
            return FleetUnavailable(
                "fleet_api_malformed",
                f"The server at {base.hostname} does not answer with HTTP: {error!r}.",
            )
    return FleetUnavailable(
        "fleet_api_unreachable",
        f"The Fleet API at {base.hostname} cannot be reached: {error}. Check that it runs and "
        "that FLEET_API_URL is correct.",
    )
