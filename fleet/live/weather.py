"""The wind, where somebody measures it: read on a schedule, kept in Redis, asked by feasibility.

WEATHER_SOURCE names a file or an http(s) address with one JSON object,
`{"measured_at": "2026-03-01T12:00:00Z", "wind_mps": 6.2, "gust_mps": 9.0}`; gusts count where they
are given. Without a source the wind is nobody's question here: ground control and the vehicle have
their own limits. With one that is silent, old or wrong, the wind is unknown, and no drone is able.
"""

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import redis
import structlog
from django.conf import settings
from msgspec import Meta, Struct

from fleet.feasibility.rules import Rules
from wingxtra import redis_client
from wingxtra.exchange import EXCHANGE_ERRORS, address, exchange

log = structlog.get_logger(__name__)

KEY = "fleet:weather"
MAX_BYTES = 64_000
# Clocks differ a little; a reading from further ahead is as doubtful as an old one.
CLOCKS_DIFFER = timedelta(minutes=1)
SpeedMps = Annotated[float, Meta(ge=0, le=150)]


class Reading(Struct, frozen=True, kw_only=True):
    """measured_at: by the source's clock. gust_mps: 0 where none is given."""

    measured_at: Annotated[datetime, Meta(tz=True)]
    wind_mps: SpeedMps
    gust_mps: SpeedMps = 0.0


class WeatherUnavailable(Exception):
    """The source gave nothing that can be used; the message says why."""


def renew() -> Reading | None:
    """Ask the source once and keep what it says; None where there is none.

    Raises WeatherUnavailable; then the former reading stays and grows old.
    """
    source = settings.WEATHER_SOURCE
    if not source:
        return None
    try:
        reading = msgspec.json.decode(_read(source), type=Reading)
    except (*EXCHANGE_ERRORS, msgspec.DecodeError, ValueError) as error:
        raise WeatherUnavailable(f"The weather source gives no reading: {error}") from error
    redis_client.client().set(KEY, msgspec.json.encode(reading))
    return reading


def wind_mps(rules: Rules, now: datetime) -> float | None:
    """The wind that feasibility counts with: None without a source, NaN where it is not known."""
    if not settings.WEATHER_SOURCE:
        return None
    reading = last()
    if reading is None or not _counts(reading, rules, now):
        return math.nan
    return max(reading.wind_mps, reading.gust_mps)


def last() -> Reading | None:
    """The newest reading, however old. None where there never was one or Redis is away."""
    try:
        stored = redis_client.client().get(KEY)
    except redis.RedisError as error:
        log.warning("weather_not_read", error=str(error))
        return None
    return msgspec.json.decode(stored, type=Reading) if stored else None


def _counts(reading: Reading, rules: Rules, now: datetime) -> bool:
    age = now - reading.measured_at
    return -CLOCKS_DIFFER <= age <= timedelta(seconds=rules.weather_max_age_s)


def _read(source: str) -> bytes:
    if urlsplit(source).scheme not in ("http", "https"):
        with Path(source.removeprefix("file://")).open("rb") as file:
            return file.read(MAX_BYTES)
    timeout_s = settings.WEATHER_TIMEOUT_S
    with exchange("GET", address(source), headers={}, timeout_s=timeout_s) as response:
        if response.status != 200:
            raise WeatherUnavailable(f"The weather source answers {response.status}.")
        return response.read(MAX_BYTES)
