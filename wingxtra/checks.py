"""Settings that production refuses: Django system checks, each with an id and a hint.

Every command and the web server (`wingxtra/wsgi.py`) run them at start. Outside production only an
unusable value is an error, because settings that are not given have working defaults there.
"""

import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import SystemCheckError

from wingxtra.exchange import address

TAG = "wingxtra"
MIN_SECRET_KEY_LENGTH = 50
MIN_DIFFERENT_CHARACTERS = 10
MIN_SECRET_LENGTH = 16
# As wingxtra/embedded/servers.py names the folder of its sockets.
EMBEDDED = re.compile(r"/wingxtra-[0-9a-f]+-[0-9a-f]+-servers\b|/\.local/")
# A line of security.txt: printable, without spaces.
CONTACT = re.compile(r"(mailto:[!-~]+@[!-~]+|https://[!-~]+|tel:\+[0-9-]+)")
OIDC_ROLES = {"ADMIN", "OPS", "READONLY", "LOADER"}
MAKE_ONE = "Make one: python -c 'import secrets; print(secrets.token_urlsafe(48))'"

# A check yields (what is wrong, what to do about it).
Found = Iterator[tuple[str, str]]


def in_production(
    check_id: str, *, elsewhere: bool = False
) -> Callable[[Callable[[], Found]], Callable[[], Found]]:
    """Register a check whose findings are errors in production; with `elsewhere`, everywhere."""

    def register(find: Callable[[], Found]) -> Callable[[], Found]:
        @checks.register(TAG)
        def check(**_: object) -> list[checks.CheckMessage]:
            if not (settings.IS_PRODUCTION or elsewhere):
                return []
            return [checks.Error(wrong, hint=hint, id=check_id) for wrong, hint in find()]

        return find

    return register


def refuse_wrong_settings() -> None:
    """For a process that no Django command starts. Raises SystemCheckError."""
    errors = [found for found in checks.run_checks(tags=[TAG]) if found.is_serious()]
    if errors:
        raise SystemCheckError("\n".join(["The settings are not valid:", *map(str, errors)]))


@in_production("wingxtra.E001")
def secret_key() -> Found:
    try:
        keys = [("SECRET_KEY", settings.SECRET_KEY)]
    except ImproperlyConfigured:  # Django raises it for an empty key
        keys = [("SECRET_KEY", "")]
    keys += [("A key in SECRET_KEY_FALLBACKS", key) for key in settings.SECRET_KEY_FALLBACKS]
    for name, key in keys:
        if key == settings.DEVELOPMENT_SECRET_KEY:
            yield f"{name} is the public development key.", MAKE_ONE
        elif len(key) < MIN_SECRET_KEY_LENGTH or len(set(key)) < MIN_DIFFERENT_CHARACTERS:
            what = f"{name} has {len(key)} characters, {len(set(key))} of them different"
            yield (
                f"{what}; it needs {MIN_SECRET_KEY_LENGTH} and {MIN_DIFFERENT_CHARACTERS}.",
                MAKE_ONE,
            )


@in_production("wingxtra.E002")
def debug() -> Found:
    if settings.DEBUG:
        yield "DEBUG is on: error pages would show settings to the public.", "Unset DEBUG."


@in_production("wingxtra.E003")
def allowed_hosts() -> Found:
    hint = "List the host names of this site: ALLOWED_HOSTS=delivery.example.com"
    if not settings.ALLOWED_HOSTS:
        yield "ALLOWED_HOSTS is empty: every request would be refused.", hint
    if any("*" in host for host in settings.ALLOWED_HOSTS):
        yield "ALLOWED_HOSTS has “*”: a forged Host header would change links in messages.", hint


