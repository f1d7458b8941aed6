"""How far real times are from expected ones: the calibrated range of an expectation. Pure.

A delivery's ratio is its real time over the expected time, both from placing to the door.
Deliveries are sorted into cases that are alike: by priority, by the work that waits for each drone,
and for NORMAL orders by how short their trip is among the waiting ones, because short trips
overtake. The range of a case is from the 5 % to the 95 % quantile of its last ratios, by split
conformal prediction: with n ratios the k-th smallest and the k-th largest, k = 5 % of n + 1,
rounded down. A case without enough deliveries uses STARTING, which was fitted on simulated days.

Ratios are learnt from whole days only. The first deliveries of an hour are its fastest ones, so
ranges that learn during the day are too low when the queue grows
(docs/decisions/0041-promises.md).
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

from fleet.feasibility.rules import Priority
from orders.promises.starting import STARTING

# The range of each case: the lowest and the highest usual ratio.
Ranges = dict[str, tuple[float, float]]

TAIL: Final = 0.05
# The limits of the classes of waiting work, in seconds per drone.
BACKLOGS_S: Final = (30.0, 180.0, 600.0, 1800.0, 3600.0)
# The limits of the share of orders of the same rank that are ahead.
SHARES: Final = (0.02, 0.15, 0.5)
# From this many deliveries on, a case has a range of its own.
ENOUGH: Final = 100


def case(priority: str, backlog_s: float, share_ahead: float) -> str:
    """The name of a case, for example “NORMAL/3/1”."""
    backlog = bisect_right(BACKLOGS_S, backlog_s)
    share = bisect_right(SHARES, share_ahead) if priority == Priority.NORMAL else 0
    return f"{priority}/{backlog}/{share}"


def fitted(ratios: Mapping[str, Sequence[float]], enough: int = ENOUGH) -> Ranges:
    """The range of each case with enough ratios."""
    return {name: _range(sorted(of)) for name, of in ratios.items() if len(of) >= enough}


def every_case() -> list[str]:
    """All cases, by priority, then from little to much waiting work."""
    return [
        f"{priority}/{backlog}/{share}"
        for priority in Priority.values
        for backlog in range(len(BACKLOGS_S) + 1)
        for share in range(len(SHARES) + 1 if priority == Priority.NORMAL else 1)
    ]


def complete(ranges: Ranges) -> Ranges:
    """These ranges for every case; one that has none gets that of the nearest case of its priority.

    Raises ValueError when a priority has no range at all.
    """
    return {name: ranges[_nearest(name, ranges)] for name in every_case()}


def _nearest(name: str, ranges: Ranges) -> str:
    priority, *place = name.split("/")
    alike = [known for known in ranges if known.startswith(f"{priority}/")]
    if not alike:
        raise ValueError(f"no range for {priority} orders")

    def far(known: str) -> int:
        _, backlog, share = known.split("/")
        return 10 * abs(int(backlog) - int(place[0])) + abs(int(share) - int(place[1]))

    return min(alike, key=far)


def range_of(case: str, ranges: Ranges) -> tuple[float, float]:
    """The range of a case: its own, or the starting one."""
    return ranges.get(case) or STARTING[case]


def _range(ordered: Sequence[float]) -> tuple[float, float]:
    rank = max(1, int(TAIL * (len(ordered) + 1)))
    return round(float(ordered[rank - 1]), 3), round(float(ordered[-rank]), 3)
