"""A server on a real socket that sends the bytes a test gives."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Answer = Callable[[socket.socket, threading.Event], None]


class RawServer:
    """Reads a whole request, then calls `answer(connection, stop)`.

    It reads the whole request because closing a socket with unread data resets the connection.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.requests: list[bytes] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(_request(connection))
                try:
                    self._answer(connection, self._stop)
                except OSError:
                    continue  # the client has closed the connection, as expected

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)
        self._listener.close()


def _request(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request and (data := connection.recv(4096)):
        request += data
    head, _, body = request.partition(b"\r\n\r\n")
    announced = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    missing = int(announced[1]) - len(body) if announced else 0
    while missing > 0 and (data := connection.recv(4096)):
        request, missing = request + data, missing - len(data)
    return request


@contextmanager
def answering(answer: Answer | bytes) -> Iterator[RawServer]:
    def send(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(answer)

    server = RawServer(send if isinstance(answer, bytes) else answer)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def http(content: bytes = b"", *headers: str, status: str = "200 OK") -> bytes:
    """A complete answer. Adds Content-Length unless the headers contain a length or encoding."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", "Connection: close", *headers]
    if not any(line.startswith(("Content-Length", "Transfer-Encoding")) for line in headers):
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content
