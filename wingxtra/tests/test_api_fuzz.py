"""Schemathesis tests the API against our own OpenAPI description.

`make test` makes a short run over every call; `make fuzz` runs for FUZZ_SECONDS per role and phase.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from django.conf import settings

from fleet.demo import seed
from fleet.models import Drone, Hub
from fleet.simulator.run import Simulator
from fleet.tests.factories import TelemetryFactory, show
from fleet.tests.simulated import sim_drone
from orders.loading.models import Loader
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey, Merchant
from wingxtra.accounts.tests.factories import PASSWORD, UserFactory
from wingxtra.tests.serving import served

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = os.environ.get("FUZZ_SECONDS", "120")
# Input that matches the schema may still be refused: outside the service area, too heavy.
NOT_ASKED = "positive_data_acceptance"


@pytest.fixture
def city(transactional_db: None) -> None:
    seed.seed(6)
    show(*[TelemetryFactory(drone_id=drone.pk) for drone in Drone.objects.all()])


@pytest.fixture
def server(city: None) -> Iterator[str]:
    drones = [sim_drone(drone_id=drone.pk) for drone in Drone.objects.all()]
    with (
        Simulator(drones, speed=0) as bridge,
        served(GCS_BRIDGE_URL=bridge.url, WEBHOOK_TRUSTED_HOSTS="127.0.0.1") as (url,),
    ):
        yield url


def header_of(server: str, role: Role) -> str:
    """A key; for loaders, who have none, a token."""
    if role == Role.LOADER:
        loader = UserFactory(loader=True)
        for hub in Hub.objects.all():
            Loader.objects.create(hub=hub, user=loader)
        credentials = {"username": loader.username, "password": PASSWORD}
        pair = requests.post(f"{server}/api/v1/auth/token", json=credentials, timeout=10).json()
        return f"Authorization: Bearer {pair['access']}"
    merchant = Merchant.objects.first() if role == Role.MERCHANT else None
    return f"X-API-Key: {ApiKey.issue(name=f'fuzz {role}', role=role, merchant=merchant)[1]}"


def cases_of(report: str) -> int:
    """How many cases Schemathesis tried: the number in its summary."""
    (count,) = re.findall(r"(\d[\d,]*) generated", report)
    return int(count.replace(",", ""))


def fuzz(server: str, role: Role, *options: str) -> int:
    """Returns how many cases there were."""
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "wingxtra.tests.fuzz_hooks",
        "FUZZ_MERCHANT": str(Merchant.objects.first().pk),
        "FUZZ_DRONE": Drone.objects.first().pk,
    }
    command = [str(Path(sys.executable).with_name("schemathesis"))]
    command += ["--config-file", str(Path(__file__).with_name("schemathesis.toml"))]
    command += ["run", f"{server}/api/schema", "-H", header_of(server, role)]
    command += ["--exclude-checks", NOT_ASKED, "--no-color", *options]
    done = subprocess.run(
        command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    return cases_of(done.stdout)


@pytest.mark.parametrize("role", [Role.MERCHANT, Role.ADMIN])
def test_a_short_run_finds_no_answer_outside_the_schema(server: str, role: Role) -> None:
    fuzz(server, role, "--phases", "examples,fuzzing", "--max-examples", "2", "--seed", "1")


@pytest.mark.fuzz
@pytest.mark.parametrize("phases", ["examples,coverage,fuzzing", "stateful"])
@pytest.mark.parametrize("role", list(Role))
def test_a_long_run_finds_no_failure_and_no_answer_outside_the_schema(
    server: str, role: Role, phases: str
) -> None:
    cases = fuzz(server, role, "--continue-on-failure", "--phases", phases, "--max-time", SECONDS)
    print(f"\nFUZZ {cases:6,} cases: {role}, {phases}")
