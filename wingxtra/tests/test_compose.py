"""`compose.yaml`, as parsed by the real Compose program."""

import re
import subprocess
from typing import Any

import pytest
from django.conf import settings

from wingxtra.tests.image import FILLED_IN, compose, composed
from wingxtra.tests.test_operations_doc import knobs

PROJECT = composed()
SERVICES: dict[str, dict[str, Any]] = PROJECT["services"]
OURS = ("migrate", "web", "streams", "worker", "scheduler", "simulator")


def test_it_has_the_product_and_its_servers() -> None:
    assert set(SERVICES) == {*OURS, "postgres", "valkey", "caddy"}
    assert SERVICES["postgres"]["image"].startswith("postgres:17")
    assert SERVICES["valkey"]["image"].startswith("valkey/valkey:8")
    assert SERVICES["scheduler"]["deploy"]["replicas"] == 2
    assert [name for name in SERVICES if "profiles" in SERVICES[name]] == ["simulator"]
    assert set(PROJECT["volumes"]) >= {"postgres", "valkey", "media", "caddy-data"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_restarts_limits_health_checks_and_a_sandbox(name: str) -> None:
    service = SERVICES[name]
    one_shot = name == "migrate"
    assert service["restart"] == ("no" if one_shot else "unless-stopped")
    assert one_shot or service["healthcheck"]["test"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"]["max-size"]
    # Images of others start as root and drop it, or keep one capability; ours never have any.
    assert (name in OURS) == (service.get("user") == "10001:10001")
    assert (name in OURS) == ("cap_add" not in service)


def test_only_the_proxy_is_public_and_it_reaches_only_the_web() -> None:
    assert [name for name in SERVICES if "ports" in SERVICES[name]] == ["caddy"]
    assert PROJECT["networks"]["inside"]["internal"]
    for name in ("postgres", "valkey"):
        assert set(SERVICES[name]["networks"]) == {"inside"}
    assert set(SERVICES["caddy"]["networks"]) == {"outside"}


def test_secrets_are_files_outside_the_repository() -> None:
    for name, service in SERVICES.items():
        for variable in service.get("environment") or {}:
            secret = re.search("SECRET|PASSWORD|KEY|TOKEN|DATABASE_URL", variable)
            assert not secret or variable.endswith("_FILE"), f"{name}: {variable}"
    for secret in PROJECT["secrets"].values():
        assert ignored(secret["file"]), secret
    assert "secrets" not in SERVICES["simulator"]


def ignored(path: str) -> bool:
    asked = subprocess.run(["git", "check-ignore", "-q", path], cwd=settings.BASE_DIR)
    return asked.returncode == 0


@pytest.mark.parametrize("name", FILLED_IN)
def test_without_a_required_address_it_names_it_and_does_not_start(name: str) -> None:
    done = compose("config", "--quiet", **{name: ""})
    assert done.returncode != 0
    assert name in done.stderr


def test_every_variable_is_a_setting_and_more_come_from_dot_env() -> None:
    for name in ("web", "streams", "worker", "scheduler", "migrate"):
        given = {v.removesuffix("_FILE") for v in SERVICES[name]["environment"]}
        assert given <= set(knobs())
    text = (settings.BASE_DIR / "compose.yaml").read_text()
    assert "env_file: [{ path: .env, required: false }]" in text


def test_the_server_drains_before_compose_kills_it() -> None:
    command = (settings.BASE_DIR / "Dockerfile").read_text()
    (drains_s,) = re.findall(r'"--workers-kill-timeout", "(\d+)"', command)
    assert int(drains_s) < int(SERVICES["web"]["stop_grace_period"].removesuffix("s")) <= 10


def test_internal_probes_are_answered() -> None:
    hosts = SERVICES["web"]["environment"]["ALLOWED_HOSTS"].split(",")
    assert hosts == [FILLED_IN["ALLOWED_HOSTS"], "web", "127.0.0.1"]
