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
    """A cause on the attention list. `is_open`: not acknowledged. `level` rises as it gets worse.

    `since`: when it began, where that is known.
    """

    level: int
    is_open: bool
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """An alert. `acknowledged_at`: here or by its receiver. The acknowledgement counts until
    `quiet_until`, for this `level`.
    """

    seen_at: datetime
    was_told: bool
    level: int
    acknowledged_at: datetime | None = None
    quiet_until: datetime | None = None


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
    if alert.acknowledged_at is None:
        return Step.NOTHING if seen.is_open else Step.ACKNOWLEDGE
    # A receiver stays silent about what was acknowledged, so a new alert has to follow this one.
    return Step.RESOLVE if seen.is_open and _is_open_again(alert, seen, now) else Step.NOTHING


def _is_open_again(alert: Standing, seen: Seen, now: datetime) -> bool:
    """It became worse, the acknowledgement has ended, or the problem ended and began again."""
    if seen.level > alert.level or (alert.quiet_until and now >= alert.quiet_until):
        return True
    return bool(seen.since and alert.acknowledged_at and seen.since > alert.acknowledged_at)


def _before(duty: Duty, alert: Standing, seen: Seen, now: datetime) -> Step:
    if not seen.is_open:
        return Step.FORGET
    is_due = duty.may_tell and now >= alert.seen_at + duty.after
    return Step.TRIGGER if is_due else Step.NOTHING
