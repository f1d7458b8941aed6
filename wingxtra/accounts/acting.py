"""Who is at work: the user of the request, or a command on the server. Kept per thread.

Needs no database and no models, so that `manage.py` can use it before Django starts.
"""

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and who runs it on the server."""

    name: str
    run_by: str

    def __str__(self) -> str:
        return f"manage.py {self.name}, run by {self.run_by}"


_at_work: ContextVar[Any] = ContextVar("at_work", default=None)


def now() -> Any:
    """A Command or a request; None in a thread that serves neither."""
    return _at_work.get()


@contextmanager
def as_command(name: str) -> Iterator[None]:
    with _at(Command(name, getpass.getuser())):
        yield


class ActingMiddleware:
    """The user of the request is read when it is asked for, because a login changes it."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        with _at(request):
            return self.get_response(request)


@contextmanager
def _at(who: Any) -> Iterator[None]:
    before = _at_work.set(who)
    try:
        yield
    finally:
        _at_work.reset(before)
