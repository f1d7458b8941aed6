"""The comparison of strategies: its figures, its ratios, and which ratio is worse."""

import numpy as np
import pytest

from dispatch.evaluation import comparison
from dispatch.whatif.simulation import Day, Outcome

DAY = Day("short", orders=4, drones=2)


def outcome(minutes: list[float], kept: list[bool], km: float) -> Outcome:
    priority = np.array(["NORMAL", "NORMAL", "URGENT", "MEDICAL"])
    return Outcome(np.array(minutes), np.array(kept), priority, km)


SLOW = outcome([10, 30, 20, 40], [True, True, True, False], km=100)
QUICK = outcome([10, 40, 10, 10], [True] * 4, km=90)


def test_figures_cover_all_orders_and_each_priority():
    found = comparison.figures([SLOW])
    assert found["all p50"] == 25
    assert found["NORMAL p50"] == 20
    assert found["NORMAL p95"] == pytest.approx(29)
    assert found["MEDICAL p95"] == found["longest"] == 40
    assert found["all mean"] == 25
    assert (found["all kept"], found["NORMAL kept"], found["MEDICAL kept"]) == (75, 100, 0)
    assert found["km"] == 100


def test_orders_of_several_days_are_pooled_and_kilometres_averaged():
    found = comparison.figures([SLOW, QUICK])
    assert found["MEDICAL p50"] == 25
    assert (found["all kept"], found["km"]) == (87.5, 95)


def test_longer_times_and_fewer_kept_promises_are_worse():
    slow, quick = comparison.figures([SLOW]), comparison.figures([QUICK])
    assert comparison.worse(comparison.ratios(quick, slow), by=0.03) == {
        "NORMAL p50": 1.25,
        "NORMAL p95": pytest.approx(38.5 / 29),
        "NORMAL mean": 1.25,
    }
    assert comparison.worse(comparison.ratios(slow, quick), by=0.03)["all kept"] == 0.75
    assert comparison.worse(comparison.ratios(slow, slow), by=0.0) == {}
    assert comparison.ratios(quick, slow)["MEDICAL kept"] == np.inf


def test_days_are_compared_one_by_one():
    assert comparison.worse_on_a_day([QUICK, SLOW], [SLOW, SLOW], by=0.2) == [
        {"NORMAL p50": 1.25, "NORMAL p95": pytest.approx(38.5 / 29), "NORMAL mean": 1.25},
        {},
    ]


def test_the_table_has_ratios_to_the_first_strategy():
    lines = comparison.table(DAY, {"slow": [SLOW], "quick": [QUICK]}).splitlines()
    assert lines[0].startswith("short: 4 orders, 2 drones, 1 seeds; minutes to the door")
    names = [line[:26].strip() for line in lines[2:]]
    assert names == ["slow", "ratio", "quick", "ratio"]
    assert lines[4].split()[-3:] == ["100.0", "90", "40"]
    assert lines[5].split()[-2:] == ["0.90", "1.00"]
