"""What a drill does to our own processes: kills, pauses, limits and slow clients."""

import os
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import psutil
import psycopg
import redis
import requests

from wingxtra.tests.drill.checks import Finding
from wingxtra.tests.drill.machine import Machine
from wingxtra.tests.edge import slow_clients, web_processes

HELD_S = 5.0  # a pause, a limit, slow clients
SLOW_CLIENTS = 80  # WEB_PROCESSES have 64 threads each; see "Slow clients" in docs/deploy.md
BACK_WITHIN_S = 30.0
ANSWERS_WITHIN_S = 10.0


class Blows:
    """Strikes one part at a time, each in turn, and measures how long until `/ready` says so.

    `back_after_s`: seconds by blow. Beside slow clients, it is the slowest answer instead.
    """

    def __init__(self, machine: Machine, seed: int) -> None:
        self._machine = machine
        self._chance = random.Random(f"{seed}:blows")
        self._blows: dict[str, Callable[[threading.Event], float]] = {
            **{name: self._kill(name) for name in machine.killable},
            "one web process": self._kill_one_web_process,
            "Valkey hangs": self._held(self._paused_valkey),
            "Valkey full": self._held(self._full_valkey),
            "no connections": self._held(self._no_connections),
            "slow clients": self._slow_clients,
        }
        self.back_after_s: dict[str, list[float]] = defaultdict(list)

    def rain(self, stop: threading.Event, every_s: float) -> None:
        """Strike every `every_s` seconds, measured from start to start."""
        turn: list[str] = []
        next_at = time.monotonic() + every_s
        while not stop.wait(max(0.0, next_at - time.monotonic())):
            turn = turn or self._chance.sample(list(self._blows), len(self._blows))
            name = turn.pop()
            next_at = time.monotonic() + every_s
            self.back_after_s[name].append(self._blows[name](stop))

    def findings(self) -> Iterator[Finding]:
        for name, took in self.back_after_s.items():
            if max(took) >= BACK_WITHIN_S:
                yield Finding("not back", f"{name}: not ready within {BACK_WITHIN_S:.0f} s")

    # -- blows; each returns the seconds until all was well ---------------------------------------

    def _kill(self, name: str) -> Callable[[threading.Event], float]:
        def kill(stop: threading.Event) -> float:
            started = time.monotonic()
            self._machine.kill(name)
            return self._until_ready(started)

        return kill

    def _kill_one_web_process(self, stop: threading.Event) -> float:
        started = time.monotonic()
        victim = self._chance.choice(web_processes(self._machine.web))
        count = len(web_processes(self._machine.web))
        os.kill(victim.pid, signal.SIGKILL)
        while time.monotonic() - started < BACK_WITHIN_S:
            now = web_processes(self._machine.web)
            if len(now) == count and victim.pid not in {one.pid for one in now}:
                break
            time.sleep(0.05)
        return self._until_ready(started)

    def _held(
        self, condition: Callable[[], AbstractContextManager[None]]
    ) -> Callable[[threading.Event], float]:
        """A blow that lasts HELD_S. Its time counts from the end of the condition."""

        def hold(stop: threading.Event) -> float:
            with condition():
                stop.wait(HELD_S)
            return self._until_ready(time.monotonic())

        return hold

    def _slow_clients(self, stop: threading.Event) -> float:
        slowest_s, started = 0.0, time.monotonic()
        with slow_clients(self._machine.url, SLOW_CLIENTS):
            while time.monotonic() - started < HELD_S and not stop.is_set():
                asked = time.monotonic()
                self._is_ready()
                slowest_s = max(slowest_s, time.monotonic() - asked)
                time.sleep(0.1)
        return slowest_s

    # -- conditions -------------------------------------------------------------------------------

    @contextmanager
    def _paused_valkey(self) -> Iterator[None]:
        processes: list[psutil.Process] = self._machine.server("Valkey").processes()
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    @contextmanager
    def _full_valkey(self) -> Iterator[None]:
        """It refuses each command that may need memory."""
        with redis.Redis.from_url(self._machine.server("Valkey").url) as client:
            client.config_set("maxmemory", 1)
            try:
                yield
            finally:
                client.config_set("maxmemory", 0)

    @contextmanager
    def _no_connections(self) -> Iterator[None]:
        """All connections that PostgreSQL allows are taken."""
        with ExitStack() as taken:
            while True:
                try:
                    one = psycopg.connect(self._machine.database_url)
                except psycopg.OperationalError:
                    break
                taken.enter_context(one)
            yield

    # -- recovery ---------------------------------------------------------------------------------

    def _until_ready(self, since: float) -> float:
        while not self._is_ready() and time.monotonic() - since < BACK_WITHIN_S:
            time.sleep(0.05)
        return time.monotonic() - since

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"{self._machine.url}/ready", timeout=ANSWERS_WITHIN_S).ok
        except requests.RequestException:
            return False
