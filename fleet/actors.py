"""Background tasks of the fleet: poll the Fleet API and the weather source.

Flights are followed on each new picture; while none comes, by a schedule of their own: lost
telemetry must be detected when the poll fails, too.
"""

import dramatiq
import structlog

from fleet.airworthiness import counters
from fleet.live import picture, weather
from fleet.live.client import FleetUnavailable
from wingxtra.broker import every

POLL_EVERY_S = 1
COUNT_EVERY_S = 10
WEATHER_EVERY_S = 30

log = structlog.get_logger(__name__)


@every(POLL_EVERY_S)
@dramatiq.actor
def poll() -> None:
    try:
        picture.refresh_alone()
    except FleetUnavailable:
        return  # logged and counted; the next tick retries


@every(WEATHER_EVERY_S)
@dramatiq.actor
def watch_weather() -> None:
    """Polls WEATHER_SOURCE if it is set."""
    try:
        weather.refresh()
    except weather.WeatherUnavailable as problem:
        log.warning("weather_unavailable", detail=str(problem))


@every(COUNT_EVERY_S)
@dramatiq.actor
def count_flights() -> None:
    """Adds the flights of drones that were locked when their flights ended."""
    counters.count_the_rest()
