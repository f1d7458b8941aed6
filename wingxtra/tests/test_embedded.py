"""The embedded servers, started for real, with all the faults that happen on a laptop."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from wingxtra.embedded import launcher
from wingxtra.embedded.servers import TEMP

PROJECT = Path(launcher.__file__).parents[2]


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """No URLs are set, as on a new machine. Variables set by `ensure` are reset after the test."""
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Not pytest's tmp_path, which other accounts cannot enter; that case has its own test.
    with tempfile.TemporaryDirectory(dir=TEMP, prefix="embedded-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def checkout(folder: Path) -> Iterator[Path]:
    """A path longer than a socket's may be, with spaces and accents."""
    root = folder / f"Où l'on vole {'très ' * 20}loin"
    root.mkdir()
    yield root
    launcher.stop(root)


def start_again(root: Path) -> launcher.Servers:
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    return launcher.ensure(root)


def remember(servers: launcher.Servers, word: str) -> None:
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS memory (word text)")
        connection.execute("TRUNCATE memory")
        connection.execute("INSERT INTO memory VALUES (%s)", [word])
    with redis.Redis.from_url(servers.redis_url) as client:
        client.set("word", word)


def remembered(servers: launcher.Servers) -> list[str]:
    with psycopg.connect(servers.database_url) as connection:
        rows = connection.execute("SELECT word FROM memory").fetchall()
    with redis.Redis.from_url(servers.redis_url) as client:
        return [*(row[0] for row in rows), client.get("word").decode()]


def main_processes(servers: launcher.Servers) -> dict[str, psutil.Process]:
    """The main processes of both servers: those whose parent is not a server process."""
    mark = Path(servers.redis_url.removeprefix("unix://").partition("?")[0]).parent.name
    ours = {}
    for process in psutil.process_iter():
        try:
            if process.name() in ("postgres", "valkey-server") and mark in str(process.cmdline()):
                ours[process.pid] = (process, process.ppid())
        except psutil.NoSuchProcess:
            continue
    heads = [process for process, parent in ours.values() if parent not in ours]
    assert len({process.name() for process in heads}) == len(heads), heads
    return {process.name(): process for process in heads}


