"""A second, simple implementation of the dispatch rules for one pair, to check `judge` against.

It shares only the policy with `feasibility.judge`: the Earth is flat, zones are boxes in
kilometres, and detours run over the corners of octagons that are in their margins.
"""

import math
from collections.abc import Sequence
from itertools import pairwise, permutations
from typing import Any

import shapely

from fleet.feasibility.rules import Rules
from fleet.tests.pairs import DEG_PER_KM

# (west_km, south_km, width_km, height_km, from_min, until_min)
Box = tuple[float, float, float, float, int | None, int | None]
Place = tuple[float, float]
Size = tuple[float, float, float]
# Distance at which a path passes a corner; less than any margin of the policy.
CORNER_OFFSET_KM = 1e-5


def broken_rules(
    d: dict[str, Any],
    t: dict[str, Any],
    boxes: Sequence[Box],
    wind_mps: float | None,
    rules: Rules,
    planned_m: float | None = None,
) -> list[str]:
    """The rules that drone `d` breaks with trip `t` at noon. planned_m: the planned distance."""
    broken = [*_drone_rules(d, wind_mps, rules)]
    if t["payload_weight_kg"] > d["max_payload_kg"]:
        broken.append("too heavy")
    if not _fits(t.get("size_cm"), d.get("max_size_cm")):
        broken.append("too large")
    if not t["payload_type"] & d["payload_types"]:
        broken.append("wrong type")
    if t["area"] != d["area"]:
        broken.append("another area")
    if broken:
        return broken
    lands_at_hub = t.get("landing_lat") is not None
    lat, lng = ("landing_lat", "landing_lng") if lands_at_hub else ("home_lat", "home_lng")
    lands = t if lands_at_hub else d
    stops = [
        (d["lng"] / DEG_PER_KM, d["lat"] / DEG_PER_KM),
        (t["pickup_lng"] / DEG_PER_KM, t["pickup_lat"] / DEG_PER_KM),
        (t["dropoff_lng"] / DEG_PER_KM, t["dropoff_lat"] / DEG_PER_KM),
        (lands[lng] / DEG_PER_KM, lands[lat] / DEG_PER_KM),
    ]
    legs_km = [math.dist(*leg) for leg in pairwise(stops)]
    flown_s, used_pct = _flight(d, t, legs_km, wind_mps, rules)
    active: list[Box] = []
    while more := [b for b in boxes if b not in active and _active(b, flown_s)]:
        active += more
        margin_km = rules.zone_margin_m / 1000 - CORNER_OFFSET_KM
        if any(_nearest_km(active, stop, stop) < margin_km for stop in stops):
            return ["a stop in a zone or its margin"]
        blocked = [_nearest_km(active, *leg) < margin_km for leg in pairwise(stops)]
        if any(blocked) and not rules.detours_allowed:
            return ["a leg in a zone or its margin"]
        paths_km = [
            _shortest_km(active, margin_km, *leg) if around else straight_km
            for leg, around, straight_km in zip(pairwise(stops), blocked, legs_km, strict=True)
        ]
        if math.inf in paths_km:
            return ["no path around the zones"]
        flown_s, used_pct = _flight(d, t, paths_km, wind_mps, rules)
        legs_km_now = paths_km
        if planned_m is not None:
            shortest_m = sum(legs_km_now) * 1000 * rules.detour_factor
            if planned_m < shortest_m * (1 - 1e-4):
                return [f"planned over {planned_m:.0f} m, at least {shortest_m:.0f} m are clear"]
    # The flat Earth differs from the sphere by less than a millionth here.
    if d["battery_pct"] - used_pct < rules.reserve_pct - 1e-3:
        return [f"comes home with {d['battery_pct'] - used_pct:.2f} %"]
    return []


def _fits(size_cm: Size | None, most_cm: Size | None) -> bool:
    """Whether some turn of the parcel fits; a size that is not given fits everywhere."""
    if size_cm is None or most_cm is None:
        return True
    turns = permutations(size_cm)
    return any(all(a <= b for a, b in zip(turn, most_cm, strict=True)) for turn in turns)


def _drone_rules(d: dict[str, Any], wind_mps: float | None, rules: Rules) -> list[str]:
    forbidden = {
        "not registered": not d["registered"],
        "out of service": not d["active"],
        "grounded": d["grounded"],
        "busy": d["busy"],
        "armed or unknown": d["armed"] is None or d["armed"],
        "telemetry old": not abs(d["telemetry_age_s"]) <= rules.telemetry_max_age_s,
        "no position": d["lat"] is None or d["lng"] is None,
        "no battery reading": d["battery_pct"] is None,
        "its hub is full": d.get("hub_full", False),
        "wind unknown": wind_mps is not None and math.isnan(wind_mps),
    }
    broken = [name for name, applies in forbidden.items() if applies]
    if d["battery_pct"] is not None and d["battery_pct"] < rules.battery_min_pct:
        broken.append("battery below the minimum")
    if wind_mps is not None and wind_mps > min(d["max_wind_mps"], rules.max_wind_mps):
        broken.append("too much wind")
    return broken


