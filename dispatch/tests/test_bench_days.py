"""Simulated days: the planner compared with first come, first served."""

import pytest

from dispatch.evaluation import comparison
from dispatch.whatif import city
from dispatch.whatif.strategies import FIRST_COME, PLANNED
from fleet.policy import Policy
from wingxtra.tests.bench import tables

pytestmark = pytest.mark.bench

# Seeds of the table in docs/dispatch.md. No parameter was tuned on them.
SEEDS = (21, 22, 23)
# In that table no figure is worse by more than 3 %. A day is chaotic: different rounding on another
# processor can change a figure a little more.
MARGIN = 0.05


@pytest.mark.parametrize("day", city.DAYS, ids=lambda day: day.name)
def test_the_plan_is_no_worse_than_first_come_in_any_figure(day):
    runs = comparison.run(day, SEEDS, Policy().rules(), [FIRST_COME, PLANNED])
    tables.write(f"\n{comparison.table(day, runs)}")
    first_come, planned = (comparison.figures(outcomes) for outcomes in runs.values())
    assert comparison.worse(comparison.ratios(planned, first_come), by=MARGIN) == {}
