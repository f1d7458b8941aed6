"""Settings that production refuses, and settings that it accepts."""

import os
import subprocess
import sys

import pytest
from django.conf import settings as real_settings
from django.core.management.base import SystemCheckError
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.module_loading import import_string

from wingxtra import checks

STRONG = "q8Wm_2vT-xK5rY0bN7cJ4hD9fG1sL6pZ3aE-uV_oRiXtQwBnMk"
RIGHT = {
    "IS_PRODUCTION": True,
    "SECRET_KEY": STRONG,
    "SECRET_KEY_FALLBACKS": [STRONG[::-1]],
    "DEBUG": False,
    "ALLOWED_HOSTS": ["delivery.example.com"],
    "PUBLIC_BASE_URL": "https://delivery.example.com",
    "FLEET_API_URL": "https://fleet.example.com",
    "GCS_BRIDGE_URL": "http://bridge:8080",
    "DATABASE_URL": f"postgresql://wingxtra:{STRONG}@db/wingxtra",
    "REDIS_URL": f"redis://:{STRONG}@redis/0",
}
DUMMY = "django.core.mail.backends.dummy.EmailBackend"
EMBEDDED_DATABASE = "postgresql://postgres@/wingxtra?host=/tmp/wingxtra-fe01-12ab-servers"
EMBEDDED_REDIS = "unix:///tmp/wingxtra-fe01-12ab-servers/redis.sock"

WHATSAPP = {
    "MESSAGE_CHANNELS": ["whatsapp"],
    "WHATSAPP_PHONE_NUMBER_ID": "106540352242922",
    "WHATSAPP_TOKEN": STRONG,
    "WHATSAPP_APP_SECRET": STRONG,
    "WHATSAPP_VERIFY_TOKEN": STRONG,
}

REFUSED = [
    ("wingxtra.E001", {"SECRET_KEY": ""}),
    ("wingxtra.E001", {"SECRET_KEY": real_settings.DEVELOPMENT_SECRET_KEY}),
    ("wingxtra.E001", {"SECRET_KEY": STRONG[:49]}),
    ("wingxtra.E001", {"SECRET_KEY": "abcabcabc" * 10}),
    ("wingxtra.E001", {"SECRET_KEY_FALLBACKS": [STRONG, "former"]}),
    ("wingxtra.E002", {"DEBUG": True}),
    ("wingxtra.E003", {"ALLOWED_HOSTS": []}),
    ("wingxtra.E003", {"ALLOWED_HOSTS": ["delivery.example.com", "*"]}),
    ("wingxtra.E004", {"PUBLIC_BASE_URL": "http://delivery.example.com"}),
    ("wingxtra.E004", {"PUBLIC_BASE_URL": "https://127.0.0.1:8000"}),
    ("wingxtra.E004", {"PUBLIC_BASE_URL": "delivery.example.com"}),
    ("wingxtra.E005", {"FLEET_API_URL": ""}),
    ("wingxtra.E005", {"FLEET_API_URL": "fleet.example.com"}),
    ("wingxtra.E006", {"GCS_BRIDGE_URL": ""}),
    ("wingxtra.E006", {"GCS_BRIDGE_URL": "ftp://bridge"}),
    ("wingxtra.E006", {"GCS_BRIDGE_URL": "http://[bridge"}),
    ("wingxtra.E007", {"DATABASE_URL": ""}),
    ("wingxtra.E007", {"DATABASE_URL": EMBEDDED_DATABASE}),
    ("wingxtra.E007", {"DATABASE_URL": "postgresql://wingxtra:wingxtra@db/wingxtra"}),
    ("wingxtra.E008", {"REDIS_URL": ""}),
    ("wingxtra.E008", {"REDIS_URL": EMBEDDED_REDIS}),
    ("wingxtra.E008", {"REDIS_URL": "unix:///srv/app/.local/redis.sock"}),
    ("wingxtra.E008", {"REDIS_URL": "redis://:secret@redis/0"}),
    ("wingxtra.E009", {"METRICS_TOKEN": "prometheus"}),
    ("wingxtra.E010", {"MESSAGE_CHANNELS": ["sms"]}),
    ("wingxtra.E010", {"MESSAGE_CHANNELS": ["email"], "EMAIL_BACKEND": DUMMY}),
    ("wingxtra.E010", {"MESSAGE_CHANNELS": ["console"]}),
    ("wingxtra.E010", {**WHATSAPP, "WHATSAPP_VERIFY_TOKEN": ""}),
    ("wingxtra.E010", {**WHATSAPP, "WHATSAPP_API_URL": "http://graph.example"}),
    ("wingxtra.E010", {"MESSAGE_LANGUAGE": "tlh"}),
]
ALLOWED = [
    {},
    {"SECRET_KEY_FALLBACKS": []},
    {"METRICS_TOKEN": STRONG},
    {"GCS_INTENT_VERSION": 2},
    WHATSAPP,
    {"SECURITY_CONTACT": ["mailto:security@example.com", "https://a.example/x", "tel:+233-30"]},
    {"MESSAGE_CHANNELS": ["sms"], "SMS_GATEWAY_URL": "https://sms.example/send"},
    {"ALLOWED_HOSTS": [".example.com"]},
    {"DATABASE_URL": "postgresql://wingxtra@/wingxtra?host=/run/postgresql"},  # by peer
    {"REDIS_URL": "redis://redis:6379/0"},  # in its own network
]


