"""No pair that a rule forbids is allowed, in random worlds anywhere on Earth.

The checkers share no code with `judge`: `obvious` for energy, times and zones on a flat Earth, and
`on_the_ellipsoid` for distances. Each has a control: it finds forbidden pairs when `judge` is given
a policy or trips without the rule.
"""

import math
from dataclasses import replace

import numpy as np
import pytest

from fleet.feasibility import detours
from fleet.feasibility.geometry import Zones, distance_m
from fleet.feasibility.judge import every_pair, judge
from fleet.feasibility.legs import DETOUR_HORIZON_S
from fleet.feasibility.tables import DroneTable, TripTable
from fleet.tests.obvious import broken_rules
from fleet.tests.on_the_ellipsoid import nearest_m
from fleet.tests.pairs import DEG_PER_KM, NOON, RULES, codes, drone, no_fly, trip, verdicts
from fleet.tests.test_feasibility_properties import zones_of

# --- energy, landing hub and margin, on a flat Earth ---------------------------------------------


def flat_world(seed: int) -> tuple[list[dict], list[dict], list[tuple]]:
    """Six drones, five trips and two zones, near enough to each other for close calls."""
    random = np.random.default_rng(seed)

    def place() -> tuple[float, float]:
        return tuple(random.uniform(-3.5, 3.5, 2))

    drones = [
        drone(*place(), battery_pct=random.uniform(35, 100), home_lat=n * DEG_PER_KM)
        for n in random.uniform(-3, 3, 6)
    ]
    trips = [
        trip(place(), place(), landing_km=place() if n % 2 else None, payload_weight_kg=kg)
        for n, kg in enumerate(random.uniform(0.2, 2.5, 5))
    ]
    boxes = [
        (*random.uniform(-3.5, 3.5, 2), *random.uniform(0.2, 1.5, 2), None, None) for _ in range(2)
    ]
    return drones, trips, boxes


def forbidden(seed: int, **removed: object) -> tuple[int, int]:
    """(allowed pairs, those that are forbidden) of a flat world, if `removed` replaces rules."""
    drones, trips, boxes = flat_world(seed)
    judged = [{**t, "landing_lat": None, "landing_lng": None} for t in trips]
    hubs = removed.pop("landing", True)
    rules = replace(RULES, **removed)
    found = verdicts(drones, trips if hubs else judged, zones_of(boxes), rules)
    able = np.flatnonzero(found.able)
    broken = [broken_rules(drones[found.d[i]], trips[found.t[i]], boxes, None, RULES) for i in able]
    return len(able), sum(map(bool, broken))


def test_no_forbidden_pair_is_allowed_on_a_flat_earth():
    allowed, wrong = np.sum([forbidden(seed) for seed in range(60)], axis=0)
    assert allowed > 400
    assert wrong == 0


@pytest.mark.parametrize(
    "removed", [{"loiter_timeout_s": 0}, {"zone_margin_m": 0.0}, {"landing": False}], ids=str
)
def test_the_flat_checker_finds_a_rule_that_is_missing(removed):
    _, wrong = np.sum([forbidden(seed, **removed) for seed in range(60)], axis=0)
    assert wrong > 0


# --- the margin, anywhere on the ellipsoid -------------------------------------------------------

LATITUDES = (0.0, 5.6, -33.9, 52.5, 64.1, -78.0)
MARGINS_M = (5.0, 50.0, 300.0)


