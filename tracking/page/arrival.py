"""When a parcel is expected at the door: the range around its ETA, for 90 % of deliveries. Pure.

Before take-off it is the calibrated range of quotes (`orders.promises.calibration`), for an order
that waits for no other: of the whole time from the assignment to the door. In flight it is the
range of FLIGHTS, of the time that is left. `dispatch/tests/test_bench_arrivals.py` measures that on
simulated flights, and fails when it does not fit.
"""

from bisect import bisect_right
from datetime import datetime, timedelta
from typing import Final

from orders.promises import calibration
from orders.promises.calibration import Ranges

# (up to these seconds left by the ETA, the lowest and the highest usual share of them).
FLIGHTS: Final = (
    (60.0, (1.0, 1.48)),
    (120.0, (0.98, 1.16)),
    (240.0, (0.85, 1.18)),
    (480.0, (0.69, 1.14)),
    (float("inf"), (0.58, 1.14)),
)


def before_take_off(
    eta_at: datetime, assigned_at: datetime, now: datetime, priority: str, ranges: Ranges
) -> tuple[datetime, datetime]:
    """The earliest and the latest expected arrival of an order that has its drone. ranges: those
    that were learnt from deliveries.
    """
    low, high = calibration.range_of(calibration.case(priority, 0.0, 0.0), ranges)
    whole = max(eta_at - assigned_at, timedelta(0))
    return max(now, assigned_at + low * whole), max(now, assigned_at + high * whole)


def in_flight(eta_at: datetime, now: datetime) -> tuple[datetime, datetime]:
    """The earliest and the latest expected arrival of a drone that is on its way."""
    left = max(eta_at - now, timedelta(0))
    low, high = shares(left.total_seconds())
    return now + low * left, now + high * left


def shares(left_s: float) -> tuple[float, float]:
    """The lowest and the highest usual real time left, as shares of this one."""
    limits = [limit for limit, _ in FLIGHTS]
    return FLIGHTS[min(bisect_right(limits, left_s), len(FLIGHTS) - 1)][1]