def found(settings, **values):
    for name, value in {**RIGHT, **values}.items():
        setattr(settings, name, value)
    return checks.checks.run_checks(tags=[checks.TAG])


@pytest.mark.parametrize(("check_id", "values"), REFUSED)
def test_production_refuses(settings, check_id, values):
    (error,) = found(settings, **values)
    assert (error.id, error.is_serious()) == (check_id, True)
    assert error.msg
    assert error.hint
    with pytest.raises(SystemCheckError, match=check_id):
        checks.refuse_wrong_settings()


@pytest.mark.parametrize("values", ALLOWED)
def test_production_starts_with(settings, values):
    assert found(settings, **values) == []
    checks.refuse_wrong_settings()


@pytest.mark.parametrize("version", [0, 3])
@pytest.mark.parametrize("production", [True, False])
def test_an_unknown_intent_version_is_refused_in_every_environment(settings, version, production):
    (error,) = found(settings, GCS_INTENT_VERSION=version, IS_PRODUCTION=production)
    assert (error.id, error.is_serious()) == ("wingxtra.E011", True)


@pytest.mark.parametrize("production", [True, False])
def test_an_unknown_time_zone_is_refused_in_every_environment(settings, production):
    (error,) = found(settings, AREA_TIME_ZONE="Accra", IS_PRODUCTION=production)
    assert (error.id, error.is_serious()) == ("wingxtra.E012", True)


@pytest.mark.parametrize("contact", ["security@example.com", "mailto:a@b.example\nPolicy: x"])
@pytest.mark.parametrize("production", [True, False])
def test_a_contact_that_is_no_address_is_refused_in_every_environment(
    settings, contact, production
):
    (error,) = found(settings, SECURITY_CONTACT=[contact], IS_PRODUCTION=production)
    assert (error.id, error.is_serious()) == ("wingxtra.E013", True)


@pytest.mark.parametrize(("check_id", "values"), REFUSED)
def test_outside_production_defaults_are_accepted(settings, check_id, values):
    assert found(settings, **values, IS_PRODUCTION=False) == []


def test_findings_show_no_password(settings):
    errors = found(settings, DATABASE_URL="postgresql://u:hunter2@db/x", SECRET_KEY="hunter2")
    assert len(errors) == 2
    assert not any("hunter2" in str(error) for error in errors)


def start(arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=real_settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], "ENVIRONMENT": "production", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_nothing_of_djangos_own_checks_for_production_is_open():
    environment = {name: value for name, value in RIGHT.items() if isinstance(value, str)}
    keys = {"FLEET_API_KEY": STRONG, "GCS_BRIDGE_KEY": STRONG}
    done = start(
        ["manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        **environment,
        **keys,
        ALLOWED_HOSTS="delivery.example.com",
    )
    assert done.returncode == 0, done.stderr


def test_form_tokens_are_checked_by_djangos_middleware():
    """What the silenced check security.W003 looks for by name."""
    middleware = [import_string(path) for path in real_settings.MIDDLEWARE]
    assert [issubclass(one, CsrfViewMiddleware) for one in middleware].count(True) == 1


@pytest.mark.parametrize("arguments", [["manage.py", "check"], ["-c", "import wingxtra.wsgi"]])
def test_neither_commands_nor_the_web_server_start_with_wrong_settings(arguments):
    names = ("SECRET_KEY", "ALLOWED_HOSTS", "PUBLIC_BASE_URL", "FLEET_API_URL", "DATABASE_URL")
    environment = {name: str(RIGHT[name]) for name in names}
    environment["ALLOWED_HOSTS"] = "delivery.example.com"
    done = start(arguments, **environment)
    assert done.returncode != 0
    assert "wingxtra.E006" in done.stderr
    assert "wingxtra.E008" in done.stderr
    assert STRONG not in done.stderr
