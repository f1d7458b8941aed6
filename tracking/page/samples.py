"""Where the drone of a delivery is: its newest telemetry, or what a test order makes up. Pure."""

import math
from datetime import datetime

from dispatch import testmode
from fleet.live.picture import Picture
from tracking.page import public
from tracking.page.facts import Facts


def is_followed(known: Facts) -> bool:
    return known.live_mode and known.in_flight and known.drone_id is not None


def of(known: Facts, fleet: Picture | None, now: datetime) -> public.DroneSample | None:
    if not known.live_mode:
        return _test_sample(known, now)
    if not is_followed(known):
        return None
    drone_id = known.drone_id or ""
    sample = fleet.telemetry.get(drone_id) if fleet else None
    if fleet is None or sample is None:
        return public.DroneSample(age_s=math.inf)
    return public.DroneSample(
        fleet.age_s_of(drone_id, now),
        sample.lat,
        sample.lng,
        sample.heading_deg,
        sample.measured_at,
    )


def _test_sample(known: Facts, now: datetime) -> public.DroneSample | None:
    """Where the drone of a test order would be."""
    if not known.in_flight:
        return None
    order = known.order
    drop_point = (order.dropoff_lat, order.dropoff_lng)
    happened = [(entry.type, entry.at) for entry in known.log]
    point = testmode.place(order.status, happened, known.pickup, drop_point, now)
    if point is None:
        return public.DroneSample(age_s=math.inf)
    return public.DroneSample(0, *point, testmode.heading_deg(known.pickup, drop_point), now)
