"""Drones are sent so that they arrive when the parcel is ready, not before. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from dispatch.planning.lookahead import Options
from fleet.feasibility.geometry import Floats
from fleet.feasibility.reasons import Reason
from fleet.feasibility.tables import Bools
from fleet.models import ServiceArea
from orders.models import WaitingOrder
from orders.states import Holder

READY_LATER = "ready_later"
# They follow a number of drones, like those of `explanations`.
PHRASES = {READY_LATER: "at the pickup before the parcel is ready"}
# No drone takes longer to a pickup. Orders whose parcel is ready later than that are not planned.
TO_PICKUP_AT_MOST = timedelta(minutes=30)


def in_s(orders: Sequence[WaitingOrder], now: datetime) -> Floats:
    """Seconds until each parcel is ready; 0 if it is, if it is not with its sender any more, or if
    the sender gave no time.
    """
    return np.array([_in_s(order, now) for order in orders], float)


def _in_s(order: WaitingOrder, now: datetime) -> float:
    awaited = order.holder == Holder.SENDER and order.parcel_ready_at is None
    if not awaited or order.ready_at is None:
        return 0.0
    return max(0.0, (order.ready_at - now).total_seconds())


def arriving(
    options: Options, ready_in_s: Floats, fixed: Bools, look_ahead_s: float
) -> tuple[Options, Options]:
    """The options with a wait, so that the drone arrives when the parcel is ready; and those that
    would have to wait longer than the look-ahead.

    A drone that takes longer to the pickup would have to start first. Its option is left out while
    a drone with a shorter trip is able and too early: it would be at the pickup no sooner.

    ready_in_s: of each trip. fixed: pairs that are assigned already.
    """
    early_s = np.where(fixed, 0.0, np.maximum(0.0, ready_in_s[options.trip] - options.pickup_s))
    later = replace(
        options,
        wait_s=options.wait_s + early_s,
        pickup_s=options.pickup_s + early_s,
        delivery_s=options.delivery_s + early_s,
        home_s=options.home_s + early_s,
    )
    too_early = early_s > look_ahead_s
    least_busy_s = np.full(len(ready_in_s), np.inf)
    np.minimum.at(least_busy_s, options.trip[too_early], options.busy_s[too_early])
    better = fixed | (options.busy_s <= least_busy_s[options.trip])
    return later.take(~too_early & better), later.take(too_early)


def waiting(
    too_early: Options,
    orders: Sequence[WaitingOrder],
    drone_ids: Sequence[str],
    areas: Iterable[ServiceArea],
    now: datetime,
) -> dict[int, list[Reason]]:
    """Why each trip of these options waits: its drone with the shortest trip is not sent yet."""
    zones = {area.pk: area.zone for area in areas}
    found: dict[int, list[Reason]] = {}
    shortest = np.argsort(too_early.busy_s, kind="stable")
    trips, first = np.unique(too_early.trip[shortest], return_index=True)
    for trip, pair in zip(trips.tolist(), shortest[first].tolist(), strict=True):
        sent_at = now + timedelta(seconds=float(too_early.wait_s[pair]))
        ready_at = now + timedelta(seconds=float(too_early.pickup_s[pair]))
        zone = zones[orders[trip].service_area_id]
        text = (
            f"The parcel is ready at {ready_at.astimezone(zone):%H:%M}. "
            f"{drone_ids[too_early.drone[pair]]} would be sent at "
            f"{sent_at.astimezone(zone):%H:%M}, so that it arrives then."
        )
        found[trip] = [Reason(READY_LATER, text)]
    return found
