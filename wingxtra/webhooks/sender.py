"""One POST to a URL that a person gave us, protected against server-side request forgery.

The host name is resolved here once, every address is checked, and the connection goes to a checked
address, so DNS rebinding has no effect. No redirect is followed and no proxy used. One deadline
covers all of it.
"""

import re
import socket
import ssl
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, urlsplit

import structlog
from django.conf import settings

from wingxtra.deadline import Deadline
from wingxtra.exchange import tls_context

log = structlog.get_logger(__name__)

ANSWER_BYTES = 4096
ADDRESSES_TRIED = 3
LATER = (408, 429)
PORTS = {"https": 443, "http": 80}

# Blocks of IANA's special-purpose registries that are not public. In IPv6 only 2000::/3 is public:
# loopback, link-local, unique local, multicast, IPv4-mapped and NAT64 addresses lie outside of it.
# Inside, Teredo (in 2001::/23) and 6to4 (2002::/16) embed IPv4 addresses, which may be private.
NOT_PUBLIC_V4 = [
    ip_network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
PUBLIC_V6 = ip_network("2000::/3")
NOT_PUBLIC_V6 = [
    ip_network(block) for block in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
]


class BadUrl(ValueError):
    """A URL to which nothing is sent. `code` is part of the API."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotReached(Exception):
    """There is no answer. The text is for the person who gave us the URL."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`text` is the beginning of the answer's body, or why there is no answer."""

    status: int | None
    text: str
    took_ms: int

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """Whether the receiver does not want this message. 408 and 429 ask for it later."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in LATER


def post(url: str, body: bytes, headers: dict[str, str]) -> Answer:
    """Never raises: errors are in the answer. Takes at most WEBHOOK_TIMEOUT_S."""
    started = time.monotonic()
    status = None
    try:
        status, text = _exchange(
            check_url(url), body, headers, started + settings.WEBHOOK_TIMEOUT_S
        )
    except (BadUrl, NotReached) as error:
        text = str(error)
    # PostgreSQL's text has no NUL.
    text = text.replace("\0", "�")
    return Answer(status, text, round(1000 * (time.monotonic() - started)))


def check_url(url: str) -> SplitResult:
    """The URL's parts. Raises BadUrl for a URL that cannot be sent to.

    Host names are not resolved here, because their addresses may change before the sending.
    """
    try:
        parts = urlsplit(url)
        sound = parts.hostname and parts.scheme in PORTS and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not re.fullmatch("[!-~]+", url):
        raise BadUrl("invalid", "Must be a URL like https://shop.example/hooks, in plain ASCII.")
    if "@" in parts.netloc or parts.fragment:
        raise BadUrl("invalid", "Must not contain a user, a password or a fragment (#…).")
    if _is_trusted(parts):
        return parts
    if parts.scheme != "https":
        raise BadUrl("https_required", "Must start with https://.")
    host = parts.hostname or ""
    # RFC 6761: these names always mean the machine itself. Other names are checked at sending.
    is_local = host.rstrip(".").rpartition(".")[2] == "localhost"
    if is_local or not all(is_public(address) for address in _literal(host)):
        raise BadUrl(
            "private_address", "Must not lead to a private, local or otherwise special address."
        )
    return parts


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is a unicast address of the public internet."""
    if isinstance(address, IPv4Address):
        return not any(address in block for block in NOT_PUBLIC_V4)
    return address in PUBLIC_V6 and not any(address in block for block in NOT_PUBLIC_V6)


def _is_trusted(parts: SplitResult) -> bool:
    return parts.hostname in settings.WEBHOOK_TRUSTED_HOSTS


def _literal(host: str) -> list[IPv4Address | IPv6Address]:
    """The address of a numeric host in any spelling that the resolver accepts; [] for a name."""
    try:
        return [*_addresses(socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST))]
    except OSError:
        return []


def _addresses(found: Iterable[Any]) -> Iterable[IPv4Address | IPv6Address]:
    for *_, sockaddr in found:
        yield ip_address(sockaddr[0].partition("%")[0])


def _exchange(
    parts: SplitResult, body: bytes, headers: dict[str, str], ends_at: float
) -> tuple[int, str]:
    """Status and beginning of the body. Raises NotReached."""
    host, secure = parts.hostname or "", parts.scheme == "https"
    try:
        sock = _connected(host, parts.port or PORTS[parts.scheme], ends_at, _is_trusted(parts))
        with closing(sock):
            if secure:
                sock = tls_context().wrap_socket(
                    sock, server_hostname=host, do_handshake_on_connect=False
                )
            with closing(sock), Deadline(sock, ends_at - time.monotonic()):
                if isinstance(sock, ssl.SSLSocket):
                    sock.do_handshake()
                # The socket is connected already; http.client only makes the Host header.
                kind = HTTPSConnection if secure else HTTPConnection
                connection = kind(host, parts.port)
                connection.sock = sock
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                connection.request("POST", path, body, headers | {"Connection": "close"})
                response = connection.getresponse()
                return response.status, _beginning(response)
    except (OSError, HTTPException, UnicodeError) as error:
        if time.monotonic() >= ends_at:
            raise NotReached(f"No answer within {settings.WEBHOOK_TIMEOUT_S:g} s.") from error
        raise NotReached(_in_words(error)) from error


def _connected(host: str, port: int, ends_at: float, trusted: bool) -> socket.socket:
    """A connection to one of the host's addresses. Raises NotReached or OSError."""
    found = _resolved(host, port, ends_at - time.monotonic())
    if not trusted and not all(is_public(address) for address in _addresses(found)):
        log.warning("webhook_address_refused", host=host, found=[one[-1][0] for one in found])
        # The address stays in our log: outsiders must not learn about our network.
        raise NotReached(f"{host} leads to a private, local or otherwise special address.")
    candidates = found[:ADDRESSES_TRIED]
    for left, (family, *_, sockaddr) in zip(range(len(candidates), 0, -1), candidates, strict=True):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            # The addresses left share the time left.
            sock.settimeout(max(0.01, (ends_at - time.monotonic()) / left))
            sock.connect(sockaddr)
            sock.settimeout(max(0.01, ends_at - time.monotonic()))
        except OSError:
            sock.close()
            if left == 1:
                raise
        else:
            return sock
    raise NotReached(f"{host} has no address.")


def _resolved(host: str, port: int, seconds: float) -> list[Any]:
    """getaddrinfo with a timeout. It has none itself, so it runs in a thread. Raises NotReached."""
    pool = ThreadPoolExecutor(1, "resolver")
    try:
        lookup = pool.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        return [*lookup.result(max(0.0, seconds))]
    except TimeoutError as error:
        raise NotReached(f"The address of {host} was not found in time.") from error
    except (OSError, UnicodeError) as error:
        raise NotReached(f"The address of {host} was not found.") from error
    finally:
        pool.shutdown(wait=False)


def _beginning(response: HTTPResponse) -> str:
    """The start of the body. An incomplete body is fine, because only the status counts."""
    try:
        return response.read(ANSWER_BYTES).decode(errors="replace")
    except (OSError, HTTPException):
        return ""


def _in_words(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"Its certificate is not valid: {error.verify_message}."
        case ssl.SSLError():
            return f"No secure connection: {error.reason or error}."
        case HTTPException() if not isinstance(error, OSError):
            return "The answer is not HTTP."
        case OSError():
            return f"No connection: {error.strerror or error}."
    return f"No connection: {error}."
