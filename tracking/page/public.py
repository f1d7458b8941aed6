"""The public view of a delivery: everything that the customer needs and nothing private.

Pure. Fields are listed here one by one, so nothing else gets out: no merchant internals, operator,
drone id, exact coordinates, phone, name, address or file. The number of the order in the shop is
the customer's own. Only event types that matter to a customer are
shown, with fixed labels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fleet.feasibility.geometry import distance_m
from orders.promises.memory import InLine
from orders.states import (
    AT_THE_DROP_POINT,
    IN_FLIGHT,
    TERMINAL,
    WITH_A_JOB,
    EventType,
    Holder,
    Status,
    WhyHeldUp,
)
from tracking.page import texts
from tracking.page.texts import Situation, Stage

# 4 decimals are about 11 m, 3 are about 110 m: a street, not a house.
POSITION_DECIMALS = 4
DROPOFF_DECIMALS = 3
NEAR_THE_DOOR_M = 150.0  # the diagonal of such a square
# This long after the last change a link shows only that the delivery is over, because old links
# stay in chats and mailboxes.
SHOWN_FOR = timedelta(days=30)

MILESTONES = (
    EventType.CREATED,
    EventType.QUEUED,
    EventType.ASSIGNED,
    EventType.LAUNCHED,
    EventType.ENROUTE,
    EventType.ARRIVED,
    EventType.DELIVERING,
    EventType.DELIVERED,
    EventType.CANCELED,
    EventType.FAILED,
    EventType.ABORTED,
)
ENDS = (EventType.DELIVERED, EventType.FAILED, EventType.ABORTED)
# Events that reset the milestones, and the milestones that remain.
RESETS = {
    EventType.REQUEUED: [EventType.CREATED, EventType.QUEUED],
    EventType.RESCHEDULED: [EventType.CREATED],
}
STAGES = {
    Status.CREATED: Stage.RECEIVED,
    Status.VALIDATED: Stage.RECEIVED,
    Status.QUEUED: Stage.WAITING,
    Status.ASSIGNED: Stage.PREPARING,
    Status.MISSION_SUBMITTED: Stage.PREPARING,
    Status.LAUNCHED: Stage.TAKEN_OFF,
    Status.ENROUTE: Stage.ON_ITS_WAY,
    Status.ARRIVED: Stage.HERE,
    Status.DELIVERING: Stage.COMING_DOWN,
    Status.DELIVERED: Stage.DELIVERED,
    Status.CANCELED: Stage.CANCELED,
    Status.FAILED: Stage.FAILED,
    Status.ABORTED: Stage.FAILED,
}


@dataclass(frozen=True, slots=True)
class OrderFields:
    """The fields of an order that `view` needs. The coordinates are exact; `view` rounds them.

    paused: dispatch is paused in the order's service area. forgotten: the customer's data was
    removed. unproven: the proof that it lacks (a PodRequirement) although the drone has handed it
    over. opens_at: the order waits for its store or service area to open then. doubted: the order
    is on hold, or reports about its flight contradict each other; then `view` hides ETA and
    position. spot: where it waits in line, if that is known.
    """

    public_tracking_id: str
    status: Status
    not_before: datetime | None
    deliver_by: datetime
    eta_at: datetime | None
    cancel_reason: str
    paused: bool
    dropoff_lat: float
    dropoff_lng: float
    proof_method: str | None
    proof_at: datetime | None
    updated_at: datetime
    holder: Holder = Holder.SENDER
    holder_since: datetime | None = None
    doubted: bool = False
    forgotten: bool = False
    external_id: str | None = None
    unproven: str = ""
    opens_at: datetime | None = None
    spot: InLine | None = None


@dataclass(frozen=True, slots=True)
class DroneSample:
    """The latest telemetry of the drone that flies the order, and its minimum age."""

    age_s: float
    lat: float | None = None
    lng: float | None = None
    heading_deg: float | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event of the order's log.

    held: the order went back to the queue and is on hold. outcome: the new status after a
    correction. inferred: derived from a later event, so its time is not known.
    """

    type: EventType
    at: datetime
    held: bool = False
    outcome: str = ""
    inferred: bool = False


