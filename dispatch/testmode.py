"""Test mode: orders without a drone that go through all states by a timetable.

A merchant's test key creates them, and a scenario selects the outcome. The first half is pure. The
second makes real transitions through `orders.lifecycle`, so that events and webhooks are those of a
real delivery.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction

from orders import lifecycle
from orders.models import DeliveryEvent, Order
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
from wingxtra.accounts.identity import Actor, ActorKind

log = structlog.get_logger(__name__)

TEST_MODE = Actor(ActorKind.SYSTEM, "test mode")
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
    Scenario.WRONG_OTP: _HAPPY,  # the refusal is in pod.codes
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
PROMISED_AFTER = timedelta(seconds=60)
ENROUTE_S = 25.0


def due(scenario: Scenario, happened: Sequence[EventType], age_s: float) -> list[EventType]:
    """The steps to take now. happened: the order's events since it was queued, oldest first.

    A step that a report or an early code caused counts as done.
    """
    steps = TIMETABLES[scenario]
    done = 0
    for kind in happened:
        if done < len(steps) and kind == steps[done][1]:
            done += 1
    return [kind for at_s, kind in steps[done:] if at_s <= age_s]


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


# --- transitions by the clock --------------------------------------------------------------------


def fly(now: datetime) -> int:
    """Take every due step; returns their number. Idempotent and safe to run concurrently."""
    ids = Order.objects.open_tests().order_by("created_at").values_list("pk", flat=True)
    return sum(_fly(order_id, now) for order_id in ids[:MAX_ORDERS_PER_TICK])


@transaction.atomic
def _fly(order_id: UUID, now: datetime) -> int:
    # The row stays locked from the read of its events to the last step: no step is taken twice.
    locked = Order.objects.select_for_update(skip_locked=True, no_key=True)
    order = locked.open_tests().filter(pk=order_id).first()
    if order is None:
        return 0
    events = list(DeliveryEvent.objects.filter(order=order).values_list("type", "occurred_at"))
    queued = max((i for i, (kind, _) in enumerate(events) if kind == E.QUEUED), default=None)
    if queued is None:
        return 0
    queued_at = events[queued][1]
    happened = [E(kind) for kind, _ in events[queued:]]
    scenario = Scenario(order.test_scenario or Scenario.DELIVERED)
    steps = due(scenario, happened, (now - queued_at).total_seconds())
    try:
        with transaction.atomic():
            for kind in steps:
                _VERBS[kind](order_id, queued_at)
    except lifecycle.Refused as refusal:
        # A reschedule or a report took the order off the timetable.
        log.info("test_order_off_its_timetable", order_id=str(order_id), why=refusal.detail)
        return 0
    return len(steps)


def _assign(order_id: UUID, queued_at: datetime) -> None:
    lifecycle.assign(
        order_id,
        None,
        by=TEST_MODE,
        why="A test order: no real drone flies it.",
        promised_at=queued_at + PROMISED_AFTER,
    )


def _advance(to: Status) -> Callable[[UUID, datetime], None]:
    def verb(order_id: UUID, queued_at: datetime) -> None:
        lifecycle.advance(order_id, to, by=TEST_MODE)

    return verb


def _over(
    ended: JobStatus, why: str, *, final: bool, reason: ReasonCode = ReasonCode.DRONE_PROBLEM
) -> Callable[[UUID, datetime], None]:
    def verb(order_id: UUID, queued_at: datetime) -> None:
        lifecycle.mission_over(
            order_id,
            ended=ended,
            by=TEST_MODE,
            why=why,
            max_attempts=99,
            final=final,
            reason=reason,
        )

    return verb


def _note(kind: EventType, message: str) -> Callable[[UUID, datetime], None]:
    def verb(order_id: UUID, queued_at: datetime) -> None:
        lifecycle.note(order_id, Happened(kind, message), by=TEST_MODE)

    return verb


def _load(order_id: UUID, queued_at: datetime) -> None:
    lifecycle.loaded(order_id, by=TEST_MODE)


def _cancel(order_id: UUID, queued_at: datetime) -> None:
    lifecycle.cancel(order_id, by=TEST_MODE, reason=CancelReason.NO_DRONE)


_VERBS: dict[EventType, Callable[[UUID, datetime], None]] = {
    E.ASSIGNED: _assign,
    **{E(status): _advance(status) for status in MISSION_STEPS},
    E.REQUEUED: _over(JobStatus.FAILED, "The test mission failed, as asked for.", final=False),
    E.FAILED: _over(
        JobStatus.FAILED,
        "The test mission was refused, as asked for.",
        final=True,
        reason=ReasonCode.MISSION_REFUSED,
    ),
    E.ABORTED: _over(JobStatus.ABORTED, "The test flight was aborted, as asked for.", final=True),
    E.CANCELED: _cancel,
    E.PARCEL_LOADED: _load,
    E.LINK_LOST: _note(E.LINK_LOST, "No telemetry, as asked for."),
    E.LINK_RESTORED: _note(E.LINK_RESTORED, "Telemetry is back."),
}
