"""The demo cleans up its processes in all cases and is refused in production."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from fleet.airworthiness import fitness, pilots, records
from fleet.demo import processes, seed, upkeep
from fleet.demo.processes import AlreadyRunning, ProcessDied, Processes
from fleet.models import Drone, GeoZone, MaintenanceRule, ServiceArea, Shift
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.models import ApiKey, User

# Ignores SIGTERM, and so does its child: both have to be killed.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    print("ready", flush=True)
time.sleep(60)
"""
# A demo that starts one process and waits.
DEMO = """
import pathlib, sys, time
from fleet.demo.processes import Processes
with Processes(pathlib.Path(sys.argv[1]), {}) as running:
    running.start("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])
    print("ready", flush=True)
    time.sleep(60)
"""


def descendants(process: psutil.Process) -> list[psutil.Process]:
    return process.children(recursive=True)


def soon(condition: Callable[[], bool], within_s: float = 20) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", DEMO, str(tmp_path)],
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        yield running
        running.kill()


def test_a_killed_demo_leaves_no_process(demo: subprocess.Popen[str]) -> None:
    children = descendants(psutil.Process(demo.pid))
    assert len(children) == 2
    os.kill(demo.pid, signal.SIGKILL)
    assert soon(lambda: all(ended(child) for child in children))


def test_the_next_demo_waits_for_the_cleanup_of_a_killed_one(
    demo: subprocess.Popen[str], tmp_path: Path
) -> None:
    children = descendants(psutil.Process(demo.pid))
    os.kill(demo.pid, signal.SIGKILL)
    with Processes(tmp_path, dict(os.environ)):
        assert all(ended(child) for child in children)


def test_a_second_demo_in_the_same_checkout_is_refused(
    demo: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LOCK_TIMEOUT_S", 0.2)
    with pytest.raises(AlreadyRunning), Processes(tmp_path, {}):
        pass
    assert demo.poll() is None


def test_a_process_that_ignores_sigterm_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.demo.watcher.STOP_TIMEOUT_S", 0.3)
    with Processes(tmp_path, dict(os.environ)) as running:
        running.start("stubborn", [sys.executable, "-c", STUBBORN])
        log = tmp_path / "logs" / "stubborn.log"
        assert soon(lambda: "ready" in log.read_text())
        both = [one for one in descendants(psutil.Process()) if STUBBORN in one.cmdline()]
        assert len(both) == 2
    assert soon(lambda: all(ended(one) for one in both))


def test_a_process_that_dies_is_named_with_its_log(tmp_path: Path) -> None:
    with Processes(tmp_path, dict(os.environ)) as running:
        running.start("worker", [sys.executable, "-c", "raise SystemExit(3)"])
        with pytest.raises(ProcessDied, match=r"worker ended with status 3; .*worker\.log"):
            running.wait_for("worker", lambda: False)


def test_the_demo_is_refused_in_production(settings: Settings) -> None:
    settings.IS_PRODUCTION = True
    with pytest.raises(CommandError, match="not in production"):
        call_command("demo")


@pytest.mark.django_db
def test_the_seed_is_repeatable_and_only_for_demo_and_test(
    settings: Settings,
) -> None:
    first = seed.seed(12)
    again = seed.seed(6)
    assert Drone.objects.filter(active=True).count() == 6
    assert GeoZone.objects.count() == 1
    area, shift = ServiceArea.objects.get(), Shift.objects.get()
    assert area.pilots_required
    assert pilots.on_duty_in(area, timezone.now()) == [shift]
    assert shift.at_once == 6  # all its drones: no order waits for a pilot
    # A what-if about yesterday has a pilot, too.
    assert pilots.on_duty_in(area, timezone.now() - timedelta(days=1, hours=23)) == [shift]
    assert set(User.objects.values_list("username", flat=True)) == {"admin", "ops", "merchant"}
    assert User.objects.get(username="ops").check_password(again.password)
    former = ApiKey.objects.get(digest=ApiKey.digest_of(first.ops_key))
    assert former.revoked_at is not None
    settings.ENVIRONMENT = "development"
    with pytest.raises(PermissionDenied, match="must be 'demo' or 'test'"):
        seed.seed(6)


@pytest.mark.django_db
def test_the_demo_has_one_drone_due_soon_and_one_overdue() -> None:
    seed.seed(12)
    for _ in range(2):
        upkeep.seed()
    found = fitness.of(timezone.now())
    assert {drone_id: (len(one.due_soon), len(one.overdue)) for drone_id, one in found.items()} == {
        "WX-DRN-011": (1, 0),
        "WX-DRN-012": (0, 1),
    }
    records.record_maintenance(
        "WX-DRN-012", MaintenanceRule.objects.get(kind__name="Courier").pk, by=SYSTEM, done="All."
    )
    upkeep.seed()
    assert list(fitness.of(timezone.now())) == ["WX-DRN-011"]
