"""What an alert needs next, from what the attention list shows now. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto


class Step(Enum):
    NOTHING = auto()
    WATCH = auto()  # open an alert, and tell nothing yet
    FORGET = auto()  # it was never told
    TRIGGER = auto()
    ACKNOWLEDGE = auto()
    RESOLVE = auto()


@dataclass(frozen=True, slots=True)
class Duty:
    """What a rule says now. `may_tell` is false outside of its hours and while it is off."""

    after: timedelta
    may_tell: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A cause on the attention list. `is_open`: some of it is not acknowledged."""

    is_open: bool
    is_grave: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """An alert. `is_acknowledged`: here or by its receiver. `is_grave`: as it was told."""

    seen_at: datetime
    was_told: bool
    is_acknowledged: bool = False
    is_grave: bool = True


def step(
    duty: Duty, alert: Standing | None, seen: Seen | None, now: datetime, *, in_doubt: bool
) -> Step:
    """`seen` is None while the list does not have the cause; `in_doubt`: because a source that
    could have it was not checked.
    """
    if alert is None:
        return Step.WATCH if seen and seen.is_open and duty.may_tell else Step.NOTHING
    if seen is None:
        if in_doubt:
            return Step.NOTHING
        return Step.RESOLVE if alert.was_told else Step.FORGET
    if not alert.was_told:
        return _before(duty, alert, seen, now)
    if not seen.is_open:
        return Step.NOTHING if alert.is_acknowledged else Step.ACKNOWLEDGE
    # A receiver stays silent about what was acknowledged, and keeps the urgency of a warning: what
    # is open on the list beside that needs a new alert, which follows this one.
    is_told_too_little = seen.is_grave and not alert.is_grave and duty.may_tell
    return Step.RESOLVE if alert.is_acknowledged or is_told_too_little else Step.NOTHING


def _before(duty: Duty, alert: Standing, seen: Seen, now: datetime) -> Step:
    if not seen.is_open:
        return Step.FORGET
    is_due = duty.may_tell and now >= alert.seen_at + duty.after
    return Step.TRIGGER if is_due else Step.NOTHING
