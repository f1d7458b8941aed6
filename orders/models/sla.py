"""Whether an order is on time, at risk or late. Pure."""

from datetime import datetime, timedelta

# Without an ETA an order is at risk once less than this share of its window is left.
AT_RISK_SHARE = 0.25


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
