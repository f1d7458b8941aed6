"""Calibrated ranges: cases, quantiles, and what is learnt from deliveries."""

import random
from datetime import datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.console.pages import numbers
from orders.models import Order
from orders.promises import calibration, coverage
from orders.promises.calibration import ENOUGH
from orders.promises.starting import STARTING
from orders.states import Status
from orders.tests.factories import OrderFactory, multiply_orders
from wingxtra.accounts.identity import DISPATCHER, GCS, SYSTEM
from wingxtra.console.look import Look

CASE = "NORMAL/0/0"


# --- pure ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("priority", "backlog_s", "share", "case"),
    [
        ("NORMAL", 0, 0, "NORMAL/0/0"),
        ("NORMAL", 0, 1, "NORMAL/0/3"),
        ("NORMAL", 30, 0.1, "NORMAL/1/1"),
        ("NORMAL", 3600, 0.5, "NORMAL/5/3"),
        ("URGENT", 700, 0.9, "URGENT/3/0"),
        ("MEDICAL", 1e6, 0, "MEDICAL/5/0"),
    ],
)
def test_cases(priority, backlog_s, share, case):
    assert calibration.case(priority, backlog_s, share) == case
    assert case in calibration.every_case()


def test_every_case_has_a_starting_range():
    assert list(STARTING) == calibration.every_case()
    assert all(low < 1 < high or 1 <= low < high for low, high in STARTING.values())


def test_the_range_leaves_out_a_twentieth_at_each_end():
    ranges = calibration.fitted({CASE: [n / 100 for n in range(1, 200)]})
    assert ranges[CASE] == (0.1, 1.9)
    assert calibration.range_of(CASE, ranges) == (0.1, 1.9)


def test_few_deliveries_keep_the_starting_range():
    ranges = calibration.fitted({CASE: [1.0] * (ENOUGH - 1)})
    assert ranges == {}
    assert calibration.range_of(CASE, ranges) == STARTING[CASE]


def test_a_range_holds_for_nine_of_ten_of_the_same_kind():
    """Conformal prediction promises this for each distribution."""
    random.seed(1)
    inside = 0
    for _ in range(400):
        low, high = calibration.fitted({CASE: [random.paretovariate(2) for _ in range(199)]})[CASE]
        inside += low <= random.paretovariate(2) <= high
    assert 0.87 <= inside / 400 <= 0.93


def test_a_case_without_ratios_takes_the_nearest_one():
    ranges = {"NORMAL/0/0": (0.9, 1.1), "NORMAL/3/0": (0.5, 3.0), "URGENT/0/0": (0.8, 1.2)}
    found = calibration.complete(ranges | {"MEDICAL/0/0": (0.9, 1.3)})
    assert (found["NORMAL/1/0"], found["NORMAL/5/3"]) == ((0.9, 1.1), (0.5, 3.0))
    with pytest.raises(ValueError, match="MEDICAL"):
        calibration.complete(ranges)


# --- deliveries ----------------------------------------------------------------------------------


def delivered(took_s: float, at: datetime, *, rescheduled: bool = False) -> Order:
    """An order that was expected after 600 s, in a range of 500 to 700 s."""
    with time_machine.travel(at, tick=False):
        expected_at = at + timedelta(seconds=600)
        margin = timedelta(seconds=100)
        order = OrderFactory(
            quoted_low_at=expected_at - margin,
            quoted_high_at=expected_at + margin,
            quoted_expected_at=expected_at,
            quoted_case=CASE,
        )
        if rescheduled:
            later = at + timedelta(hours=3)
            lifecycle.reschedule(order.pk, not_before=None, deliver_by=later, by=SYSTEM)
            lifecycle.enqueue_due(at, by=SYSTEM)
        lifecycle.assign(order.pk, DroneFactory().pk, by=DISPATCHER, why="The only one.")
    with time_machine.travel(at + timedelta(seconds=took_s), tick=False):
        return lifecycle.advance(order.pk, Status.DELIVERED, by=GCS).order


def copies(count: int) -> None:
    multiply_orders(
        count,
        {
            "id": "gen_random_uuid()",
            "public_tracking_id": "left(md5('copy' || id || n), 13)",
            "external_id": "NULL",
        },
    )


@pytest.mark.django_db
def test_without_deliveries_the_console_says_so():
    (number,) = [n for n in numbers(Look(timezone.now())) if n.label == "Quoted ranges, last week"]
    assert (number.value, number.detail) == ("—", "no order with a quoted range was delivered")


@pytest.mark.django_db
def test_the_console_counts_last_weeks_deliveries():
    now = timezone.now()
    delivered(600, now - timedelta(hours=5))
    delivered(750, now - timedelta(hours=4))
    delivered(650, now - timedelta(days=8))  # before last week
    OrderFactory()
    with CaptureQueriesContext(connection) as statements:
        week = coverage.last_week(now)
    assert (week.deliveries, week.inside, week.width_s) == (2, 1, 200)
    assert len(statements) == 1
    (number,) = [n for n in numbers(Look(now)) if n.label == "Quoted ranges, last week"]
    assert number.value == "50 %"
    assert number.detail == ("of 2 deliveries were inside the quoted range; median width 3 min")


@pytest.mark.django_db
def test_ranges_are_learnt_from_the_deliveries_of_whole_days():
    """A case with enough deliveries of past days gets its own range; today's do not count."""
    now = timezone.now().replace(hour=12)
    delivered(900, now - timedelta(days=1))
    copies(ENOUGH)
    delivered(1200, now - timedelta(hours=2))
    assert coverage.ranges(now) == {CASE: (1.5, 1.5)}


@pytest.mark.django_db
def test_ranges_are_learnt_again_only_after_an_hour():
    now = timezone.now().replace(hour=12)
    assert coverage.ranges(now) == {}
    delivered(900, now - timedelta(days=1))
    copies(ENOUGH)
    with CaptureQueriesContext(connection) as statements:
        assert coverage.ranges(now) == {}
    assert len(statements) == 0


@pytest.mark.django_db
def test_a_rescheduled_order_is_not_measured():
    at = timezone.now() - timedelta(days=1)
    order = delivered(600, at, rescheduled=True)
    assert order.quoted_low_at is not None
    assert coverage.last_week(timezone.now()).deliveries == 0
