"""Simulated days: the planner compared with first come, first served, with and without network."""

from dataclasses import replace

import pytest

from dispatch.evaluation import comparison
from dispatch.evaluation.comparison import COLUMNS, Figures
from dispatch.whatif import city
from dispatch.whatif.city import Day
from dispatch.whatif.strategies import FIRST_COME, PLANNED
from fleet.policy import Policy
from wingxtra.tests.bench import tables

pytestmark = pytest.mark.bench

# Seeds of the tables in docs/dispatch.md. Of them only the overloaded day of seed 21 changed a
# parameter, the limit of eight promises.
SEEDS = (21, 22, 23, 24, 25)
# A day is chaotic: different rounding on another processor can change a figure a little.
MARGIN = 0.05
# What URGENT and MEDICAL orders gain costs the NORMAL ones, where more orders come than drones can
# fly: these figures may be worse than first come on single days (docs/dispatch.md names them).
WITH_NETWORK = {"NORMAL p50", "NORMAL p95", "NORMAL mean"}
WHEN_OVERLOADED = {f"{group} {name}" for group in ("NORMAL", "all") for name in COLUMNS}
WHEN_OVERLOADED -= {"all kept"}
# Without a queue the longest wait is that of one order far away, about 20 minutes.
LONGEST = {"longest"}
MAY_BE_WORSE = {
    ("light", True): LONGEST,
    ("slow charging", True): LONGEST,
    ("normal", True): WITH_NETWORK,
    ("normal", False): WHEN_OVERLOADED,
    ("overloaded", True): WHEN_OVERLOADED,
    ("overloaded", False): WHEN_OVERLOADED | LONGEST,
}


@pytest.mark.parametrize("network", [False, True], ids=["home", "network"])
@pytest.mark.parametrize("day", city.DAYS, ids=lambda day: day.name)
def test_the_plan_is_no_worse_than_first_come_on_any_day(day, network):
    day = replace(day, network=network)
    runs = comparison.run(day, SEEDS, Policy().rules(), [FIRST_COME, PLANNED])
    tables.write(f"\n{comparison.table(day, runs)}")
    first_come, planned = runs.values()
    worse = comparison.worse_on_a_day(planned, first_come, by=MARGIN)
    found = {seed: _unexpected(day, of) for seed, of in zip(SEEDS, worse, strict=True)}
    assert {seed: of for seed, of in found.items() if of} == {}


def _unexpected(day: Day, worse: Figures) -> Figures:
    may = MAY_BE_WORSE.get((day.name, day.network), set())
    return {name: ratio for name, ratio in worse.items() if name not in may}