def view(
    order: OrderFields,
    log: Sequence[LogEntry],
    sample: DroneSample | None,
    link_lost_after_s: float,
    now: datetime,
) -> tuple[dict[str, Any], Situation]:
    """The answer of `GET /api/v1/tracking/{id}` (JSON-ready), and the situation for the page.

    `log` is oldest first. `sample` is None when no real drone flies. A sample that is older than
    `link_lost_after_s`, or from the future, hides position and ETA.
    """
    if order.status in TERMINAL and (order.forgotten or now - order.updated_at > SHOWN_FOR):
        return _only_that_it_is_over(order), Situation(Stage.OVER)
    believed = _is_believed(order)
    silent = is_silent(order, sample, link_lost_after_s)
    eta_at = forecast(order, sample, link_lost_after_s)
    eta_s = None if eta_at is None else seconds_until(eta_at, now)
    proof = None
    if order.proof_method is not None and order.proof_at is not None:
        proof = {"method": order.proof_method, "created_at": stamp(order.proof_at)}
    spot = _spot(order, believed=believed)
    situation = _situation(order, log, eta_at, now, silent=silent, believed=believed)
    opens_at = order.opens_at if situation.stage == Stage.CLOSED else None
    headline_eta_s = None if order.status in AT_THE_DROP_POINT else eta_s
    answer = {
        "public_tracking_id": order.public_tracking_id,
        "external_id": order.external_id,
        "status": order.status.value,
        "headline": str(texts.headline(situation, headline_eta_s)),
        "milestones": _milestones(log),
        "timeline": [
            {"type": entry.type.value, "label": str(label), "at": stamp(entry.at)}
            for entry in log
            if (label := _label(entry, order)) is not None
        ],
        "custody": {
            "holder": order.holder.value,
            "label": str(_holder_label(order)),
            "since": stamp(order.holder_since) if order.holder_since else None,
        },
        "queue": {"place": spot.place} if spot and spot.place else None,
        "eta_range": _eta_range(spot, now),
        "eta_seconds": eta_s,
        "eta_at": stamp(eta_at) if eta_at else None,
        "opens_at": stamp(opens_at) if opens_at else None,
        "position": position(order, sample, link_lost_after_s),
        "dropoff": dropoff(order),
        "drone": "masked",
        "pod_summary": proof,
        "updated_at": stamp(order.updated_at),
    }
    return answer, situation


def _only_that_it_is_over(order: OrderFields) -> dict[str, Any]:
    """The same shape without content. The status stays, because clients expect a known one."""
    return {
        "public_tracking_id": order.public_tracking_id,
        "external_id": None,
        "status": order.status.value,
        "headline": str(texts.headline(Situation(Stage.OVER), None)),
        "milestones": [],
        "timeline": [],
        "custody": None,
        "queue": None,
        "eta_range": None,
        "eta_seconds": None,
        "eta_at": None,
        "opens_at": None,
        "position": None,
        "dropoff": None,
        "drone": "masked",
        "pod_summary": None,
        "updated_at": stamp(order.updated_at),
    }


def _spot(order: OrderFields, *, believed: bool) -> InLine | None:
    """The place in line of an order that waits for its drone, and that is believed."""
    is_open = order.opens_at is None
    waits = order.status == Status.QUEUED and believed and not order.paused and is_open
    return order.spot if waits else None


def _why_it_waits(spot: InLine | None) -> str:
    if spot is None:
        return ""
    return spot.because or (texts.IN_LINE if spot.place and spot.place > 1 else "")


def _eta_range(spot: InLine | None, now: datetime) -> dict[str, str] | None:
    if spot is None or spot.low_at is None or spot.high_at is None or spot.high_at <= now:
        return None
    return {"low": stamp(max(spot.low_at, now)), "high": stamp(spot.high_at)}


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _situation(
    order: OrderFields,
    log: Sequence[LogEntry],
    eta_at: datetime | None,
    now: datetime,
    *,
    silent: bool,
    believed: bool,
) -> Situation:
    stage = STAGES[order.status]
    if order.status == Status.CANCELED:
        return Situation(stage, reason=order.cancel_reason)
    if order.status in TERMINAL and not order.unproven:
        return Situation(stage, holder=order.holder)
    if order.unproven and (believed or order.status in TERMINAL):
        return Situation(Stage.HANDED_OVER, reason=order.unproven)
    if not believed:
        return Situation(Stage.LOOKING if order.holder == Holder.UNKNOWN else Stage.CHECKING)
    if order.status == Status.VALIDATED and order.not_before and order.not_before > now:
        return Situation(Stage.SCHEDULED, not_before=order.not_before)
    if order.status == Status.QUEUED and order.holder == Holder.HUB:
        stage = Stage.AT_HUB
    elif order.status == Status.QUEUED and _last_queued(log) == EventType.REQUEUED:
        stage = Stage.ANOTHER
    reason = "silence" if silent else ""
    expected_at = eta_at
    waits = stage in (Stage.WAITING, Stage.ANOTHER, Stage.AT_HUB)
    if waits:
        spot = _spot(order, believed=believed)
        reason = WhyHeldUp.PAUSED if order.paused else _why_it_waits(spot)
        expected_at = (spot.low_at or spot.soonest_at) if spot else None
    late = now > order.deliver_by or (expected_at is not None and expected_at > order.deliver_by)
    if order.opens_at and waits and not order.paused:
        late |= order.opens_at >= order.deliver_by
        return Situation(Stage.CLOSED, delayed=late, not_before=order.opens_at)
    return Situation(
        stage,
        delayed=late and order.status not in AT_THE_DROP_POINT,
        reason=reason,
        holder=order.holder,
    )


