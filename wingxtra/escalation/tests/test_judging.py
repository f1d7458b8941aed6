"""What an alert needs next: a table."""

from datetime import UTC, datetime, timedelta

import pytest

from wingxtra.escalation.judging import Duty, Seen, Standing, Step, step

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AGO = NOW - timedelta(minutes=1)
AT_ONCE = Duty(timedelta(0), may_tell=True)
SLOWLY = Duty(timedelta(minutes=5), may_tell=True)
OFF_DUTY = Duty(timedelta(0), may_tell=False)
OPEN, TAKEN, GONE = Seen(is_open=True), Seen(is_open=False), None
WARNS = Seen(is_open=True, is_grave=False)
WATCHED = Standing(AGO, was_told=False)
TOLD = Standing(AGO, was_told=True)
WARNED = Standing(AGO, was_told=True, is_grave=False)
QUIET = Standing(AGO, was_told=True, is_acknowledged=True)


@pytest.mark.parametrize(
    ("duty", "alert", "seen", "wanted"),
    [
        (AT_ONCE, None, OPEN, Step.WATCH),
        (SLOWLY, None, OPEN, Step.WATCH),
        (AT_ONCE, None, TAKEN, Step.NOTHING),
        (AT_ONCE, None, GONE, Step.NOTHING),
        (OFF_DUTY, None, OPEN, Step.NOTHING),
        (AT_ONCE, WATCHED, OPEN, Step.TRIGGER),
        (SLOWLY, WATCHED, OPEN, Step.NOTHING),
        (OFF_DUTY, WATCHED, OPEN, Step.NOTHING),
        (AT_ONCE, WATCHED, TAKEN, Step.FORGET),
        (AT_ONCE, WATCHED, GONE, Step.FORGET),
        (AT_ONCE, TOLD, OPEN, Step.NOTHING),
        (AT_ONCE, TOLD, TAKEN, Step.ACKNOWLEDGE),
        (OFF_DUTY, TOLD, TAKEN, Step.ACKNOWLEDGE),
        (AT_ONCE, TOLD, GONE, Step.RESOLVE),
        (OFF_DUTY, TOLD, GONE, Step.RESOLVE),
        (AT_ONCE, QUIET, TAKEN, Step.NOTHING),
        (AT_ONCE, QUIET, GONE, Step.RESOLVE),
        # A new alert follows.
        (AT_ONCE, QUIET, OPEN, Step.RESOLVE),
        (AT_ONCE, WARNED, OPEN, Step.RESOLVE),
        (OFF_DUTY, WARNED, OPEN, Step.NOTHING),
        (AT_ONCE, WARNED, WARNS, Step.NOTHING),
        (AT_ONCE, WARNED, TAKEN, Step.ACKNOWLEDGE),
    ],
)
def test_each_case_has_its_step(
    duty: Duty, alert: Standing | None, seen: Seen | None, wanted: Step
) -> None:
    assert step(duty, alert, seen, NOW, in_doubt=False) is wanted


@pytest.mark.parametrize("alert", [None, WATCHED, TOLD, QUIET])
def test_doubt_ends_nothing(alert: Standing | None) -> None:
    assert step(AT_ONCE, alert, GONE, NOW, in_doubt=True) is Step.NOTHING
