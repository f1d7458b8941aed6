"""A second check of one pair, slow and obvious: the rules of dispatch one after the other.

It shares nothing with `feasibility.judge` but the policy: the Earth is flat here, zones are boxes
in kilometres, and a way around them is looked for over their corners.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import shapely

from fleet.feasibility.rules import Rules
from fleet.tests.pairs import DEG_PER_KM

# (west_km, south_km, width_km, height_km, from_min, until_min)
Box = tuple[float, float, float, float, int | None, int | None]
Place = tuple[float, float]
# A corner is passed so far out, in km: less than any margin of the policy.
HAIR_KM = 1e-5


def broken_rules(
    d: dict[str, Any],
    t: dict[str, Any],
    boxes: Sequence[Box],
    wind_mps: float | None,
    rules: Rules,
    planned_m: float | None = None,
) -> list[str]:
    """What forbids that drone `d` flies trip `t` at noon. planned_m: the whole way as planned."""
    broken = [*_about_the_drone(d, wind_mps, rules)]
    if t["payload_weight_kg"] > d["max_payload_kg"]:
        broken.append("too heavy")
    if not t["payload_type"] & d["payload_types"]:
        broken.append("wrong type")
    if t["area"] != d["area"]:
        broken.append("another area")
    if broken:
        return broken
    stops = [
        (d["lng"] / DEG_PER_KM, d["lat"] / DEG_PER_KM),
        (t["pickup_lng"] / DEG_PER_KM, t["pickup_lat"] / DEG_PER_KM),
        (t["dropoff_lng"] / DEG_PER_KM, t["dropoff_lat"] / DEG_PER_KM),
        (d["home_lng"] / DEG_PER_KM, d["home_lat"] / DEG_PER_KM),
    ]
    legs_km = [math.dist(*leg) for leg in pairwise(stops)]
    flown_s, used_pct = _flight(d, t, legs_km, wind_mps, rules)
    in_the_way: list[Box] = []
    while more := [b for b in boxes if b not in in_the_way and _active(b, flown_s)]:
        in_the_way += more
        ways_km = [_shortest_km(in_the_way, *leg) for leg in pairwise(stops)]
        if math.inf in ways_km:
            return ["no way around the zones"]
        if not rules.detours_allowed and any(
            way > leg + 1e-9 for way, leg in zip(ways_km, legs_km, strict=True)
        ):
            return ["a zone in the way"]
        flown_s, used_pct = _flight(d, t, ways_km, wind_mps, rules)
        legs_km_now = ways_km
        if planned_m is not None:
            shortest_m = sum(legs_km_now) * 1000 * rules.detour_factor
            if planned_m < shortest_m * (1 - 1e-4):
                return [f"planned over {planned_m:.0f} m, at least {shortest_m:.0f} m are clear"]
    # Flat and round Earth differ by less than a millionth here.
    if d["battery_pct"] - used_pct < rules.reserve_pct - 1e-3:
        return [f"comes home with {d['battery_pct'] - used_pct:.2f} %"]
    return []


def _about_the_drone(d: dict[str, Any], wind_mps: float | None, rules: Rules) -> list[str]:
    forbidden = {
        "not registered": not d["registered"],
        "out of service": not d["active"],
        "grounded": d["grounded"],
        "busy": d["busy"],
        "armed, or nobody knows": d["armed"] is None or d["armed"],
        "telemetry old": not abs(d["telemetry_age_s"]) <= rules.telemetry_max_age_s,
        "no position": d["lat"] is None or d["lng"] is None,
        "no battery reading": d["battery_pct"] is None,
        "its hub is full": d.get("hub_full", False),
        "nobody knows the wind": wind_mps is not None and math.isnan(wind_mps),
    }
    broken = [words for words, holds in forbidden.items() if holds]
    if d["battery_pct"] is not None and d["battery_pct"] < rules.battery_min_pct:
        broken.append("too little charge for any take-off")
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
    """Seconds until home, and percent of the battery, leg by leg."""
    mass_kg = d["empty_mass_kg"]
    loaded = ((mass_kg + t["payload_weight_kg"]) / mass_kg) ** 1.5
    used_ws, flown_s = 0.0, rules.launch_time_s
    low_m = min(rules.delivery_alt_m, rules.cruise_alt_m)
    for leg, way_km in enumerate(legs_km):
        aboard_kg, factor = (t["payload_weight_kg"], loaded) if leg == 1 else (0.0, 1.0)
        hover_w, cruise_w = d["hover_power_w"] * factor, d["cruise_power_w"] * factor
        up_m = rules.cruise_alt_m - (low_m if leg == 2 else 0)
        down_m = rules.cruise_alt_m - (low_m if leg == 1 else 0)
        way_m = way_km * 1000 * rules.detour_factor
        cruise_s = way_m / (d["cruise_speed_mps"] - (wind_mps or 0))
        climb_s, descent_s = up_m / d["climb_speed_mps"], down_m / d["descent_speed_mps"]
        handling_s = rules.load_time_s + rules.delivery_time_s if leg == 1 else 0
        used_ws += hover_w * (climb_s + descent_s + handling_s) + cruise_w * cruise_s
        used_ws += (mass_kg + aboard_kg) * 9.81 * up_m / 0.7
        flown_s += climb_s + cruise_s + descent_s + handling_s
    return flown_s, 100 * used_ws / 3600 / d["battery_wh"]


def _active(box: Box, flown_s: float) -> bool:
    """At any time from now until the drone is home; a tenth of a second is nobody's fault."""
    _, _, _, _, start_min, end_min = box
    begins_in_time = start_min is None or 60 * start_min <= flown_s - 0.1
    return begins_in_time and (end_min is None or end_min > 0)


def _shortest_km(boxes: Sequence[Box], start: Place, end: Place) -> float:
    """The shortest way that touches no box, over the boxes' corners; infinite without one."""
    shapes = [shapely.box(w, s, w + wide, s + high) for w, s, wide, high, *_ in boxes]
    corners = [
        (x + dx * HAIR_KM, y + dy * HAIR_KM)
        for w, s, wide, high, *_ in boxes
        for x, dx in ((w, -1), (w + wide, 1))
        for y, dy in ((s, -1), (s + high, 1))
    ]
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
    if start == end:
        return math.inf if any(shapely.Point(start).intersects(s) for s in shapes) else 0.0
    return best.get(1, math.inf)
