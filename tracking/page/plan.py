"""The plan of a delivery: drop point and drone to scale, drawn by the server.

The page shows it without JavaScript, and until the map is loaded. Pure: it knows the rounded
positions of the public view and nothing else, so it shows neither pickup nor hub.
"""

import math
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from orders.changes.dropoff import M_PER_DEG
from tracking.page import texts

# Units of the drawing, about pixels on a phone. Its middle is 0, 0 and y points down.
ROOM = (250.0, 170.0)  # for drop point and drone; the rest is a margin for pins, scale and north
CLOSEST = 0.8  # units per metre, as the map's zoom level 17
SMALLEST_SQUARE = 36.0
AROUND_M = 70.0  # the drop point is rounded to about 110 m

BEARINGS: tuple[texts.Text, ...] = (
    _("The drone is %(distance)s north of the drop point."),
    _("The drone is %(distance)s north-east of the drop point."),
    _("The drone is %(distance)s east of the drop point."),
    _("The drone is %(distance)s south-east of the drop point."),
    _("The drone is %(distance)s south of the drop point."),
    _("The drone is %(distance)s south-west of the drop point."),
    _("The drone is %(distance)s west of the drop point."),
    _("The drone is %(distance)s north-west of the drop point."),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Numbers as text, because a French template would write them with a comma.

    square and around: lengths in units. drop and drone: "x y". bearing: see `bearing`.
    """

    square: str
    square_label: str
    around: str
    drop: str
    drone: str
    heading: str
    bearing: str


def of(view: dict[str, Any]) -> Plan:
    """The plan of a public view that has a drop point."""
    away = _drone_from_drop_m(view)
    north_m, east_m = away or (0.0, 0.0)
    scale = min(
        CLOSEST,
        ROOM[0] / max(abs(east_m), 1.0),
        ROOM[1] / max(abs(north_m), 1.0),
    )
    square_m = _round_m(SMALLEST_SQUARE / scale)
    x, y = east_m * scale / 2, -north_m * scale / 2
    return Plan(
        square=f"{square_m * scale:.1f}",
        square_label=f"{square_m} m" if square_m < 1000 else f"{square_m // 1000} km",
        around=f"{AROUND_M * scale:.1f}",
        drop=f"{-x:.1f} {-y:.1f}",
        drone=f"{x:.1f} {y:.1f}" if away else "",
        heading=f"{(view['position'] or {}).get('heading_deg') or 0:.0f}",
        bearing=bearing(view),
    )


def bearing(view: dict[str, Any]) -> str:
    """In which direction of the drop point the drone is: a sentence. That there is a drop point
    when the drone is not shown, or too near for its direction to be known.
    """
    north_m, east_m = _drone_from_drop_m(view) or (0.0, 0.0)
    away_m = math.hypot(north_m, east_m)
    if away_m < 2 * AROUND_M:
        return str(_("The drop point is inside the circle."))
    eighth = round(math.degrees(math.atan2(east_m, north_m)) / 45) % 8
    return str(BEARINGS[eighth]) % {"distance": texts.distance(away_m)}


def _drone_from_drop_m(view: dict[str, Any]) -> tuple[float, float] | None:
    """Metres to the north and to the east of the drop point, or None without a position."""
    here, there = view["position"], view["dropoff"]
    if here is None:
        return None
    per_lng = M_PER_DEG * math.cos(math.radians(there["lat"]))
    return (here["lat"] - there["lat"]) * M_PER_DEG, (here["lng"] - there["lng"]) * per_lng


def _round_m(at_least_m: float) -> int:
    """The next length of 1, 2 or 5 times a power of ten, from 10 m on."""
    power = 10
    while True:
        for step in (1, 2, 5):
            if step * power >= at_least_m:
                return step * power
        power *= 10
