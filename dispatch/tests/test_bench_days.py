"""Whole days of deliveries: first come, first served by the nearest drone, against the plan."""

import pytest

from dispatch import comparison, simulation
from dispatch.simulation import FIRST_COME, PLANNED
from fleet.policy import Policy

pytestmark = pytest.mark.bench

# Nothing was chosen on this one. `simulate_day --seeds 21 22 23` takes three times as long.
SEED = 21


@pytest.mark.parametrize("day", simulation.DAYS, ids=lambda day: day.name)
def test_the_plan_against_first_come(day):
    runs = comparison.run(day, [SEED], Policy().rules(), [FIRST_COME, PLANNED])
    print(f"\n{comparison.table(day, runs)}")
    first_come, planned = (comparison.figures(outcomes) for outcomes in runs.values())
    ratio = comparison.ratios(planned, first_come)
    for_everybody = {name: ratio[name] for name in ("all p50", "all p95", "kept", "km")}
    assert comparison.worse(for_everybody, by=0.03) == {}
