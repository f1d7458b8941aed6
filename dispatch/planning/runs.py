"""One dispatch run: load, judge, plan, assign, record. Its decisions are stored."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from dispatch.models import DispatchDecision, DispatchRun, Mission
from dispatch.planning import area_locks, decisions, plans, run_metrics
from dispatch.planning.inputs import waiting
from dispatch.planning.limits import hub_launches, landings, pilots
from dispatch.planning.limits.landings import Landing
from dispatch.planning.plans import PlanResult
from fleet import policy
from fleet.airspace import rulebook
from fleet.airspace.rulebook import Rulebook
from fleet.live import picture
from fleet.models import ServiceArea
from orders import lifecycle
from orders.lifecycle import Assignment
from orders.models import Order, WaitingOrder
from wingxtra.accounts.identity import DISPATCHER, Actor
from wingxtra.database import bulk, few_rows
from wingxtra.database.statements import Statement, connection
from wingxtra.problems import Conflict, NotFound

log = structlog.get_logger(__name__)

NO_ORDERS = "No orders were waiting."


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


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a run is to do. The arguments of `run`, and when it was asked for."""

    trigger: DispatchRun.Trigger
    by: Actor
    service_area_id: UUID | None = None
    max_assignments: int | None = None
    dry_run: bool = False
    only: Sequence[UUID] | None = None
    started_s: float = field(default_factory=time.perf_counter)


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
    asked = _Asked(trigger, by, service_area_id, max_assignments, dry_run, only)
    with transaction.atomic():
        # Sorted by id: a fixed order of locks prevents deadlocks.
        area_ids = [pk for (pk,) in _AREAS.all()] if service_area_id is None else [service_area_id]
        area_locks.wait_for(area_ids)
        return _run(asked, area_ids)


_AREAS = Statement(lambda: ServiceArea.objects.filter(active=True).order_by("pk").values_list("pk"))


def _run(asked: _Asked, area_ids: Sequence[UUID]) -> Outcome:
    """Plan these areas, whose locks the transaction holds."""
    now = timezone.now()
    book = rulebook.load(now)
    areas = [area for area in book.areas if area.pk in area_ids]
    if not areas and asked.service_area_id is not None:
        raise NotFound("active service area")
    open_areas = {area.pk for area in _not_paused(areas, book, asked.dry_run)}
    # With `only`, these orders start now: no waiting, and no replanning of other orders.
    if asked.only is not None:
        book = replace(book, rules=replace(book.rules, look_ahead_s=0.0, spot_pause_s=0.0))
    orders = waiting.queued(open_areas, book.rules, now, only=asked.only)
    unsent = [] if asked.only is not None else waiting.unsent(open_areas)
    drones = plans.drones_of(open_areas, book)
    fleet = picture.read()
    record = DispatchRun(
        trigger=asked.trigger,
        actor=str(asked.by),
        dry_run=asked.dry_run,
        service_area_id=asked.service_area_id,
        policy_version=book.rules.version,
        picture_at=fleet.fetched_at if fleet else None,
        orders_considered=len(orders),
        drones_considered=len(drones),
        started_at=now,
    )
    if not orders and not unsent:
        record.note = NO_ORDERS
        if asked.trigger != DispatchRun.Trigger.SCHEDULE:
            few_rows.insert([record])
        return Outcome(record)
    loaded_s = time.perf_counter() - asked.started_s
    run_metrics.phase_seconds.labels("load").observe(loaded_s)
    result = plans.make_plan(orders, unsent, drones, fleet, book, now, lock=True)
    with run_metrics.phase_seconds.labels("record").time():
        try:
            with transaction.atomic():
                outcome = _apply(record, result, asked)
                if outcome.assigned and _paused(outcome.assigned):
                    raise _DispatchPaused
        except _DispatchPaused:
            outcome = _apply(record, result, asked, _paused(result.orders))
    return outcome


_counted_run = run_metrics.counted(_run)


class _DispatchPaused(Exception):
    """Dispatch was paused during this run. Rolls the assignments back."""


def areas_with_work() -> list[UUID]:
    """The ids of service areas with waiting orders or unsent missions, where dispatch is not
    paused.
    """
    rules = policy.current()
    return [] if rules.dispatch_paused else waiting.areas(rules, timezone.now())


def run_by_schedule(service_area_id: UUID) -> Outcome | None:
    """One scheduled run of one area. Returns None without a run if the area has no orders to plan,
    is paused, or is locked by another run: waiting for the lock would block a worker, and the next
    tick tries again.
    """
    asked = _Asked(DispatchRun.Trigger.SCHEDULE, DISPATCHER, service_area_id)
    with transaction.atomic():
        if not area_locks.try_to_take(service_area_id):
            why = "Under way."
        else:
            try:
                outcome = _counted_run(asked, [service_area_id])
            except (Conflict, NotFound) as problem:  # paused, or out of service
                why = problem.detail
            else:
                return outcome if outcome.run.note != NO_ORDERS else None
        log.info("dispatch_not_run", service_area_id=str(service_area_id), why=why)
        return None


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


# --- assign --------------------------------------------------------------------------------------


def _apply(
    record: DispatchRun,
    result: PlanResult,
    asked: _Asked,
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
    chosen = dict([(i, p) for i, p in able if i not in alone][: asked.max_assignments])
    blocked |= {i: why for i, why in paused.items() if i in chosen}
    assigned: list[Order] = []
    if not record.dry_run:
        wanted = {i: p for i, p in chosen.items() if i not in blocked}
        assigned = _assign(result, wanted, landing, asked.by)
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
        record.duration_ms = round((time.perf_counter() - asked.started_s) * 1000)
        few_rows.insert([record])
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


def _paused(orders: Sequence[Order | WaitingOrder]) -> dict[int, str]:
    """{order index: why} for orders in whose area dispatch is paused now.

    Called right before the commit. FOR SHARE makes a pause from here on wait for that commit, so
    after a pause is saved nothing is assigned.
    """
    rows = connection.rows_of(
        "SELECT area.id FROM fleet_policy AS everywhere CROSS JOIN fleet_servicearea AS area "
        "WHERE area.id = ANY(%s) AND NOT area.dispatch_paused AND NOT everywhere.dispatch_paused "
        "ORDER BY area.id FOR SHARE",
        [sorted({order.service_area_id for order in orders})],
    )
    running = {area_id for (area_id,) in rows}
    return {
        i: "Dispatch was paused while this run was planning."
        for i, order in enumerate(orders)
        if order.service_area_id not in running
    }
