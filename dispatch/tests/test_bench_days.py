"""Whole days of deliveries: first come, first served by the nearest drone, against the plan."""

import pytest

from dispatch.evaluation import comparison
from dispatch.whatif import simulation
from dispatch.whatif.simulation import FIRST_COME, PLANNED
from fleet.policy import Policy
from wingxtra.tests.bench import tables

pytestmark = pytest.mark.bench

# Nothing was chosen on these: the table of docs/dispatch.md.
SEEDS = (21, 22, 23)
# There no figure is worse by more than 3 %. A day is chaotic: what another processor rounds
# otherwise may move a figure by some more.
MARGIN = 0.05


@pytest.mark.parametrize("day", simulation.DAYS, ids=lambda day: day.name)
def test_the_plan_is_nowhere_worse_than_first_come(day):
    runs = comparison.run(day, SEEDS, Policy().rules(), [FIRST_COME, PLANNED])
    tables.write(f"\n{comparison.table(day, runs)}")
    first_come, planned = (comparison.figures(outcomes) for outcomes in runs.values())
    assert comparison.worse(comparison.ratios(planned, first_come), by=MARGIN) == {}
