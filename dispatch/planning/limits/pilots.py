"""Responsible pilots: how many more drones each may supervise, and who gets the next ones.

A drone counts for its pilot from the assignment until it has landed (`Mission.objects.coming`). A
transaction that gives a pilot a drone locks the pilot first (`crew` with `lock`), so that no place
is given twice. An area that does not require pilots costs no statement.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import pgbulk
from django.utils import timezone

from dispatch.models import Mission, MissionQuerySet
from fleet import work
from fleet.airworthiness import pilots
from fleet.feasibility.reasons import Reason
from fleet.models import ServiceArea, Shift
from orders.models import Order, WaitingOrder
from wingxtra.database.statements import Statement
from wingxtra.problems import Conflict

NO_PILOT = "no_pilot_on_duty"
AT_THE_CAP = "pilots_at_their_cap"
# They follow a number of drones, like those of `explanations`.
PHRASES = {
    NO_PILOT: "without a pilot on duty in their area",
    AT_THE_CAP: "more than the pilots on duty may supervise",
}


@dataclass(frozen=True, slots=True)
class OnDuty:
    """A pilot on duty. drones: supervised now. at_once: the most that the shift allows."""

    pilot_id: int
    name: str
    drones: int
    at_once: int

    @property
    def room(self) -> int:
        return max(0, self.at_once - self.drones)


@dataclass(frozen=True, slots=True)
class Crew:
    """The pilots on duty in each area that requires them, by its id. next_shift: of the areas whose
    pilots may supervise no more drones.
    """

    areas: Mapping[UUID, ServiceArea]
    on_duty: Mapping[UUID, list[OnDuty]]
    next_shift: Mapping[UUID, Shift]

    def reason(self, area_id: UUID) -> Reason | None:
        """Why no drone more can start there; None if one can, or if no pilot is required."""
        here = self.on_duty.get(area_id)
        if here is None or any(pilot.room for pilot in here):
            return None
        if not here:
            text = f"No pilot is on duty in {self.areas[area_id]}."
            return Reason(NO_PILOT, f"{text} {self._next(area_id)}")
        return Reason(
            AT_THE_CAP,
            f"{_supervise(here, self.areas[area_id])}, as many as they may. {self._next(area_id)}",
            needed=sum(pilot.drones for pilot in here) + 1,
            has=sum(pilot.at_once for pilot in here),
        )

    def taken(self, area_id: UUID) -> str:
        """Why an order gets no pilot although a drone more could start when the run began."""
        here = self.on_duty[area_id]
        if reason := self.reason(area_id):
            return reason.message
        more = sum(pilot.room for pilot in here)
        return (
            f"{_supervise(here, self.areas[area_id])} and may supervise {more} more, which this "
            "run gives to other orders."
        )

    def _next(self, area_id: UUID) -> str:
        shift = self.next_shift.get(area_id)
        if shift is None:
            return "No later shift is planned there."
        starts_at = shift.starts_at.astimezone(self.areas[area_id].zone)
        return f"The next shift there starts on {starts_at:%a %d %b at %H:%M}."


def _supervise(here: Sequence[OnDuty], area: ServiceArea) -> str:
    """“2 pilots on duty in Accra supervise 7 drones”."""
    drones = sum(pilot.drones for pilot in here)
    who = "1 pilot" if len(here) == 1 else f"{len(here)} pilots"
    verb = "supervises" if len(here) == 1 else "supervise"
    return f"{who} on duty in {area} {verb} {drones} drone{'' if drones == 1 else 's'}"


NO_ONE_REQUIRED = Crew({}, {}, {})


def places(here: Iterable[OnDuty]) -> list[OnDuty]:
    """A pilot for each drone more that these may supervise, the least loaded first: by the share of
    the cap, then by name. Pure.
    """
    each = [
        (drones / pilot.at_once, pilot.name, drones, pilot)
        for pilot in here
        for drones in range(pilot.drones, pilot.at_once)
    ]
    return [pilot for *_, pilot in sorted(each, key=lambda place: place[:3])]


def on_duty_by(shifts: Iterable[Shift], drones: Mapping[int, int]) -> list[OnDuty]:
    """The pilots of these shifts. drones: how many each supervises, by the pilot's id. Pure."""
    return [
        OnDuty(shift.pilot_id, shift.pilot.name, drones.get(shift.pilot_id, 0), shift.at_once)
        for shift in shifts
    ]


