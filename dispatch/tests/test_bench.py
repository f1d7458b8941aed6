"""How long a plan takes, feasibility included, against SciPy's solver over the full matrix."""

import resource
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from dispatch.planning import lookahead
from dispatch.planning.optimum import planner, scarcity
from fleet.feasibility import judge, reach
from fleet.feasibility.tables import DroneTable, TripTable, payload_bits
from fleet.policy import Policy
from fleet.tests.pairs import DEG_PER_KM, NOON, NOWHERE, QUAD
from wingxtra.tests.bench.tables import Figure, Table

pytestmark = pytest.mark.bench

RULES = Policy().rules()
DENSE = Table(
    "Plans where every drone reaches every order, from judged pairs, in seconds of the processor",
    ("orders x drones", "plan s", "SciPy dense s", "ratio", "plan MB", "SciPy MB"),
    first_width=16,
)
SIDE_KM = 30.0
HUBS_PER_AREA = 4
PLANS = Table(
    "Plans, feasibility included, in seconds of the processor",
    ("orders x drones", "pairs able", "plan s", "SciPy dense s", "ratio", "peak MB"),
    first_width=16,
)


def big_city(orders: int, drones: int, areas: int) -> tuple[DroneTable, TripTable]:
    """Adjacent areas with hubs in each. 40 % of the drones are busy, charges are mixed."""
    random = np.random.default_rng(0)
    rows = int(np.ceil(np.sqrt(areas)))

    def places(area: np.ndarray) -> np.ndarray:
        corner = np.stack([area % rows, area // rows])
        return (corner + random.random((2, len(area)))) * SIDE_KM / rows * DEG_PER_KM

    hub_area = np.repeat(np.arange(areas), HUBS_PER_AREA)
    hub = random.integers(len(hub_area), size=drones)
    home = places(hub_area)[:, hub]
    small = random.random(drones) < 0.5
    kind = {name: np.full(drones, value) for name, value in QUAD.items()}
    kind["max_payload_kg"] = np.where(small, 1.0, 2.5)
    kind["battery_wh"] = np.where(small, 350.0, 500.0)
    ones = np.ones(drones)
    table = DroneTable(
        drone_id=[f"WX-{i:05}" for i in range(drones)],
        lat=home[1],
        lng=home[0],
        battery_pct=random.uniform(25, 100, drones),
        telemetry_age_s=ones,
        armed=0 * ones,
        registered=ones,
        active=ones,
        grounded=0 * ones,
        busy=random.random(drones) < 0.4,
        home_lat=home[1],
        home_lng=home[0],
        area=hub_area[hub],
        **kind,
    )
    area = random.integers(areas, size=orders)
    pickup, door = places(area), places(area)
    trips = TripTable(
        pickup_lat=pickup[1],
        pickup_lng=pickup[0],
        dropoff_lat=door[1],
        dropoff_lng=door[0],
        payload_weight_kg=random.uniform(0.2, 2.5, orders),
        payload_type=np.full(orders, payload_bits(["PARCEL"])),
        area=area,
    )
    return table, trips


def timed_problem(trips: int, drones: int, **pairs: Any) -> planner.Problem:
    """Orders that have waited up to 20 minutes, three priorities. pairs: the columns of pairs."""
    random = np.random.default_rng(1)
    waited_s = random.uniform(0, 1200, trips)
    priority = random.choice(("NORMAL", "URGENT", "MEDICAL"), trips, p=(0.7, 0.2, 0.1))
    return planner.Problem(
        order_id=[f"{i:06}" for i in range(trips)],
        priority=priority.tolist(),
        waited_s=waited_s,
        due_s=np.array([RULES.promise_s[name] for name in priority]) - waited_s,
        drone_id=[f"WX-{i:05}" for i in range(drones)],
        rules=RULES,
        at_work=drones,
        holds=np.full(trips, planner.NONE_HELD),
        **pairs,
    )


def planned(drones: DroneTable, trips: TripTable) -> tuple[planner.Problem, planner.Plan]:
    pairs = reach.likely_pairs(drones, trips, RULES, NOON)
    able = lookahead.now(judge.judge(drones, trips, *pairs, RULES, NOWHERE, NOON))
    problem = timed_problem(
        len(trips),
        len(drones),
        order=able.trip,
        drone=able.drone,
        delivery_s=able.delivery_s,
        busy_s=able.busy_s,
        sizes=scarcity.of(drones),
    )
    return problem, planner.plan(problem)


@pytest.mark.parametrize(
    ("orders", "drones", "areas", "limit_s"),
    [(1000, 200, 4, 0.05), (5000, 2000, 9, 1.0), (10_000, 5000, 4, 1.0)],
)
def test_a_plan_of_a_city(orders, drones, areas, limit_s):
    """In CPU seconds. The dense solver is left out where it needs 3.6 GB."""
    city = big_city(orders, drones, areas)
    took_s = np.inf
    for _ in range(3):
        started = time.process_time()
        problem, plan = planned(*city)
        took_s = min(took_s, time.process_time() - started)
    assert plan.value == plan.bound
    dense_s, ratio = "not run", ""
    if orders * drones <= 10_000_000:
        solved_s = solved_dense_s(gains_of(problem, plan), plan)
        dense_s, ratio = Figure(solved_s, ".3f"), Figure(took_s / solved_s, ".2f")
    PLANS.row(
        f"{orders:,} x {drones:,}",
        Figure(len(problem.order) / orders / drones, ".1%"),
        Figure(took_s, ".3f", at_most=limit_s),
        dense_s,
        ratio,
        Figure(peak_mb(), at_most=1024),
    )


def gains_of(problem: planner.Problem, plan: planner.Plan) -> np.ndarray:
    gains = np.zeros((len(problem.order_id), len(problem.drone_id)))
    gains[problem.order, problem.drone] = plan.gain
    return gains


def solved_dense_s(gains: np.ndarray, plan: planner.Plan) -> float:
    """CPU seconds of SciPy's dense solver, which finds the same gain."""
    started = time.process_time()
    found = linear_sum_assignment(gains, maximize=True)
    took_s = time.process_time() - started
    assert gains[found].sum() == plan.gain[plan.pairs].sum()
    return took_s


@pytest.mark.parametrize(("orders", "drones"), [(1000, 200), (1000, 1000), (5000, 2000)])
def test_a_plan_where_every_drone_reaches_every_order(orders, drones):
    """From judged pairs to the plan with its proof, in CPU seconds, and the memory that it adds.

    The dense solver needs the matrix of gains in memory, and a copy of it.
    """
    random = np.random.default_rng(2)
    delivery_s = random.uniform(200, 3000, orders * drones)
    problem = timed_problem(
        orders,
        drones,
        order=np.repeat(np.arange(orders), drones),
        drone=np.tile(np.arange(drones), orders),
        delivery_s=delivery_s,
        busy_s=1.8 * delivery_s + 200,
        sizes=scarcity.Sizes(np.zeros(drones, np.int64), np.zeros((1, 1), bool)),
    )
    started = time.process_time()
    plan = planner.plan(problem)
    took_s = time.process_time() - started
    assert plan.value == plan.bound
    dense_s = solved_dense_s(gains_of(problem, plan), plan)
    DENSE.row(
        f"{orders:,} x {drones:,}",
        Figure(took_s, ".3f"),
        Figure(dense_s, ".3f"),
        Figure(took_s / dense_s, ".2f", at_most=1.5)
        if orders > 1000
        else f"{took_s / dense_s:.2f}",
        Figure(traced_mb(lambda: planner.plan(problem))),
        Figure(traced_mb(lambda: solved_dense_s(gains_of(problem, plan), plan))),
    )


def traced_mb(run: Callable[[], object]) -> float:
    """The peak of the memory that a call takes. Traced, it is slow."""
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def peak_mb() -> float:
    """The peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
