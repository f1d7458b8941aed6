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
from urllib.parse import SplitResult, unquote, urlsplit

from wingxtra.deadline import Deadline

# What `exchange` raises, and reading its answer: no connection (OSError), no HTTP, no such name.
Failed = (OSError, HTTPException, UnicodeError)


class TooSlow(TimeoutError):
    """The answer had not come in full when the time was up."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"no whole answer within {timeout_s:g} s")


def base_of(url: str) -> SplitResult:
    """The address below which a system answers. Raises ValueError unless it is like
    https://host:port/path.
    """
    base = urlsplit(url)
    if base.scheme not in ("http", "https") or not base.hostname or base.port == 0:
        raise ValueError(f"{url!r} is no address like https://host:port/path")
    return base


def is_sendable(key: str) -> bool:
    """Whether a header can hold it: a line end in it would begin another one."""
    return key.isascii() and key.isprintable()


@contextmanager
def exchange(
    method: str,
    base: SplitResult,
    path: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    timeout_s: float,
) -> Iterator[HTTPResponse]:
    """The answer to a request for `path` below `base`, to be read before `timeout_s` is over.

    Raises TooSlow, whatever became of the reading, and one of `Failed` otherwise.
    """
    ends_at = time.monotonic() + timeout_s
    connection = _connection(base, timeout_s)
    try:
        connection.connect()
        with Deadline(connection.sock, ends_at - time.monotonic()):
            path = base.path.rstrip("/") + path
            headers = {**headers, **_credentials(base), "Connection": "close"}
            connection.request(method, path, body, headers)
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


def _connection(base: SplitResult, timeout_s: float) -> HTTPConnection:
    if base.scheme == "https":
        context = ssl.create_default_context()
        return HTTPSConnection(base.hostname or "", base.port, timeout=timeout_s, context=context)
    return HTTPConnection(base.hostname or "", base.port, timeout=timeout_s)


def _credentials(base: SplitResult) -> dict[str, str]:
    """Those of https://user:password@host, as a browser would send them."""
    if base.username is None:
        return {}
    pair = f"{unquote(base.username)}:{unquote(base.password or '')}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