def a_zone(random: np.random.Generator, lat: float, lng: float) -> dict:
    """A star of up to 2 km around a place within 6 km."""
    km = np.array([1 / math.cos(math.radians(lat)), 1.0]) * DEG_PER_KM
    middle = np.array([lng, lat]) + random.uniform(-6, 6, 2) * km
    turns = (np.arange(9) + random.uniform(0, 0.9, 9)) * 2 * math.pi / 9
    rays = random.uniform(0.3, 2.0, 9)[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    ring = (middle + rays * km).tolist()
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def round_world(seed: int, pairs: int) -> tuple[DroneTable, TripTable, list[dict], float]:
    """Drones, trips and zones within 15 km somewhere on Earth, and a margin in metres."""
    random = np.random.default_rng(seed)
    lat, lng = LATITUDES[seed % len(LATITUDES)], random.uniform(-179, 179)
    km = np.array([1.0, 1 / math.cos(math.radians(lat))]) * DEG_PER_KM
    count = math.isqrt(pairs)

    def places() -> np.ndarray:
        return np.array([lat, lng])[:, None] + random.uniform(-7.5, 7.5, (2, count)) * km[:, None]

    drones = DroneTable.from_rows([drone(battery_pct=100.0, battery_wh=9000.0)] * count)
    (at_lat, at_lng), (home_lat, home_lng) = places(), places()
    drones = replace(drones, lat=at_lat, lng=at_lng, home_lat=home_lat, home_lng=home_lng)
    trips = TripTable.from_rows([trip()] * count)
    ends = zip(("pickup", "dropoff", "landing"), (places(), places(), places()), strict=True)
    columns = {
        f"{end}_{axis}": row
        for end, two in ends
        for axis, row in zip(("lat", "lng"), two, strict=True)
    }
    zones = [a_zone(random, lat, lng) for _ in range(3)]
    return drones, replace(trips, **columns), zones, MARGINS_M[seed // len(LATITUDES) % 3]


def distances_m(seed: int, pairs: int, **removed: float) -> tuple[np.ndarray, np.ndarray, float]:
    """(whether each pair is allowed, its distance from the nearest zone in metres, the margin), if
    `removed` replaces rules.
    """
    drones, trips, zones, margin_m = round_world(seed, pairs)
    d, t = every_pair(len(drones), len(trips))
    rules = replace(RULES, **{"zone_margin_m": margin_m, **removed})
    found = judge(drones, trips, d, t, rules, Zones(zones), NOON)
    pickup, door, hub = (
        np.stack([getattr(trips, f"{end}_lat"), getattr(trips, f"{end}_lng")], axis=1)
        for end in ("pickup", "dropoff", "landing")
    )
    start = np.stack([drones.lat, drones.lng], axis=1)
    to_pickup_m, to_door_m, to_hub_m = (
        np.min([nearest_m(zone, np.hstack(leg)) for zone in zones], axis=0)
        for leg in ((start[d], pickup[t]), (pickup, door), (door, hub))
    )
    return found.able, np.minimum(to_pickup_m, np.minimum(to_door_m, to_hub_m)[t]), margin_m


def test_every_allowed_leg_keeps_the_margin_on_the_ellipsoid():
    allowed, nearest = 0, []
    for seed in range(18):
        able, away_m, margin_m = distances_m(seed, 144)
        allowed += np.count_nonzero(able)
        nearest.append((away_m[able] - margin_m).min(initial=math.inf))
    assert allowed > 300
    assert min(nearest) >= 0


def test_the_checker_on_the_ellipsoid_finds_a_margin_that_is_missing():
    too_near = 0
    for seed in range(18):
        able, away_m, margin_m = distances_m(seed, 144, zone_margin_m=0.0)
        too_near += np.count_nonzero(away_m[able] < margin_m)
    assert too_near > 0


def test_a_leg_outside_the_margin_is_hardly_ever_refused():
    """At most 2 % and 1.5 m more than the margin are kept, beside zones of a few kilometres."""
    refused = 0
    for seed in range(18):
        able, away_m, margin_m = distances_m(seed, 144)
        assert (away_m[~able] <= margin_m * 1.02 + 1.5).all()
        refused += np.count_nonzero(~able)
    assert refused > 300


# --- ends of a flight in the margin --------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "message"),
    [
        (no_fly(0.04, 0.9, 1, 1.1), "The pickup or the drop point is within 50 m of Airport."),
        (no_fly(0.04, 2.9, 1, 3.1), "The pickup or the drop point is within 50 m of Airport."),
        (no_fly(-1, 2.9, 1, 3.1), "The pickup or the drop point is in Airport."),
        (no_fly(0.04, 1.9, 1, 2.1), "The flight would pass within 50 m of Airport."),
        (no_fly(-1, 1.9, 1, 2.1), "The flight would cross Airport."),
        (no_fly(0.04, -1, 1, 0), "WX-DRN-001 would take off or land within 50 m of Airport."),
        (no_fly(-1, -1, 1, 0.01), "WX-DRN-001 would take off or land in Airport."),
    ],
)
def test_the_reason_tells_a_zone_from_its_margin(zone, message):
    found = verdicts([drone()], [trip()], zone)
    assert [reason.message for reason in found.explain(0)] == [message]


def test_a_hub_in_the_margin_of_a_zone_grounds_its_drones_by_name():
    beside = no_fly(1.04, -1, 2, 1)
    away = drone(home_lng=DEG_PER_KM)
    assert codes(verdicts([away], [trip()], beside)) == {"takeoff_or_landing_in_zone"}
    lands_elsewhere = trip(landing_km=(0.0, 0.0))
    assert verdicts([away], [lands_elsewhere], beside).able[0]


def test_the_margin_is_that_of_the_policy():
    beside = no_fly(0.1, 1.9, 1, 2.1)
    assert verdicts([drone()], [trip()], beside).able[0]
    wide = replace(RULES, zone_margin_m=110.0)
    assert codes(verdicts([drone()], [trip()], beside, wide)) == {"crosses_no_fly_zone"}


# --- detours -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lat", LATITUDES)
@pytest.mark.parametrize("margin_m", MARGINS_M)
def test_a_detour_is_not_refused_by_its_own_margin(lat, margin_m):
    """Around a zone of 2 km, from 4 km west of its middle to 4 km east, and back."""
    lng_deg = DEG_PER_KM / math.cos(math.radians(lat))
    ring = [[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]
    ring = [[20 + x * lng_deg, lat + y * DEG_PER_KM] for x, y in ring]
    zones = Zones([{"type": "Polygon", "coordinates": [ring]}])
    west, east = 20 - 4 * lng_deg, 20 + 4 * lng_deg
    legs = tuple(np.array(end) for end in ([lat, lat], [west, east], [lat, lat], [east, west]))
    until_s = NOON.timestamp() + DETOUR_HORIZON_S
    around_m = detours.around_m(zones, legs, NOON, until_s, margin_m)
    straight_m = distance_m(*legs)
    assert (around_m > straight_m + 100).all()
    assert (around_m < straight_m * 1.12 + 2 * margin_m).all()


# --- the 180° meridian and the poles -------------------------------------------------------------


def moved(row: dict, lat: float, lng: float) -> dict:
    """The drone or trip of `pairs`, moved to this place."""
    by = {"lat": lat, "lng": lng}
    return {
        name: value + by[name[-3:]] if name[-3:] in by and value is not None else value
        for name, value in row.items()
    }


def judged_at(lat: float, lng: float, wrap: bool = False, zones: Zones | None = None):
    """A flight whose pickup is 1 km north and whose door is 2 km east of the hub."""
    this_trip = moved(trip((0.0, 1.0), (2.0, 1.0)), lat, lng)
    if wrap:
        this_trip["dropoff_lng"] -= 360
    return verdicts([moved(drone(), lat, lng)], [this_trip], zones or Zones([]))


def test_a_leg_across_the_180th_meridian_is_refused_by_name():
    near = 180 - 1 * DEG_PER_KM
    crossing = judged_at(0.0, near, wrap=True)
    assert codes(crossing) == {"off_the_map"}
    assert not crossing.assignable[0]
    assert crossing.explain(0)[0].message == (
        "The flight would touch the 180° meridian or go beyond 85° of latitude, where zones cannot "
        "be checked."
    )
    assert crossing.distance_m[0] < 8000, "the distance is right on both sides"
    assert judged_at(0.0, 180 - 2.1 * DEG_PER_KM).able[0]


def test_beside_the_180th_meridian_a_zone_beyond_it_could_be_in_the_margin():
    """The zone is 10 m east of the door, where longitudes start again at -180. No other rule sees
    it: without this one, the pair would be able.
    """
    edge = 180 - 0.01 * DEG_PER_KM
    ring = [[-180, -1], [-179.99, -1], [-179.99, 1], [-180, 1], [-180, -1]]
    beyond = Zones([{"type": "Polygon", "coordinates": [ring]}])
    assert codes(judged_at(0.0, edge - 2 * DEG_PER_KM, zones=beyond)) == {"off_the_map"}


@pytest.mark.parametrize(
    ("lat", "able"), [(84.9, True), (85.1, False), (-84.9, True), (-85.1, False)]
)
def test_near_the_poles_nothing_is_flown(lat, able):
    found = judged_at(lat, 20.0)
    assert found.able[0] == able
    assert codes(found) == (set() if able else {"off_the_map"})
