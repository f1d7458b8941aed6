"""One dispatch run: load, judge, plan, assign, record. Its decisions are stored."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from dispatch.models import DispatchDecision, DispatchRun, Mission, MissionPart
from dispatch.planning import area_locks, decisions, eligibility, plans, run_metrics
from dispatch.planning.limits import hub_launches, landings, pilots, ready
from dispatch.planning.limits.landings import Landing
from dispatch.planning.plans import PlanResult
from fleet import policy
from fleet.airspace import rulebook
from fleet.airspace.rulebook import Rulebook
from fleet.feasibility.rules import Rules
from fleet.live import picture
from fleet.models import Drone, ServiceArea
from orders import lifecycle
from orders.lifecycle import Assignment
from orders.models import EVENT_MARGIN, Order, OrderQuerySet
from orders.states import FLOWN_FROM, EventType, JobStatus, Status
from wingxtra.accounts.identity import DISPATCHER, Actor, ActorKind
from wingxtra.database import bulk
from wingxtra.problems import Conflict, NotFound

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run: `assigned` orders with their new jobs, and all decisions."""

    run: DispatchRun
    assigned: list[Order] = field(default_factory=list)
    decisions: list[DispatchDecision] = field(default_factory=list)

    @property
    def unassigned(self) -> list[DispatchDecision]:
        assigned = DispatchDecision.Outcome.ASSIGNED
        return [decision for decision in self.decisions if decision.outcome != assigned]


@run_metrics.counted
def run(
    *,
    trigger: DispatchRun.Trigger,
    by: Actor,
    service_area_id: UUID | None = None,
    max_assignments: int | None = None,
    dry_run: bool = False,
    only: Sequence[UUID] | None = None,
) -> Outcome:
    """Plan the queued orders of one service area, or of all areas, and assign the plan.

    `only`: plan just these orders. A dry run records the same decisions but assigns nothing.
    Raises Conflict when dispatch is paused (unless it is a dry run) and NotFound for an unknown
    area. A run holds the lock of each of its areas, so a second run of an area waits.
    """
    started = time.perf_counter()
    now = timezone.now()
    with transaction.atomic():
        areas = _areas(service_area_id)
        area_locks.wait_for(area.pk for area in areas)
        book = rulebook.load(now)
        open_areas = _not_paused(areas, book, dry_run)
        # With `only`, these orders start now: no waiting, and no replanning of other orders.
        if only is not None:
            book = replace(book, rules=replace(book.rules, look_ahead_s=0.0, spot_pause_s=0.0))
        orders = waiting_orders(open_areas, only, book.rules, now)
        unsent = [] if only is not None else _unsent(open_areas)
        drones = list(
            Drone.objects.filter(hub__service_area__in=open_areas, active=True).prefetch_related(
                "kind"
            )
        )
        book.give_hubs(drones)
        fleet = picture.read()
        record = DispatchRun(
            trigger=trigger,
            actor=str(by),
            dry_run=dry_run,
            service_area_id=service_area_id,
            policy_version=book.rules.version,
            picture_at=fleet.fetched_at if fleet else None,
            orders_considered=len(orders),
            drones_considered=len(drones),
            started_at=now,
        )
        if not orders and not unsent:
            record.note = "No orders were waiting."
            record.save(force_insert=True)
            return Outcome(record)
        run_metrics.phase_seconds.labels("load").observe(time.perf_counter() - started)
        result = plans.make_plan(orders, unsent, drones, fleet, book, now, lock=True)
        with run_metrics.phase_seconds.labels("record").time():
            try:
                with transaction.atomic():
                    outcome = _apply(record, result, by, max_assignments, started)
                    if outcome.assigned and _paused(outcome.assigned):
                        raise _DispatchPaused
            except _DispatchPaused:
                paused = _paused(result.orders)
                outcome = _apply(record, result, by, max_assignments, started, paused)
    return outcome


class _DispatchPaused(Exception):
    """Dispatch was paused during this run. Rolls the assignments back."""


def areas_with_work() -> list[UUID]:
    """The ids of service areas with waiting orders or unsent missions, where dispatch is not
    paused.
    """
    rules = policy.current()
    if rules.dispatch_paused:
        return []
    waiting = _may_be_planned(rules, timezone.now()).values("service_area_id")
    unsent = MissionPart.objects.filter(
        mission__in=Mission.objects.never_tried(), order__status=Status.ASSIGNED
    )
    areas = ServiceArea.objects.filter(
        Q(pk__in=waiting) | Q(pk__in=unsent.values("order__service_area_id")),
        active=True,
        dispatch_paused=False,
    )
    return list(areas.order_by("pk").values_list("pk", flat=True))


def run_by_schedule(service_area_id: UUID) -> Outcome | None:
    """One scheduled run of one area. Returns None without a run if the area has no orders to plan,
    is paused, or is locked by another run: waiting for the lock would block a worker, and the next
    tick tries again.
    """
    if service_area_id not in areas_with_work():
        return None
    with transaction.atomic():
        if not area_locks.try_to_take(service_area_id):
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
    """The areas to plan, sorted by id: a fixed order of locks prevents deadlocks."""
    areas = ServiceArea.objects.filter(active=True).order_by("pk")
    if service_area_id is None:
        return list(areas)
    one = list(areas.filter(pk=service_area_id))
    if not one:
        raise NotFound("active service area")
    return one


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


def waiting_orders(
    areas: Sequence[ServiceArea], only: Sequence[UUID] | None, rules: Rules, now: datetime
) -> list[Order]:
    orders = _may_be_planned(rules, now).filter(service_area__in=areas)
    if only is not None:
        orders = orders.filter(pk__in=only)
    return list(orders.select_related("holder_hub").order_by("pk"))


