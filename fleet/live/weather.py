"""The measured wind: polled on a schedule, kept in Redis, used by feasibility.

WEATHER_SOURCE names a file or an http(s) address with one JSON object: one reading that counts
everywhere, or a list of places (docs/connect.md). Without a source, wind is not checked here:
ground control and the vehicle have their own limits. Where no fresh reading is near, the wind is
unknown and no drone is able.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import structlog
from django.conf import settings
from msgspec import Meta, Struct

from fleet.feasibility.rules import Rules
from fleet.feasibility.winds import Winds
from fleet.live.scrutiny import Latitude, Longitude, lenient_json
from wingxtra import redis_client
from wingxtra.exchange import EXCHANGE_ERRORS, address, exchange

log = structlog.get_logger(__name__)

# Not the key of older versions, which store one reading there.
KEY = "fleet:winds"
MAX_BYTES = 256_000
# A reading stamped further in the future than this is not used.
MAX_CLOCK_SKEW = timedelta(minutes=1)
SpeedMps = Annotated[float, Meta(ge=0, le=150)]
Name = Annotated[str, Meta(min_length=1, max_length=80)]
Time = Annotated[datetime, Meta(tz=True)]


class Everywhere(Struct, frozen=True, kw_only=True):
    """The form with one reading. measured_at: by the source's clock. gust_mps: 0 if not given."""

    measured_at: Time
    wind_mps: SpeedMps
    gust_mps: SpeedMps = 0.0
    source: Name | None = None


class Place(Struct, frozen=True, kw_only=True):
    """One place of a list."""

    name: Name
    lat: Latitude
    lng: Longitude
    wind_mps: SpeedMps
    gust_mps: SpeedMps = 0.0
    at: Time


class Reading(Struct, frozen=True, kw_only=True):
    """What counts of a place. name, lat, lng: empty for a reading that counts everywhere."""

    name: str = ""
    lat: float | None = None
    lng: float | None = None
    wind_mps: float
    at: datetime


class Readings(Struct, frozen=True):
    """The newest answer of the source. source: its name."""

    source: str
    places: list[Reading]

    @property
    def newest_at(self) -> datetime:
        return max(reading.at for reading in self.places)


class WeatherUnavailable(Exception):
    """The source gave no usable reading; the message says why."""


def refresh() -> Readings | None:
    """Poll the source once and store its readings; None without a source.

    Raises WeatherUnavailable; the previous readings then stay.
    """
    source = settings.WEATHER_SOURCE
    if not source:
        return None
    try:
        readings = _decode(lenient_json(_read(source)), source)
        encoded = msgspec.json.encode(readings)
    except (*EXCHANGE_ERRORS, ValueError, RecursionError) as error:
        raise WeatherUnavailable(f"The weather source gives no reading: {error}") from error
    redis_client.ask(lambda client: client.set(KEY, encoded))
    return readings


def winds(rules: Rules, now: datetime) -> Winds | None:
    """The fresh readings for feasibility; None without a source."""
    if not settings.WEATHER_SOURCE:
        return None
    readings = last()
    if readings is None:
        return Winds.from_rows([])
    return Winds.from_rows(
        {
            "name": one.name,
            "source": readings.source,
            "lat": one.lat,
            "lng": one.lng,
            "wind_mps": one.wind_mps,
            "age_s": (now - one.at).total_seconds(),
        }
        for one in readings.places
        if -MAX_CLOCK_SKEW <= now - one.at <= timedelta(seconds=rules.weather_max_age_s)
    )


def last() -> Readings | None:
    """The newest readings, of any age. None if there never were any or Redis is unreachable."""
    try:
        stored: Any = redis_client.read("GET", KEY)
    except redis_client.Away as error:
        log.warning("weather_not_read", error=str(error))
        return None
    return msgspec.json.decode(stored, type=Readings) if stored else None


def _decode(answer: Any, address_or_file: str) -> Readings:
    """Raises ValueError unless at least one reading is usable."""
    if not isinstance(answer, dict):
        raise ValueError("the answer is not a JSON object")
    if "places" not in answer:
        one = msgspec.convert(answer, Everywhere)
        wind_mps = max(one.wind_mps, one.gust_mps)
        source = one.source or _name_of(address_or_file)
        return Readings(source, [Reading(wind_mps=wind_mps, at=one.measured_at)])
    source = msgspec.convert(answer.get("source"), Name | None) or _name_of(address_or_file)
    places = list(_usable(msgspec.convert(answer["places"], list[Any])))
    if not places:
        raise ValueError("no place of the answer has a usable reading")
    return Readings(source, places)


def _usable(places: list[Any]) -> Iterator[Reading]:
    """An invalid place does not affect the others. It is left out, so its wind is not known."""
    for entry in places:
        try:
            place = msgspec.convert(entry, Place)
            place.name.encode()  # invalid UTF-8 of the source is a lone surrogate here
        except ValueError as error:
            log.warning("weather_place_refused", place=repr(entry)[:200], why=str(error))
            continue
        wind_mps = max(place.wind_mps, place.gust_mps)
        yield Reading(name=place.name, lat=place.lat, lng=place.lng, wind_mps=wind_mps, at=place.at)


def _name_of(address_or_file: str) -> str:
    """The host of an address, without its password, or the name of the file."""
    parts = urlsplit(address_or_file)
    return parts.hostname or Path(parts.path).name


def _read(source: str) -> bytes:
    if urlsplit(source).scheme not in ("http", "https"):
        with Path(source.removeprefix("file://")).open("rb") as file:
            return file.read(MAX_BYTES)
    timeout_s = settings.WEATHER_TIMEOUT_S
    with exchange("GET", address(source), headers={}, timeout_s=timeout_s) as response:
        if response.status != 200:
            raise WeatherUnavailable(f"The weather source answers {response.status}.")
        return response.read(MAX_BYTES)
