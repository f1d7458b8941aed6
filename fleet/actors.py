"""The fleet's work for workers: ask the Fleet API again and again.

Whoever follows flights does so on its own schedule and not behind this poll: that telemetry has
stopped must be noticed above all when the poll fails.
"""

import dramatiq

from fleet import picture
from fleet.client import FleetUnavailable
from wingxtra.broker import every

POLL_EVERY_S = 2


@every(POLL_EVERY_S)
@dramatiq.actor
def poll() -> None:
    try:
        picture.renew()
    except FleetUnavailable:
        return  # logged and counted; the former picture grows old, and the next tick tries again
