"""Builds the planner's problem from orders, drones and telemetry, and plans it."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
from django.db.models import Min

from dispatch.models import DispatchDecision
from dispatch.planning import lookahead, releases, run_metrics
from dispatch.planning.inputs import at_work
from dispatch.planning.inputs.at_work import AtWork
from dispatch.planning.limits import hub_launches, landings, open_hours, pilots, ready
from dispatch.planning.limits.landings import Landing, Pads
from dispatch.planning.limits.pilots import Crew
from dispatch.planning.limits.timely import timely
from dispatch.planning.lookahead import Options
from dispatch.planning.optimum import planner, scarcity
from dispatch.planning.releases import Work
from fleet import registry
from fleet.airspace.rulebook import Rulebook
from fleet.feasibility import charging, judge, landing, reach
from fleet.feasibility.geometry import Floats, Ints
from fleet.feasibility.judge import Verdicts
from fleet.feasibility.landing import HubTable
from fleet.feasibility.reasons import Reason
from fleet.feasibility.tables import Bools, DroneTable, TripTable
from fleet.live.picture import Picture
from fleet.models import Drone
from orders import placement
from orders.models import Order, WaitingOrder
from orders.timing import opening
from wingxtra.database.statements import Statement

# A drone that is later than expected by more than this is not waited for again.
MAX_DELAY = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, eq=False)
class PlanResult:
    """A plan and its inputs. `plan.pairs` are indices into `options`, whose columns `trip` and
    `drone` are indices into `orders` and `drones`. verdicts: of the likely pairs, as of now. holds:
    the index of the drone that each order has already. launches: how many more drones each hub with
    a limit may launch. pads: the drones at each hub. crew: the pilots of the orders' areas.
    ready_in_s: until each order's parcel is ready. not_yet: why orders (by index) wait that no
    drone can do within the hours of their places, before whose parcel is ready every drone would be
    there, or for which no pilot has room.
    """

    orders: list[WaitingOrder]
    drones: list[Drone]
    verdicts: Verdicts
    options: Options
    holds: Ints
    plan: planner.Plan
    launches: dict[int, int]
    pads: Pads
    crew: Crew
    book: Rulebook
    ready_in_s: Floats
    not_yet: dict[int, list[Reason]]
    now: datetime

    def pair_of_order(self) -> dict[int, int]:
        """{order index: pair index}, the most valuable pair first."""
        return {int(self.options.trip[pair]): int(pair) for pair in self.plan.pairs}

    def drone_of(self, pair: int) -> Drone:
        return self.drones[self.options.drone[pair]]

    def starts_now(self, pair: int) -> bool:
        return bool(self.options.wait_s[pair] == 0)

    def waits_for_parcel(self, pair: int) -> bool:
        """Whether the drone would be at the pickup before the parcel is ready if it started now."""
        ready_in_s = self.ready_in_s[self.options.trip[pair]]
        return bool(ready_in_s > 0 and abs(ready_in_s - self.options.pickup_s[pair]) < 0.001)

    def is_held(self, pair: int) -> bool:
        """Whether the order of this pair has its drone already."""
        return bool(self.holds[self.options.trip[pair]] == self.options.drone[pair])

    def landings(self, pairs: list[int]) -> tuple[dict[int, Landing], dict[int, str]]:
        """The landing of each of these pairs, which start now, the most valuable first; and why
        others have none. Both by pair.
        """
        index = np.array(pairs, np.int64)
        chosen, refused = landings.choose(
            self.verdicts.drones,
            self.verdicts.trips,
            self.options.drone[index],
            self.options.trip[index],
            self.drones,
            self.pads,
            self.book,
            self.now,
        )
        return (
            {pairs[i]: place for i, place in chosen.items()},
            {pairs[i]: why for i, why in refused.items()},
        )

    def soonest_now_s(self) -> Floats:
        """The soonest delivery of each order by a drone that is able now; infinite without one."""
        able = self.options.wait_s == 0
        soonest_s = np.full(len(self.orders), np.inf)
        np.minimum.at(soonest_s, self.options.trip[able], self.options.delivery_s[able])
        return soonest_s


def drones_of(area_ids: Iterable[UUID], book: Rulebook) -> list[Drone]:
    """The drones in service of these areas, with kinds and hubs as in the rulebook."""
    drones = _DRONES.all(area_ids=list(area_ids))
    book.give_home(drones)
    return drones


_DRONES = Statement(
    lambda area_ids: Drone.objects.filter(hub__service_area__id__among=area_ids, active=True),
    area_ids=list,
)


def make_plan(
    queued: list[WaitingOrder],
    assigned: list[WaitingOrder],
    drones: list[Drone],
    fleet: Picture | None,
    book: Rulebook,
    now: datetime,
    *,
    lock: bool,
) -> PlanResult:
    """The optimal plan for all `queued` orders, and for `assigned` ones (with their job) whose
    missions were not sent yet and may get a better drone.

    lock: whether the pilots are locked, for a plan that this transaction carries out.
    """
    started = time.perf_counter()
    orders, rules = [*queued, *assigned], book.rules
    places = {drone.pk: place for place, drone in enumerate(drones)}
    holds = _holds(orders, places)
    held = {drones[place].pk for place in holds if place != planner.NONE_HELD}
    working = at_work.read({drone.hub.service_area_id for drone in drones}, now)
    engaged = replace(working.engaged, busy=working.busy - held)
    launches = working.launches
    pads = landings.pads(book, fleet, now)
    crew = pilots.of_orders(orders, book.areas, now, lock=lock)
    stands = pads.stands(drones)
    table = registry.drone_table(drones, fleet, engaged, book, now, hub_launches.full(launches))
    table = landings.with_own_pads(table, pads.hubs, stands)
    trips = placement.trip_table(orders, book)
    trips = landing.toward(trips, pads.hubs.receiving(), rules, book.zone_shapes, now)
    due_s = np.array([(order.deliver_by - now).total_seconds() for order in orders])
    pairs = reach.likely_pairs(table, trips, rules, now, book.winds)
    verdicts = judge.judge(table, trips, *pairs, rules, book.zone_shapes, now, book.winds)
    hours = open_hours.Hours(opening.places_of(orders, book.areas), rules.load_time_s, now)
    ready_in_s = ready.in_s(orders, now)
    able = timely(lookahead.now(verdicts), ready_in_s, hours, holds, rules.look_ahead_s)
    options, too_late = able.options, [able.closed]
    work = at_work.work_of(working.jobs, engaged.busy, places, now)
    if rules.look_ahead_s > 0:
        later = _later(table, working, work, trips, pads.hubs, stands, book, now)
        wanted = (holds[later.trip] == planner.NONE_HELD) & _not_overdue(later, orders, drones, now)
        soon = timely(later.take(wanted), ready_in_s, hours, holds, rules.look_ahead_s)
        too_late.append(soon.closed)
        options = lookahead.together(options, soon.options, due_s)
    without_pilot = pilots.lacking(crew, orders)
    options = options.take(~np.isin(options.trip, list(without_pilot)))
    served, drone_ids = np.unique(options.trip), [drone.pk for drone in drones]
    not_yet = ready.waiting(able.too_early, orders, drone_ids, book.areas, now)
    not_yet = {trip: why for trip, why in not_yet.items() if trip not in served}
    not_yet |= hours.waiting(too_late, served, drone_ids) | without_pilot
    problem = planner.Problem(
        order_id=[str(order.pk) for order in orders],
        priority=[order.priority for order in orders],
        waited_s=np.array([waited_s(order, now) for order in orders]),
        due_s=due_s,
        drone_id=[drone.pk for drone in drones],
        order=options.trip,
        drone=options.drone,
        delivery_s=options.delivery_s,
        busy_s=options.busy_s,
        rules=rules,
        at_work=len(np.union1d(options.drone, work.drone)),
        holds=holds,
        sizes=scarcity.of(table),
    )
    run_metrics.phase_seconds.labels("judge").observe(time.perf_counter() - started)
    with run_metrics.phase_seconds.labels("plan").time():
        plan = planner.plan(problem)
    return PlanResult(
        orders,
        drones,
        verdicts,
        options,
        holds,
        plan,
        launches,
        pads,
        crew,
        book,
        ready_in_s,
        not_yet,
        now,
    )


def _holds(orders: list[WaitingOrder], places: dict[str, int]) -> Ints:
    """The index of the drone that each order has already, or NONE_HELD."""
    held = [
        places.get(order.assigned_drone_id or "", planner.NONE_HELD)
        if order.current_job_id
        else planner.NONE_HELD
        for order in orders
    ]
    return np.array(held, np.int64)


def waited_s(order: Order | WaitingOrder, now: datetime) -> float:
    """The time since the order was placed, or since its agreed start if that is later."""
    since = max(order.created_at, order.not_before or order.created_at)
    return max(0.0, (now - since).total_seconds())


# --- drones that will be able soon ---------------------------------------------------------------


def _later(
    table: DroneTable,
    working: AtWork,
    work: Work,
    trips: TripTable,
    hubs: HubTable,
    stands: Ints,
    book: Rulebook,
    now: datetime,
) -> Options:
    expected, free_in_s = expected_fleet(table, working, work, hubs, stands, book, now)
    charge_in_s = charging.begins_s(
        stands, free_in_s, expected.battery_pct, hubs.chargers, book.rules.full_charge_s
    )
    zones, winds = book.zone_shapes, book.winds
    return lookahead.soon(expected, free_in_s, trips, book.rules, zones, now, winds, charge_in_s)


def expected_fleet(
    table: DroneTable,
    working: AtWork,
    work: Work,
    hubs: HubTable,
    stands: Ints,
    book: Rulebook,
    now: datetime,
) -> tuple[DroneTable, Floats]:
    """The drones as expected when they are free, at the hubs where they land, and the seconds until
    then.
    """
    coming_home = np.isin(table.drone_id, list(working.delivered))
    landing_at = landings.at_their_hubs(table, hubs, stands)
    return releases.expected(landing_at, work, coming_home, book.rules, now, book.winds)


def _not_overdue(
    later: Options, orders: list[WaitingOrder], drones: list[Drone], now: datetime
) -> Bools:
    """False for a wait whose drone was not able by the time that an earlier decision named. No
    statement if every order is too new for that.
    """
    placed_before = now - MAX_DELAY
    waited = [
        order
        for trip in np.unique(later.trip)
        if (order := orders[trip]).created_at < placed_before
    ]
    overdue: set[tuple[UUID, str]] = set()
    if waited:
        forecasts = _FORECASTS.all(
            order_ids=[order.pk for order in waited],
            since=min(order.created_at for order in waited),
        )
        overdue = {(pk, drone_id) for pk, drone_id, first in forecasts if first < placed_before}
    if not overdue:
        return np.ones(len(later), bool)
    pairs = zip(later.trip.tolist(), later.drone.tolist(), strict=True)
    return np.array([(orders[t].pk, drones[d].pk) not in overdue for t, d in pairs], bool)


def _first_forecasts(order_ids: Any, since: datetime) -> Any:
    """The orders that were to wait, for which drones, and when each was first expected to be able.
    since: no decision is older, so PostgreSQL reads the months from then on.
    """
    waiting = DispatchDecision.objects.filter(
        order__id__among=order_ids,
        outcome=DispatchDecision.Outcome.WAITING,
        run__dry_run=False,
        decided_at__gte=since,
    )
    of_pair = waiting.order_by().values("order_id", "drone_id").annotate(first=Min("able_at"))
    return of_pair.values_list("order_id", "drone_id", "first")


_FORECASTS = Statement(_first_forecasts, order_ids=list, since=datetime)