def crew(areas: Iterable[ServiceArea], now: datetime, *, lock: bool = False) -> Crew:
    """The pilots on duty in those of these areas that require them.

    lock: until the transaction ends no other one changes what they supervise. Without an area that
    requires pilots no statement; else two, two more with `lock`, and one if an area has no room.
    """
    requiring = {area.pk: area for area in areas if area.pilots_required}
    if not requiring:
        return NO_ONE_REQUIRED
    shifts = _on_duty(requiring, now)
    if lock and shifts:
        pilots.lock([shift.pilot_id for shift in shifts])
        # Read again: a shift may have ended while this transaction waited.
        now = timezone.now()
        locked = {shift.pk for shift in shifts}
        shifts = [shift for shift in _on_duty(requiring, now) if shift.pk in locked]
    supervised = work.supervised([shift.pilot_id for shift in shifts], now) if shifts else {}
    drones = {pilot_id: len(flying) for pilot_id, flying in supervised.items()}
    on_duty: dict[UUID, list[OnDuty]] = {area_id: [] for area_id in requiring}
    for shift, pilot in zip(shifts, on_duty_by(shifts, drones), strict=True):
        on_duty[shift.service_area_id].append(pilot)
    full = [area_id for area_id, here in on_duty.items() if not any(pilot.room for pilot in here)]
    later = Shift.objects.next_in(full, now) if full else ()
    return Crew(requiring, on_duty, {shift.service_area_id: shift for shift in later})


def _on_duty(areas: Mapping[UUID, ServiceArea], now: datetime) -> list[Shift]:
    shifts = Shift.objects.on_duty(now).filter(service_area__in=areas)
    return list(shifts.select_related("pilot").order_by("pilot__name"))


# --- runs ----------------------------------------------------------------------------------------


def of_orders(
    orders: Sequence[WaitingOrder], areas: Iterable[ServiceArea], now: datetime, *, lock: bool
) -> Crew:
    """The crew of the areas of these orders. lock: as in `crew`."""
    wanted = {order.service_area_id for order in orders}
    return crew([area for area in areas if area.pk in wanted], now, lock=lock)


def lacking(here: Crew, orders: Sequence[WaitingOrder]) -> dict[int, list[Reason]]:
    """Why orders (by index) without a drone cannot get one now."""
    if not here.on_duty:
        return {}
    reasons = {area_id: here.reason(area_id) for area_id in here.on_duty}
    waiting = [(i, order) for i, order in enumerate(orders) if order.current_job_id is None]
    found = [(i, reasons.get(order.service_area_id)) for i, order in waiting]
    return {i: [reason] for i, reason in found if reason}


def choose(
    here: Crew, orders: Mapping[int, WaitingOrder]
) -> tuple[dict[UUID, OnDuty], dict[int, str]]:
    """The pilot for each of these orders, the most valuable first, by the order's id; and why
    others get none, by index. An order whose mission was not sent yet keeps its pilot.

    One statement if an order that needs a pilot has a drone.
    """
    if not here.on_duty:
        return {}, {}
    # A mission that was never sent ends with the change; a sent one may go on beside the next.
    unsent = Mission.objects.coming(timezone.now()).filter(tries=0)
    present = _present(unsent, (order.mission_id for order in orders.values()))
    left: dict[UUID, Iterator[OnDuty]] = {
        area_id: iter(places(pilots_there)) for area_id, pilots_there in here.on_duty.items()
    }
    chosen: dict[UUID, OnDuty] = {}
    refused: dict[int, str] = {}
    for i, order in orders.items():
        if order.service_area_id not in here.on_duty:
            continue
        kept = _kept(here, order.service_area_id, order.mission_id, present)
        pilot = kept or next(left[order.service_area_id], None)
        if pilot:
            chosen[order.pk] = pilot
        else:
            refused[i] = here.taken(order.service_area_id)
    return chosen, refused


