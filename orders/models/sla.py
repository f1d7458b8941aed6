"""Whether an order is on time, at risk or late. Pure."""

from datetime import datetime, timedelta
from typing import Protocol

from orders.states import TERMINAL

# Without an ETA an order is at risk once less than this share of its window is left.
AT_RISK_SHARE = 0.25


class Promised(Protocol):
    """An order with what was promised and what has come of it."""

    status: str
    created_at: datetime
    not_before: datetime | None
    deliver_by: datetime
    delivered_at: datetime | None


def sla(order: Promised, eta_at: datetime | None, now: datetime) -> str | None:
    """See `sla_of`. None when the order ended without a delivery."""
    if order.status in TERMINAL and order.delivered_at is None:
        return None
    starts_at = max(order.created_at, order.not_before or order.created_at)
    return sla_of(starts_at, order.deliver_by, order.delivered_at, eta_at, now)


def sla_of(
    starts_at: datetime,
    deliver_by: datetime,
    delivered_at: datetime | None,
    eta_at: datetime | None,
    now: datetime,
) -> str:
    """`on_time`, `at_risk` or `late`. `starts_at`: when work on the order may start."""
    if delivered_at is not None:
        return "on_time" if delivered_at <= deliver_by else "late"
    if now > deliver_by:
        return "late"
    if eta_at is not None:
        return "at_risk" if eta_at > deliver_by else "on_time"
    left: timedelta = deliver_by - now
    return "at_risk" if left < AT_RISK_SHARE * (deliver_by - starts_at) else "on_time"


def seconds_until(eta_at: datetime | None, now: datetime) -> int | None:
    """Whole seconds until the parcel is at the door, never negative; None when not known."""
    return None if eta_at is None else max(0, round((eta_at - now).total_seconds()))
