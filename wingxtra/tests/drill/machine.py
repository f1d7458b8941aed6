"""The processes of a drill: its own real servers, killed without warning and started again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

from fleet.demo.processes import free_port
from wingxtra.embedded import launcher
from wingxtra.embedded.servers import TEMP, Home, Postgres, Server, Valkey
from wingxtra.tests.image import web_command

ROOT = Path(__file__).parents[3]
MANAGE = [sys.executable, "manage.py"]
WEB_PROCESSES = 2
STOP_S = 10.0
STARTS_WITHIN_S = 180.0  # beside much other work


@dataclass(frozen=True)
class Keys:
    """The output of `manage.py seed_demo`."""

    password: str
    gcs_key: str
    ops_key: str
    shop_keys: dict[str, str]


class DrillFailed(Exception):
    """The drill itself could not continue. The text says why."""


class Machine:
    """Database, queue, web, workers, scheduler and simulator, in a folder that is deleted later.

    with Machine(...) as machine: machine.kill("PostgreSQL")

    settings: environment variables of our processes, besides those of every drill.
    """

    def __init__(
        self,
        drones: Sequence[dict[str, object]],
        speed: float,
        seed: int,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="wingxtra-drill-", dir=TEMP))
        self.folder.chmod(0o755)
        self.url, self.simulator_url = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._drones, self._speed, self._seed = drones, speed, seed
        self._settings = settings or {}
        self._commands: dict[str, list[str]] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = False
        self.credentials: Keys

    def __enter__(self) -> "Machine":
        try:
            self._start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start_all(self) -> None:
        for name in ("DATABASE_URL", "REDIS_URL"):
            os.environ.pop(name, None)
        launcher.ensure(self.folder)
        self.database_url = os.environ["DATABASE_URL"]
        account = launcher._account(self.folder)
        home = Home((self.folder / ".local/servers").resolve(), account, lasting=True)
        self._servers: dict[str, Server] = {"PostgreSQL": Postgres(home), "Valkey": Valkey(home)}
        self._env = os.environ | {
            "ENVIRONMENT": "demo",
            "PUBLIC_BASE_URL": self.url,
            "FLEET_API_URL": self.simulator_url,
            "GCS_BRIDGE_URL": self.simulator_url,
            "GCS_BRIDGE_TIMEOUT_S": "3",
            "FLEET_API_TIMEOUT_S": "3",
            "MESSAGE_CHANNELS": "",
            "PYTHONUNBUFFERED": "1",
            "MALLOC_ARENA_MAX": "2",  # as in the Dockerfile
            **self._settings,
        }
        self._manage("migrate", "--verbosity", "0")
        seeded = self._manage("seed_demo", "--drones", str(len(self._drones)))
        self.credentials = Keys(**json.loads(seeded))
        fleet = self.folder / "fleet.json"
        fleet.write_text(json.dumps(self._drones))
        self._commands = {
            "simulator": [
                *[sys.executable, "-m", "fleet.simulator", "--drones", str(fleet)],
                *["--port", self.simulator_url.rsplit(":", 1)[1], "--report-pickup"],
                *["--speed", str(self._speed), "--seed", str(self._seed)],
                *["--events-url", self.url, "--events-key", self.credentials.gcs_key],
                *self._simulator_options(),
            ],
            "web": self._web_command(),
            "worker": [*MANAGE, "worker", "--processes", "1", "--threads", "6"],
            "second worker": [*MANAGE, "worker", "--processes", "1", "--threads", "4"],
            "scheduler": [*MANAGE, "scheduler"],
            **self._more_commands(),
        }
        for name in self._commands:
            self._start(name)
        for name, url in (("web", self.url), ("simulator", self.simulator_url)):
            health = f"{url}/health"
            self.until(
                name, lambda health=health: requests.get(health, timeout=2).ok, STARTS_WITHIN_S
            )

    def _simulator_options(self) -> list[str]:
        return []

    def _more_commands(self) -> dict[str, list[str]]:
        return {}

    def _web_command(self) -> list[str]:
        """As `Dockerfile` starts it, with fewer processes. The last value of an option counts."""
        program, *options, application = web_command()
        here = ["--host", "127.0.0.1", "--port", self.url.rsplit(":", 1)[1]]
        processes = ["--workers", str(WEB_PROCESSES)]
        path = str(Path(sys.executable).with_name(program))
        return [path, *options, *here, *processes, application]

    def server(self, name: str) -> Server:
        """PostgreSQL or Valkey."""
        return self._servers[name]

    @property
    def web(self) -> psutil.Process:
        """The process that starts the web processes."""
        return psutil.Process(self._children["web"].pid)

    def processes(self) -> dict[str, list[psutil.Process]]:
        """All processes by part, the oldest first."""
        found = {name: server.processes() for name, server in self._servers.items()}
        for name, child in self._children.items():
            first = psutil.Process(child.pid)
            found[name] = [first, *first.children(recursive=True)]
        return {name: sorted(each, key=lambda one: one.pid) for name, each in found.items()}

    @property
    def killable(self) -> list[str]:
        """All but the simulator, which stands for external systems and knows the truth."""
        return [name for name in (*self._commands, *self._servers) if name != "simulator"]

    def kill(self, name: str) -> None:
        """Send SIGKILL to all of its processes and start it again at once."""
        if name in self._servers:
            self._servers[name].kill()
            self._servers[name].start()
            return
        self._end(self._children[name], signal.SIGKILL)
        if not self._stopping:
            self._start(name)

    def until(self, what: str, holds: Callable[[], bool], within_s: float = 60) -> None:
        """Wait for the condition. Raises DrillFailed after `within_s`."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            try:
                if holds():
                    return
            except requests.RequestException:
                pass
            time.sleep(0.1)
        raise DrillFailed(f"The {what} does not answer after {within_s:.0f} s; see {self.folder}.")

    def ended_by_themselves(self) -> list[str]:
        """Processes that ended without a kill."""
        return [name for name, child in self._children.items() if child.poll() is not None]

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def keep_logs(self) -> Path:
        """Copy them out of the folder, which is removed at the end. Returns where they are."""
        kept = ROOT / ".local/logs"
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for path in self.folder.glob("*.log"):
            shutil.copy(path, kept)
        return kept

    def _manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [*MANAGE, *arguments], cwd=ROOT, env=self._env, capture_output=True, text=True
        )
        if done.returncode:
            raise DrillFailed(f"manage.py {arguments[0]} failed:\n{done.stderr[-2000:]}")
        return done.stdout

    def _start(self, name: str) -> None:
        # A new session, so that a signal reaches its child processes too.
        with (self.folder / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(
                self._commands[name],
                cwd=ROOT,
                env=self._env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end(self, child: "subprocess.Popen[bytes]", how: signal.Signals) -> None:
        """End the whole session; processes that do not end within STOP_S are killed."""
        for sent in (how, signal.SIGKILL):
            try:
                os.killpg(child.pid, sent)
                child.wait(STOP_S)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        for name in reversed(self._commands):
            if name in self._children:
                self._end(self._children[name], signal.SIGTERM)
        launcher.stop(self.folder)
        servers = self.folder / ".local/servers"
        if servers.is_symlink():
            shutil.rmtree(servers.resolve().parent, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
