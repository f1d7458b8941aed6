"""PostgreSQL and Valkey of one test's own, which it may stop, fill and kill."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from wingxtra.embedded import launcher
from wingxtra.embedded.servers import Home, Server


@contextmanager
def home() -> Iterator[Home]:
    """A throwaway folder. Its servers are killed at the end."""
    made, lock = launcher._throwaway_home(settings.BASE_DIR)
    made.make_sockets_folder()
    try:
        yield made
    finally:
        launcher._remove(made, lock)


def pause(server: Server) -> None:
    """The server accepts connections, and answers nothing."""
    _send_all(server, signal.SIGSTOP)


def resume(server: Server) -> None:
    _send_all(server, signal.SIGCONT)


def _send_all(server: Server, what: signal.Signals) -> None:
    for process in server.processes():
        process.send_signal(what)
