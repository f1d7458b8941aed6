"""Keeps the forecast of each service area current, for quotes and for orders in line.

It runs beside the planner and not in it: an area without waiting orders, or a paused one, has no
runs, but its quotes need a forecast, too.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import numpy as np
import structlog

from dispatch.planning import eligibility, engagements, forecast, plans
from dispatch.planning.forecast import Fleet, Forecast, Waiting
from dispatch.planning.limits import landings
from dispatch.planning.limits.landings import Pads
from fleet import registry
from fleet.airspace import rulebook
from fleet.airspace.rulebook import Rulebook
from fleet.feasibility import best_case, judge, landing
from fleet.feasibility.judge import Rule, Verdicts
from fleet.feasibility.tables import DroneTable
from fleet.live import picture
from fleet.live.picture import Picture
from fleet.models import Drone, ServiceArea
from orders import placement
from orders.models import Order
from orders.promises import coverage, memory
from orders.promises.memory import Queue, Spot
from orders.states import WhyHeldUp
from orders.timing import opening
from wingxtra import redis_client

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Area:
    """One area's waiting orders and drones, and the pads of its hubs now."""

    orders: list[Order]
    drones: list[Drone]
    best: DroneTable
    pads: Pads
    fleet: Picture | None


def refresh(area_id: UUID, now: datetime) -> None:
    """Forecast one area from its present orders and drones, and store that.

    Without Redis nothing is stored, and logged.
    """
    book = rulebook.current(now)
    index = next((i for i, one in enumerate(book.areas) if one.pk == area_id), None)
    if index is None:
        return
    try:
        orders, closed = _waiting(area_id, book, now)
        if book.rules.dispatch_paused or book.areas[index].dispatch_paused:
            memory.write(area_id, None, Queue(now, len(orders), WhyHeldUp.PAUSED), {})
            return
        area = _area(area_id, index, orders, book, now)
        verdicts = _judged(area, book, now)
        fleet = _fleet(area, book, now)
        line = _line(area, verdicts, len(fleet.group), now)
        made = forecast.forecast(line, fleet, book.rules, coverage.ranges(now), now)
        spots = _spots(area, verdicts, made, now)
        spots |= {order.pk: Spot(0, because=WhyHeldUp.CLOSED) for order in closed}
        memory.write(area_id, made.outlook, Queue(now, len(orders)), spots)
    except redis_client.Away as error:
        log.warning("forecast_not_stored", service_area_id=str(area_id), error=str(error))


def areas() -> list[UUID]:
    """The service areas to be forecast."""
    return list(ServiceArea.objects.filter(active=True).values_list("pk", flat=True))


def _waiting(area_id: UUID, book: Rulebook, now: datetime) -> tuple[list[Order], list[Order]]:
    """The orders in line, and those that wait for a place to open."""
    queued = Order.objects.dispatchable().ready_for(book.rules, now).filter(service_area=area_id)
    orders = eligibility.may_be_planned(queued).select_related("holder_hub")
    line: list[Order] = []
    closed: list[Order] = []
    waiting = list(orders.order_by("pk"))
    for order, places in zip(waiting, opening.places_of(waiting, book.areas), strict=True):
        (line if opening.opens_at(places, now) == now else closed).append(order)
    return line, closed


def _area(area_id: UUID, index: int, orders: list[Order], book: Rulebook, now: datetime) -> _Area:
    drones = list(
        Drone.objects.filter(hub__service_area=area_id, active=True).prefetch_related("kind", "hub")
    )
    best = book.best_drones.take(book.best_drones.area == index)
    seen = picture.read()
    pads = landings.pads(book, {drone.pk: drone.hub_id for drone in drones}, seen, now)
    return _Area(orders, drones, best, pads, seen)


def _judged(area: _Area, book: Rulebook, now: datetime) -> Verdicts:
    """Every pair of a waiting order with a best drone, by order."""
    trips = placement.trip_table(area.orders, book)
    trips = landing.toward(trips, area.pads.hubs.receiving(), book.rules, book.zone_shapes, now)
    pairs = judge.every_pair(len(area.best), len(trips))
    return judge.judge(area.best, trips, *pairs, book.rules, book.zone_shapes, now, book.winds)


def _line(area: _Area, verdicts: Verdicts, drones: int, now: datetime) -> Waiting:
    return forecast.in_line(
        [str(order.pk) for order in area.orders],
        [order.priority for order in area.orders],
        np.array([plans.waited_s(order, now) for order in area.orders]),
        np.array([(order.deliver_by - now).total_seconds() for order in area.orders]),
        verdicts,
        np.arange(len(area.orders)),
        drones,
    )


def _fleet(area: _Area, book: Rulebook, now: datetime) -> Fleet:
    """The drones of the area about which is known when they are free."""
    jobs = plans.jobs_underway(area.drones)
    engaged = replace(engagements.current(), busy={job["drone_id"] for job in jobs})
    table = registry.drone_table(area.drones, area.fleet, engaged, book, now)
    places = {drone.pk: place for place, drone in enumerate(area.drones)}
    work, stands = plans.work_of(jobs, places, now), area.pads.stands(area.drones)
    expected, free_in_s = plans.expected_fleet(table, work, area.pads.hubs, stands, book, now)
    group = best_case.group_of(expected, area.best)
    known = np.isfinite(free_in_s) & (group >= 0)
    return Fleet(
        group=group[known],
        free_s=free_in_s[known],
        battery_pct=expected.battery_pct[known],
        names=[str(name) for name in area.best.drone_id],
        kind=best_case.kind_of(area.best),
    )


def _spots(area: _Area, verdicts: Verdicts, made: Forecast, now: datetime) -> dict[UUID, Spot]:
    since = now.timestamp()
    grounds = _grounds(len(area.orders), verdicts)
    spots = {}
    for i, order in enumerate(area.orders):
        place, door_s = int(made.place[i]), float(made.door_s[i])
        if not np.isfinite(door_s):
            spots[order.pk] = Spot(0, because=grounds[i])
            continue
        low_at, high_at = (since + door_s * float(share[i]) for share in (made.low, made.high))
        spots[order.pk] = Spot(place, round(low_at, 1), round(high_at, 1))
    return spots


def _grounds(orders: int, verdicts: Verdicts) -> list[WhyHeldUp]:
    """Why each order (T,) has no drone, if it has none: the wind if it grounds every pair."""
    known, calm = np.zeros(orders, bool), np.zeros(orders, bool)
    np.logical_or.at(known, verdicts.t, ~verdicts.has(Rule.WEATHER_UNKNOWN))
    np.logical_or.at(calm, verdicts.t, ~verdicts.has(Rule.TOO_WINDY))
    return [
        (WhyHeldUp.TOO_WINDY, WhyHeldUp.NO_DRONE)[is_calm]
        if is_known
        else WhyHeldUp.WEATHER_UNKNOWN
        for is_known, is_calm in zip(known.tolist(), calm.tolist(), strict=True)
    ]
