"""Starts real PostgreSQL and Valkey servers from the programs inside two wheels.

`manage.py`, `make` and the test run call `ensure` before settings load; importing settings never
starts a server. If DATABASE_URL or REDIS_URL is set, that server is not started.

- Lasting servers keep their data in `.local/servers` and run until `stop`. Throwaway servers use a
  temporary folder, write without fsync, and end with the process that started them.
- PostgreSQL refuses to run as root. Started by root, both servers run as the owner of the checkout,
  or as the user `nobody` if root owns it. If that account cannot reach the checkout (in /root, for
  example), the data move to /var/lib/wingxtra-* behind a link, with a copy of the programs.
- Both listen on Unix sockets only, in a private folder under /tmp, because a socket path is limited
  to about 100 bytes and a checkout's path may be longer.
"""

import fcntl
import os
import pwd
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from wingxtra.embedded.servers import TEMP, Home, Postgres, ServerError, Valkey, can, give

__all__ = ["ServerError", "Servers", "ensure", "status", "stop"]

THROWAWAY_PREFIX = "wingxtra-test-"


@dataclass(frozen=True)
class Servers:
    """The URLs of two running servers. `stop` ends those that `ensure` started."""

    database_url: str
    redis_url: str
    stop: Callable[[], None]


def ensure(root: Path, *, throwaway: bool = False) -> Servers:
    """Start the servers whose URL is not set, and set DATABASE_URL and REDIS_URL in `os.environ`.

    `root` is the checkout. Concurrent calls by several processes are safe. Raises ServerError.
    """
    missing = [name for name in ("DATABASE_URL", "REDIS_URL") if not os.environ.get(name)]
    stop_started: Callable[[], None] = lambda: None  # noqa: E731
    if missing and throwaway:
        home, lock = _throwaway_home(root)
        stop_started = partial(_remove, home, lock)
        try:
            _start(home, missing)
        except BaseException:
            stop_started()
            raise
    elif missing:
        with _lasting_home(root) as home:
            if _start(home, missing):
                stop_started = partial(stop, root)
    return Servers(os.environ["DATABASE_URL"], os.environ["REDIS_URL"], stop_started)


def stop(root: Path) -> None:
    """Stop the lasting servers of this checkout if they run. Their data stay."""
    with _lasting_home(root) as home:
        for server in (Postgres(home), Valkey(home)):
            server.stop()
        shutil.rmtree(home.sockets, ignore_errors=True)


def status(root: Path) -> dict[str, str | None]:
    """URL of each lasting server of this checkout, None when it does not run."""
    with _lasting_home(root) as home:
        return {
            server.program: server.url if server.alive() else None
            for server in (Postgres(home), Valkey(home))
        }


def _start(home: Home, missing: list[str]) -> bool:
    """Start the missing servers. Returns whether one had to be started."""
    started = False
    home.make_sockets_folder()
    for name, server in (("DATABASE_URL", Postgres(home)), ("REDIS_URL", Valkey(home))):
        if name not in missing:
            continue
        if not server.alive():
            server.kill()
            server.start()
            started = True
        os.environ[name] = server.url
    return started


# --- folders and accounts ------------------------------------------------------------------------


@contextmanager
def _lasting_home(root: Path) -> Iterator[Home]:
    """The checkout's own home, under a lock: one process at a time."""
    local = root.resolve() / ".local"
    try:
        local.mkdir(exist_ok=True)
        lock = (local / "servers.lock").open("a")
    except PermissionError as error:
        raise ServerError(
            f"{local} belongs to another user: run as that user, or remove it."
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        account = _account(root)
        yield Home(_reachable(local / "servers", account), account, lasting=True)


def _reachable(link: Path, account: dict[str, Any]) -> Path:
    """The folder behind `link`, created if missing, where the account can write."""
    if link.is_symlink() and not link.exists():
        link.unlink()
    link.mkdir(exist_ok=True)
    folder = link.resolve()
    if account and folder.stat().st_uid != account["user"]:
        give(folder, account)
    if can(account, "-w", folder):
        return folder
    if not account:
        raise ServerError(f"{folder} belongs to another user: run as that user, or remove it.")
    for server in (Postgres(home := Home(folder, account, lasting=True)), Valkey(home)):
        server.kill()
    refuge = Path(tempfile.mkdtemp(prefix="wingxtra-", dir="/var/lib"))
    refuge.chmod(0o755)
    shutil.move(folder, refuge / "servers")
    give(refuge / "servers", account)
    link.symlink_to(refuge / "servers")
    return refuge / "servers"


def _throwaway_home(root: Path) -> tuple[Home, IO[str]]:
    """A new temporary home, and the lock that marks it as in use."""
    _sweep()
    making = Path(tempfile.mkdtemp(prefix="wingxtra-new-", dir=TEMP))
    making.chmod(0o711)
    account = _account(root)
    (making / "servers").mkdir()
    give(making / "servers", account)
    lock = (making / "lock").open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)
    # Renamed only after locking: the sweep of another run removes unlocked folders of this name.
    folder = making.rename(TEMP / making.name.replace("wingxtra-new-", THROWAWAY_PREFIX))
    return Home(folder / "servers", account, lasting=False), lock


def _remove(home: Home, lock: IO[str]) -> None:
    with lock:
        for server in (Postgres(home), Valkey(home)):
            server.kill()
        shutil.rmtree(home.sockets, ignore_errors=True)
        shutil.rmtree(home.folder.parent, ignore_errors=True)


def _sweep() -> None:
    """Remove throwaway servers whose process was killed: their lock is free."""
    for folder in TEMP.glob(THROWAWAY_PREFIX + "*"):
        try:
            lock = (folder / "lock").open("r+")
        except OSError:  # another user's, or just being removed
            continue
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # in use
                continue
            if (folder / "servers").exists():  # otherwise another run has just removed it
                _remove(Home(folder / "servers", {}, lasting=False), lock)


def _account(root: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    owner = root.stat()
    uid, gid = owner.st_uid, owner.st_gid
    if uid == 0:
        nobody = pwd.getpwnam("nobody")
        uid, gid = nobody.pw_uid, nobody.pw_gid
    return {"user": uid, "group": gid, "extra_groups": []}