def _may_be_planned(rules: Rules, now: datetime) -> OrderQuerySet:
    near = Order.objects.dispatchable().ready_for(rules, now, ready.TO_PICKUP_AT_MOST)
    return eligibility.may_be_planned(near)


def _unsent(areas: Sequence[ServiceArea]) -> list[Order]:
    """Orders that dispatch assigned and whose mission was never sent: they may get a better drone.
    Manual assignments are left alone.
    """
    parts = MissionPart.objects.filter(
        mission__in=Mission.objects.never_tried(),
        order__status=Status.ASSIGNED,
        order__service_area__in=areas,
        order__holder__in=FLOWN_FROM,
        job__status=JobStatus.ACTIVE,
        job__events__type__in=(EventType.ASSIGNED, EventType.REASSIGNED),
        job__events__actor_kind=ActorKind.DISPATCHER,
        job__events__created_at__gte=F("job__created_at") - EVENT_MARGIN,
    )
    orders = Order.objects.filter(pk__in=parts.values("order_id"))
    return list(orders.select_related("current_job", "holder_hub").order_by("pk"))


# --- assign --------------------------------------------------------------------------------------


def _apply(
    record: DispatchRun,
    result: PlanResult,
    by: Actor,
    max_assignments: int | None,
    started: float,
    paused: Mapping[int, str] = MappingProxyType({}),
) -> Outcome:
    """Assign the plan (unless it is a dry run) and write the decision about each order.

    `paused`: orders (by index) that must not be assigned, and why.
    """
    planned = result.pair_of_order()
    starting = {i: p for i, p in planned.items() if result.starts_now(p) and not result.is_held(p)}
    blocked = _blocked_by_hub(result, starting)
    launchable = {i: p for i, p in starting.items() if i not in blocked}
    landing, full = result.landings(list(launchable.values()))
    blocked |= {i: full[p] for i, p in launchable.items() if p in full}
    able = [(i, p) for i, p in launchable.items() if i not in blocked]
    supervised, alone = pilots.choose(result.crew, {i: result.orders[i] for i, _ in able})
    blocked |= alone
    chosen = dict([(i, p) for i, p in able if i not in alone][:max_assignments])
    blocked |= {i: why for i, why in paused.items() if i in chosen}
    assigned: list[Order] = []
    if not record.dry_run:
        wanted = {i: p for i, p in chosen.items() if i not in blocked}
        assigned = _assign(result, wanted, landing, by)
        pilots.write(assigned, supervised)
        landings.write(assigned, {result.drone_of(p).pk: place for p, place in landing.items()})
    record.value, record.bound = result.plan.value, result.plan.bound
    record.assigned = len(chosen) if record.dry_run else len(assigned)
    done = {result.orders[i].pk for i in chosen} if record.dry_run else {o.pk for o in assigned}
    later = {i: p for i, p in planned.items() if not result.starts_now(p)}
    allocation = decisions.Allocation(chosen | later, done, blocked, landing)
    outcome = Outcome(record, assigned, decisions.all_decisions(record, result, allocation))
    # A scheduled run that had nothing to decide writes no row.
    if outcome.decisions or record.trigger != DispatchRun.Trigger.SCHEDULE:
        record.duration_ms = round((time.perf_counter() - started) * 1000)
        record.save(force_insert=True)
        bulk.copy(outcome.decisions)
    return outcome


def _assign(
    result: PlanResult, chosen: Mapping[int, int], landing: Mapping[int, Landing], by: Actor
) -> list[Order]:
    """Assign the chosen pairs. Returns the orders that got their drone.

    If one of the missions to be replaced was sent at the same time, no order changes its drone, and
    only the waiting orders are assigned.
    """
    pairs = [decisions.assignment(result, i, p, landing.get(p)) for i, p in chosen.items()]
    moves = [pair for pair in pairs if pair.instead_of]
    if moves:
        try:
            with transaction.atomic():
                assigned = lifecycle.assign_many(pairs, by=by)
                _refuse_if_sent(moves)
                return assigned
        except _AlreadySent:
            log.info("replanning_came_too_late", orders=[str(pair.order_id) for pair in moves])
    return lifecycle.assign_many([pair for pair in pairs if not pair.instead_of], by=by)


class _AlreadySent(Exception):
    """A mission that was to be replaced may have reached ground control."""


def _refuse_if_sent(moves: Sequence[Assignment]) -> None:
    replaced = Mission.objects.filter(parts__job__in=[pair.instead_of for pair in moves])
    if replaced.exclude(recall_state=Mission.Recall.NONE).exists():
        raise _AlreadySent


def _blocked_by_hub(result: PlanResult, starting: Mapping[int, int]) -> dict[int, str]:
    """{order index: why} for orders whose drone's hub has no launch left. The most valuable pairs
    get the launches. In the next run the drones of a full hub are not able.
    """
    drones = [result.drone_of(pair) for pair in starting.values()]
    launches = hub_launches.within(drones, result.launches)
    return {
        order: (
            f"{drone.hub.name} launches {drone.hub.launches_at_once} at once, and {drone.drone_id} "
            "would be one more."
        )
        for order, drone, launched in zip(starting, drones, launches, strict=True)
        if not launched
    }


def _paused(orders: Sequence[Order]) -> dict[int, str]:
    """{order index: why} for orders in whose area dispatch is paused now.

    Called right before the commit. FOR SHARE makes a pause from here on wait for that commit, so
    after a pause is saved nothing is assigned.
    """
    areas = sorted({order.service_area_id for order in orders})
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
        for i, order in enumerate(orders)
        if order.service_area_id not in running
    }
