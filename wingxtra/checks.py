"""What production refuses to start with: Django system checks, each with an id and a hint.

Every command runs them before it does anything, and so does the web server (`wingxtra/wsgi.py`).
Outside production only a value that nothing can be done with is an error: there, knobs that are not
given have working defaults.
"""

import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import SystemCheckError

from wingxtra.exchange import address

TAG = "wingxtra"
SHORTEST_SECRET_KEY = 50
FEWEST_CHARACTERS = 10  # different ones, of a secret
SHORTEST_SECRET = 16
# As wingxtra/embedded/servers.py names the folder of its sockets.
EMBEDDED = re.compile(r"/wingxtra-[0-9a-f]+-[0-9a-f]+-servers\b|/\.local/")
MAKE_ONE = "Make one: python -c 'import secrets; print(secrets.token_urlsafe(48))'"

# Each yields what is wrong, and what to do about it.
Found = Iterator[tuple[str, str]]


def in_production(
    check_id: str, *, elsewhere: bool = False
) -> Callable[[Callable[[], Found]], Callable[[], Found]]:
    """Register a check whose findings are errors in production, and `elsewhere` too if said so."""

    def register(find: Callable[[], Found]) -> Callable[[], Found]:
        @checks.register(TAG)
        def check(**_: object) -> list[checks.CheckMessage]:
            if not (settings.IS_PRODUCTION or elsewhere):
                return []
            return [checks.Error(wrong, hint=hint, id=check_id) for wrong, hint in find()]

        return find

    return register


def refuse_wrong_settings() -> None:
    """For a process that is not started by a command of Django's. Raises SystemCheckError."""
    errors = [found for found in checks.run_checks(tags=[TAG]) if found.is_serious()]
    if errors:
        raise SystemCheckError("\n".join(["It does not start like this:", *map(str, errors)]))


@in_production("wingxtra.E001")
def secret_key() -> Found:
    try:
        keys = [("SECRET_KEY", settings.SECRET_KEY)]
    except ImproperlyConfigured:  # Django itself does not hand out an empty one
        keys = [("SECRET_KEY", "")]
    keys += [("A key in SECRET_KEY_FALLBACKS", key) for key in settings.SECRET_KEY_FALLBACKS]
    for name, key in keys:
        if key == settings.DEVELOPMENT_SECRET_KEY:
            yield f"{name} is the public one of development.", MAKE_ONE
        elif len(key) < SHORTEST_SECRET_KEY or len(set(key)) < FEWEST_CHARACTERS:
            what = f"{name} has {len(key)} characters, {len(set(key))} of them different"
            yield f"{what}; it needs {SHORTEST_SECRET_KEY} and {FEWEST_CHARACTERS}.", MAKE_ONE


@in_production("wingxtra.E002")
def debug() -> Found:
    if settings.DEBUG:
        yield "DEBUG is on: error pages would show settings to everybody.", "Unset DEBUG."


@in_production("wingxtra.E003")
def allowed_hosts() -> Found:
    hint = "Name the hosts that this site is called by: ALLOWED_HOSTS=delivery.example.com"
    if not settings.ALLOWED_HOSTS:
        yield "ALLOWED_HOSTS is empty: every request would be refused.", hint
    if any("*" in host for host in settings.ALLOWED_HOSTS):
        yield "ALLOWED_HOSTS has “*”: links in messages could be made to lead elsewhere.", hint


@in_production("wingxtra.E004")
def public_base_url() -> Found:
    url = settings.PUBLIC_BASE_URL
    if not _is_url(url, "https") or urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1"):
        yield (
            f"PUBLIC_BASE_URL is {url!r}: customers go there, so it must be https and public.",
            "For example PUBLIC_BASE_URL=https://delivery.example.com",
        )


@in_production("wingxtra.E005")
def fleet_api() -> Found:
    if not _is_url(settings.FLEET_API_URL, "http", "https"):
        yield (
            f"FLEET_API_URL is {settings.FLEET_API_URL!r}: without telemetry no drone flies.",
            "For example FLEET_API_URL=https://fleet.example.com",
        )


@in_production("wingxtra.E006")
def gcs_bridge() -> Found:
    if not _is_url(settings.GCS_BRIDGE_URL, "http", "https"):
        yield (
            f"GCS_BRIDGE_URL is {settings.GCS_BRIDGE_URL!r}: no mission could be published.",
            "For example GCS_BRIDGE_URL=https://gcs.example.com",
        )


@in_production("wingxtra.E007")
def database() -> Found:
    yield from _server("DATABASE_URL", settings.DATABASE_URL, "postgresql://user:…@host:5432/name")


@in_production("wingxtra.E008")
def redis() -> Found:
    yield from _server("REDIS_URL", settings.REDIS_URL, "rediss://:…@host:6379/0")


@in_production("wingxtra.E009")
def metrics_token() -> Found:
    token = settings.METRICS_TOKEN
    if token and len(token) < SHORTEST_SECRET:
        yield f"METRICS_TOKEN has {len(token)} characters; it needs {SHORTEST_SECRET}.", MAKE_ONE


@in_production("wingxtra.E010")
def messages() -> Found:
    hint = "See “Messages to customers” in docs/operations.md."
    for channel in settings.MESSAGE_CHANNELS:
        if channel == "sms" and not _is_url(settings.SMS_GATEWAY_URL, "https"):
            yield "MESSAGE_CHANNELS has “sms”, but SMS_GATEWAY_URL is no https address.", hint
        elif channel == "email" and settings.EMAIL_BACKEND.endswith("dummy.EmailBackend"):
            yield "MESSAGE_CHANNELS has “email”, but EMAIL_URL names no mail server.", hint
        elif channel not in ("sms", "email"):
            yield f"MESSAGE_CHANNELS has {channel!r}, but only “sms” and “email” go out.", hint
    if settings.MESSAGE_LANGUAGE not in dict(settings.LANGUAGES):
        yield f"MESSAGE_LANGUAGE is {settings.MESSAGE_LANGUAGE!r}, which nobody here speaks.", hint


@in_production("wingxtra.E011", elsewhere=True)
def intent_version() -> Found:
    if settings.GCS_INTENT_VERSION not in (1, 2):
        yield (
            f"GCS_INTENT_VERSION is {settings.GCS_INTENT_VERSION}; there are versions 1 and 2.",
            "See docs/mission-intent.md; unset it for version 1.",
        )


def _server(name: str, url: str, example: str) -> Found:
    if not url:
        yield f"{name} is not set.", f"For example {name}={example}"
    elif EMBEDDED.search(url):
        yield (
            f"{name} names a server that manage.py started for development, without a password.",
            f"Name a server of your own: {name}={example}",
        )
    password = urlsplit(url).password
    if password is not None and len(password) < SHORTEST_SECRET:
        yield (
            f"The password in {name} has {len(password)} characters; it needs {SHORTEST_SECRET}.",
            MAKE_ONE,
        )


def _is_url(url: str, *schemes: str) -> bool:
    try:
        return address(url).scheme in schemes
    except ValueError:
        return False