def _present(
    missions: MissionQuerySet, mission_ids: Iterable[UUID | None]
) -> dict[UUID, int | None]:
    """The pilots of those of these missions that have these ids, by the mission's id."""
    wanted = [mission_id for mission_id in mission_ids if mission_id is not None]
    if not wanted:
        return {}
    found = missions.filter(pk__in=wanted).order_by()
    return dict(found.values_list("pk", "pilot_id"))


def _kept(
    here: Crew, area_id: UUID, mission_id: UUID | None, present: Mapping[UUID, int | None]
) -> OnDuty | None:
    """The pilot of this mission, if that one is still on duty."""
    pilot_id = present.get(mission_id) if mission_id else None
    return next((pilot for pilot in here.on_duty[area_id] if pilot.pilot_id == pilot_id), None)


def write(orders: Iterable[Order], chosen: Mapping[UUID, OnDuty]) -> None:
    """Write the pilots of the missions of these orders, which have just got their drones. One
    statement, none if no pilot is required.
    """
    missions = [
        Mission(
            pk=order.current_job.mission_intent_id,
            pilot_id=chosen[order.pk].pilot_id,
            pilot_name=chosen[order.pk].name,
        )
        for order in orders
        if order.current_job is not None and order.pk in chosen
    ]
    if missions:
        pgbulk.update(Mission, missions, ["pilot", "pilot_name"])


# --- one order, one drone ------------------------------------------------------------------------


def against(
    order: Order, areas: Iterable[ServiceArea], now: datetime, own: Mission | None = None
) -> list[Reason]:
    """The reason against any drone for this order. own: its mission, which is published now."""
    requiring = [a for a in areas if a.pk == order.service_area_id and a.pilots_required]
    if not requiring or (own is not None and _answers(own, order, now)):
        return []
    here = crew(requiring, now)
    if own is None:
        mission_id = order.current_job.mission_intent_id if order.current_job else None
        present = _present(Mission.objects.all(), [mission_id])
        if _kept(here, order.service_area_id, mission_id, present):
            return []
    reason = here.reason(order.service_area_id)
    if own is not None and reason is None:
        reason = Reason(NO_PILOT, "No pilot on duty answers for this flight: hand it over.")
    return [reason] if reason else []


def _answers(mission: Mission, order: Order, now: datetime) -> bool:
    """Whether the pilot of this mission is on duty in the order's area."""
    if mission.pilot_id is None:
        return False
    of_pilot = {"pilot_id": mission.pilot_id, "area_id": order.service_area_id}
    return _SHIFT.first(**of_pilot, now=now) is not None


# Compiled once: each mission that is published asks.
_SHIFT = Statement(
    lambda pilot_id, area_id, now: (
        Shift.objects.on_duty(now)
        .filter(pilot=pilot_id, service_area=area_id)
        .order_by()
        .values_list("pk")
    ),
    pilot_id=int,
    area_id=UUID,
    now=datetime,
)


def reserve(order: Order) -> dict[UUID, OnDuty]:
    """A pilot for this order until the transaction ends, for `write`. Raises Conflict with the
    reason's code: `no_pilot_on_duty` or `pilots_at_their_cap`.
    """
    here = crew([order.service_area], timezone.now(), lock=True)
    if not here.on_duty:
        return {}
    # Its job as it is now: without the lock a run may have given it another drone.
    order = Order.objects.select_related("current_job").get(pk=order.pk)
    chosen, refused = choose(here, {0: WaitingOrder.of(order)})
    if refused:
        raise _conflict(here, order.service_area_id)
    return chosen


def reserve_one(area: ServiceArea) -> OnDuty | None:
    """The same for a flight without an order; None where no pilot is required."""
    here = crew([area], timezone.now(), lock=True)
    if not here.on_duty:
        return None
    free = places(here.on_duty[area.pk])
    if not free:
        raise _conflict(here, area.pk)
    return free[0]


def _conflict(here: Crew, area_id: UUID) -> Conflict:
    code = AT_THE_CAP if here.on_duty[area_id] else NO_PILOT
    return Conflict(code, here.taken(area_id))
