"""The measured wind: polled on a schedule, kept in Redis, used by feasibility.

WEATHER_SOURCE names a file or an http(s) address with one JSON object,
`{"measured_at": "2026-03-01T12:00:00Z", "wind_mps": 6.2, "gust_mps": 9.0}`; gust_mps is optional.
Without a source, wind is not checked here: ground control and the vehicle have their own limits.
If the source fails, or its reading is stale or invalid, the wind is unknown and no drone is able.
"""

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import structlog
from django.conf import settings
from msgspec import Meta, Struct

from fleet.feasibility.rules import Rules
from wingxtra import redis_client
from wingxtra.exchange import EXCHANGE_ERRORS, address, exchange

log = structlog.get_logger(__name__)

KEY = "fleet:weather"
MAX_BYTES = 64_000
# A reading stamped further in the future than this is not used.
MAX_CLOCK_SKEW = timedelta(minutes=1)
SpeedMps = Annotated[float, Meta(ge=0, le=150)]


class Reading(Struct, frozen=True, kw_only=True):
    """measured_at: by the source's clock. gust_mps: 0 if not given."""

    measured_at: Annotated[datetime, Meta(tz=True)]
    wind_mps: SpeedMps
    gust_mps: SpeedMps = 0.0


class WeatherUnavailable(Exception):
    """The source gave no usable reading; the message says why."""


def refresh() -> Reading | None:
    """Poll the source once and store its reading; None without a source.

    Raises WeatherUnavailable; the previous reading then stays.
    """
    source = settings.WEATHER_SOURCE
    if not source:
        return None
    try:
        reading = msgspec.json.decode(_read(source), type=Reading)
    except (*EXCHANGE_ERRORS, msgspec.DecodeError, ValueError) as error:
        raise WeatherUnavailable(f"The weather source gives no reading: {error}") from error
    encoded = msgspec.json.encode(reading)
    redis_client.ask(lambda client: client.set(KEY, encoded))
    return reading


def wind_mps(rules: Rules, now: datetime) -> float | None:
    """The wind for feasibility: None without a source, NaN if unknown."""
    if not settings.WEATHER_SOURCE:
        return None
    reading = last()
    if reading is None or not _is_fresh(reading, rules, now):
        return math.nan
    return max(reading.wind_mps, reading.gust_mps)


def last() -> Reading | None:
    """The newest reading, of any age. None if there never was one or Redis is unreachable."""
    try:
        stored: Any = redis_client.ask(lambda client: client.get(KEY))
    except redis_client.Away as error:
        log.warning("weather_not_read", error=str(error))
        return None
    return msgspec.json.decode(stored, type=Reading) if stored else None


def _is_fresh(reading: Reading, rules: Rules, now: datetime) -> bool:
    age = now - reading.measured_at
    return -MAX_CLOCK_SKEW <= age <= timedelta(seconds=rules.weather_max_age_s)


def _read(source: str) -> bytes:
    if urlsplit(source).scheme not in ("http", "https"):
        with Path(source.removeprefix("file://")).open("rb") as file:
            return file.read(MAX_BYTES)
    timeout_s = settings.WEATHER_TIMEOUT_S
    with exchange("GET", address(source), headers={}, timeout_s=timeout_s) as response:
        if response.status != 200:
            raise WeatherUnavailable(f"The weather source answers {response.status}.")
        return response.read(MAX_BYTES)