def _flight(
    d: dict[str, Any],
    t: dict[str, Any],
    legs_km: Sequence[float],
    wind_mps: float | None,
    rules: Rules,
) -> tuple[float, float]:
    """Seconds until the drone is down and percent of the battery, each that of the worse ending:
    the parcel is delivered, or it is not and comes back after a wait at the door.
    """
    endings = [_ending(d, t, legs_km, wind_mps, rules, fails) for fails in (False, True)]
    return max(flown_s for flown_s, _ in endings), max(used_pct for _, used_pct in endings)


def _ending(
    d: dict[str, Any],
    t: dict[str, Any],
    legs_km: Sequence[float],
    wind_mps: float | None,
    rules: Rules,
    fails: bool,
) -> tuple[float, float]:
    """Seconds and percent of the battery, summed over the legs."""
    mass_kg = d["empty_mass_kg"]
    used_ws, flown_s = 0.0, rules.launch_time_s
    low_m = min(rules.delivery_alt_m, rules.cruise_alt_m)
    for leg, way_km in enumerate(legs_km):
        aboard_kg = t["payload_weight_kg"] if leg == 1 or (leg == 2 and fails) else 0.0
        factor = ((mass_kg + aboard_kg) / mass_kg) ** 1.5
        hover_w, cruise_w = d["hover_power_w"] * factor, d["cruise_power_w"] * factor
        up_m = rules.cruise_alt_m - (low_m if leg == 2 else 0)
        down_m = rules.cruise_alt_m - (low_m if leg == 1 else 0)
        way_m = way_km * 1000 * rules.detour_factor
        cruise_s = way_m / (d["cruise_speed_mps"] - (wind_mps or 0))
        climb_s, descent_s = up_m / d["climb_speed_mps"], down_m / d["descent_speed_mps"]
        handling_s = rules.load_time_s + rules.delivery_time_s if leg == 1 else 0
        if leg == 1 and fails:
            handling_s += rules.loiter_timeout_s
        used_ws += hover_w * (climb_s + descent_s + handling_s) + cruise_w * cruise_s
        used_ws += (mass_kg + aboard_kg) * 9.81 * up_m / 0.7
        flown_s += climb_s + cruise_s + descent_s + handling_s
    return flown_s, 100 * used_ws / 3600 / d["battery_wh"]


def _active(box: Box, flown_s: float) -> bool:
    """Active at any time from now until the drone is home, with a tolerance of 0.1 s."""
    _, _, _, _, start_min, end_min = box
    starts_in_time = start_min is None or 60 * start_min <= flown_s - 0.1
    return starts_in_time and (end_min is None or end_min > 0)


def _nearest_km(boxes: Sequence[Box], start: Place, end: Place) -> float:
    """How near a straight way comes to the boxes; 0 inside of one."""
    way = shapely.LineString([start, end])
    shapes = [shapely.box(w, s, w + wide, s + high) for w, s, wide, high, *_ in boxes]
    return min(way.distance(shape) for shape in shapes)


def _octagon(box: Box, margin_km: float) -> list[Place]:
    """All of it is in the box or nearer to it than the margin."""
    w, s, wide, high, *_ = box
    e, n, m = w + wide, s + high, margin_km
    return [
        *[(w - m, s), (w - m, n), (w, n + m), (e, n + m)],
        *[(e + m, n), (e + m, s), (e, s - m), (w, s - m)],
    ]


def _shortest_km(boxes: Sequence[Box], margin_km: float, start: Place, end: Place) -> float:
    """The shortest path over corners that touches no octagon; infinite if there is none. No path
    that keeps the margin is shorter.
    """
    shapes = [shapely.Polygon(_octagon(box, margin_km)) for box in boxes]
    corners = [corner for box in boxes for corner in _octagon(box, margin_km + CORNER_OFFSET_KM)]
    nodes = [start, end, *corners]
    best = {0: 0.0}
    done: set[int] = set()
    while todo := [n for n in best if n not in done]:
        here = min(todo, key=best.__getitem__)
        done.add(here)
        for there, place in enumerate(nodes):
            length = best[here] + math.dist(nodes[here], place)
            if length >= best.get(there, math.inf):
                continue
            line = shapely.LineString([nodes[here], place])
            if not any(line.intersects(shape) for shape in shapes):
                best[there] = length
    return best.get(1, math.inf)
