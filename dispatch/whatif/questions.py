"""What-if: simulates a real day's orders twice, as it is and with another policy or other drones.

`ask` writes a row; `dispatch.whatif.worker` computes its `results`. Orders, policy and drones are
only read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Greatest
from django.utils import timezone

from dispatch.models import WhatIf
from dispatch.whatif import day_figures, simulation
from dispatch.whatif.city import Demand
from dispatch.whatif.limits import Limits
from dispatch.whatif.strategies import PLANNED
from fleet import registry
from fleet.airspace import rulebook
from fleet.airspace.rulebook import Rulebook
from fleet.feasibility import best_case, judge, landing
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import Bools, DroneTable, TripTable
from fleet.models import Drone, DroneKind, Hub, Policy, PolicyVersion, ServiceArea, Shift
from orders import placement
from orders.models import Order
from orders.states import CancelReason, Status
from orders.timing import opening
from wingxtra.accounts.identity import Actor
from wingxtra.problems import Conflict, FieldProblem, Invalid

# The fields of the policy that can be changed in a what-if.
RULES = (
    "look_ahead_s",
    "busy_weight",
    "age_cap_s",
    "late_normal",
    "promise_medical_min",
    "promise_urgent_min",
    "promise_normal_min",
    "weight_medical",
    "weight_urgent",
    "weight_normal",
    "battery_min_pct",
    "reserve_pct",
    "full_charge_s",
    "launch_time_s",
    "load_time_s",
    "delivery_time_s",
    "detours_allowed",
)
MAX_ORDERS = 20_000
MAX_DRONE_CHANGE = 20  # more, or fewer
MAX_QUEUED = 20
# The simulation ends this long after the start of the day.
MAX_DURATION = timedelta(days=2)
# A promise that differs by less than this from the policy's counts as the policy's.
SAME_PROMISE_S = 2.0


# --- asking --------------------------------------------------------------------------------------


def ask(
    *,
    by: Actor,
    day: date,
    area: ServiceArea,
    rules: dict[str, Any],
    more_drones: int = 0,
    hub: Hub | None = None,
    kind: DroneKind | None = None,
) -> WhatIf:
    """Write a what-if for the worker. rules: validated values for some of `RULES`.

    Raises Invalid with all problems.
    """
    policy = Policy.objects.get(pk=1)
    changes = {
        name: [getattr(policy, name), value]
        for name, value in rules.items()
        if getattr(policy, name) != value
    }
    problems = [*_day_problems(day, area), *_drone_problems(area, more_drones, hub, kind)]
    if WhatIf.objects.filter(state=WhatIf.State.QUEUED).count() >= MAX_QUEUED:
        text = f"{MAX_QUEUED} what-ifs wait already. Ask again when some of them are done."
        problems.append(FieldProblem("", "too_many_waiting", text))
    if not changes and not more_drones:
        text = "Nothing is changed. Change a rule or the number of drones to have a comparison."
        problems.append(FieldProblem("", "nothing_changed", text))
    if problems:
        raise Invalid(problems)
    return WhatIf.objects.create(
        actor=str(by),
        day=day,
        service_area=area,
        policy_version=policy.version,
        changes=changes,
        more_drones=more_drones,
        hub=hub if more_drones else None,
        kind=kind or _usual_kind(hub) if hub and more_drones > 0 else kind,
    )


def _day_problems(day: date, area: ServiceArea) -> list[FieldProblem]:
    count = orders_of(day, area)[: MAX_ORDERS + 1].count()
    if not count:
        text = f"There are no orders for {day:%d %B %Y} in {area}. Choose another day."
        return [FieldProblem("day", "no_orders", text)]
    if count > MAX_ORDERS:
        text = f"{day:%d %B %Y} has more orders in {area} than the {MAX_ORDERS:,} that can be "
        return [FieldProblem("day", "too_many_orders", f"{text}simulated. Choose another day.")]
    if area.pilots_required and not shifts_of(area, starts_at(day)):
        text = f"No pilot was on duty in {area} on {day:%d %B %Y}, and no drone starts without one."
        return [FieldProblem("day", "no_pilots", f"{text} Choose another day.")]
    return []


def _drone_problems(
    area: ServiceArea, more: int, hub: Hub | None, kind: DroneKind | None
) -> list[FieldProblem]:
    here = fleet_of(area)
    if not more:
        text = f"No drone of {area} is in service. Add some to simulate the day."
        return [] if here.exists() else [FieldProblem("more_drones", "no_drones", text)]
    if hub is None or hub.service_area_id != area.pk:
        text = f"Choose a hub of {area} for the change of drones."
        return [FieldProblem("hub", "hub_needed", text)]
    if more > 0 and not kind and not _usual_kind(hub):
        text = f"{hub} has no drones yet: choose the kind of the new ones."
        return [FieldProblem("kind", "kind_needed", text)]
    there = here.filter(hub=hub, **({"kind": kind} if kind else {})).count()
    if there + more < 0:
        text = f"{hub} has {there} such drones in service; {-more} cannot be taken away."
        return [FieldProblem("more_drones", "too_few_drones", text)]
    if here.count() + more < 1:
        text = f"No drone would be left in {area}. Take fewer away."
        return [FieldProblem("more_drones", "no_drones", text)]
    return []


def _usual_kind(hub: Hub) -> DroneKind | None:
    """The most frequent kind among the hub's active drones."""
    counted = DroneKind.objects.filter(drones__hub=hub, drones__active=True)
    return counted.alias(n=Count("drones")).order_by("-n", "name").first()


