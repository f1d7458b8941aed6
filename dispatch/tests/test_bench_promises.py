"""Quoted ranges on simulated days that they were not fitted on: coverage and width."""

from dataclasses import replace

import numpy as np
import pytest

from dispatch.evaluation import promises
from dispatch.whatif import city
from fleet.policy import Policy
from wingxtra.tests.bench import tables

pytestmark = pytest.mark.bench

# The starting ranges were fitted on seeds 31 to 35. A planner that serves other orders first needs
# new ones: `manage.py fit_promises`.
SEEDS = (21, 22, 23)
DAYS = [
    replace(day, network=network, name=f"{day.name}, network" if network else day.name)
    for network in (False, True)
    for day in city.DAYS[:3]
]


@pytest.mark.parametrize("day", DAYS, ids=lambda day: day.name)
def test_nine_of_ten_deliveries_are_inside_the_quoted_range(day):
    quoted = promises.quoted_days(day, SEEDS, Policy().rules(), ranges={})
    tables.write(f"\n{promises.table(day, quoted)}")
    assert 0.88 <= quoted.inside().mean() <= 0.92
    assert np.median(quoted.width_s()) < 60 * 60
