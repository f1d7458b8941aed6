"""One dispatch run: load, judge, plan, assign, record. Everything it decided can be asked later."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from dispatch.models import DispatchDecision, DispatchRun, Mission, MissionPart
from dispatch.planning import decisions, eligibility, hub_launches, plans, run_metrics
from dispatch.planning.plans import Made
from fleet import policy
from fleet.airspace import rulebook
from fleet.airspace.rulebook import Rulebook
from fleet.feasibility.rules import Rules
from fleet.live import picture
from fleet.models import Drone, ServiceArea
from orders import lifecycle
from orders.lifecycle import Assignment
from orders.models import Order
from orders.states import FLOWN_FROM, EventType, JobStatus, Status
from wingxtra.accounts.identity import DISPATCHER, Actor, ActorKind
from wingxtra.database import bulk
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
        orders = _queued(open_areas, only, book.rules, now)
        # Who asks for these very orders wants them to start now, and others left alone.
        unsent = [] if only is not None else _unsent(open_areas)
        if only is not None:
            book = replace(book, rules=replace(book.rules, look_ahead_s=0.0))
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
        if not orders and not unsent:
            this.note = "No orders were waiting."
            this.save(force_insert=True)
            return Outcome(this)
        run_metrics.phase_seconds.labels("load").observe(time.perf_counter() - started)
        made = plans.make(orders, unsent, drones, seen, book, now)
        with run_metrics.phase_seconds.labels("record").time():
            try:
                with transaction.atomic():
                    outcome = _carry_out(this, made, by, max_assignments, started)
                    if outcome.assigned and _paused(outcome.assigned):
                        raise _PausedMeanwhile
            except _PausedMeanwhile:
                paused = _paused(made.orders)
                outcome = _carry_out(this, made, by, max_assignments, started, paused)
    return outcome


class _PausedMeanwhile(Exception):
    """Somebody paused dispatch while this run planned or wrote: nothing of it has happened."""


def areas_with_work() -> list[UUID]:
    """The service areas in which orders wait, or missions that can be replanned, and dispatch is
    not paused.
    """
    rules = policy.current()
    if rules.dispatch_paused:
        return []
    ready = Order.objects.dispatchable().ready_for(rules, timezone.now())
    waiting = eligibility.may_be_planned(ready).values("service_area_id")
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
    """One automatic run of one area; None when it is not the time for one.

    That is when its orders are gone meanwhile, when it was paused, and when somebody else plans it
    at this moment: waiting would keep a worker from everything else, and the next tick looks again.
    """
    if service_area_id not in areas_with_work():
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


def _queued(
    areas: Sequence[ServiceArea], only: Sequence[UUID] | None, rules: Rules, now: datetime
) -> list[Order]:
    orders = eligibility.may_be_planned(Order.objects.dispatchable().ready_for(rules, now))
    orders = orders.filter(service_area__in=areas)
    if only is not None:
        orders = orders.filter(pk__in=only)
    return list(orders.select_related("holder_hub").order_by("pk"))


def _unsent(areas: Sequence[ServiceArea]) -> list[Order]:
    """Orders whose drone was chosen by dispatch and whose mission was never sent: they may still
    get a better one. What a person has assigned stays.
    """
    parts = MissionPart.objects.filter(
        mission__in=Mission.objects.never_tried(),
        order__status=Status.ASSIGNED,
        order__service_area__in=areas,
        order__holder__in=FLOWN_FROM,
        job__status=JobStatus.ACTIVE,
        job__events__type__in=(EventType.ASSIGNED, EventType.REASSIGNED),
        job__events__actor_kind=ActorKind.DISPATCHER,
    )
    orders = Order.objects.filter(pk__in=parts.values("order_id"))
    return list(orders.select_related("current_job", "holder_hub").order_by("pk"))


# --- assign --------------------------------------------------------------------------------------


def _carry_out(
    this: DispatchRun,
    made: Made,
    by: Actor,
    max_assignments: int | None,
    started: float,
    paused: Mapping[int, str] = MappingProxyType({}),
) -> Outcome:
    """Assign what was planned (unless it is a dry run) and write what was decided on each order.

    `paused`: orders (by index) that must not be assigned, and why.
    """
    planned = made.pair_of_order()
    starting = {i: p for i, p in planned.items() if made.starts_now(p) and not made.is_held(p)}
    kept_back = _kept_back(made, starting)
    launchable = [(i, p) for i, p in starting.items() if i not in kept_back]
    chosen = dict(launchable[:max_assignments])
    kept_back |= {i: words for i, words in paused.items() if i in chosen}
    assigned: list[Order] = []
    if not this.dry_run:
        assigned = _assign(made, {i: p for i, p in chosen.items() if i not in kept_back}, by)
    this.value, this.bound = made.plan.value, made.plan.bound
    this.assigned = len(chosen) if this.dry_run else len(assigned)
    done = {made.orders[i].pk for i in chosen} if this.dry_run else {o.pk for o in assigned}
    later = {i: p for i, p in planned.items() if not made.starts_now(p)}
    decided = decisions.Decided(chosen | later, done, kept_back)
    outcome = Outcome(this, assigned, decisions.of_all(this, made, decided))
    # Where nothing waited and nothing was replanned, the schedule leaves no row.
    if outcome.decisions or this.trigger != DispatchRun.Trigger.SCHEDULE:
        this.duration_ms = round((time.perf_counter() - started) * 1000)
        this.save(force_insert=True)
        bulk.copy(outcome.decisions)
    return outcome


def _assign(made: Made, chosen: Mapping[int, int], by: Actor) -> list[Order]:
    """The orders that got their drone. A mission that is sent while its order is about to get a
    better drone keeps it: then nothing is moved, and only what waits is assigned.
    """
    pairs = [decisions.assignment(made, i, p) for i, p in chosen.items()]
    moves = [pair for pair in pairs if pair.instead_of]
    if moves:
        try:
            with transaction.atomic():
                assigned = lifecycle.assign_many(pairs, by=by)
                _refuse_if_sent(moves)
                return assigned
        except _SentMeanwhile:
            log.info("replanning_came_too_late", orders=[str(pair.order_id) for pair in moves])
    return lifecycle.assign_many([pair for pair in pairs if not pair.instead_of], by=by)


class _SentMeanwhile(Exception):
    """A mission that was to be replaced may have reached ground control."""


def _refuse_if_sent(moves: Sequence[Assignment]) -> None:
    replaced = Mission.objects.filter(parts__job__in=[pair.instead_of for pair in moves])
    if replaced.exclude(recall_state=Mission.Recall.NONE).exists():
        raise _SentMeanwhile


def _kept_back(made: Made, starting: Mapping[int, int]) -> dict[int, str]:
    """Orders (by index) whose drone's hub launches no more at once, and the words for it. Those
    that gain the most keep their launch; the drones of a full hub are not able in the next run.
    """
    drones = [made.drone_of(pair) for pair in starting.values()]
    launches = hub_launches.within(drones, made.launches)
    return {
        order: (
            f"{drone.hub.name} launches {drone.hub.launches_at_once} at once, and {drone.drone_id} "
            "would be one more."
        )
        for order, drone, launched in zip(starting, drones, launches, strict=True)
        if not launched
    }


def _paused(orders: Sequence[Order]) -> dict[int, str]:
    """Those of the orders (by index) in whose area dispatch is paused now, and the words for it.

    Asked right before the commit: whoever pauses from here on waits that long, and no longer. Once
    a pause is there, nothing more is assigned.
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