def orders_of(day: date, area: ServiceArea) -> QuerySet[Order]:
    """The area's orders of a day, by `start_of`.

    Without test orders, and without canceled orders other than those canceled for lack of a drone.
    """
    start = starts_at(day)
    canceled = Q(status=Status.CANCELED) & ~Q(cancel_reason=CancelReason.NO_DRONE)
    starts = Greatest("created_at", "not_before")  # PostgreSQL ignores a NULL here
    return (
        Order.objects.live()
        .filter(service_area=area, created_at__lt=start + timedelta(days=1))
        .exclude(canceled)
        .alias(starts=starts)
        .filter(starts__gte=start, starts__lt=start + timedelta(days=1))
    )


def starts_at(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, datetime.min.time()))


def fleet_of(area: ServiceArea) -> QuerySet[Drone]:
    """The area's drones in service now: active and not grounded."""
    return Drone.objects.with_home().filter(
        active=True, grounded_at__isnull=True, hub__service_area=area
    )


# --- simulating ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """One side of the comparison."""

    rules: Rules
    drones: DroneTable
    flyable: Bools  # per trip of the day


def results(what_if: WhatIf, on_progress: Callable[[float], None]) -> dict[str, Any]:
    """The results as JSON: figures (`day_figures`) under `now`, `then` and `real`.

    Both sides fly only the orders that both can fly. on_progress: called with the share that is
    done. Raises Conflict when there is nothing to simulate.
    """
    start = starts_at(what_if.day)
    book = rulebook.load(start)
    orders = sorted(orders_of(what_if.day, what_if.service_area), key=start_of)
    trips = placement.trip_table(orders, book)
    rules, changed_rules = rules_of(what_if)
    fleet = list(fleet_of(what_if.service_area))
    now = _side(rules, fleet, trips, book, start)
    then = _side(changed_rules, _changed_fleet(fleet, what_if), trips, book, start)
    both = np.flatnonzero(now.flyable & then.flyable)
    if not len(both):
        raise _nothing_to_fly(len(orders), bool(now.flyable.any()))
    demand = _demand([orders[order] for order in both], trips.take(both), rules, start)
    limits = _limits([orders[order] for order in both], book, start, what_if.service_area)
    found: dict[str, Any] = {"in_the_day": len(orders), "real": _real(orders)}
    for done, (name, side) in enumerate({"now": now, "then": then}.items()):
        outcome = simulation.fly_day(
            side.drones,
            demand,
            side.rules,
            PLANNED,
            hubs=book.hub_table.take(book.hub_table.area == side.drones.area[0]),
            zones=book.zone_shapes,
            at=start,
            limits=limits,
            until_s=MAX_DURATION.total_seconds(),
            on_progress=_half(on_progress, done),
        )
        unflyable = int((~side.flyable).sum())
        found[name] = day_figures.simulated(outcome, len(side.drones), unflyable)
    return found


def _nothing_to_fly(orders: int, as_it_is: bool) -> Conflict:
    who = "With the change, none" if as_it_is else "None"
    return Conflict(
        "nothing_to_fly",
        f"{who} of the {orders:,} orders can be flown by any drone: they are too far or too heavy, "
        f"or a no-fly zone is in the way. {'Change less.' if as_it_is else 'Choose another day.'}",
    )


def _half(on_progress: Callable[[float], None], done: int) -> Callable[[float], None]:
    """Converts the progress of one side to that of both."""
    return lambda share: on_progress((done + share) / 2)


def start_of(order: Order) -> datetime:
    """When the order was placed, or its agreed start if that is later."""
    return max(order.created_at, order.not_before or order.created_at)


def rules_of(what_if: WhatIf) -> tuple[Rules, Rules]:
    """The rules of the policy version of the question, and the same with the change."""
    stored = PolicyVersion.objects.get(version=what_if.policy_version).rules
    known = {field.name for field in Policy._meta.concrete_fields}
    columns = {name: value for name, value in stored.items() if name in known}
    changed = {name: after for name, (_, after) in what_if.changes.items()}
    version = what_if.policy_version
    return (
        Policy(version=version, **columns).rules(),
        Policy(version=version, **columns | changed).rules(),
    )


