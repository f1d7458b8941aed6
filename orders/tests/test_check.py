"""`placement.check` over random worlds: the answer about an order, against a simple implementation.

`check` judges with what was prepared once for a rulebook and with quick rejections. The simple
implementation of `fleet.tests.obvious` looks at one drone at a time, and at every zone.
"""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleet.airspace.rulebook import RulebookForOrders
from fleet.feasibility.geometry import Zones
from fleet.feasibility.landing import HubTable
from fleet.feasibility.tables import DroneTable, payload_bits
from fleet.models import ServiceArea
from fleet.tests.obvious import broken_rules
from fleet.tests.pairs import DEG_PER_KM, NOON, RULES, drone, everywhere
from fleet.tests.test_feasibility_properties import BOXES, KM, PLACES, POLICIES, zones_of
from orders.models import Order
from orders.placement import Checked, check

# Two areas side by side: west and east of the hub, with 1 km in both.
AREAS_KM = ((-8.0, 0.5), (-0.5, 8.0))
KINDS: list[dict[str, Any]] = [
    {},
    {"max_payload_kg": 1.0, "battery_wh": 300.0, "cruise_speed_mps": 20.0},
    {"payload_types": payload_bits(["PARCEL"]), "battery_wh": 900.0},
]
# (kind, east and north of its hub, area)
BEST = st.tuples(st.sampled_from(KINDS), PLACES, st.sampled_from([0, 0, 0, 1]))
ORDERS = st.builds(
    lambda pickup, drop, kg, kind: Order(
        pickup_lng=pickup[0] * DEG_PER_KM,
        pickup_lat=pickup[1] * DEG_PER_KM,
        dropoff_lng=drop[0] * DEG_PER_KM,
        dropoff_lat=drop[1] * DEG_PER_KM,
        payload_weight_kg=kg,
        payload_type=kind,
    ),
    PLACES,
    PLACES,
    st.floats(0.1, 2.4),
    st.sampled_from(["PARCEL", "PARCEL", "MEDICINE"]),
)
# Always closed, or not at all: a zone that opens later only delays an order.
CLOSED = BOXES.map(lambda box: (*box[:4], None, None))


def box_of(west_km: float, east_km: float) -> dict[str, Any]:
    w, s, e, n = (km * DEG_PER_KM for km in (west_km, -8.0, east_km, 8.0))
    ring = [[w, s], [e, s], [e, n], [w, n], [w, s]]
    return {"type": "Polygon", "coordinates": [ring]}


AREAS = [ServiceArea(name=f"Area {i}", polygon=box_of(*km)) for i, km in enumerate(AREAS_KM)]
AREA_SHAPES = Zones([area.polygon for area in AREAS])


def best_of(drawn: list[tuple[dict[str, Any], tuple[float, float], int]]) -> list[dict[str, Any]]:
    """Ideal drones: at home, charged and free."""
    return [
        drone(
            *home,
            drone_id=f"WX-{number}",
            battery_pct=100.0,
            telemetry_age_s=0.0,
            home_lng=home[0] * DEG_PER_KM,
            home_lat=home[1] * DEG_PER_KM,
            area=area,
            **kind,
        )
        for number, (kind, home, area) in enumerate(drawn)
    ]


def book_of(best: list[dict[str, Any]], boxes: Any, rules: Any) -> RulebookForOrders:
    table = DroneTable.from_rows(best)
    return RulebookForOrders(
        rules=replace(rules, dropoff_max_accuracy_m=1e9),
        areas=AREAS,
        area_shapes=AREA_SHAPES,
        zones=[],
        zone_shapes=zones_of(boxes),
        winds=everywhere(None),
        best_drones=table,
        best_in=[table.take(table.area == index) for index in range(len(AREAS))],
        hubs=[],
        hub_table=HubTable.from_rows([]),
        kinds=[],
    )


def area_of(order: Order) -> int | None:
    ends_km = [lng / DEG_PER_KM for lng in (order.pickup_lng, order.dropoff_lng)]
    holding = [
        index
        for index, (west_km, east_km) in enumerate(AREAS_KM)
        if all(west_km <= km <= east_km for km in ends_km)
    ]
    return holding[0] if holding else None


def trip_of(order: Order, area: int) -> dict[str, Any]:
    return {
        "pickup_lat": order.pickup_lat,
        "pickup_lng": order.pickup_lng,
        "dropoff_lat": order.dropoff_lat,
        "dropoff_lng": order.dropoff_lng,
        "payload_weight_kg": order.payload_weight_kg,
        "payload_type": payload_bits([order.payload_type]),
        "area": area,
    }


def flown_by(checked: Checked) -> set[str]:
    return {flight.drone_id for flight in checked.flights}


@given(st.lists(BEST, max_size=8), ORDERS, st.lists(CLOSED, max_size=4), POLICIES)
def test_each_drone_that_may_fly_an_order_passes_the_simple_implementation(
    drawn: Any, order: Order, boxes: Any, rules: Any
) -> None:
    best = best_of(drawn)
    checked = check(order, book_of(best, boxes, rules), NOON)
    area = area_of(order)
    assert checked.service_area == (None if area is None else AREAS[area])
    if area is None:
        assert flown_by(checked) == set()
        return
    for one in best:
        if one["drone_id"] in flown_by(checked):
            assert broken_rules(one, trip_of(order, area), boxes, None, rules) == []
    reasons = {problem.code for problem in checked.problems}
    assert bool(flown_by(checked)) or reasons, "an order is taken only if a drone can fly it"


@given(st.lists(BEST, max_size=8), ORDERS, POLICIES)
def test_without_zones_each_drone_that_passes_may_fly_the_order(
    drawn: Any, order: Order, rules: Any
) -> None:
    best, area = best_of(drawn), area_of(order)
    if area is None:
        return
    flown = flown_by(check(order, book_of(best, [], rules), NOON))
    # A charge of a thousandth more or less is a matter of rounding.
    clearly = replace(rules, reserve_pct=rules.reserve_pct + 2e-3)
    for one in best:
        if not broken_rules(one, trip_of(order, area), [], None, clearly):
            assert one["drone_id"] in flown


@given(st.lists(BEST, min_size=1, max_size=8), st.lists(ORDERS, min_size=2, max_size=3), st.data())
def test_an_order_gets_the_same_answer_after_others(
    drawn: Any, orders: list[Order], data: Any
) -> None:
    boxes = data.draw(st.lists(BOXES, max_size=3))
    best = best_of(drawn)
    used = book_of(best, boxes, RULES)
    for order in orders:
        assert check(order, used, NOON) == check(order, book_of(best, boxes, RULES), NOON)


@given(st.lists(BEST, min_size=1, max_size=8), KM, st.integers(0, 200))
def test_a_zone_far_away_changes_nothing(drawn: Any, north_km: float, zones: int) -> None:
    order = Order(
        pickup_lat=0.0,
        pickup_lng=0.0,
        dropoff_lat=north_km * DEG_PER_KM / 2,
        dropoff_lng=0.0,
        payload_weight_kg=0.5,
        payload_type="PARCEL",
    )
    best = best_of(drawn)
    far = [(100.0 + 2 * i, 100.0, 1.0, 1.0, None, None) for i in range(zones)]
    rules = replace(RULES, detours_allowed=True)
    assert check(order, book_of(best, far, rules), NOON) == check(
        order, book_of(best, [], rules), NOON
    )
