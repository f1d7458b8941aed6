"""One dispatch run: load, judge, plan, assign, record. Everything it decided can be asked later."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import structlog
from django.db import connection, transaction
from django.utils import timezone

from dispatch import explanations, hubs, lookahead, metrics, planner
from dispatch.models import DispatchDecision, DispatchRun
from fleet import feasibility, picture, policy, reach, registry, rulebook
from fleet.models import Drone, ServiceArea
from fleet.rulebook import Rulebook
from orders import lifecycle, placement
from orders.lifecycle import Assignment
from orders.models import DeliveryJob, Order
from wingxtra import bulk
from wingxtra.accounts.identity import DISPATCHER, Actor
from wingxtra.problems import Conflict, NotFound

log = structlog.get_logger(__name__)

# The first key of PostgreSQL's two-part advisory locks; the second is the service area.
PLANNER_LOCK = 0x57_58


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did: `assigned` orders with their new jobs, and why the others have no drone."""

    run: DispatchRun
    assigned: list[Order] = field(default_factory=list)
    decisions: list[DispatchDecision] = field(default_factory=list)

    @property
    def unassigned(self) -> list[DispatchDecision]:
        taken = DispatchDecision.Outcome.ASSIGNED
        return [decision for decision in self.decisions if decision.outcome != taken]


@metrics.counted
def run(
    *,
    trigger: DispatchRun.Trigger,
    by: Actor,
    service_area_id: UUID | None = None,
    max_assignments: int | None = None,
    dry_run: bool = False,
    only: Sequence[UUID] | None = None,
) -> Outcome:
    """Plan the queued orders of one service area, or of all, and assign what the plan says.

    `only` narrows it to these orders. A dry run decides and records the same and assigns nothing.
    Raises Conflict when dispatch is paused (a dry run is allowed then) and NotFound for an area
    that does not exist. Two runs never plan one area at the same time: the second waits.
    """
    started = time.perf_counter()
    now = timezone.now()
    with transaction.atomic():
        areas = _areas(service_area_id)
        _lock_planners(areas)
        book = rulebook.load(now)
        open_areas = _not_paused(areas, book, dry_run)
        orders = _queued(open_areas, only)
        drones = list(
            Drone.objects.filter(hub__service_area__in=open_areas, active=True).prefetch_related(
                "kind",
                "hub",  # once each, not for every drone
            )
        )
        seen = picture.read()
        this = DispatchRun(
            trigger=trigger,
            actor=str(by),
            dry_run=dry_run,
            service_area_id=service_area_id,
            policy_version=book.rules.version,
            picture_at=seen.fetched_at if seen else None,
            orders_considered=len(orders),
            drones_considered=len(drones),
            started_at=now,
        )
        if not orders:
            this.note = "No orders were waiting."
            this.save(force_insert=True)
            return Outcome(this)
        metrics.phase_seconds.labels("load").observe(time.perf_counter() - started)
        plan = _plan(orders, drones, seen, book, now)
        with metrics.phase_seconds.labels("record").time():
            outcome = _carry_out(this, plan, by, max_assignments)
            this.duration_ms = round((time.perf_counter() - started) * 1000)
            this.save(force_insert=True)
            bulk.insert(outcome.decisions)
    return outcome


def areas_with_work() -> list[UUID]:
    """The service areas in which orders wait and dispatch is not paused."""
    if policy.current().dispatch_paused:
        return []
    waiting = Order.objects.dispatchable().values("service_area_id")
    areas = ServiceArea.objects.filter(pk__in=waiting, active=True, dispatch_paused=False)
    return list(areas.order_by("pk").values_list("pk", flat=True))


def run_by_schedule(service_area_id: UUID) -> Outcome | None:
    """One automatic run of one area; None when it is not the time for one.

    That is when its orders are gone meanwhile, when it was paused, and when somebody else plans it
    at this moment: waiting would keep a worker from everything else, and the next tick looks again.
    """
    if not Order.objects.dispatchable().filter(service_area_id=service_area_id).exists():
        return None
    with transaction.atomic():
        if not _may_plan_now(service_area_id):
            log.info("dispatch_not_run", service_area_id=str(service_area_id), why="Under way.")
            return None
        try:
            return run(
                trigger=DispatchRun.Trigger.SCHEDULE, by=DISPATCHER, service_area_id=service_area_id
            )
        except Conflict as paused:
            log.info("dispatch_not_run", service_area_id=str(service_area_id), why=paused.detail)
            return None


# --- load ----------------------------------------------------------------------------------------


def _areas(service_area_id: UUID | None) -> list[ServiceArea]:
    """The areas to plan, in the order in which they are locked."""
    areas = ServiceArea.objects.filter(active=True).order_by("pk")
    if service_area_id is None:
        return list(areas)
    one = list(areas.filter(pk=service_area_id))
    if not one:
        raise NotFound("active service area")
    return one


