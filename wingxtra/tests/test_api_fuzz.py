"""Schemathesis tests the API against our own OpenAPI description.

`make test` makes a short run over every call; `make fuzz` runs for FUZZ_SECONDS per role and phase.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from fleet.demo import seed
from fleet.models import Drone
from fleet.simulator.run import Simulator
from fleet.tests.factories import TelemetryFactory, show
from fleet.tests.simulated import sim_drone
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey, Merchant
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


def key_of(role: Role) -> str:
    merchant = Merchant.objects.first() if role == Role.MERCHANT else None
    return ApiKey.issue(name=f"fuzz {role}", role=role, merchant=merchant)[1]


def fuzz(server: str, role: Role, *options: str) -> None:
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "wingxtra.tests.fuzz_hooks",
        "FUZZ_MERCHANT": str(Merchant.objects.first().pk),
        "FUZZ_DRONE": Drone.objects.first().pk,
    }
    command = [str(Path(sys.executable).with_name("schemathesis"))]
    command += ["--config-file", str(Path(__file__).with_name("schemathesis.toml"))]
    command += ["run", f"{server}/api/schema", "-H", f"X-API-Key: {key_of(role)}"]
    command += ["--exclude-checks", NOT_ASKED, "--no-color", *options]
    done = subprocess.run(
        command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("role", [Role.MERCHANT, Role.ADMIN])
def test_a_short_run_finds_no_answer_outside_the_schema(server: str, role: Role) -> None:
    fuzz(server, role, "--phases", "examples,fuzzing", "--max-examples", "2", "--seed", "1")


@pytest.mark.fuzz
@pytest.mark.parametrize("phases", ["examples,coverage,fuzzing", "stateful"])
@pytest.mark.parametrize("role", [Role.MERCHANT, Role.OPS, Role.ADMIN])
def test_a_long_run_finds_no_failure_and_no_answer_outside_the_schema(
    server: str, role: Role, phases: str
) -> None:
    fuzz(server, role, "--continue-on-failure", "--phases", phases, "--max-time", SECONDS)
