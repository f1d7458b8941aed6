"""A deadline for a whole exchange over a socket: a socket timeout bounds each read only."""

import socket
import threading


class Deadline:
    """Shuts the connection down after `seconds`, even while another thread waits on it."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock = sock
        self._timer = threading.Timer(max(0.0, seconds), self._cut)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _cut(self) -> None:
        try:
            # A TLS socket's own method would change state that the other thread is using.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        except OSError:
            return  # it is closed already