def _lock_planners(areas: Sequence[ServiceArea]) -> None:
    """Wait until nobody else plans these areas; ends with the transaction."""
    with connection.cursor() as cursor:
        for area in areas:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [PLANNER_LOCK, str(area.pk)]
            )


def _may_plan_now(service_area_id: UUID) -> bool:
    """Take the area's lock, until the transaction ends, unless somebody has it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))",
            [PLANNER_LOCK, str(service_area_id)],
        )
        (mine,) = cursor.fetchone()
    return bool(mine)


def _not_paused(
    areas: Sequence[ServiceArea], book: Rulebook, dry_run: bool
) -> Sequence[ServiceArea]:
    if dry_run:
        return areas
    unpaused = [area for area in areas if not area.dispatch_paused]
    if book.rules.dispatch_paused or (areas and not unpaused):
        where = "everywhere" if book.rules.dispatch_paused else f"in {areas[0].name}"
        raise Conflict(
            "dispatch_paused",
            f"Dispatch is paused {where}. Resume it in the console, assign by hand, or make a "
            "dry run.",
        )
    return unpaused


def _queued(areas: Sequence[ServiceArea], only: Sequence[UUID] | None) -> list[Order]:
    orders = Order.objects.dispatchable().filter(service_area__in=areas)
    if only is not None:
        orders = orders.filter(pk__in=only)
    return list(orders.order_by("pk"))


# --- plan ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """The plan; `pair_of` maps the index of one of its pairs to that of the same in `verdicts`.

    launches: how many more drones each hub with a limit may have waiting for take-off.
    """

    orders: list[Order]
    drones: list[Drone]
    verdicts: feasibility.Verdicts
    pair_of: npt.NDArray[np.int64]
    plan: planner.Plan
    launches: dict[int, int]
    now: datetime


def _plan(
    orders: list[Order],
    drones: list[Drone],
    seen: picture.Picture | None,
    book: Rulebook,
    now: datetime,
) -> _Plan:
    """Judge every pair of order and drone, and find the best set of able ones."""
    started = time.perf_counter()
    busy = set(DeliveryJob.objects.active().values_list("drone_id", flat=True))
    launches = hubs.free_launches()
    table = registry.drone_table(drones, seen, busy, book, now, hubs.full(launches))
    trips = placement.trip_table(orders, book)
    d, t = reach.likely_pairs(table, trips, book.rules, now, book.wind_mps)
    verdicts = feasibility.judge(
        table, trips, d, t, book.rules, book.zone_shapes, now, book.wind_mps
    )
    able = np.flatnonzero(verdicts.able)
    options = lookahead.now(verdicts)
    problem = planner.Problem(
        order_id=[str(order.pk) for order in orders],
        priority=[order.priority for order in orders],
        waited_s=np.array([_waited_s(order, now) for order in orders]),
        due_s=np.array([(order.deliver_by - now).total_seconds() for order in orders]),
        drone_id=[drone.pk for drone in drones],
        order=options.trip,
        drone=options.drone,
        delivery_s=options.delivery_s,
        busy_s=options.busy_s,
        rules=book.rules,
    )
    metrics.phase_seconds.labels("judge").observe(time.perf_counter() - started)
    with metrics.phase_seconds.labels("plan").time():
        plan = planner.plan(problem)
    return _Plan(orders, drones, verdicts, able, plan, launches, now)


def _waited_s(order: Order, now: datetime) -> float:
    """Since it was placed, or since it might start where that was agreed for later."""
    since = max(order.created_at, order.not_before or order.created_at)
    return max(0.0, (now - since).total_seconds())


# --- assign and record ---------------------------------------------------------------------------


def _carry_out(this: DispatchRun, made: _Plan, by: Actor, max_assignments: int | None) -> Outcome:
    """Assign what was planned (unless it is a dry run) and say what was decided on each order."""
    planned = {int(made.verdicts.t[made.pair_of[p]]): int(p) for p in made.plan.pairs}
    kept_back = _kept_back(made, planned)
    launchable = [(i, p) for i, p in planned.items() if i not in kept_back]
    pair_of_order = dict(launchable[:max_assignments])
    assigned: list[Order] = []
    if not this.dry_run:
        kept_back |= _paused_meanwhile(made.orders, pair_of_order)
        assignments = [
            _assignment(made, i, p) for i, p in pair_of_order.items() if i not in kept_back
        ]
        assigned = lifecycle.assign_many(assignments, by=by)
    this.value, this.bound = made.plan.value, made.plan.bound
    this.assigned = len(pair_of_order) if this.dry_run else len(assigned)
    done = {order.pk for order in assigned}
    explained = explanations.of_all(made.verdicts, made.now)
    decisions = [
        _decision(this, made, i, pair_of_order.get(i), done, explained[i], kept_back.get(i))
        for i in range(len(made.orders))
    ]
    return Outcome(this, assigned, decisions)


def _kept_back(made: _Plan, planned: Mapping[int, int]) -> dict[int, str]:
    """Orders (by index) whose drone's hub launches no more at once, and the words for it. Those
    that gain the most keep their launch; the drones of a full hub are not able in the next run.
    """
    drones = [made.drones[made.verdicts.d[made.pair_of[pair]]] for pair in planned.values()]
    launches = hubs.within(drones, made.launches)
    return {
        order: (
            f"{drone.hub.name} launches {drone.hub.launches_at_once} at once, and {drone.drone_id} "
            "would be one more."
        )
        for order, drone, launched in zip(planned, drones, launches, strict=True)
        if not launched
    }


def _paused_meanwhile(orders: Sequence[Order], chosen: Iterable[int]) -> dict[int, str]:
    """The chosen orders (by index) in whose area dispatch was paused while this run was planning.

    Whoever pauses from here on waits until this run is committed: once a pause is there, nothing
    more is assigned.
    """
    areas = sorted({orders[i].service_area_id for i in chosen})
    with connection.cursor() as cursor:
        cursor.execute("SELECT dispatch_paused FROM fleet_policy FOR SHARE")
        (everywhere,) = cursor.fetchone()
        cursor.execute(
            "SELECT id FROM fleet_servicearea WHERE id = ANY(%s) AND NOT dispatch_paused "
            "ORDER BY id FOR SHARE",
            [areas],
        )
        running = set() if everywhere else {area for (area,) in cursor.fetchall()}
    return {
        i: "Dispatch was paused while this run was planning."
        for i in chosen
        if orders[i].service_area_id not in running
    }


def _assignment(made: _Plan, order_index: int, pair: int) -> Assignment:
    judged = made.pair_of[pair]
    drone_id = made.drones[made.verdicts.d[judged]].pk
    delivery_s = float(made.verdicts.delivery_s[judged])
    return Assignment(
        order_id=made.orders[order_index].pk,
        drone_id=drone_id,
        why=f"{drone_id} {_why_chosen(made, judged)}",
        promised_at=made.now + timedelta(seconds=delivery_s),
    )


def _decision(
    this: DispatchRun,
    made: _Plan,
    i: int,
    pair: int | None,
    done: set[UUID],
    against: explanations.Against,
    kept_back: str | None,
) -> DispatchDecision:
    order = made.orders[i]
    decision = DispatchDecision(
        run=this,
        order=order,
        outcome=DispatchDecision.Outcome.UNASSIGNED,
        runners_up=[
            _figures(made, int(p)) | {"regret": _regret(made, int(p))}
            for p in made.plan.runners_up[i]
            if p >= 0
        ],
        ruled_out=against.counts,
        nearest=against.nearest,
        why=against.words,
    )
    if pair is not None:
        judged = made.pair_of[pair]
        decision.drone_id = made.drones[made.verdicts.d[judged]].pk
        decision.figures = _figures(made, pair)
        decision.outcome = DispatchDecision.Outcome.ASSIGNED
        decision.why = f"{decision.drone_id} {_why_chosen(made, judged)}"
        if not this.dry_run and order.pk not in done:
            decision.outcome = DispatchDecision.Outcome.OVERTAKEN
            decision.why = kept_back or (
                f"The order or {decision.drone_id} changed while this run was planning."
            )
    elif kept_back:
        decision.why = kept_back
    elif decision.runners_up:
        best = decision.runners_up[0]
        decision.why = (
            f"Every able drone serves another order better; the best, {best['drone_id']}, would "
            f"take {best['delivery_s'] / 60:.0f} min to the door."
        )
    return decision


def _why_chosen(made: _Plan, judged: int) -> str:
    verdicts = made.verdicts
    return (
        f"takes {verdicts.delivery_s[judged] / 60:.0f} min to the door and "
        f"{verdicts.energy_pct[judged]:.0f} % of its battery, of "
        f"{verdicts.drones.battery_pct[verdicts.d[judged]]:.0f} % that it has."
    )


def _figures(made: _Plan, pair: int) -> dict[str, Any]:
    """A pair's numbers, as a decision keeps them."""
    judged, verdicts = made.pair_of[pair], made.verdicts
    return {
        "drone_id": made.drones[verdicts.d[judged]].pk,
        "delivery_s": round(float(verdicts.delivery_s[judged]), 1),
        "busy_s": round(float(verdicts.busy_s[judged]), 1),
        "energy_pct": round(float(verdicts.energy_pct[judged]), 1),
        "distance_m": round(float(verdicts.distance_m[judged])),
        "cost": round(float(made.plan.cost[pair]), 3),
    }


def _regret(made: _Plan, pair: int) -> float | None:
    """What this pair instead would cost the plan at the least; None where an order would lose its
    drone to it.
    """
    regret = float(made.plan.regret[pair])
    return round(regret, 1) if np.isfinite(regret) else None
