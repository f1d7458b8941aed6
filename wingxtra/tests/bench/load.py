"""A load generator: one process, many keep-alive connections, each with one request at a time.

It runs as its own process, so that it shares no GIL with what it measures. It reads a Plan as JSON
from standard input and writes a Result as JSON.
"""

import json
import re
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
STATUS = slice(9, 12)  # of "HTTP/1.1 200 OK"


@dataclass(frozen=True)
class Plan:
    """The request, the number of connections, and the duration. Eight hashes in a request are
    replaced by a number, so that each request differs."""

    port: int
    request: str
    clients: int
    seconds: float
    warm_up_s: float = 1.0


@dataclass(frozen=True)
class Result:
    rate: float
    p50_ms: float
    p99_ms: float
    answers: dict[str, int]  # by status

    @property
    def errors(self) -> int:
        return sum(n for status, n in self.answers.items() if not status.startswith(("2", "304")))


def generate(plan: Plan) -> Result:
    """Run the plan in another process."""
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(asdict(plan)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Result(**json.loads(done.stdout))


class Client:
    """One connection: sends a request and reads its answer."""

    def __init__(self, port: int, number: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = number
        self.sent = 0
        self.buffer = b""
        self.start = 0.0

    def send(self, request: bytes) -> None:
        self.sent += 1
        number = b"%04d%04d" % (self.number, self.sent % 10_000)
        self.buffer = b""
        self.start = time.perf_counter()
        self.socket.sendall(request.replace(b"########", number))

    def receive(self) -> bytes | None:
        """The status once the answer is complete."""
        chunk = self.socket.recv(65_536)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        self.buffer += chunk
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return None
        status = self.buffer[STATUS]
        length = LENGTH.search(self.buffer, 0, head + 2)
        size = 0 if status in (b"304", b"204") or length is None else int(length[1])
        return status if len(self.buffer) >= head + 4 + size else None


def run(plan: Plan) -> dict[str, Any]:
    request = plan.request.encode()
    clients = [Client(plan.port, number) for number in range(plan.clients)]
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.socket, selectors.EVENT_READ, client)
        client.send(request)
    took_s: list[float] = []
    answers: dict[str, int] = {}
    began = time.perf_counter() + plan.warm_up_s
    until = began + plan.seconds
    while (now := time.perf_counter()) < until:
        for key, _ in selector.select(timeout=1):
            client = key.data
            if (status := client.receive()) is None:
                continue
            now = time.perf_counter()
            if now >= began:
                took_s.append(now - client.start)
                answers[status.decode()] = answers.get(status.decode(), 0) + 1
            client.send(request)
    for client in clients:  # the next call must not wait for requests of this one
        while client.receive() is None:
            pass
    if not took_s:
        raise RuntimeError(f"not one answer within {plan.seconds:g} s")
    took_s.sort()
    return {
        "rate": len(took_s) / plan.seconds,
        "p50_ms": 1000 * took_s[len(took_s) // 2],
        "p99_ms": 1000 * took_s[int(len(took_s) * 0.99)],
        "answers": answers,
    }


if __name__ == "__main__":
    json.dump(run(Plan(**json.load(sys.stdin))), sys.stdout)
