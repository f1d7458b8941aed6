"""Which pairs may start when: once the parcel is ready, and within the hours of the places. Pure.

Runs and simulated days use it.
"""

from typing import NamedTuple

from dispatch.planning.limits import ready
from dispatch.planning.limits.open_hours import Hours
from dispatch.planning.lookahead import Options
from fleet.feasibility.geometry import Floats, Ints


class Timely(NamedTuple):
    """The options that the plan may choose, with their waits; those whose drone would be at the
    pickup before the parcel is ready; and those against which the hours stand.
    """

    options: Options
    too_early: Options
    closed: Options


def timely(
    options: Options, ready_in_s: Floats, hours: Hours, holds: Ints, look_ahead_s: float
) -> Timely:
    """ready_in_s, holds (T,): until each parcel is ready, and the drone that each order has already
    or NONE_HELD. That drone is kept: its hours are checked again before its mission is sent.
    """
    assigned = holds[options.trip] == options.drone
    arriving, too_early = ready.arriving(options, ready_in_s, assigned, look_ahead_s)
    allowed = hours.allow(arriving) | (holds[arriving.trip] == arriving.drone)
    return Timely(arriving.take(allowed), too_early, arriving.take(~allowed))
