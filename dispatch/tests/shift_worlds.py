"""Random days of orders, by the real verbs, and a slow reading of them for the tests of reports."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import time_machine
from django.utils import timezone

from dispatch.missions.flight.state import FlightState
from dispatch.models import Flight
from dispatch.shift.figures import Figures
from fleet.models import Hub, ServiceArea
from fleet.tests.factories import DroneFactory, HubFactory, ServiceAreaFactory
from orders import batches, lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import CancelReason, EventType, JobStatus, Status, steps_between
from orders.tests.factories import OrderFactory
from wingxtra.accounts.identity import DISPATCHER, GCS, SYSTEM
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory


@dataclass(frozen=True, slots=True)
class World:
    areas: list[ServiceArea]
    hubs: list[Hub]
    merchants: list[Merchant]


def make(random: Random, start: datetime, end: datetime, orders: int, zone: str) -> World:
    """Orders placed between `start` and `end`, each with a random fate."""
    areas = [ServiceAreaFactory(time_zone=zone), ServiceAreaFactory(time_zone=zone)]
    hubs = [HubFactory(service_area=areas[n % 2]) for n in range(3)]
    world = World(areas, hubs, [MerchantFactory(), MerchantFactory()])
    for _ in range(orders):
        at = start + (end - start) * random.random()
        with time_machine.travel(at, tick=False) as clock:
            _live(random, world, clock, at)
    _over_days(random, world, start + (end - start) / 2)
    return world


def _over_days(random: Random, world: World, middle: datetime) -> None:
    """An order that waits three days until it flies, and one whose last attempt is days later."""

    def placed(at: datetime) -> Order:
        deliver_by = at + timedelta(days=1)
        placed: Order = OrderFactory(service_area=world.areas[0], deliver_by=deliver_by)
        return placed

    with time_machine.travel(middle - timedelta(days=3), tick=False) as clock:
        order = placed(timezone.now())
        clock.move_to(middle)
        _fly(random, world, order, lambda: clock.shift(timedelta(minutes=9)), Status.DELIVERED)
    with time_machine.travel(middle, tick=False) as clock:
        order = placed(timezone.now())
        later = lambda: clock.shift(timedelta(minutes=9))  # noqa: E731
        _fly(random, world, order, later, Status.MISSION_SUBMITTED)
        _over(order, JobStatus.FAILED, attempts=9)
        clock.shift(timedelta(days=4))
        _fly(random, world, order, later, Status.ENROUTE)


def _live(random: Random, world: World, clock: Any, at: datetime) -> None:
    wait = timedelta(minutes=random.choice([0, 0, 0, 30, 240]))
    order = OrderFactory(
        service_area=random.choice(world.areas),
        merchant=random.choice(world.merchants),
        priority=random.choice(["NORMAL", "URGENT", "MEDICAL"]),
        live_mode=random.random() > 0.15,
        not_before=at + wait if wait else None,
        deliver_by=at + wait + timedelta(minutes=random.choice([15, 40, 900])),
    )

    def later() -> None:
        clock.shift(timedelta(minutes=random.choice([1, 3, 10, 45, 400])))

    if wait:
        clock.shift(wait)
        batches.enqueue_due(timezone.now())
    later()
    _fate(random, world, order, later)


def _fly(random: Random, world: World, order: Order, later: Callable[[], None], to: Status) -> None:
    drone = DroneFactory(hub=random.choice(world.hubs)) if order.live_mode else None
    order = lifecycle.assign(order.pk, drone and drone.pk, by=DISPATCHER, why="The only one.")
    later()
    for step in (Status.MISSION_SUBMITTED, Status.LAUNCHED, Status.ARRIVED, Status.DELIVERED):
        if step != to and steps_between(to, step):
            return
        order = lifecycle.advance(order.pk, step, by=GCS).order
        if step == Status.LAUNCHED and random.random() < 0.7:
            left = random.choice([60.0, 71.5, None])
            Flight.objects.create(
                job=order.current_job,
                heard_at=timezone.now(),
                state=FlightState().to_dict() | {"ground_battery_pct": 90.0, "battery_pct": left},
            )
        if step == to:
            return
        later()
    lifecycle.advance(order.pk, to, by=GCS)


def _over(order: Order, ended: JobStatus, *, attempts: int, parcel_astray: str = "") -> None:
    lifecycle.mission_over(
        order.pk,
        ended=ended,
        by=GCS,
        why="The motor failed.",
        max_attempts=attempts,
        parcel_astray=parcel_astray,
    )


def _answered(random: Random, world: World, order: Order) -> None:
    """What staff say of an order that is in the queue, on hold for its parcel."""
    match random.choice(["nothing", "delivered", "given back", "at a hub", "canceled"]):
        case "delivered":
            lifecycle.delivered_after_all(order.pk, by=SYSTEM, why="They have it.")
        case "given back":
            lifecycle.given_back(order.pk, by=SYSTEM, received_by="The shop")
        case "at a hub":
            lifecycle.unloaded(order.pk, world.hubs[0].pk, by=SYSTEM)
        case "canceled":
            lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.OTHER)


def _corrected(order: Order, outcome: Status) -> None:
    lifecycle.correct(order.pk, outcome=outcome, by=SYSTEM, why="The customer called.")


def _fate(random: Random, world: World, order: Order, later: Callable[[], None]) -> None:
    fates = ["wait", "cancel", "fail", "again", "reschedule", "astray", "correct", "fly"]
    match random.choices(fates, weights=[1, 1, 1, 2, 1, 2, 1, 4])[0]:
        case "cancel":
            lifecycle.cancel(order.pk, by=SYSTEM, reason=random.choice(list(CancelReason)))
        case "fly":
            _fly(random, world, order, later, Status.DELIVERED)
        case "fail":
            _fly(random, world, order, later, random.choice([Status.LAUNCHED, Status.ARRIVED]))
            later()
            ended = random.choice([JobStatus.FAILED, JobStatus.ABORTED])
            _over(order, ended, attempts=1)
        case "astray":
            _fly(random, world, order, later, Status.LAUNCHED)
            lifecycle.loaded(order.pk, by=GCS)
            later()
            _over(order, JobStatus.FAILED, attempts=9, parcel_astray="It is silent.")
            later()
            _answered(random, world, order)
        case "correct":
            _fly(random, world, order, later, Status.DELIVERED)
            later()
            _corrected(order, Status.FAILED)
            later()
            if random.random() < 0.5:
                _corrected(order, Status.DELIVERED)
        case "again":
            _fly(random, world, order, later, Status.MISSION_SUBMITTED)
            later()
            _over(order, JobStatus.FAILED, attempts=9)
            later()
            if random.random() < 0.7:
                _fly(random, world, order, later, Status.ENROUTE)
        case "reschedule":
            by = order.deliver_by + timedelta(hours=9)
            lifecycle.reschedule(order.pk, by=SYSTEM, not_before=None, deliver_by=by)


# --- the slow reading ----------------------------------------------------------------------------


def start_of(order: Order) -> datetime:
    return max(order.created_at, order.not_before) if order.not_before else order.created_at


def day_of(at: datetime, zone: ZoneInfo) -> date:
    return at.astimezone(zone).date()


def orders_of(zone: ZoneInfo, first: date, last: date) -> list[Order]:
    """The live orders that started on these days."""
    return [
        order
        for order in Order.objects.select_related("current_job__drone")
        if order.live_mode and first <= day_of(start_of(order), zone) <= last
    ]


def figures_of(orders: list[Order], now: datetime) -> Figures:
    seconds = sorted(
        (order.delivered_at - start_of(order)).total_seconds()
        for order in orders
        if order.delivered_at
    )
    kept = [o for o in orders if o.delivered_at and o.delivered_at <= o.deliver_by]
    failed = [o for o in orders if o.status in (Status.FAILED, Status.ABORTED)]
    late = [o for o in orders if o.delivered_at and o.delivered_at > o.deliver_by]
    overdue = [o for o in orders if not o.is_terminal and o.deliver_by < now]
    return Figures(
        orders=len(orders),
        delivered=len(seconds),
        kept=len(kept),
        broken=len(failed) + len(late) + len(overdue),
        canceled=sum(order.status == Status.CANCELED for order in orders),
        failed=len(failed),
        median_s=percentile(seconds, 0.5),
        p95_s=percentile(seconds, 0.95),
    )


def percentile(ordered: list[float], share: float) -> float | None:
    """By linear interpolation between the two neighbours."""
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def waiting_at(at: datetime, area: ServiceArea | None = None) -> int:
    """How many live orders (of the area) were QUEUED just before this moment."""
    found = 0
    orders = Order.objects.filter(live_mode=True)
    for order in orders.filter(service_area=area) if area else orders:
        events = [event for event in order.events.all() if event.created_at < at]
        found += bool(events) and events[-1].status == Status.QUEUED
    return found


def take_offs(start: datetime, end: datetime) -> Iterator[DeliveryEvent]:
    for event in DeliveryEvent.objects.select_related("order", "job__drone"):
        is_within = start <= event.created_at < end
        if event.type == EventType.LAUNCHED and event.order.live_mode and is_within:
            yield event
