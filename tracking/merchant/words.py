"""An order's state, parcel and times in plain words for its merchant. Pure.

Everything is read from the JSON that the API answers to the merchant, so a page tells no more.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orders.api.contract import OrderBody, Queue
from orders.states import IN_FLIGHT, TERMINAL, WITH_A_JOB, EventType, Holder, Status
from wingxtra.console.admin import duration
from wingxtra.console.registry import Tone


@dataclass(frozen=True, slots=True)
class Said:
    text: str
    tone: Tone = Tone.IDLE


STATES: dict[str, Said] = {
    Status.CREATED: Said("Received"),
    Status.VALIDATED: Said("Scheduled"),
    Status.QUEUED: Said("Waiting for a drone", Tone.WARN),
    Status.ASSIGNED: Said("Drone assigned", Tone.BUSY),
    Status.MISSION_SUBMITTED: Said("About to start", Tone.BUSY),
    Status.LAUNCHED: Said("Taken off", Tone.BUSY),
    Status.ENROUTE: Said("On the way", Tone.BUSY),
    Status.ARRIVED: Said("At the drop point", Tone.BUSY),
    Status.DELIVERING: Said("Handing over", Tone.BUSY),
    Status.DELIVERED: Said("Delivered", Tone.GOOD),
    Status.CANCELED: Said("Canceled"),
    Status.FAILED: Said("Not delivered", Tone.BAD),
    Status.ABORTED: Said("Flight aborted", Tone.BAD),
}
ON_HOLD = Said("On hold", Tone.BAD)
PARCEL: dict[str, str] = {
    Holder.SENDER: "You have it",
    Holder.DRONE: "Aboard the drone",
    Holder.HUB: "At our hub",
    Holder.RECIPIENT: "The recipient has it",
    Holder.RETURNED: "Back with you",
    Holder.LOST: "Lost",
    Holder.UNKNOWN: "Not known: our staff look for it",
}
EVENT_TONE: dict[str, Tone] = {
    EventType.DELIVERED: Tone.GOOD,
    EventType.PROOF_RECORDED: Tone.GOOD,
    EventType.PARCEL_LOADED: Tone.BUSY,
    EventType.LAUNCHED: Tone.BUSY,
    EventType.FAILED: Tone.BAD,
    EventType.ABORTED: Tone.BAD,
    EventType.PARCEL_LOST: Tone.BAD,
    EventType.PARCEL_UNKNOWN: Tone.BAD,
    EventType.LINK_LOST: Tone.WARN,
    EventType.REQUEUED: Tone.WARN,
    EventType.CODE_REFUSED: Tone.WARN,
}


def state(order: OrderBody) -> Said:
    return ON_HOLD if order["hold"] else STATES[order["status"]]


def name(order: OrderBody) -> str:
    """The merchant's reference, else the tracking id in groups that can be read aloud."""
    return order["external_id"] or grouped(order["public_tracking_id"])


def grouped(tracking_id: str) -> str:
    return "-".join((tracking_id[:4], tracking_id[4:8], tracking_id[8:]))


def parcel(order: OrderBody) -> str:
    """“You have it, at Ridge Pharmacy”."""
    custody = order["custody"]
    place = f", at {custody['place']}" if custody["place"] else ""
    return PARCEL[custody["holder"]] + place


def timing(order: OrderBody, now: datetime) -> Said:
    """When it comes, came, or was promised, with the day if that is not today (UTC)."""
    late = order["sla"] == "late"
    if order["status"] in TERMINAL:
        if order["delivered_at"] is None:
            return Said("—")
        tone = Tone.BAD if late else Tone.GOOD
        return Said(f"at {clock(order['delivered_at'], now)}{', late' if late else ''}", tone)
    if order["status"] == Status.VALIDATED and order["not_before"]:
        return Said(f"from {clock(order['not_before'], now)}")
    tone = {"late": Tone.BAD, "at_risk": Tone.WARN}.get(order["sla"] or "", Tone.IDLE)
    if order["eta_at"] and order["status"] in WITH_A_JOB:
        return Said(f"about {clock(order['eta_at'], now)}", tone)
    if expected := order["eta_range"]:
        low, high = clock(expected["low"], now), clock(expected["high"], now)
        return Said(f"{low} to {high}{', late' if late else ''}", tone)
    return Said(f"by {clock(order['deliver_by'], now)}{', late' if late else ''}", tone)


def outlook(order: OrderBody, now: datetime) -> str:
    """One sentence about what happens next, or why it ended."""
    if order["hold"]:
        return f"{order['hold']['message'].rstrip('.')}. Our staff find out what comes next."
    if order["reason"]:
        return order["reason"]["message"]
    if order["status"] == Status.DELIVERED:
        return "The parcel is with the recipient."
    if order["status"] == Status.VALIDATED:
        return "A drone is planned when its time comes."
    left = order["eta_seconds"]
    if left is not None and order["status"] in WITH_A_JOB:
        return f"At the door in about {max(1, math.ceil(left / 60))} minutes."
    if order["status"] in IN_FLIGHT:
        return "The arrival time is not known at the moment."
    return _in_line(order["queue"]) or "The next drone that fits takes it."


def _in_line(queue: Queue | None) -> str:
    """“It is number 3 of 12 in line.”; empty when that is not known."""
    if queue is None:
        return ""
    if held_up := queue["held_up"]:
        return f"{held_up['message']} It flies as soon as that is over."
    return f"It is number {queue['place']} of {queue['of']} in line."


def quoted(answer: dict[str, Any]) -> str:
    """“We can deliver this in 12 to 60 minutes.”"""
    low, high = answer["eta_seconds"]["low"], answer["eta_seconds"]["high"]
    if held_up := answer["held_up"]:
        return f"We can deliver this, but not say when. {held_up['message']}"
    words = f"We can deliver this in {math.floor(low / 60)} to {math.ceil(high / 60)} minutes."
    return f"{words} All drones are busy, so it waits for one." if answer["busy"] else words


def clock(at: datetime, now: datetime) -> str:
    """“14:05” today, else “04 Mar 14:05”, with the year if it is another one."""
    if at.date() == now.date():
        return f"{at:%H:%M}"
    return f"{at:%d %b %H:%M}" if at.year == now.year else f"{at:%d %b %Y %H:%M}"


def since(at: datetime, now: datetime) -> str:
    return duration(max(now - at, timedelta(0)))
