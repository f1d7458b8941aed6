"""When drones charge at hubs with a limited number of chargers. Pure."""

import heapq

import numpy as np

from fleet.feasibility.geometry import Floats, Ints


def begins_s(
    hub: Ints, arrives_s: Floats, battery_pct: Floats, chargers: Floats, full_charge_s: float
) -> Floats:
    """When each drone (N,) begins to charge: seconds from now, never before it arrives.

    A charger serves one drone until that is full, in the order of arrival; among drones that have
    arrived together (all that stand there now), the fullest first. hub: the index into `chargers`
    (H,), infinite for any number; below 0: no hub, no wait. NaN for a drone with an unknown arrival
    or charge, which takes no charger.
    """
    begins: Floats = np.where(np.isfinite(battery_pct), np.maximum(arrives_s, 0.0), np.nan)
    for place in np.flatnonzero(np.isfinite(chargers)):
        here = np.flatnonzero((hub == place) & np.isfinite(begins) & (battery_pct < 100))
        turn = here[np.lexsort((here, -battery_pct[here], arrives_s[here]))]
        ends = [0.0] * int(chargers[place])
        for drone in turn:
            begins[drone] = max(begins[drone], heapq.heappop(ends))
            need_s = (100 - battery_pct[drone]) * full_charge_s / 100
            heapq.heappush(ends, begins[drone] + need_s)
    return begins
