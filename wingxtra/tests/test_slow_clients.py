"""Requests wait for their bodies without a place at work."""

import threading
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import pytest

from wingxtra.middleware.slow_clients import WAITED_FOR_BYTES, SlowClients

LARGE = WAITED_FOR_BYTES + 1


class NeverComes:
    """A body that arrives when `comes` is set."""

    def __init__(self) -> None:
        self.comes = threading.Event()

    def read(self, size: int = -1) -> bytes:
        assert self.comes.wait(10)
        return b"x"


def echo(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    return [environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or -1))]


def ask(application: Any, body: Any = b"", **environ: str) -> bytes:
    stream = BytesIO(body) if isinstance(body, bytes) else body
    asked = {"PATH_INFO": "/", "wsgi.input": stream, **environ}
    return b"".join(application(asked, lambda *_: None))


def in_thread(*args: Any, **kwargs: Any) -> threading.Thread:
    thread = threading.Thread(target=ask, args=args, kwargs=kwargs)
    thread.start()
    return thread


def test_a_body_that_never_comes_occupies_no_place() -> None:
    web, slow = SlowClients(echo, at_once=1), NeverComes()
    waiting = in_thread(web, slow, CONTENT_LENGTH="1")
    assert ask(web, b"tea", CONTENT_LENGTH="3") == b"tea"
    slow.comes.set()
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_slow_upload_stops_only_uploads() -> None:
    web, slow = SlowClients(echo, at_once=1), NeverComes()
    upload = in_thread(web, slow, CONTENT_LENGTH=str(LARGE))
    assert ask(web, b"tea", CONTENT_LENGTH="3") == b"tea"
    second = in_thread(web, b"x" * LARGE, CONTENT_LENGTH=str(LARGE))
    second.join(0.2)
    assert second.is_alive()
    slow.comes.set()
    upload.join(10)
    second.join(10)
    assert not second.is_alive()


def test_no_more_requests_are_worked_on_than_there_are_places() -> None:
    release, at_work = threading.Event(), []

    def busy(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        at_work.append(1)
        assert release.wait(10)
        return []

    web = SlowClients(busy, at_once=2)
    threads = [in_thread(web) for _ in range(5)]
    threads[-1].join(0.3)
    assert len(at_work) == 2
    assert ask(SlowClients(echo, at_once=1), b"") == b""
    release.set()
    for thread in threads:
        thread.join(10)
    assert len(at_work) == 5


def test_being_alive_is_answered_without_a_place() -> None:
    web = SlowClients(echo, at_once=1)
    with web.places:
        assert ask(web, b"alive", PATH_INFO="/health") == b"alive"


@pytest.mark.parametrize("size", [0, 1, WAITED_FOR_BYTES, LARGE, 3 * LARGE])
def test_a_chunked_body_arrives_whole(size: int) -> None:
    web, body = SlowClients(echo, at_once=1), b"x" * size
    assert ask(web, body, HTTP_TRANSFER_ENCODING="chunked") == body


@pytest.mark.parametrize("length", ["", "-1", "1e3", "²"])
def test_a_length_that_is_no_number_is_no_body(length: str) -> None:
    stream = BytesIO(b"tea")
    web = SlowClients(lambda environ, _: [], at_once=1)
    assert ask(web, stream, CONTENT_LENGTH=length) == b""
    assert stream.tell() == 0
