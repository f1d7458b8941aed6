"""An order's state as text and colours of the console. Pure."""

from datetime import datetime, timedelta
from typing import Protocol

from fleet.feasibility.rules import Priority
from orders.models import Order
from orders.promises.memory import InLine
from orders.states import IN_FLIGHT, EventType, Holder, JobStatus, Status, WhyHeldUp
from wingxtra.console.admin import duration
from wingxtra.console.registry import Tone

STATUS_TONE: dict[str, Tone] = {
    Status.CREATED: Tone.IDLE,
    Status.VALIDATED: Tone.IDLE,
    Status.QUEUED: Tone.WARN,
    Status.ASSIGNED: Tone.BUSY,
    Status.MISSION_SUBMITTED: Tone.BUSY,
    **dict.fromkeys(IN_FLIGHT, Tone.BUSY),
    Status.DELIVERED: Tone.GOOD,
    Status.CANCELED: Tone.IDLE,
    Status.FAILED: Tone.BAD,
    Status.ABORTED: Tone.BAD,
}
PRIORITY_TONE: dict[str, Tone] = {
    Priority.NORMAL: Tone.IDLE,
    Priority.URGENT: Tone.WARN,
    Priority.MEDICAL: Tone.BAD,
}
SLA_TONE = {None: Tone.IDLE, "on_time": Tone.GOOD, "at_risk": Tone.WARN, "late": Tone.BAD}
JOB_TONE: dict[str, Tone] = {
    JobStatus.ACTIVE: Tone.BUSY,
    JobStatus.COMPLETED: Tone.GOOD,
    JobStatus.FAILED: Tone.BAD,
    JobStatus.ABORTED: Tone.BAD,
    JobStatus.CANCELED: Tone.IDLE,
}
HOLDER_TONE: dict[str, Tone] = {
    Holder.SENDER: Tone.IDLE,
    Holder.DRONE: Tone.BUSY,
    Holder.HUB: Tone.WARN,
    Holder.RECIPIENT: Tone.GOOD,
    Holder.RETURNED: Tone.IDLE,
    Holder.LOST: Tone.BAD,
    Holder.UNKNOWN: Tone.BAD,
}
EVENT_TONE: dict[str, Tone] = {
    EventType.DELIVERED: Tone.GOOD,
    EventType.PROOF_RECORDED: Tone.GOOD,
    EventType.PROOF_AWAITED: Tone.WARN,
    EventType.PROOF_MISSING: Tone.WARN,
    EventType.CASE_OPENED: Tone.BAD,
    EventType.CASE_CLOSED: Tone.GOOD,
    EventType.FAILED: Tone.BAD,
    EventType.ABORTED: Tone.BAD,
    EventType.LINK_LOST: Tone.BAD,
    EventType.INTENT_FAILED: Tone.WARN,
    EventType.CLEARANCE: Tone.IDLE,
    EventType.REQUEUED: Tone.WARN,
    EventType.ABORT_REQUESTED: Tone.WARN,
    EventType.CODE_REFUSED: Tone.WARN,
    EventType.PARCEL_LOADED: Tone.GOOD,
    EventType.PARCEL_UNLOADED: Tone.WARN,
    EventType.PARCEL_UNKNOWN: Tone.BAD,
    EventType.PARCEL_LOST: Tone.BAD,
    EventType.CORRECTED: Tone.WARN,
    EventType.CONTRADICTION: Tone.BAD,
    EventType.LATE_REPORT: Tone.WARN,
}


def parcel_place(order: Order) -> str:
    """Who has the parcel, by name: “On WX-DRN-001”, “At Ridge hub”, “With the sender”."""
    if order.holder_drone_id:
        return f"On {order.holder_drone_id}"
    return f"At {order.holder_hub}" if order.holder_hub else order.get_holder_display()


def in_line(spot: InLine | None) -> str:
    """“3rd in line of 12, about 14:05–14:20 UTC”; empty for an order that is not in line."""
    if spot is None:
        return ""
    if spot.because:
        why = WhyHeldUp(spot.because).label
        return f"In line: {why[0].lower()}{why[1:]}"
    place = f"{ordinal(spot.place or 0)} in line of {spot.of}"
    if spot.low_at is None or spot.high_at is None:
        return place
    return f"{place}, about {spot.low_at:%H:%M}–{spot.high_at:%H:%M} UTC"


HELD_UP_SHORTLY: dict[str, str] = {
    WhyHeldUp.PAUSED: "Paused",
    WhyHeldUp.TOO_WINDY: "Too windy",
    WhyHeldUp.WEATHER_UNKNOWN: "No wind data",
    WhyHeldUp.NO_DRONE: "No drone fits",
    WhyHeldUp.CLOSED: "Closed",
}


def in_line_shortly(spot: InLine | None) -> list[tuple[str]]:
    """The same as short lines for a list: “3rd in line”, “14:05–14:20”; “—” if not in line."""
    if spot is None:
        return [("—",)]
    if spot.low_at is None or spot.high_at is None:
        return [(HELD_UP_SHORTLY.get(spot.because, "In line"),)]
    place, times = (
        f"{ordinal(spot.place or 0)} in line",
        f"{spot.low_at:%H:%M}–{spot.high_at:%H:%M}",
    )
    return [(place,), (times,)]


def ordinal(number: int) -> str:
    """“1st”, “2nd”, “3rd”, “11th”."""
    teens = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


class Promised(Protocol):
    """An order, as a model object or as the live map reads it."""

    @property
    def is_terminal(self) -> bool: ...
    @property
    def delivered_at(self) -> datetime | None: ...
    @property
    def deliver_by(self) -> datetime: ...
    def sla(self, now: datetime) -> str | None: ...


def promise(order: Promised, now: datetime) -> tuple[str, Tone]:
    """The promise as text: how long is left, or how late the order is; “—” without a delivery."""
    if order.is_terminal:
        if order.delivered_at is None:
            return "—", Tone.IDLE
        over = order.delivered_at - order.deliver_by
        if over > timedelta(0):
            return f"{duration(over)} late", Tone.BAD
        return "On time", Tone.GOOD
    left = order.deliver_by - now
    tone = SLA_TONE[order.sla(now)]
    if left < timedelta(0):
        return f"Late by {duration(-left)}", tone
    return f"{duration(left)} left", tone