def _changed_fleet(fleet: list[Drone], what_if: WhatIf) -> list[Drone]:
    """Raises Conflict when the hub or the kind was deleted after the question was asked."""
    more, hub, kind = what_if.more_drones, what_if.hub, what_if.kind
    if not more:
        return fleet
    if hub is None or (more > 0 and kind is None):
        text = "The hub or the kind of the drones was deleted after you asked. Ask again."
        raise Conflict("hub_gone", text)
    if more > 0:
        new = [
            Drone(drone_id=f"WHAT-IF-{n + 1:03}", hub=hub, base=hub, kind=kind) for n in range(more)
        ]
        return fleet + new
    there = [d.pk for d in fleet if d.hub_id == hub.pk and kind in (None, d.kind)]
    taken = set(there[more:])
    return [drone for drone in fleet if drone.pk not in taken]


def _side(
    rules: Rules, fleet: Sequence[Drone], trips: TripTable, book: Rulebook, start: datetime
) -> _Side:
    """Raises Conflict when there is no drone."""
    if not fleet:
        text = "No drone is in service in this area. Release or register some, and ask again."
        raise Conflict("no_drones", text)
    table = registry.drone_table(fleet, None, registry.FREE, book, start)
    best = best_case.at_their_best(table)
    pairs = judge.every_pair(len(best), len(trips))
    # A zone that ends during the simulation only delays the flight.
    end = start + MAX_DURATION
    ends = [zone.ends_at for zone in book.zones if zone.ends_at and zone.ends_at < end]
    flyable = np.zeros(len(trips), bool)
    for at in (start, *ends):
        ends_at = landing.toward(trips, book.hub_table, rules, book.zone_shapes, at)
        able = judge.judge(best, ends_at, *pairs, rules, book.zone_shapes, at).able
        flyable |= able.reshape(len(trips), -1).any(axis=1)
    return _Side(rules, best_case.ready_at_home(table), flyable)


def _limits(orders: Sequence[Order], book: Rulebook, start: datetime, area: ServiceArea) -> Limits:
    """The hours of now, as the no-fly zones are; the shifts of the day."""
    places = opening.places_of(orders, book.areas, as_placed=True)
    of_area = next((place for found in places for place in found if place.is_area), None)
    ready_at = [_ready_at(order, book.rules.ready_required) for order in orders]
    ready_s = [np.inf if at is None else (at - start).total_seconds() for at in ready_at]
    shifts = shifts_of(area, start) if area.pilots_required else None
    return Limits(start, places, np.array(ready_s), of_area, shifts)


def _ready_at(order: Order, report_required: bool) -> datetime | None:
    """When a drone may be at the pickup; None: never, without the report that the policy requires.
    A parcel may be reported before the time that its sender gave.
    """
    if report_required:
        return order.parcel_ready_at
    expected = order.ready_at or order.created_at
    return min(expected, order.parcel_ready_at or expected)


def shifts_of(area: ServiceArea, start: datetime) -> list[Shift]:
    """The shifts of pilots during a simulation that starts then."""
    during = Shift.objects.filter(
        service_area=area, starts_at__lt=start + MAX_DURATION, ends_at__gt=start
    )
    return list(during.select_related("pilot").order_by("pilot__name"))


def _demand(orders: Sequence[Order], trips: TripTable, rules: Rules, start: datetime) -> Demand:
    """The demand with flights as long as estimated. A promise from the policy changes with the
    policy; an order's own promise stays.
    """
    starts = [start_of(order) for order in orders]
    promise_s = np.array(
        [(o.deliver_by - at).total_seconds() for o, at in zip(orders, starts, strict=True)]
    )
    by_policy_s = np.array([rules.promise_s[order.priority] for order in orders])
    is_policys = np.abs(promise_s - by_policy_s) < SAME_PROMISE_S
    return Demand(
        trips=trips,
        priority=[order.priority for order in orders],
        placed_s=np.array([(at - start).total_seconds() for at in starts]),
        error=np.ones(len(orders)),
        own_promise_s=np.where(is_policys, np.nan, promise_s),
    )


def _real(orders: Sequence[Order]) -> dict[str, Any]:
    """The figures of the orders that were delivered on the real day; {} if none was."""
    delivered = [(order, order.delivered_at) for order in orders if order.delivered_at]
    minutes = [(at - start_of(order)).total_seconds() / 60 for order, at in delivered]
    kept = [at <= order.deliver_by for order, at in delivered]
    priority = [order.priority for order, _ in delivered]
    return day_figures.by_priority(np.array(minutes), np.array(kept, bool), priority)
