"""A random city for simulated days: its hubs, drones and orders, from a seed. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from fleet.feasibility import best_case, judge
from fleet.feasibility.geometry import EARTH_RADIUS_M, Floats, Zones
from fleet.feasibility.landing import HubTable
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import DroneTable, TripTable, payload_bits

AT = datetime(2026, 3, 2, 7, tzinfo=UTC)  # arbitrary: random days have no zones
NOWHERE = Zones([])
CENTRE = (5.6037, -0.1870)
OPEN_S = 14 * 3600.0
# Demand by the hour from 7:00 to 21:00: a peak at noon and one in the evening.
HOURLY = np.array([3, 4, 4, 5, 6, 10, 10, 6, 5, 5, 7, 10, 9, 4], float)
PRIORITIES = ("NORMAL", "URGENT", "MEDICAL")
SHARES = (0.7, 0.2, 0.1)
KIND = {
    "payload_types": payload_bits(["PARCEL"]),
    "max_payload_kg": 2.5,
    "battery_wh": 1500.0,
    "empty_mass_kg": 6.0,
    "hover_power_w": 820.0,
    "cruise_power_w": 700.0,
    "cruise_speed_mps": 16.0,
    "climb_speed_mps": 4.0,
    "descent_speed_mps": 3.0,
    "max_wind_mps": 12.0,
}


@dataclass(frozen=True, slots=True)
class Day:
    """The parameters of a random day. network: drones land at the hub that is best for the next
    orders, instead of flying home.
    """

    name: str
    orders: int
    drones: int = 40
    hubs: int = 4
    side_km: float = 10.0
    full_charge_s: float = 900.0
    network: bool = False


DAYS = (
    Day("light", 1000),
    Day("normal", 2000),
    Day("overloaded", 2500),
    Day("slow charging", 1000, full_charge_s=2400.0),
)


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """A day's orders, sorted by `placed_s`. error: real flight time / estimated flight time.

    own_promise_s: seconds from placing to the door for orders with a promise of their own, NaN for
    orders with the policy's. None: all have the policy's.
    """

    trips: TripTable
    priority: list[str]
    placed_s: Floats
    error: Floats
    own_promise_s: Floats | None = None

    def promise_s(self, rules: Rules) -> Floats:
        by_policy = np.array([rules.promise_s[name] for name in self.priority], float)
        if self.own_promise_s is None:
            return by_policy
        return np.where(np.isnan(self.own_promise_s), by_policy, self.own_promise_s)


def city(day: Day, seed: int, rules: Rules) -> tuple[DroneTable, Demand]:
    random = np.random.default_rng(seed)
    hubs = random.uniform(-0.35, 0.35, (day.hubs, 2)) * day.side_km
    shops = random.uniform(-0.5, 0.5, (30, 2)) * day.side_km
    home = hubs[np.arange(day.drones) % day.hubs]
    lat, lng = _place(home)
    ones = np.ones(day.drones)
    drones = DroneTable(
        drone_id=np.array([f"WX-DRN-{i + 1:03}" for i in range(day.drones)], object),
        lat=lat,
        lng=lng,
        battery_pct=100 * ones,
        telemetry_age_s=ones,
        armed=0 * ones,
        registered=ones > 0,
        active=ones > 0,
        grounded=ones < 0,
        busy=ones < 0,
        home_lat=lat,
        home_lng=lng,
        area=np.zeros(day.drones, np.int64),
        **{name: np.full(day.drones, value) for name, value in KIND.items()},
    )
    return drones, _demand(day, shops, drones, rules, random)


def _demand(
    day: Day, shops: Floats, drones: DroneTable, rules: Rules, random: np.random.Generator
) -> Demand:
    hour = random.choice(len(HOURLY), day.orders, p=HOURLY / HOURLY.sum())
    placed_s = np.sort((hour + random.random(day.orders)) * OPEN_S / len(HOURLY))
    trips = _trips(2 * day.orders, day, shops, random)
    best = best_case.at_their_best(drones)
    pairs = judge.every_pair(len(best), len(trips))
    # Orders that no drone could ever fly are refused, as in placement.
    able = judge.judge(best, trips, *pairs, rules, NOWHERE, AT).able
    possible = np.flatnonzero(able.reshape(len(trips), -1).any(axis=1))
    priority = random.choice(PRIORITIES, day.orders, p=SHARES).tolist()
    error = random.uniform(0.95, 1.15, day.orders)
    return Demand(trips.take(possible[: day.orders]), priority, placed_s, error)


def _trips(count: int, day: Day, shops: Floats, random: np.random.Generator) -> TripTable:
    pickup = shops[random.integers(len(shops), size=count)]
    # Drop points lie in a ring around the shop and within the city.
    far, turn = random.uniform(0.5, 4.0, count), random.uniform(0, 2 * np.pi, count)
    door = pickup + far[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    door = np.clip(door, -day.side_km / 2, day.side_km / 2)
    pickup_lat, pickup_lng = _place(pickup)
    door_lat, door_lng = _place(door)
    return TripTable(
        pickup_lat=pickup_lat,
        pickup_lng=pickup_lng,
        dropoff_lat=door_lat,
        dropoff_lng=door_lng,
        payload_weight_kg=random.uniform(0.2, 2.0, count),
        payload_type=np.full(count, payload_bits(["PARCEL"])),
        area=np.zeros(count, np.int64),
    )


def _place(km: Floats) -> tuple[Floats, Floats]:
    """(lat, lng) of points (n, 2) in km east and north of the centre."""
    north, east = (
        np.degrees(km[:, 1] * 1000 / EARTH_RADIUS_M),
        np.degrees(km[:, 0] * 1000 / EARTH_RADIUS_M),
    )
    return CENTRE[0] + north, CENTRE[1] + east / np.cos(np.radians(CENTRE[0]))


def hubs_of(drones: DroneTable, network: bool) -> HubTable:
    """One hub for each home, with pads and chargers for any number."""
    lat, lng = np.unique([drones.home_lat, drones.home_lng], axis=1)
    keys = np.arange(len(lat))
    area = drones.area[:1].repeat(len(lat))
    return HubTable(
        key=keys,
        name=np.array([f"Hub {key + 1}" for key in keys], object),
        lat=lat,
        lng=lng,
        area=area,
        network=np.full(len(lat), network),
    )
