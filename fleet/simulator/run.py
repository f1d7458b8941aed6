"""Runs a world in real time: clock, HTTP server, reports, and state file."""

import json
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from fleet.simulator import staff
from fleet.simulator.airframe import SimDrone
from fleet.simulator.faults.board import Fault
from fleet.simulator.flight import Handling
from fleet.simulator.reporter import Reporter
from fleet.simulator.server import SimulatorServer
from fleet.simulator.utm import Utm
from fleet.simulator.world import SLICE_S, World

TICK_S = 0.1
SAVE_EVERY_S = 1.0
MAX_TICK_S = 0.5  # on an overloaded machine, flights slow down instead of jumping


class Simulator:
    """Fleet API and GCS bridge on one port, in threads of this process.

    with Simulator(drones, speed=20) as sim: requests.get(sim.url + "/api/v1/telemetry/latest")

    state_path: missions, reports and parcels are saved there before an answer or report is sent, so
    that a killed process can continue. `faults` apply only to a new world. speed: world seconds per
    real second. With 0 the drones do not move (their telemetry stays fresh) until `advance` is
    called, so that tests need not wait. tick_s: how often each drone sends telemetry.
    """

    def __init__(
        self,
        drones: Iterable[SimDrone],
        *,
        speed: float = 1.0,
        tick_s: float = TICK_S,
        seed: int = 1,
        host: str = "127.0.0.1",
        port: int = 0,
        fleet_key: str | None = None,
        bridge_key: str | None = None,
        events_url: str | None = None,
        events_key: str | None = None,
        handling: Handling | None = None,
        faults: Iterable[Fault] = (),
        state_path: Path | None = None,
        report_pickup: bool = False,
    ) -> None:
        self.world = World(drones, seed, datetime.now(UTC), handling, report_pickup)
        self.lock = threading.RLock()
        self._speed, self._tick_s = speed, tick_s
        self._state_path = state_path
        self._saved, self._saved_at = (0, 0), 0.0
        if state_path and state_path.exists():
            self.world.restore(json.loads(state_path.read_text()))
        else:
            for fault in faults:
                self.world.faults.add(fault, 0.0)
        self._server = SimulatorServer(
            (host, port), self.world, self.lock, self._save, fleet_key, bridge_key
        )
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True),
            threading.Thread(target=self._tick, daemon=True),
        ]
        self._reporter = (
            Reporter(self.world, self.lock, events_url, events_key) if events_url else None
        )

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        if self._reporter:
            self._reporter.start()

    def close(self) -> None:
        """Stops everything at once, and saves the world if there is a state file."""
        self._stopping.set()
        self._server.stop()
        for thread in self._threads:
            thread.join()
        if self._reporter:
            self._reporter.stop()
        self._save(at_once=True)

    def _save(self, at_once: bool = False) -> None:
        """Saves the world if it has changed or SAVE_EVERY_S have passed.

        Call it with the lock held, before the change becomes visible to others.
        """
        now, changes = time.monotonic(), (self.world.changes, self.world.faults.changes)
        due = at_once or self._saved != changes or now - self._saved_at >= SAVE_EVERY_S
        if not (due and self._state_path):
            return
        self._saved, self._saved_at = changes, now
        fresh = self._state_path.with_suffix(".new")
        fresh.write_bytes(self.world.to_json())
        fresh.replace(self._state_path)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def advance(self, seconds: float) -> None:
        """Advances the world's clock by this time at once. Telemetry has the real time."""
        while seconds > 0:
            with self.lock:
                self.world.step(min(seconds, SLICE_S), datetime.now(UTC))
                self._save()
            seconds -= SLICE_S

    def missions(self) -> list[dict[str, Any]]:
        """The accepted missions: ids, status, number of posts, events."""
        with self.lock:
            return [mission.summary() for mission in self.world.missions.values()]

    def fault(self, kind: str, drone_id: str | None = None, **settings: Any) -> None:
        """Adds a fault, see `faults.board.Fault`. Raises ValueError."""
        with self.lock:
            self.world.faults.add(Fault(kind, drone_id, **settings), self.world.elapsed_s)
            self._save()

    def truth(self) -> dict[str, Any]:
        """The real state of parcels and drones, see `staff.truth`."""
        with self.lock:
            return staff.truth(self.world)

    @property
    def utm(self) -> Utm:
        """The airspace service, with its declarations."""
        return self._server.utm

    def clear_faults(self) -> None:
        with self.lock:
            self.world.faults.clear()

    def _tick(self) -> None:
        last = time.monotonic()
        while not self._stopping.wait(self._tick_s):
            now = time.monotonic()
            real_s, last = min(now - last, MAX_TICK_S), now
            with self.lock:
                self.world.step(real_s * self._speed, datetime.now(UTC))
                self._save()
