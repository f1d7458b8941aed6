"""The drone's position when the proof was given; evidence in a dispute."""

from dataclasses import dataclass
from datetime import datetime

import redis
import structlog

from fleet import policy
from fleet.feasibility.geometry import distance_m
from fleet.live import picture
from orders.models import Order

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """`at`: when the drone measured its position. `distance_m`: to the drop point."""

    lat: float
    lng: float
    at: datetime
    distance_m: float


def newest_picture() -> picture.Picture | None:
    """Call it before the order is locked. None without Redis: a proof needs no position."""
    try:
        return picture.read()
    except redis.RedisError as error:
        log.warning("proof_without_position", error=type(error).__name__)
        return None


def of_the_drone(order: Order, fleet: picture.Picture | None, now: datetime) -> Whereabouts | None:
    """The position of the order's drone.

    None without a drone, without a position, or when the position is older than the policy's limit
    for a lost link.
    """
    drone_id = order.assigned_drone_id
    sample = fleet.telemetry.get(drone_id) if fleet and drone_id else None
    if fleet is None or sample is None or sample.lat is None or sample.lng is None:
        return None
    if not 0 <= fleet.age_s_of(sample.drone_id, now) <= policy.current().link_lost_after_s:
        return None
    away_m = distance_m(sample.lat, sample.lng, order.dropoff_lat, order.dropoff_lng)
    return Whereabouts(sample.lat, sample.lng, sample.measured_at, round(float(away_m), 1))
