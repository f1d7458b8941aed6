"""Keeps the forecast of each service area current, for quotes and for orders in line.

It runs beside the planner and not in it: an area without waiting orders, or a paused one, has no
runs, but its quotes need a forecast, too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import structlog

from dispatch.planning import forecast, plans
from dispatch.planning.forecast import Fleet, Forecast, Waiting
from dispatch.planning.inputs import at_work, waiting
from dispatch.planning.limits import hub_launches, landings, pilots
from dispatch.planning.limits.landings import Pads
from fleet import registry
from fleet.airspace import rulebook
from fleet.airspace.rulebook import Rulebook, RulebookForOrders
from fleet.feasibility import best_case, charging, judge, landing
from fleet.feasibility.judge import Rule, Verdicts
from fleet.feasibility.tables import DroneTable
from fleet.live import picture
from fleet.live.picture import Picture
from fleet.models import Drone, ServiceArea
from orders import placement
from orders.models import WaitingOrder
from orders.promises import coverage, memory
from orders.promises.memory import Queue, Spot
from orders.states import WhyHeldUp
from orders.timing import opening
from orders.timing.opening import Place
from orders.timing.window import Soonest
from wingxtra import redis_client

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Area:
    """One area's waiting orders and drones, and the pads of its hubs now."""

    orders: list[WaitingOrder]
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
        spots = _spots(area, verdicts, made, book, now)
        spots |= {order.pk: Spot(0, because=WhyHeldUp.CLOSED) for order in closed}
        memory.write(area_id, made.outlook, Queue(now, len(orders)), spots)
    except redis_client.Away as error:
        log.warning("forecast_not_stored", service_area_id=str(area_id), error=str(error))


def areas() -> list[UUID]:
    """The service areas to be forecast."""
    return list(ServiceArea.objects.filter(active=True).values_list("pk", flat=True))


def _waiting(
    area_id: UUID, book: Rulebook, now: datetime
) -> tuple[list[WaitingOrder], list[WaitingOrder]]:
    """The orders in line, and those that wait for a place to open."""
    line: list[WaitingOrder] = []
    closed: list[WaitingOrder] = []
    orders = waiting.queued([area_id], book.rules, now, to_pickup=timedelta(0))
    for order, places in zip(orders, opening.places_of(orders, book.areas), strict=True):
        (line if opening.opens_at(places, now) == now else closed).append(order)
    return line, closed


def _area(
    area_id: UUID, index: int, orders: list[WaitingOrder], book: RulebookForOrders, now: datetime
) -> _Area:
    drones = plans.drones_of([area_id], book)
    best = book.best_in[index]
    crew = pilots.crew([book.areas[index]], now)
    # Without a pilot on duty no drone can start: as if none were known to be ready.
    is_alone = crew.on_duty.get(area_id) == []
    seen = None if is_alone else picture.read()
    pads = landings.pads(book, seen, now)
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
    """The drones of the area about which is known when they are free, within the launches and the
    chargers of their hubs.
    """
    working = at_work.read({drone.hub.service_area_id for drone in area.drones}, now)
    engaged = replace(working.engaged, busy={job.drone_id for job in working.jobs})
    table = registry.drone_table(area.drones, area.fleet, engaged, book, now)
    places = {drone.pk: place for place, drone in enumerate(area.drones)}
    work = at_work.work_of(working.jobs, engaged.busy, places, now)
    stands = area.pads.stands(area.drones)
    expected, free_in_s = plans.expected_fleet(
        table, working, work, area.pads.hubs, stands, book, now
    )
    hubs = {drone.hub_id: drone.hub for drone in area.drones}
    at_once = {key: hub.launches_at_once for key, hub in hubs.items() if hub.launches_at_once}
    starts_in_s = hub_launches.may_start_s(
        np.array([drone.hub_id for drone in area.drones], np.int64),
        free_in_s,
        {key: more for key, more in working.launches.items() if key in at_once},
        at_once,
        book.rules.launch_time_s,
    )
    charge_in_s = charging.begins_s(
        stands, free_in_s, expected.battery_pct, area.pads.hubs.chargers, book.rules.full_charge_s
    )
    group = best_case.group_of(expected, area.best)
    known = np.isfinite(free_in_s) & np.isfinite(charge_in_s) & (group >= 0)
    return Fleet(
        group=group[known],
        free_s=starts_in_s[known],
        battery_pct=expected.battery_pct[known],
        charge_in_s=charge_in_s[known],
        names=[str(name) for name in area.best.drone_id],
        kind=best_case.kind_of(area.best),
    )


def _spots(
    area: _Area, verdicts: Verdicts, made: Forecast, book: Rulebook, now: datetime
) -> dict[UUID, Spot]:
    since = now.timestamp()
    grounds = _grounds(len(area.orders), verdicts)
    places = opening.places_of(area.orders, book.areas)
    closings = _closings(places, now)
    spots = {}
    place = 0
    for i in np.argsort(made.place).tolist():
        order, door_s = area.orders[i], float(made.door_s[i])
        if not np.isfinite(door_s):
            spots[order.pk] = Spot(0, because=grounds[i])
            continue
        low_at, high_at = (since + door_s * float(share[i]) for share in (made.low, made.high))
        flight = _flight(verdicts, i, datetime.fromtimestamp(low_at, UTC))
        if _closes_before(closings, places[i], flight):
            spots[order.pk] = Spot(0, low_at=round(low_at, 1), because=WhyHeldUp.CLOSED)
            continue
        place += 1
        spots[order.pk] = Spot(place, round(low_at, 1), round(high_at, 1))
    return spots


def _grounds(orders: int, verdicts: Verdicts) -> list[WhyHeldUp]:
    """Why each order (T,) has no drone, if it has none: the wind if it grounds every pair."""
    known, calm = np.zeros(orders, bool), np.zeros(orders, bool)
    np.logical_or.at(known, verdicts.t, ~verdicts.has(Rule.WEATHER_UNKNOWN))
    np.logical_or.at(calm, verdicts.t, ~verdicts.has(Rule.TOO_WINDY))
    by_wind = np.where(calm, WhyHeldUp.NO_DRONE, WhyHeldUp.TOO_WINDY)
    found = np.where(known, by_wind, WhyHeldUp.WEATHER_UNKNOWN).tolist()
    return [WhyHeldUp(why) for why in found]


def _closings(places: Iterable[list[Place]], now: datetime) -> dict[Place, datetime | None]:
    """When each of these places, which are open now, closes; None: not within a year."""
    every = {place for found in places for place in found}
    return {place: place.hours.next_closing(now) for place in every}


def _closes_before(
    closings: Mapping[Place, datetime | None], places: list[Place], flight: Soonest
) -> bool:
    """Whether a place closes before this flight is done there."""
    done_at = {True: flight.home_at, False: flight.loaded_at}
    return any((at := closings[place]) and at < done_at[place.is_area] for place in places)


def _flight(verdicts: Verdicts, order: int, at_door: datetime) -> Soonest:
    """The times of the drone that is first at this order's door, if it is there then."""
    drones = len(verdicts.drones)
    own = order * drones + np.flatnonzero(verdicts.able[order * drones : (order + 1) * drones])
    pair = own[verdicts.delivery_s[own].argmin()]
    loaded_s = verdicts.to_pickup_s[pair] + verdicts.rules.load_time_s
    after_door_s = np.array([loaded_s, verdicts.busy_s[pair]]) - verdicts.delivery_s[pair]
    loaded_at, home_at = (at_door + timedelta(seconds=s) for s in after_door_s.tolist())
    return Soonest(loaded_at, at_door, home_at)
