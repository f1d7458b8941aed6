"""One HTTP request to an external system, with one timeout for the whole exchange.

It uses http.client: no redirects, proxies or cookies, and access to the socket, so that the timeout
holds even when the bytes arrive one at a time.
"""

import ssl
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from wingxtra.deadline import Deadline

# `exchange` and reading its answer raise these: no connection (OSError), no HTTP, no such host.
EXCHANGE_ERRORS = (OSError, HTTPException, UnicodeError)


class TooSlow(TimeoutError):
    """The timeout passed before the answer was complete."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"no complete answer within {timeout_s:g} s")


def address(url: str) -> SplitResult:
    """Parse a URL like https://host:port/path. Raises a ValueError that does not quote the URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("not an address like https://host:port/path")
    return parts


def is_sendable(key: str) -> bool:
    """Whether the key fits into a header: a line break in it would start another header."""
    return key.isascii() and key.isprintable()


def below(base: SplitResult, path: str) -> SplitResult:
    """The address of `path`, which starts with a slash, below `base`."""
    return base._replace(path=base.path.rstrip("/") + path, query="")


@contextmanager
def exchange(
    method: str,
    url: SplitResult,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    timeout_s: float,
) -> Iterator[HTTPResponse]:
    """The answer to a request; the caller reads it inside the context, before the timeout.

    Raises TooSlow once `timeout_s` has passed, one of EXCHANGE_ERRORS, and ValueError for an
    invalid header.
    """
    ends_at = time.monotonic() + timeout_s
    connection = _connection(url, timeout_s)
    try:
        connection.connect()
        with Deadline(connection.sock, ends_at - time.monotonic()):
            target = urlunsplit(("", "", url.path or "/", url.query, ""))
            headers = {**headers, **_credentials(url), "Connection": "close"}
            connection.request(method, target, body, headers)
            with connection.getresponse() as response:
                yield response
    except Exception as error:
        # After the timeout, the error is only a consequence of the shutdown.
        if time.monotonic() >= ends_at:
            raise TooSlow(timeout_s) from error
        raise
    finally:
        connection.close()
    if time.monotonic() >= ends_at:
        raise TooSlow(timeout_s)


def _connection(url: SplitResult, timeout_s: float) -> HTTPConnection:
    if url.scheme == "https":
        return HTTPSConnection(
            url.hostname or "", url.port, timeout=timeout_s, context=tls_context()
        )
    return HTTPConnection(url.hostname or "", url.port, timeout=timeout_s)


def tls_context() -> ssl.SSLContext:
    """Checks names and certificates by the system's authorities.

    Reading them takes longer than a request, so they are read again only when their files change.
    """
    paths = ssl.get_default_verify_paths()
    known = [Path(path) for path in (paths.cafile, paths.capath) if path]
    return _tls_context(tuple((path, path.stat().st_mtime_ns) for path in known))


@lru_cache(maxsize=1)
def _tls_context(_authorities: tuple[tuple[Path, int], ...]) -> ssl.SSLContext:
    return ssl.create_default_context()


def _credentials(url: SplitResult) -> dict[str, str]:
    """Basic authentication from https://user:password@host."""
    if url.username is None:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