@in_production("wingxtra.E004")
def public_base_url() -> Found:
    url = settings.PUBLIC_BASE_URL
    if not _is_url(url, "https") or urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1"):
        yield (
            f"PUBLIC_BASE_URL is {url!r}: customers open it, so it must be https and public.",
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
    example = "postgresql://user:…@host:5432/name"
    yield from _server("DATABASE_URL", settings.DATABASE_URL, example)
    if settings.REPLICA_DATABASE_URL:
        yield from _server("REPLICA_DATABASE_URL", settings.REPLICA_DATABASE_URL, example)


@in_production("wingxtra.E008")
def redis() -> Found:
    yield from _server("REDIS_URL", settings.REDIS_URL, "rediss://:…@host:6379/0")


@in_production("wingxtra.E009")
def metrics_token() -> Found:
    token = settings.METRICS_TOKEN
    if token and len(token) < MIN_SECRET_LENGTH:
        yield f"METRICS_TOKEN has {len(token)} characters; it needs {MIN_SECRET_LENGTH}.", MAKE_ONE


@in_production("wingxtra.E010")
def messages() -> Found:
    hint = "See “Messages to customers” in docs/operations.md."
    for channel in settings.MESSAGE_CHANNELS:
        if channel == "sms" and not _is_url(settings.SMS_GATEWAY_URL, "https"):
            yield "MESSAGE_CHANNELS has “sms”, but SMS_GATEWAY_URL is not an https address.", hint
        elif channel == "email" and settings.EMAIL_BACKEND.endswith("dummy.EmailBackend"):
            yield "MESSAGE_CHANNELS has “email”, but EMAIL_URL names no mail server.", hint
        elif channel == "whatsapp":
            yield from _whatsapp(hint)
        elif channel not in ("sms", "email", "whatsapp"):
            yield f"MESSAGE_CHANNELS has {channel!r}, by which nothing can be sent.", hint
    if settings.MESSAGE_LANGUAGE not in dict(settings.LANGUAGES):
        yield f"MESSAGE_LANGUAGE is {settings.MESSAGE_LANGUAGE!r}, which is not translated.", hint


def _whatsapp(hint: str) -> Found:
    if not _is_url(settings.WHATSAPP_API_URL, "https"):
        yield "MESSAGE_CHANNELS has “whatsapp”, but WHATSAPP_API_URL is no https address.", hint
    names = ("PHONE_NUMBER_ID", "TOKEN", "APP_SECRET", "VERIFY_TOKEN")
    missing = [f"WHATSAPP_{name}" for name in names if not getattr(settings, f"WHATSAPP_{name}")]
    if missing:
        yield f"MESSAGE_CHANNELS has “whatsapp”, but not set: {', '.join(missing)}.", hint


@in_production("wingxtra.E011", elsewhere=True)
def intent_version() -> Found:
    if settings.GCS_INTENT_VERSION not in (1, 2):
        yield (
            f"GCS_INTENT_VERSION is {settings.GCS_INTENT_VERSION}; there are versions 1 and 2.",
            "See docs/mission-intent.md; unset it for version 1.",
        )


@in_production("wingxtra.E012", elsewhere=True)
def area_time_zone() -> Found:
    if settings.AREA_TIME_ZONE not in available_timezones():
        yield (
            f"AREA_TIME_ZONE is {settings.AREA_TIME_ZONE!r}, which is no time zone.",
            "Give a name of the IANA database, for example AREA_TIME_ZONE=Africa/Accra",
        )


@in_production("wingxtra.E013", elsewhere=True)
def security_contact() -> Found:
    for contact in settings.SECURITY_CONTACT:
        if not CONTACT.fullmatch(contact):
            yield (
                f"SECURITY_CONTACT has {contact!r}, which is no mailto:, https: or tel: address.",
                "For example SECURITY_CONTACT=mailto:security@example.com",
            )


@in_production("wingxtra.E014", elsewhere=True)
def oidc() -> Found:
    hint = "See “Login by a provider” in docs/deploy.md."
    if not settings.OIDC_ISSUER:
        if not settings.STAFF_PASSWORD_LOGIN:
            yield "STAFF_PASSWORD_LOGIN is off without OIDC_ISSUER: no staff could log in.", hint
        return
    if settings.IS_PRODUCTION and not _is_url(settings.OIDC_ISSUER, "https"):
        yield f"OIDC_ISSUER is {settings.OIDC_ISSUER!r}, which is no https address.", hint
    missing = [n for n in ("CLIENT_ID", "CLIENT_SECRET") if not getattr(settings, f"OIDC_{n}")]
    if missing:
        yield f"OIDC_ISSUER is set, but not: {', '.join(f'OIDC_{n}' for n in missing)}.", hint
    unknown = set(settings.OIDC_ROLES.values()) - OIDC_ROLES
    if unknown or not settings.OIDC_ROLES:
        wrong = f"has {', '.join(sorted(map(str, unknown)))}" if unknown else "is empty"
        yield f"OIDC_ROLES {wrong}; its roles are {', '.join(sorted(OIDC_ROLES))}.", hint


@in_production("wingxtra.E015", elsewhere=True)
def clearance() -> Found:
    hint = "See docs/clearance.md; CLEARANCE=none publishes flights without a clearance."
    if settings.CLEARANCE == "none":
        return
    for name in ("CLEARANCE_URL", "CLEARANCE_TOKEN_URL"):
        url = getattr(settings, name)
        is_needed = name == "CLEARANCE_URL" or not settings.CLEARANCE_TOKEN
        if is_needed and not _is_url(url, "http", "https"):
            yield f"{name} is {url!r}: no flight could be cleared.", hint
    if not settings.CLEARANCE_TOKEN and not settings.CLEARANCE_CLIENT_ID:
        yield "Neither CLEARANCE_TOKEN nor CLEARANCE_CLIENT_ID is set.", hint


def _server(name: str, url: str, example: str) -> Found:
    if not url:
        yield f"{name} is not set.", f"For example {name}={example}"
    elif EMBEDDED.search(url):
        yield (
            f"{name} names a server that manage.py started for development, without a password.",
            f"Use your own server: {name}={example}",
        )
    password = urlsplit(url).password
    if password is not None and len(password) < MIN_SECRET_LENGTH:
        yield (
            f"The password in {name} has {len(password)} characters; it needs {MIN_SECRET_LENGTH}.",
            MAKE_ONE,
        )


def _is_url(url: str, *schemes: str) -> bool:
    try:
        return address(url).scheme in schemes
    except ValueError:
        return False
