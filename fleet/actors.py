"""The fleet's work for workers: ask the Fleet API again and again.

Whoever follows flights does so on its own schedule and not behind this poll: that telemetry has
stopped must be noticed above all when the poll fails.
"""

import dramatiq
import structlog

from fleet.live import picture, weather
from fleet.live.client import FleetUnavailable
from wingxtra.broker import every

POLL_EVERY_S = 2
WEATHER_EVERY_S = 30

log = structlog.get_logger(__name__)


@every(POLL_EVERY_S)
@dramatiq.actor
def poll() -> None:
    try:
        picture.renew()
    except FleetUnavailable:
        return  # logged and counted; the former picture grows old, and the next tick tries again


@every(WEATHER_EVERY_S)
@dramatiq.actor
def watch_weather() -> None:
    """Where a source is set; what it does not say makes the wind unknown once it is too old."""
    try:
        weather.renew()
    except weather.WeatherUnavailable as problem:
        log.warning("weather_unavailable", detail=str(problem))
