"""A merchant's server that receives webhooks over real HTTP, and endpoints for it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import factory

from tracking.models import WebhookEndpoint
from tracking.webhooks import deliveries
from wingxtra.accounts.tests.factories import MerchantFactory
from wingxtra.webhooks import secrets

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Respond = Callable[["Received"], int | tuple[int, dict[str, str], bytes]]


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers with the result of `respond`: a status, or (status, headers, body)."""

    url: str
    respond: Respond = lambda _: 204
    received: list[Received] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [one.headers["webhook-id"] for one in self.received]


@contextmanager
def receiving(wrap: Callable[[Any], Any] | None = None) -> Iterator[Receiver]:
    """`wrap`: makes the listening socket speak TLS."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            headers = {name.lower(): value for name, value in self.headers.items()}
            one = Received(self.path, headers, self.rfile.read(length))
            receiver.received.append(one)
            answer = receiver.respond(one)
            status, headers, body = (answer, {}, b"") if isinstance(answer, int) else answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Do not log."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 64  # with five, more that come at once connect seconds later
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    scheme = "http"
    if wrap is not None:
        server.socket = wrap(server.socket)
        scheme = "https"
    receiver = Receiver(f"{scheme}://127.0.0.1:{server.server_port}/hooks?shop=7")
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def port_of(receiver: Receiver) -> int:
    port = urlsplit(receiver.url).port
    assert port is not None
    return port


def deliver(delivery_id: UUID) -> bool:
    """Send one delivery as a worker does. Returns whether it arrived."""
    taken = deliveries.take(delivery_id)
    answer = deliveries.send(taken) if taken else None
    return answer is not None and answer.accepted


class WebhookFactory(factory.django.DjangoModelFactory):
    """An endpoint for all event types. Its secret is SECRET."""

    class Meta:
        model = WebhookEndpoint

    merchant = factory.SubFactory(MerchantFactory)
    url = "https://shop.example/hooks"
    secret = factory.LazyFunction(lambda: secrets.sealed(SECRET))
