"""Test mode: orders without a drone that go through all states by a timetable.

A merchant's test key creates them, and a scenario (`orders.scenarios`) selects the outcome. The
first half is pure. The second makes real transitions through `orders.lifecycle`, so that events and
webhooks are those of a real delivery. `advance` takes the next step before its time.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction

from orders import lifecycle
from orders.models import Order
from orders.scenarios import TEST_MODE
from orders.states import (
    MISSION_STEPS,
    CancelReason,
    EventType,
    Happened,
    JobStatus,
    ReasonCode,
    Scenario,
    Status,
)
from wingxtra.problems import NotFound

log = structlog.get_logger(__name__)

MAX_ORDERS_PER_TICK = 500  # per tick; the oldest first

# --- the timetable -------------------------------------------------------------------------------

Step = tuple[float, EventType]
Point = tuple[float, float]  # lat, lng in degrees
E = EventType

_TAKE_OFF: list[Step] = [
    (2, E.ASSIGNED),
    (5, E.MISSION_SUBMITTED),
    (10, E.LAUNCHED),
    (15, E.ENROUTE),
]
_PICKED_UP: list[Step] = [*_TAKE_OFF, (20, E.PARCEL_LOADED)]
_HAPPY: list[Step] = [
    *_PICKED_UP,
    (40, E.ARRIVED),
    (48, E.DELIVERING),
    (60, E.DELIVERED),
]
# The time of each step, in seconds after the order was queued.
TIMETABLES: dict[Scenario, list[Step]] = {
    Scenario.DELIVERED: _HAPPY,
    Scenario.STEP_BY_STEP: [(math.inf, kind) for _, kind in _HAPPY],
    Scenario.AT_RISK: _HAPPY,  # the promises of these two are in orders.scenarios
    Scenario.LATE: [*_PICKED_UP, (22, E.DELAY_PREDICTED), *_HAPPY[len(_PICKED_UP) :]],
    Scenario.WRONG_OTP: _HAPPY,  # the refusals of these two are in pod.codes
    Scenario.CODE_LOCKED: _HAPPY,
    Scenario.PROOF_MISSING: _HAPPY,
    Scenario.NO_DRONE: [(60, E.CANCELED)],
    Scenario.BRIDGE_REJECTS: [
        *[(2, E.ASSIGNED), (6, E.REQUEUED)],
        *[(20, E.ASSIGNED), (24, E.REQUEUED)],
        *[(40, E.ASSIGNED), (44, E.FAILED)],
    ],
    Scenario.LINK_LOST: [
        *_PICKED_UP,
        (22, E.LINK_LOST),
        (32, E.LINK_RESTORED),
        *_HAPPY[len(_PICKED_UP) :],
    ],
    Scenario.ABORTED: [*_TAKE_OFF, (30, E.ABORTED)],
    Scenario.FAILED_THEN_REDELIVERED: [
        *_TAKE_OFF,
        (20, E.REQUEUED),
        *[(22, E.ASSIGNED), (24, E.MISSION_SUBMITTED), (27, E.LAUNCHED), (30, E.ENROUTE)],
        *[(35, E.PARCEL_LOADED), (52, E.ARRIVED), (56, E.DELIVERING), (62, E.DELIVERED)],
    ],
}
# What the ETA is when a drone is assigned, after the order was queued.
PROMISED_AFTER = timedelta(seconds=60)
EXPECTED_AFTER = {Scenario.AT_RISK: timedelta(seconds=90)}
ENROUTE_S = 25.0


def due(scenario: Scenario, happened: Sequence[EventType], age_s: float) -> list[EventType]:
    """The steps to take now. happened: the order's events since it was queued, oldest first.

    A step that a report or an early code caused counts as done.
    """
    return [kind for at_s, kind in left(scenario, happened) if at_s <= age_s]


def left(scenario: Scenario, happened: Sequence[EventType]) -> list[Step]:
    """The steps of the timetable that have not happened yet."""
    steps = TIMETABLES[scenario]
    done = 0
    for kind in happened:
        if done < len(steps) and kind == steps[done][1]:
            done += 1
    return steps[done:]


def place(
    status: Status,
    happened: Iterable[tuple[EventType, datetime]],
    pickup: Point,
    drop: Point,
    now: datetime,
) -> Point | None:
    """The position of a flying test order's drone, on the straight line from pickup to drop.

    happened: the order's events, oldest first. None while the link is lost.
    """
    latest = dict(happened)
    lost_at = latest.get(E.LINK_LOST)
    if lost_at and lost_at >= latest.get(E.LINK_RESTORED, lost_at):
        return None
    share = 0.0 if status == Status.LAUNCHED else 1.0
    if status == Status.ENROUTE:
        share = min(1.0, max(0.0, (now - latest[E.ENROUTE]).total_seconds() / ENROUTE_S))
    lat, lng = (start + share * (end - start) for start, end in zip(pickup, drop, strict=True))
    return lat, lng


def heading_deg(pickup: Point, drop: Point) -> float:
    """The heading from pickup to drop in [0, 360), for an arrow on a map; on a plane."""
    north, east = drop[0] - pickup[0], drop[1] - pickup[1]
    return math.degrees(math.atan2(east * math.cos(math.radians(drop[0])), north)) % 360


# --- transitions ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Queued:
    """A queued test order. `happened`: its events since it was queued, oldest first."""

    order: Order
    queued_at: datetime
    happened: list[EventType]

    @property
    def scenario(self) -> Scenario:
        return Scenario(self.order.test_scenario or Scenario.DELIVERED)


def fly(now: datetime) -> int:
    """Take every due step; returns their number. Idempotent and safe to run concurrently."""
    ids = Order.objects.open_tests().order_by("created_at").values_list("pk", flat=True)
    return sum(_fly(order_id, now) for order_id in ids[:MAX_ORDERS_PER_TICK])


@transaction.atomic
def _fly(order_id: UUID, now: datetime) -> int:
    # The row stays locked from the read of its events to the last step: no step is taken twice.
    locked = Order.objects.select_for_update(skip_locked=True, no_key=True)
    test = _read(locked.open_tests().filter(pk=order_id).first())
    if test is None:
        return 0
    steps = due(test.scenario, test.happened, (now - test.queued_at).total_seconds())
    try:
        with transaction.atomic():
            for kind in steps:
                _VERBS[kind](test)
    except lifecycle.Refused as refusal:
        # A reschedule or a report took the order off the timetable.
        log.info("test_order_off_its_timetable", order_id=str(order_id), why=refusal.detail)
        return 0
    return len(steps)


@transaction.atomic
def advance(order_id: UUID) -> Order:
    """Take the next step of a test order now; the later steps keep their times.

    Raises NotFound, Conflict for an order that is live or without a next step, and Refused when the
    order's state does not allow the step.
    """
    order = Order.objects.select_for_update(no_key=True).filter(pk=order_id).first()
    if order is None:
        raise NotFound
    if order.live_mode:
        raise lifecycle.Refused(
            order, "Only a test order can be advanced; drones fly this one.", code="not_a_test"
        )
    test = _read(order)
    steps = left(test.scenario, test.happened) if test else []
    if test is None or not steps:
        why = f"is {order.status}: its timetable has no next step"
        if order.status == Status.VALIDATED:
            why = "waits for its not_before; reschedule it to start now"
        raise lifecycle.Refused(order, f"The order {why}.", code="no_next_step")
    _VERBS[steps[0][1]](test)
    # Read again: a verb works on an object of its own.
    return Order.objects.select_related("current_job", "holder_hub").get(pk=order_id)


def _read(order: Order | None) -> Queued | None:
    """None for an order that is over or was never queued."""
    if order is None or order.is_terminal:
        return None
    events = list(order.history().values_list("type", "occurred_at"))
    queued = max((i for i, (kind, _) in enumerate(events) if kind == E.QUEUED), default=None)
    if queued is None or order.status == Status.VALIDATED:
        return None
    return Queued(order, events[queued][1], [E(kind) for kind, _ in events[queued:]])


def _assign(test: Queued) -> None:
    lifecycle.assign(
        test.order.pk,
        None,
        by=TEST_MODE,
        why="A test order: no real drone flies it.",
        promised_at=test.queued_at + EXPECTED_AFTER.get(test.scenario, PROMISED_AFTER),
    )


def _advance(to: Status) -> Callable[[Queued], None]:
    def verb(test: Queued) -> None:
        lifecycle.advance(test.order.pk, to, by=TEST_MODE)

    return verb


def _over(ended: JobStatus, why: str, *, final: bool) -> Callable[[Queued], None]:
    """`why` is for flights; a scenario that never takes off was refused by ground control."""

    def verb(test: Queued) -> None:
        refused = test.scenario == Scenario.BRIDGE_REJECTS
        lifecycle.mission_over(
            test.order.pk,
            ended=ended,
            by=TEST_MODE,
            why="Ground control refused the test mission, as asked for." if refused else why,
            max_attempts=99,
            final=final,
            reason=ReasonCode.MISSION_REFUSED if refused else ReasonCode.DRONE_PROBLEM,
        )

    return verb


def _note(kind: EventType, message: str) -> Callable[[Queued], None]:
    def verb(test: Queued) -> None:
        lifecycle.note(test.order.pk, Happened(kind, message), by=TEST_MODE)

    return verb


def _predict_late(test: Queued) -> None:
    order = test.order
    delay = lifecycle.Delay(order.pk, order.deliver_by, test.queued_at + PROMISED_AFTER)
    lifecycle.predict_delays([delay], by=TEST_MODE)


def _load(test: Queued) -> None:
    lifecycle.loaded(test.order.pk, by=TEST_MODE)


def _cancel(test: Queued) -> None:
    lifecycle.cancel(test.order.pk, by=TEST_MODE, reason=CancelReason.NO_DRONE)


_VERBS: dict[EventType, Callable[[Queued], None]] = {
    E.ASSIGNED: _assign,
    **{E(status): _advance(status) for status in MISSION_STEPS},
    E.REQUEUED: _over(JobStatus.FAILED, "The test flight failed, as asked for.", final=False),
    E.FAILED: _over(JobStatus.FAILED, "The test flight failed, as asked for.", final=True),
    E.ABORTED: _over(JobStatus.ABORTED, "The test flight was aborted, as asked for.", final=True),
    E.CANCELED: _cancel,
    E.PARCEL_LOADED: _load,
    E.DELAY_PREDICTED: _predict_late,
    E.LINK_LOST: _note(E.LINK_LOST, "No telemetry, as asked for."),
    E.LINK_RESTORED: _note(E.LINK_RESTORED, "Telemetry is back."),
}
