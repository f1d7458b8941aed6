"""An end for an exchange over a socket as a whole, however the bytes trickle in."""

import socket
import threading


class Deadline:
    """Cuts the connection when the time is up, whatever another thread waits for on it."""

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
            # Not the method of a TLS socket, which would change what the other thread is reading.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        except OSError:
            return  # closed at this very moment: there is nothing left to cut
