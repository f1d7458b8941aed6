"""What outsiders may see of a delivery: what helps the customer, and nothing that is private.

Pure. What is not named here is not shown: no merchant internals, no operator, no drone id, no exact
coordinates, no phone, no name, no file, and of the event log only types that mean something at the
door, in words of our own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fleet.feasibility.rules import Rules
from orders.states import (
    AT_THE_DROP_POINT,
    IN_FLIGHT,
    TERMINAL,
    WITH_A_JOB,
    EventType,
    Holder,
    Status,
)
from tracking.page import texts
from tracking.page.texts import Face, Look

# About 11 m, and about 110 m: enough for a dot on a map, and for a street but not a house.
POSITION_DECIMALS = 4
DROPOFF_DECIMALS = 3
# This long after the last that happened, a link says only that it is over: it may still lie about
# in chats and mailboxes, and has nothing to tell any more.
SPEAKS_FOR = timedelta(days=30)

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
# What a fresh start takes back: the milestones that still hold after it.
STARTS_OVER = {
    EventType.REQUEUED: [EventType.CREATED, EventType.QUEUED],
    EventType.RESCHEDULED: [EventType.CREATED],
}
LOOKS = {
    Status.CREATED: Look.RECEIVED,
    Status.VALIDATED: Look.RECEIVED,
    Status.QUEUED: Look.WAITING,
    Status.ASSIGNED: Look.PREPARING,
    Status.MISSION_SUBMITTED: Look.PREPARING,
    Status.LAUNCHED: Look.TAKEN_OFF,
    Status.ENROUTE: Look.ON_ITS_WAY,
    Status.ARRIVED: Look.HERE,
    Status.DELIVERING: Look.COMING_DOWN,
    Status.DELIVERED: Look.DELIVERED,
    Status.CANCELED: Look.CANCELED,
    Status.FAILED: Look.FAILED,
    Status.ABORTED: Look.FAILED,
}
# How wrong a forecast usually is, as shares of the time that is left: (sooner, later). Ours come
# from distance and speed; before take-off there is also loading, checking and waiting in them.
SPREAD_IN_FLIGHT = (0.1, 0.2)
SPREAD_BEFORE = (0.15, 0.4)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the view needs of an order. The coordinates are the exact ones; they do not come out.

    paused: nothing is dispatched just now where the order is. forgotten: the customer's data was
    removed, which can be asked for at any time. doubted: our staff are asked about the order, or
    reports about its flight contradict each other; nothing of the flight is told then.
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


@dataclass(frozen=True, slots=True)
class Seen:
    """The latest telemetry of the drone that flies the order, and how old it is at least."""

    age_s: float
    lat: float | None = None
    lng: float | None = None
    heading_deg: float | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """One event of the order's log, in the order of writing.

    held: the order went back to the queue and waits there for our staff. outcome: what a correction
    corrected it to. inferred: nobody saw it, so its time is not known.
    """

    type: EventType
    at: datetime
    held: bool = False
    outcome: str = ""
    inferred: bool = False


def view(
    order: Facts,
    moments: Sequence[Moment],
    seen: Seen | None,
    rules: Rules,
    now: datetime,
) -> tuple[dict[str, Any], Face]:
    """The public picture, exactly as `GET /api/v1/tracking/{id}` answers it (JSON-ready), and its
    face. `seen` is None where no real drone flies.

    A drone that is silent for longer than the policy allows, or whose clock cannot be right, takes
    position and ETA away: nothing is assumed.
    """
    if order.status in TERMINAL and (order.forgotten or now - order.updated_at > SPEAKS_FOR):
        return _only_that_it_is_over(order), Face(Look.OVER)
    in_flight = order.status in IN_FLIGHT
    believed = not order.doubted and order.holder != Holder.UNKNOWN
    silent = in_flight and seen is not None and not 0 <= seen.age_s <= rules.link_lost_after_s
    is_forecast = order.status in WITH_A_JOB and believed and not silent
    eta_at = order.eta_at if is_forecast else None
    eta_s = None if eta_at is None else max(0, math.ceil((eta_at - now).total_seconds()))
    proof = None
    if order.proof_method is not None and order.proof_at is not None:
        proof = {"method": order.proof_method, "created_at": stamp(order.proof_at)}
    face = _face(order, moments, eta_at, now, silent=silent, believed=believed)
    told_s = None if order.status in AT_THE_DROP_POINT else eta_s
    told = {
        "public_tracking_id": order.public_tracking_id,
        "status": order.status.value,
        "headline": str(texts.headline(face, told_s)),
        "milestones": _milestones(moments),
        "timeline": [
            {"type": moment.type.value, "label": str(label), "at": stamp(moment.at)}
            for moment in moments
            if (label := _label(moment)) is not None
        ],
        "custody": {
            "holder": order.holder.value,
            "label": str(texts.HOLDERS[order.holder]),
            "since": stamp(order.holder_since) if order.holder_since else None,
        },
        "eta_seconds": eta_s,
        "eta_at": stamp(eta_at) if eta_at else None,
        "position": _position(order, seen) if in_flight and believed and not silent else None,
        "dropoff": {
            "lat": round(order.dropoff_lat, DROPOFF_DECIMALS),
            "lng": round(order.dropoff_lng, DROPOFF_DECIMALS),
        },
        "drone": "masked",
        "pod_summary": proof,
        "updated_at": stamp(order.updated_at),
    }
    return told, face


def _only_that_it_is_over(order: Facts) -> dict[str, Any]:
    """The same shape with nothing in it, but the status, of which clients expect one they know."""
    return {
        "public_tracking_id": order.public_tracking_id,
        "status": order.status.value,
        "headline": str(texts.headline(Face(Look.OVER), None)),
        "milestones": [],
        "timeline": [],
        "custody": None,
        "eta_seconds": None,
        "eta_at": None,
        "position": None,
        "dropoff": None,
        "drone": "masked",
        "pod_summary": None,
        "updated_at": stamp(order.updated_at),
    }


def eta_range(eta_s: float, *, in_flight: bool) -> tuple[float, float]:
    """Between what and what the time that is left probably lies, in seconds."""
    sooner, later = SPREAD_IN_FLIGHT if in_flight else SPREAD_BEFORE
    return eta_s * (1 - sooner), eta_s * (1 + later)


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _face(
    order: Facts,
    moments: Sequence[Moment],
    eta_at: datetime | None,
    now: datetime,
    *,
    silent: bool,
    believed: bool,
) -> Face:
    look = LOOKS[order.status]
    if order.status == Status.CANCELED:
        return Face(look, because=order.cancel_reason)
    if order.status in TERMINAL:
        return Face(look, holder=order.holder)
    if not believed:
        return Face(Look.LOOKING if order.holder == Holder.UNKNOWN else Look.CHECKING)
    if order.status == Status.VALIDATED and order.not_before and order.not_before > now:
        return Face(Look.SCHEDULED, not_before=order.not_before)
    if order.status == Status.QUEUED and order.holder == Holder.HUB:
        look = Look.AT_HUB
    elif order.status == Status.QUEUED and _last_start(moments) == EventType.REQUEUED:
        look = Look.ANOTHER
    is_paused = order.paused and look in (Look.WAITING, Look.ANOTHER, Look.AT_HUB)
    because = "silence" if silent else "paused" if is_paused else ""
    late = now > order.deliver_by or (eta_at is not None and eta_at > order.deliver_by)
    return Face(
        look,
        delayed=late and order.status not in AT_THE_DROP_POINT,
        because=because,
        holder=order.holder,
    )


def _label(moment: Moment) -> texts.Words | None:
    """None: it means nothing at the door, or not what its time says."""
    if moment.type == EventType.REQUEUED and moment.held:
        return texts.HELD
    if moment.type == EventType.CORRECTED and moment.outcome == Status.DELIVERED:
        return texts.DELIVERED_AFTER_ALL
    if moment.type == EventType.PARCEL_LOADED and moment.inferred:
        return None
    return texts.LABELS.get(moment.type)


def _last_start(moments: Sequence[Moment]) -> EventType | None:
    starts = [m.type for m in moments if m.type in (EventType.QUEUED, EventType.REQUEUED)]
    return starts[-1] if starts else None


def _milestones(moments: Sequence[Moment]) -> list[str]:
    """What has been reached and still holds, oldest first."""
    reached: list[EventType] = []
    for moment in moments:
        if moment.type in STARTS_OVER:
            reached = list(STARTS_OVER[moment.type])
        elif moment.type == EventType.CORRECTED and moment.outcome:
            reached = [kind for kind in reached if kind not in ENDS] + [EventType(moment.outcome)]
        elif moment.type in MILESTONES and moment.type not in reached:
            reached.append(moment.type)
    return [milestone.value for milestone in reached]


def _position(order: Facts, seen: Seen | None) -> dict[str, Any] | None:
    if seen is None or seen.lat is None or seen.lng is None:
        return None
    # A drone over the door is the door: no closer than the drop point is told.
    decimals = DROPOFF_DECIMALS if order.status in AT_THE_DROP_POINT else POSITION_DECIMALS
    return {
        "lat": round(seen.lat, decimals),
        "lng": round(seen.lng, decimals),
        "heading_deg": seen.heading_deg,
        "at": stamp(seen.at) if seen.at else None,
    }
