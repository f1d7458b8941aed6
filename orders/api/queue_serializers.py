"""The place in line and the expected time of a waiting order as JSON."""

from datetime import datetime

from orders.api.contract import HeldUp, Queue, TimeRange
from orders.api.reading import ShownOrder
from orders.states import WhyHeldUp


def queue_json(order: ShownOrder) -> Queue | None:
    """None unless `memory.attach` found the order in line."""
    spot = order.in_line
    if spot is None:
        return None
    return {"place": spot.place, "of": spot.of, "held_up": _held_up(spot.because)}


def _held_up(code: str) -> HeldUp | None:
    return {"code": code, "message": f"{WhyHeldUp(code).label}."} if code else None


def eta_range(order: ShownOrder) -> TimeRange | None:
    """When a waiting order is expected at the door, if `memory.attach` found that."""
    spot = order.in_line
    return None if spot is None else time_range(spot.low_at, spot.high_at)


def time_range(low_at: datetime | None, high_at: datetime | None) -> TimeRange | None:
    if low_at is None or high_at is None:
        return None
    return {"low": low_at.replace(microsecond=0), "high": high_at.replace(microsecond=0)}
