"""`compose.yaml` as the real Compose program reads it: what services have, and what none has."""

import re
import subprocess
from typing import Any

import pytest
from django.conf import settings

from wingxtra.tests.image import FILLED_IN, compose, composed
from wingxtra.tests.test_operations_doc import knobs

PROJECT = composed()
SERVICES: dict[str, dict[str, Any]] = PROJECT["services"]
OURS = ("migrate", "web", "worker", "scheduler", "simulator")


def test_it_is_the_product_and_what_it_stands_on() -> None:
    assert set(SERVICES) == {*OURS, "postgres", "valkey", "caddy"}
    assert SERVICES["postgres"]["image"].startswith("postgres:17")
    assert SERVICES["valkey"]["image"].startswith("valkey/valkey:8")
    assert SERVICES["scheduler"]["deploy"]["replicas"] == 2
    assert [name for name in SERVICES if "profiles" in SERVICES[name]] == ["simulator"]
    assert set(PROJECT["volumes"]) >= {"postgres", "valkey", "media", "caddy-data"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_restarted_limited_watched_and_shut_in(name: str) -> None:
    service = SERVICES[name]
    one_shot = name == "migrate"
    assert service["restart"] == ("no" if one_shot else "unless-stopped")
    assert one_shot or service["healthcheck"]["test"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"]["max-size"]
    # Those of others begin as root and leave it, or keep one capability; ours never have it.
    assert (name in OURS) == (service.get("user") == "10001:10001")
    assert (name in OURS) == ("cap_add" not in service)


def test_only_the_proxy_can_be_reached_and_it_reaches_only_what_it_needs() -> None:
    assert [name for name in SERVICES if "ports" in SERVICES[name]] == ["caddy"]
    assert PROJECT["networks"]["inside"]["internal"]
    for name in ("postgres", "valkey"):
        assert set(SERVICES[name]["networks"]) == {"inside"}
    assert set(SERVICES["caddy"]["networks"]) == {"outside"}


def test_secrets_come_by_files_that_the_repository_does_not_have() -> None:
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
def test_without_an_address_it_says_which_and_does_not_start(name: str) -> None:
    done = compose("config", "--quiet", **{name: ""})
    assert done.returncode != 0
    assert name in done.stderr


def test_every_variable_is_a_knob_and_further_ones_come_from_dot_env() -> None:
    for name in ("web", "worker", "scheduler", "migrate"):
        given = {v.removesuffix("_FILE") for v in SERVICES[name]["environment"]}
        assert given <= set(knobs())
    text = (settings.BASE_DIR / "compose.yaml").read_text()
    assert "env_file: [{ path: .env, required: false }]" in text


def test_the_server_drains_before_compose_kills_it() -> None:
    command = (settings.BASE_DIR / "Dockerfile").read_text()
    (drains_s,) = re.findall(r'"--workers-kill-timeout", "(\d+)"', command)
    assert int(drains_s) < int(SERVICES["web"]["stop_grace_period"].removesuffix("s")) <= 10


def test_probes_from_inside_are_answered() -> None:
    hosts = SERVICES["web"]["environment"]["ALLOWED_HOSTS"].split(",")
    assert hosts == [FILLED_IN["ALLOWED_HOSTS"], "web", "127.0.0.1"]
