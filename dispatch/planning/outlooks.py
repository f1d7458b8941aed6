"""Keeps the forecast of each service area current, for quotes and for orders in line.

It runs beside the planner and not in it: an area without waiting orders, or a paused one, has no
runs, but its quotes need a forecast, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import numpy as np
import structlog

from dispatch.planning import eligibility, engagements, forecast, plans
from dispatch.planning.forecast import Fleet, Forecast, Waiting
from fleet import registry
from fleet.airspace import rulebook
from fleet.airspace.rulebook import Rulebook
from fleet.feasibility import best_case, judge
from fleet.feasibility.judge import Rule, Verdicts
from fleet.feasibility.tables import DroneTable
from fleet.live import picture
from fleet.models import Drone, ServiceArea
from orders import placement
from orders.models import Order
from orders.promises import coverage, memory
from orders.promises.memory import Queue, Spot
from orders.states import WhyHeldUp
from wingxtra import redis_client

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Area:
    """One area's waiting orders, with the verdicts of each with each of its best drones."""

    orders: list[Order]
    best: DroneTable
    verdicts: Verdicts


def refresh(area_id: UUID, now: datetime) -> None:
    """Forecast one area from its present orders and drones, and store that.

    Without Redis nothing is stored, and logged.
    """
    book = rulebook.current(now)
    area = next((one for one in book.areas if one.pk == area_id), None)
    if area is None:
        return
    orders = _waiting(area_id, book, now)
    try:
        if book.rules.dispatch_paused or area.dispatch_paused:
            memory.write(area_id, None, Queue(now, len(orders), WhyHeldUp.PAUSED), {})
            return
        judged = _judged(orders, book.areas.index(area), book, now)
        fleet = _fleet(area_id, judged.best, book, now)
        made = forecast.forecast(
            _line(judged, len(fleet.group), now),
            fleet,
            book.rules,
            coverage.ranges(now),
            now,
        )
        memory.write(area_id, made.outlook, Queue(now, len(orders)), _spots(judged, made, now))
    except redis_client.Away as error:
        log.warning("forecast_not_stored", service_area_id=str(area_id), error=str(error))


def areas() -> list[UUID]:
    """The service areas to be forecast."""
    return list(ServiceArea.objects.filter(active=True).values_list("pk", flat=True))


def _waiting(area_id: UUID, book: Rulebook, now: datetime) -> list[Order]:
    queued = Order.objects.dispatchable().ready_for(book.rules, now).filter(service_area=area_id)
    orders = eligibility.may_be_planned(queued).select_related("holder_hub")
    return list(orders.order_by("pk"))


def _judged(orders: list[Order], area: int, book: Rulebook, now: datetime) -> _Area:
    best = book.best_drones.take(book.best_drones.area == area)
    trips = placement.trip_table(orders, book)
    pairs = judge.every_pair(len(best), len(trips))
    verdicts = judge.judge(best, trips, *pairs, book.rules, book.zone_shapes, now, book.wind_mps)
    return _Area(orders, best, verdicts)


def _line(area: _Area, drones: int, now: datetime) -> Waiting:
    return forecast.in_line(
        [str(order.pk) for order in area.orders],
        [order.priority for order in area.orders],
        np.array([plans.waited_s(order, now) for order in area.orders]),
        area.verdicts,
        np.arange(len(area.orders)),
        drones,
    )


def _fleet(area_id: UUID, best: DroneTable, book: Rulebook, now: datetime) -> Fleet:
    """The drones of the area about which is known when they are free."""
    drones: Sequence[Drone] = list(
        Drone.objects.filter(hub__service_area=area_id, active=True).prefetch_related("kind", "hub")
    )
    jobs = plans.jobs_underway(drones)
    busy = {job["drone_id"] for job in jobs}
    engaged = replace(engagements.current(), busy=busy)
    table = registry.drone_table(drones, picture.read(), engaged, book, now)
    places = {drone.pk: place for place, drone in enumerate(drones)}
    expected, free_in_s = plans.expected_fleet(table, plans.work_of(jobs, places, now), book, now)
    group = best_case.group_of(expected, best)
    known = np.isfinite(free_in_s) & (group >= 0)
    return Fleet(
        group=group[known],
        free_s=free_in_s[known],
        battery_pct=expected.battery_pct[known],
        names=[str(name) for name in best.drone_id],
        kind=best_case.kind_of(best),
    )


def _spots(area: _Area, made: Forecast, now: datetime) -> dict[UUID, Spot]:
    since = now.timestamp()
    calm = np.zeros(len(area.orders), bool)
    np.logical_or.at(calm, area.verdicts.t, ~area.verdicts.has(Rule.TOO_WINDY))
    spots = {}
    for i, order in enumerate(area.orders):
        place, door_s = int(made.place[i]), float(made.door_s[i])
        if not np.isfinite(door_s):
            spots[order.pk] = Spot(
                place, because=WhyHeldUp.NO_DRONE if calm[i] else WhyHeldUp.TOO_WINDY
            )
            continue
        low_at, high_at = (since + door_s * float(share[i]) for share in (made.low, made.high))
        spots[order.pk] = Spot(place, round(low_at, 1), round(high_at, 1))
    return spots