def _holder_label(order: OrderFields) -> texts.Text:
    is_unproven = order.unproven and order.holder in (Holder.DRONE, Holder.RECIPIENT)
    return texts.HANDED_OVER if is_unproven else texts.HOLDERS[order.holder]


def _label(entry: LogEntry, order: OrderFields) -> texts.Text | None:
    """None for events that do not matter to a customer, or whose time is not known."""
    if entry.type == EventType.DELIVERED and order.unproven:
        return texts.HANDED_OVER
    if entry.type == EventType.REQUEUED and entry.held:
        return texts.HELD
    if entry.type == EventType.CORRECTED and entry.outcome == Status.DELIVERED:
        return texts.DELIVERED_AFTER_ALL
    if entry.type == EventType.PARCEL_LOADED and entry.inferred:
        return None
    return texts.LABELS.get(entry.type)


def _last_queued(log: Sequence[LogEntry]) -> EventType | None:
    found = [entry.type for entry in log if entry.type in (EventType.QUEUED, EventType.REQUEUED)]
    return found[-1] if found else None


def _milestones(log: Sequence[LogEntry]) -> list[str]:
    """The milestones reached and not reset, oldest first."""
    reached: list[EventType] = []
    for entry in log:
        if entry.type in RESETS:
            reached = list(RESETS[entry.type])
        elif entry.type == EventType.CORRECTED and entry.outcome:
            reached = [kind for kind in reached if kind not in ENDS] + [EventType(entry.outcome)]
        elif entry.type in MILESTONES and entry.type not in reached:
            reached.append(entry.type)
    return [milestone.value for milestone in reached]


def is_silent(order: OrderFields, sample: DroneSample | None, link_lost_after_s: float) -> bool:
    in_flight = order.status in IN_FLIGHT
    return in_flight and sample is not None and not 0 <= sample.age_s <= link_lost_after_s


def forecast(
    order: OrderFields, sample: DroneSample | None, link_lost_after_s: float
) -> datetime | None:
    """The ETA, if it is told."""
    has_one = order.status in WITH_A_JOB and _is_believed(order) and not order.unproven
    return order.eta_at if has_one and not is_silent(order, sample, link_lost_after_s) else None


def seconds_until(eta_at: datetime, now: datetime) -> int:
    return max(0, math.ceil((eta_at - now).total_seconds()))


def position(
    order: OrderFields, sample: DroneSample | None, link_lost_after_s: float
) -> dict[str, Any] | None:
    """Where the drone is, rounded; None when that is not told. As in the answer of `view`."""
    # After the hand-over the drone flies home.
    has_position = order.status in IN_FLIGHT and _is_believed(order) and not order.unproven
    if not has_position or is_silent(order, sample, link_lost_after_s):
        return None
    if sample is None or sample.lat is None or sample.lng is None:
        return None
    # At the door the drone's position is the drop point, so it must not be more exact than that,
    # also before it is known that the drone has arrived.
    to_go_m = distance_m(sample.lat, sample.lng, order.dropoff_lat, order.dropoff_lng)
    is_near = order.status in AT_THE_DROP_POINT or to_go_m < NEAR_THE_DOOR_M
    decimals = DROPOFF_DECIMALS if is_near else POSITION_DECIMALS
    return {
        "lat": round(sample.lat, decimals),
        "lng": round(sample.lng, decimals),
        "heading_deg": sample.heading_deg,
        "at": stamp(sample.at) if sample.at else None,
    }


def dropoff(order: OrderFields) -> dict[str, float]:
    return {
        "lat": round(order.dropoff_lat, DROPOFF_DECIMALS),
        "lng": round(order.dropoff_lng, DROPOFF_DECIMALS),
    }


def _is_believed(order: OrderFields) -> bool:
    return not order.doubted and order.holder != Holder.UNKNOWN