def is_dead(process: psutil.Process) -> bool:
    """Ended; it may still be a zombie of its parent."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def wait_until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_data_survive_a_stop_and_a_start(checkout: Path) -> None:
    servers = start_again(checkout)
    remember(servers, "parcel")
    launcher.stop(checkout)
    assert main_processes(servers) == {}
    assert launcher.status(checkout) == {"postgres": None, "valkey-server": None}
    assert remembered(start_again(checkout)) == ["parcel", "parcel"]


def test_running_servers_are_found_and_not_started_twice(checkout: Path) -> None:
    first = main_processes(start_again(checkout))
    assert main_processes(start_again(checkout)) == first
    assert set(first) == {"postgres", "valkey-server"}


@pytest.mark.parametrize("program", ["postgres", "valkey-server"])
def test_a_server_killed_by_force_comes_back_with_its_data(checkout: Path, program: str) -> None:
    servers = start_again(checkout)
    remember(servers, f"before {program} died")
    before = main_processes(servers)
    before[program].kill()
    servers = start_again(checkout)
    assert remembered(servers) == [f"before {program} died"] * 2
    after = main_processes(servers)
    assert [name for name in after if after[name] != before[name]] == [program]


def test_a_pid_of_another_program_is_neither_used_nor_killed(
    checkout: Path,
) -> None:
    servers = start_again(checkout)
    remember(servers, "stranger")
    data = checkout / ".local/servers/postgres"
    account = {"user": data.stat().st_uid} if os.geteuid() == 0 else {}
    stranger = subprocess.Popen(["sleep", "60"], **account)
    try:
        pid_file = data / "postmaster.pid"
        lock_file = TEMP / servers.database_url.rpartition("/")[2] / ".s.PGSQL.5432.lock"
        contents = {path: path.read_text().split("\n") for path in (pid_file, lock_file)}
        postmaster = main_processes(servers)["postgres"]
        postmaster.kill()
        wait_until(lambda: is_dead(postmaster))
        for path, (_, *lines) in contents.items():
            path.write_text("\n".join([str(stranger.pid), *lines]))
        assert remembered(start_again(checkout)) == ["stranger", "stranger"]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_moved_checkout_finds_its_running_servers(checkout: Path, folder: Path) -> None:
    servers = start_again(checkout)
    remember(servers, "moved")
    before = main_processes(servers)
    elsewhere = checkout.rename(folder / "elsewhere")
    try:
        servers = start_again(elsewhere)
        assert main_processes(servers) == before
        launcher.stop(elsewhere)
        assert remembered(start_again(elsewhere)) == ["moved", "moved"]
    finally:
        elsewhere.rename(checkout)


def test_a_copied_checkout_gets_its_own_servers_and_data(checkout: Path, folder: Path) -> None:
    remember(start_again(checkout), "original")
    launcher.stop(checkout)
    copy = folder / "copy"
    shutil.copytree(checkout, copy)
    original = start_again(checkout)
    try:
        copied = start_again(copy)
        assert remembered(copied) == ["original", "original"]
        remember(copied, "copy")
        assert remembered(original) == ["original", "original"]
    finally:
        launcher.stop(copy)


def test_six_starters_at_once_share_one_start(folder: Path) -> None:
    root = folder / "six"
    torn = root / ".local/servers/postgres.new"  # leftovers of an interrupted first start
    torn.mkdir(parents=True)
    (torn / "PG_VERSION").write_text("18")
    program = (
        "import os, sys, pathlib; from wingxtra.embedded import launcher;"
        "launcher.ensure(pathlib.Path(sys.argv[1])); print(os.environ['DATABASE_URL'])"
    )
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", program, root], cwd=PROJECT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    try:
        urls = {starter.communicate(timeout=60)[0].strip() for starter in starters}
        assert [starter.returncode for starter in starters] == [0] * 6
        servers = start_again(root)
        assert urls == {servers.database_url}
        assert set(main_processes(servers)) == {"postgres", "valkey-server"}
    finally:
        launcher.stop(root)


def test_servers_whose_data_were_removed_are_replaced(folder: Path) -> None:
    root = folder / "wiped"
    root.mkdir()
    remember(start_again(root), "gone")
    for data in (root / ".local/servers").iterdir():
        shutil.rmtree(data) if data.is_dir() else data.unlink()
    try:
        servers = start_again(root)
        with psycopg.connect(servers.database_url) as connection:
            assert connection.execute("SELECT to_regclass('memory')").fetchone() == (None,)
        with redis.Redis.from_url(servers.redis_url) as client:
            assert client.dbsize() == 0
        assert set(main_processes(servers)) == {"postgres", "valkey-server"}
    finally:
        launcher.stop(root)


def test_a_checkout_that_only_its_owner_can_enter_works_too(tmp_path: Path) -> None:
    """For root, PostgreSQL's account cannot read anything below this folder."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    try:
        remember(start_again(private), "private")
        launcher.stop(private)
        assert remembered(start_again(private)) == ["private", "private"]
    finally:
        launcher.stop(private)
        data = private / ".local/servers"
        if data.is_symlink():
            shutil.rmtree(data.resolve().parent)


def test_only_servers_without_a_url_are_started(checkout: Path) -> None:
    os.environ["REDIS_URL"] = "redis://redis.example:6379/0"
    servers = launcher.ensure(checkout)
    assert servers.redis_url == "redis://redis.example:6379/0"
    with psycopg.connect(servers.database_url) as connection:
        version = connection.execute("SHOW server_version").fetchone()[0]
    assert version.startswith("18.")


def test_a_server_that_does_not_start_shows_its_output(folder: Path) -> None:
    root = folder / "broken"
    data = root / ".local/servers/postgres"
    data.mkdir(parents=True, mode=0o700)
    (data / "PG_VERSION").write_text("12\n")
    with pytest.raises(launcher.ServerError, match=r"postgresql\.conf"):
        launcher.ensure(root)
    launcher.stop(root)


def test_throwaway_servers_leave_nothing_behind() -> None:
    servers = launcher.ensure(PROJECT, throwaway=True)
    remember(servers, "soon forgotten")
    sockets = Path(servers.redis_url.removeprefix("unix://").partition("?")[0]).parent
    servers.stop()
    assert main_processes(servers) == {}
    assert not sockets.exists()


def test_throwaway_servers_of_a_killed_process_are_removed_by_the_next_run() -> None:
    program = (
        "import os, pathlib; from wingxtra.embedded import launcher;"
        "print(launcher.ensure(pathlib.Path('.'), throwaway=True).redis_url, flush=True);"
        "os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert killed.returncode == -signal.SIGKILL
    left = launcher.Servers("", killed.stdout.strip(), lambda: None)
    assert set(main_processes(left)) == {"postgres", "valkey-server"}
    launcher.ensure(PROJECT, throwaway=True).stop()
    assert main_processes(left) == {}
