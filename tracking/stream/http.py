"""Just enough HTTP/1.1 for the proxy in front: one GET for each connection, without a body.

A server of applications hides the connection: then the process could neither close a client that
takes nothing nor end its streams at SIGTERM (docs/decisions/0077).
"""

import asyncio
import socket
from http import HTTPStatus
from http.client import HTTPException, parse_headers
from io import BytesIO
from urllib.parse import unquote

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse

from tracking.page import headers, position

HEAD_BYTES, HEAD_WITHIN_S = 16_384, 5.0
# What the kernel keeps for a client that takes nothing: some seconds of events.
SEND_BUFFER_BYTES = 16_384


class NoRequest(Exception):
    """What the client sent is no request."""


async def request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> WSGIRequest:
    """Only the headers that are used are taken over. Raises NoRequest, TimeoutError and
    IncompleteReadError.
    """
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    try:
        async with asyncio.timeout(HEAD_WITHIN_S):
            line, _, rest = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
        method, target, version = line.decode("ascii").split(" ")
        given = parse_headers(BytesIO(rest))
    except (asyncio.LimitOverrunError, ValueError, HTTPException) as error:
        raise NoRequest from error
    if not version.startswith("HTTP/1."):
        raise NoRequest
    path, _, query = target.partition("?")
    return WSGIRequest(
        {
            "REQUEST_METHOD": method,
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "REMOTE_ADDR": writer.get_extra_info("peername")[0],
            "HTTP_X_FORWARDED_FOR": ",".join(given.get_all("X-Forwarded-For", [])),
            "HTTP_ACCEPT_LANGUAGE": given.get("Accept-Language", ""),
            "wsgi.input": BytesIO(),
        }
    )


def refusal(status: HTTPStatus) -> HttpResponse:
    return position.without(status)


def encoded(answer: HttpResponse) -> bytes:
    if answer.status_code != HTTPStatus.NO_CONTENT:
        answer["Content-Length"] = str(len(answer.content))
    return _head(answer) + answer.content


def _head(answer: HttpResponse) -> bytes:
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Connection"] = "close"
    line = f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}\r\n".encode()
    return line + answer.serialize_headers() + b"\r\n\r\n"


def _stream_head() -> bytes:
    answer = headers.add(HttpResponse(content_type="text/event-stream"))
    # For proxies: neither compress nor collect.
    answer["Cache-Control"] = "no-store, no-transform"
    answer["X-Accel-Buffering"] = "no"
    return _head(answer)


STREAM_HEAD = _stream_head()
