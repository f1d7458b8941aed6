"""Simulated quotes: the harness that fits and checks the ranges, on a small day."""

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from django.core.management import call_command

from dispatch.evaluation import promises
from dispatch.whatif import city
from dispatch.whatif.city import Day
from fleet.policy import Policy
from orders.promises import calibration
from orders.promises.starting import STARTING

RULES = Policy().rules()
SMALL = Day("small", orders=120, drones=5, hubs=2)


@pytest.mark.parametrize("network", [False, True])
def test_each_order_of_a_day_is_quoted(network):
    quoted = promises.quoted_days(replace(SMALL, network=network), [1], RULES, {})
    assert len(quoted.case) == len(quoted.real_s) == 120
    assert set(quoted.case) <= set(STARTING)
    assert (quoted.low_s < quoted.high_s).all()
    assert (quoted.real_s > 0).all()
    assert "120 quotes" in promises.table(SMALL, quoted)


def test_ranges_that_were_fitted_on_a_day_hold_on_it():
    ranges = promises.fit([SMALL], [1], RULES, enough=1)
    quoted = promises.quoted_days(SMALL, [1], RULES, ranges)
    # 90 % of many; these are 120 quotes in many cases.
    assert quoted.inside().mean() > 0.8
    assert list(ranges) == calibration.every_case()


def test_wrong_ranges_are_put_right_by_what_was_delivered():
    """Every flight takes half as long again as planned, for example because of slow loading."""
    first, second = (_slower(promises.quoted_days(SMALL, [seed], RULES, {})) for seed in (3, 4))
    ratios: dict[str, list[float]] = {}
    for case, ratio in zip(first.case, first.real_s / first.expected_s, strict=True):
        ratios.setdefault(case, []).append(float(ratio))
    learnt = calibration.fitted(ratios, enough=20)
    shares = np.array([calibration.range_of(case, learnt) for case in second.case])
    ratio = second.real_s / second.expected_s
    after = ((shares[:, 0] <= ratio) & (ratio <= shares[:, 1])).mean()
    assert second.inside().mean() < 0.5
    assert after > 0.75


def _slower(quoted: promises.Quoted) -> promises.Quoted:
    return replace(quoted, real_s=1.5 * quoted.real_s)


def test_the_command_prints_the_starting_ranges(monkeypatch):
    monkeypatch.setattr(city, "DAYS", (replace(SMALL, orders=400, drones=20),))
    out = StringIO()
    call_command("fit_promises", seeds=[1], days=["small"], stdout=out)
    printed: dict[str, object] = {}
    exec(out.getvalue(), printed)
    assert list(printed["STARTING"]) == calibration.every_case()
