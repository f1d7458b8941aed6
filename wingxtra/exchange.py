"""One HTTP request to a system around us, and its answer, within one time as a whole.

Plain http.client: nothing follows a redirect, goes through a proxy or sends a cookie by itself, and
the socket is in our hands, so that the time holds however the bytes trickle in.
"""

import ssl
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from wingxtra.deadline import Deadline

# What `exchange` raises, and reading its answer: no connection (OSError), no HTTP, no such name.
Failed = (OSError, HTTPException, UnicodeError)


class TooSlow(TimeoutError):
    """The answer had not come in full when the time was up."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"no whole answer within {timeout_s:g} s")


def address(url: str) -> SplitResult:
    """Raises ValueError, which does not show it, unless it is like https://host:port/path."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("no address like https://host:port/path")
    return parts


def is_sendable(key: str) -> bool:
    """Whether a header can hold it: a line end in it would begin another one."""
    return key.isascii() and key.isprintable()


def below(base: SplitResult, path: str) -> SplitResult:
    """The address of `path`, which begins with a slash, in a system that answers at `base`."""
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
    """The answer to a request, to be read before `timeout_s` is over.

    Raises TooSlow, whatever became of the reading; one of `Failed`; and ValueError for a header
    that cannot be one.
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
        # When the time was up, this is only what became of the connection that was cut.
        if time.monotonic() >= ends_at:
            raise TooSlow(timeout_s) from error
        raise
    finally:
        connection.close()
    if time.monotonic() >= ends_at:
        raise TooSlow(timeout_s)


def _connection(url: SplitResult, timeout_s: float) -> HTTPConnection:
    if url.scheme == "https":
        context = ssl.create_default_context()
        return HTTPSConnection(url.hostname or "", url.port, timeout=timeout_s, context=context)
    return HTTPConnection(url.hostname or "", url.port, timeout=timeout_s)


def _credentials(url: SplitResult) -> dict[str, str]:
    """Those of https://user:password@host, as a browser would send them."""
    if url.username is None:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
