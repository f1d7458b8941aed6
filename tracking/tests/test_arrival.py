"""The range of an arrival: calibrated before take-off, measured in flight."""

from datetime import UTC, datetime, timedelta

import pytest

from orders.promises.starting import STARTING
from tracking.page import arrival

NOW = datetime(2026, 3, 3, 14, 0, tzinfo=UTC)
S = timedelta(seconds=1)


def test_before_take_off_it_is_the_calibrated_range_from_the_assignment_on() -> None:
    eta_at, assigned_at = NOW + 400 * S, NOW - 200 * S
    low, high = STARTING["URGENT/0/0"]
    found = arrival.before_take_off(eta_at, assigned_at, NOW, "URGENT", {})
    assert found == (assigned_at + low * 600 * S, assigned_at + high * 600 * S)


def test_it_is_learnt_from_deliveries() -> None:
    learnt = {"NORMAL/0/0": (0.9, 2.0)}
    found = arrival.before_take_off(NOW + 600 * S, NOW, NOW, "NORMAL", learnt)
    assert found == (NOW + 540 * S, NOW + 1200 * S)


def test_a_late_take_off_does_not_move_the_range_and_none_is_in_the_past() -> None:
    learnt = {"NORMAL/0/0": (0.9, 1.2)}
    eta_at, assigned_at = NOW + 10 * S, NOW - 590 * S
    assert arrival.before_take_off(eta_at, assigned_at, NOW, "NORMAL", learnt) == (
        NOW,
        NOW + 130 * S,
    )


@pytest.mark.parametrize("left_s", [1, 59, 60, 119, 300, 900, 5000])
def test_in_flight_it_is_a_share_of_the_time_left(left_s: int) -> None:
    low, high = arrival.in_flight(NOW + left_s * S, NOW)
    share_low, share_high = arrival.shares(left_s)
    assert (low, high) == (NOW + share_low * left_s * S, NOW + share_high * left_s * S)
    assert share_low <= 1 < share_high


def test_an_eta_that_is_over_is_now() -> None:
    assert arrival.in_flight(NOW - S, NOW) == (NOW, NOW)
