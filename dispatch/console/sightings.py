"""A drone's location in a sentence, for staff who must find its parcel."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from redis import RedisError

from dispatch.missions.following.standing import Hubs
from fleet.console.shared import latest_picture
from fleet.feasibility.geometry import distance_m
from fleet.live.picture import Picture
from fleet.models import Hub
from orders.models import Order
from wingxtra.console.look import Look

MOTORS: dict[bool | None, str] = {True: "motors on", False: "motors off", None: "motors not known"}
NEAR_M = 60.0


@dataclass(frozen=True, slots=True)
class Sightings:
    """The fleet picture and the hubs. Ages are relative to `now`."""

    seen: Picture | None
    hubs: Hubs
    now: datetime

    def where_is(self, drone_id: str | None, order: Order) -> str:
        """“WX-1 is at the pickup, motors off, last telemetry 3 s ago.” Empty without a drone."""
        if drone_id is None:
            return ""
        sample = self.seen.telemetry.get(drone_id) if self.seen else None
        if sample is None or sample.lat is None or sample.lng is None:
            return f"It is not known where {drone_id} is."
        place = self.hubs.at(sample.lat, sample.lng)
        where = f"at {place}" if place else _from_nearer_end(sample.lat, sample.lng, order)
        age_s = max(0.0, (self.now - sample.seen_at).total_seconds())
        age = f"{age_s:.0f} s" if age_s < 120 else f"{age_s / 60:.0f} min"
        return f"{drone_id} is {where}, {MOTORS[sample.armed]}, last telemetry {age} ago."


def hubs(now: datetime) -> QuerySet[Hub]:
    return Hub.objects.select_related("service_area")


def sightings(look: Look) -> Sightings:
    """Reads `hubs`. Without Redis every location is unknown; the lines are still shown."""
    try:
        seen = look.once(latest_picture)
    except RedisError:
        seen = None
    return Sightings(seen, Hubs(look.rows(hubs)), look.at)


def _from_nearer_end(lat: float, lng: float, order: Order) -> str:
    """The distance from the pickup or the drop point, the nearer one."""
    ends = {
        "the drop point": (order.dropoff_lat, order.dropoff_lng),
        "the pickup": (order.pickup_lat, order.pickup_lng),
    }
    away_m, name = min((float(distance_m(lat, lng, *at)), name) for name, at in ends.items())
    if away_m <= NEAR_M:
        return f"at {name}"
    return f"{away_m:.0f} m from {name}" if away_m < 2000 else f"{away_m / 1000:.1f} km from {name}"
