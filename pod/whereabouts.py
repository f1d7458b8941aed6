"""Where the drone was when the proof was given: what a dispute is decided by."""

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
    """`at` is when the drone measured its position; `distance_m` is that to the drop point."""

    lat: float
    lng: float
    at: datetime
    distance_m: float


def newest_picture() -> picture.Picture | None:
    """To be read before the order is locked. Without Redis a proof is taken all the same."""
    try:
        return picture.read()
    except redis.RedisError as error:
        log.warning("proof_without_position", error=type(error).__name__)
        return None


def of_the_drone(order: Order, seen: picture.Picture | None, now: datetime) -> Whereabouts | None:
    """Where the order's drone is; None when it is not known well enough to be held against anybody.

    That is: without a drone, without a position, or with one older than the policy's limit for a
    lost link.
    """
    drone_id = order.assigned_drone_id
    sample = seen.telemetry.get(drone_id) if seen and drone_id else None
    if seen is None or sample is None or sample.lat is None or sample.lng is None:
        return None
    if not 0 <= seen.age_s_of(sample.drone_id, now) <= policy.current().link_lost_after_s:
        return None
    away_m = distance_m(sample.lat, sample.lng, order.dropoff_lat, order.dropoff_lng)
    return Whereabouts(sample.lat, sample.lng, sample.measured_at, round(float(away_m), 1))
