import gc
import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType
from typing import Any

import dramatiq
import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from wingxtra import broker

log = structlog.get_logger(__name__)

# A process that ends at each start must not be started in a loop without pause.
START_AT_MOST_EVERY_S = 1.0
LOOK_EVERY_S = 0.2
# How long running actors may take to end. A supervisor usually kills earlier.
STOP_WITHIN_MS = 600_000
# How long an idle process waits at most before it looks for messages again. Dramatiq's own second
# would come on top of each poll of the fleet and of each step that follows it.
LOOK_FOR_MESSAGES_EVERY_MS = 150


class Command(BaseCommand):
    help = "Run the actors of all apps. A process that dies is replaced."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--processes", type=int, default=1)
        parser.add_argument("--threads", type=int, default=8, help="per process")
        parser.add_argument("--parent", type=int, help="internal: be one process, of this parent")

    def handle(
        self, *, processes: int, threads: int, parent: int | None = None, **options: Any
    ) -> None:
        if parent is not None:
            _work(threads, parent)
            return
        parts = [_Part(threads) for _ in range(processes)]
        stop = _stop_on(signal.SIGTERM, signal.SIGINT)
        while not stop.wait(LOOK_EVERY_S):
            for part in parts:
                part.restart_if_dead()
        for part in parts:
            part.process.terminate()
        for part in parts:
            part.process.wait()


class _Part:
    """One process of the worker."""

    def __init__(self, threads: int) -> None:
        self._command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "worker"]
        self._command += ["--threads", str(threads), "--parent", str(os.getpid())]
        self._start()

    def _start(self) -> None:
        self._started_at_s = time.monotonic()
        self.process = subprocess.Popen(self._command)  # noqa: S603 (our own command)

    def restart_if_dead(self) -> None:
        code = self.process.poll()
        if code is None or time.monotonic() - self._started_at_s < START_AT_MOST_EVERY_S:
            return
        log.error("worker_process_died", pid=self.process.pid, code=code)
        self._start()


def _work(threads: int, parent: int) -> None:
    """Until SIGTERM, or until the parent is gone."""
    # The parent gets Ctrl-C too, and passes it on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = _stop_on(signal.SIGTERM)
    broker.load_actors()
    # As in wsgi.py: a full garbage collection in the middle of a run would walk through all of it.
    gc.collect()
    gc.freeze()
    queue = dramatiq.get_broker()
    queue.emit_after("process_boot")
    worker = dramatiq.Worker(
        queue, worker_threads=threads, worker_timeout=LOOK_FOR_MESSAGES_EVERY_MS
    )
    worker.start()
    while os.getppid() == parent and not stop.wait(LOOK_EVERY_S):
        pass
    worker.stop(timeout=STOP_WITHIN_MS)
    queue.close()


def _stop_on(*signals: signal.Signals) -> threading.Event:
    stop = threading.Event()

    def ask_to_stop(signum: int, frame: FrameType | None) -> None:
        stop.set()

    for one in signals:
        signal.signal(one, ask_to_stop)
    return stop
