"""The rows and buttons of a hub's or a store's page, from orders that are fetched already. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from fleet.feasibility.geometry import distance_m
from fleet.feasibility.rules import Priority
from fleet.models import Hub
from orders.loading.access import NEAR_M, Place
from orders.models import Order, Store
from orders.states import (
    FLOWN_FROM,
    IN_FLIGHT,
    WITH_A_JOB,
    HoldCode,
    Holder,
    Status,
    steps_between,
)


class ParcelAction(StrEnum):
    """What a loader can report by a tap."""

    READY = "ready"
    LOADED = "loaded"
    UNLOADED = "unloaded"


class Part(StrEnum):
    """The parts of the list, in the order of the page."""

    EXPECTED = "expected"
    LEAVING = "leaving"
    LYING = "lying"
    WAITING = "waiting"
    FLYING = "flying"


TITLES = {
    Part.EXPECTED: "Expected back",
    Part.LEAVING: "Leaves next",
    Part.LYING: "Lies here",
    Part.WAITING: "Waits for a drone",
    Part.FLYING: "In the air",
}
STATES = {
    Status.VALIDATED: "Scheduled",
    Status.QUEUED: "Waits for a drone",
    Status.ASSIGNED: "Has a drone",
    Status.MISSION_SUBMITTED: "Ground control has the mission",
    Status.LAUNCHED: "Took off",
    Status.ENROUTE: "Under way",
    Status.ARRIVED: "At the drop point",
    Status.DELIVERING: "Being handed over",
}
RANK = {Priority.MEDICAL: 0, Priority.URGENT: 1, Priority.NORMAL: 2}


@dataclass(frozen=True, slots=True)
class Button:
    """`confirmation`: a question that must be confirmed by a second tap; empty for none."""

    action: ParcelAction
    label: str
    confirmation: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One parcel, without the customer and the drop point.

    `job_id`: the attempt that the page shows; a tap applies to this attempt only.
    """

    order_id: UUID
    job_id: UUID | None
    short_id: str
    payload: str
    urgency: str
    state: str
    since: datetime
    drone_id: str
    drone_from: str
    pickup: str
    note: str
    is_ready: bool
    is_aboard: bool
    buttons: tuple[Button, ...]


@dataclass(frozen=True, slots=True)
class Section:
    part: Part
    title: str
    rows: tuple[Row, ...]


def compose(orders: Iterable[Order], place: Place) -> list[Section]:
    """The parts of the place's list that are not empty."""
    parts: dict[Part, list[Order]] = {part: [] for part in Part}
    for order in orders:
        parts[part_of(order)].append(order)
    return [
        Section(part, TITLES[part], tuple(row_of(o, place) for o in sorted(members, key=_sort_key)))
        for part, members in parts.items()
        if members
    ]


def part_of(order: Order) -> Part:
    if order.holder == Holder.UNKNOWN:
        return Part.EXPECTED
    if order.status not in WITH_A_JOB:
        if order.holder == Holder.DRONE:
            return Part.EXPECTED
        return Part.LYING if order.holder == Holder.HUB else Part.WAITING
    if order.status in IN_FLIGHT and order.holder == Holder.DRONE:
        return Part.FLYING
    return Part.LEAVING


def _sort_key(order: Order) -> tuple[float, ...]:
    """Within a part: with a job the next launch first, else by start, urgency and deadline."""
    job = order.current_job
    if order.status in WITH_A_JOB and job is not None:
        left = steps_between(Status(order.status), Status.DELIVERED)
        return (len(left), job.created_at.timestamp())
    starts_at = order.not_before.timestamp() if order.not_before else 0.0
    return (starts_at, RANK[Priority(order.priority)], order.deliver_by.timestamp())


def row_of(order: Order, place: Place | None, *, in_hand: bool = False) -> Row:
    """`in_hand`: its label was scanned, so the parcel is here even if the order says otherwise."""
    job = order.current_job if order.status in WITH_A_JOB else None
    drone = job.drone if job else order.holder_drone
    is_aboard = order.holder == Holder.DRONE
    return Row(
        order_id=order.pk,
        job_id=job.pk if job else None,
        short_id=order.short_id,
        payload=f"{order.get_payload_type_display()}, {order.payload_weight_kg:g} kg",
        urgency="" if order.priority == Priority.NORMAL else order.get_priority_display(),
        state=_state(order),
        since=order.last_step_at if job else order.holder_since,
        drone_id=drone.pk if drone else "",
        drone_from=drone.hub.name if drone and drone.hub != place else "",
        pickup="" if _is_here(order, place) else _whereabouts(order),
        note=_note(order),
        is_ready=order.parcel_ready_at is not None and order.holder in FLOWN_FROM,
        is_aboard=is_aboard,
        buttons=tuple(_buttons(order, place, in_hand)),
    )


def _is_here(order: Order, place: Place | None) -> bool:
    if place is None:
        return False
    if order.holder == Holder.HUB:
        return order.holder_hub == place
    if order.holder != Holder.SENDER:
        return False
    if isinstance(place, Store):
        return order.store_id == place.pk
    away_m = distance_m(order.pickup_lat, order.pickup_lng, place.lat, place.lng)
    return float(away_m) <= NEAR_M


def _whereabouts(order: Order) -> str:
    """The name of the parcel's place; empty when it is aboard a drone or not known."""
    if order.holder == Holder.SENDER:
        return order.pickup_name or "the sender's place"
    return order.holder_hub.name if order.holder_hub else ""


def _state(order: Order) -> str:
    if order.status in WITH_A_JOB and order.holder == Holder.DRONE and not _flies(order):
        return "Aboard, about to leave"
    if order.status in WITH_A_JOB or order.holder == Holder.SENDER:
        return STATES.get(Status(order.status), order.get_status_display())
    return order.get_holder_display()


def _flies(order: Order) -> bool:
    return order.status in IN_FLIGHT


def _note(order: Order) -> str:
    if order.holder == Holder.UNKNOWN:
        return "We do not know where it is. Tap only if you have it in your hands."
    if order.is_terminal and order.holder in (Holder.DRONE, Holder.HUB):
        status = order.get_status_display().lower()
        return f"The order is over ({status}). Keep the parcel until operations say where it goes."
    if order.holder == Holder.DRONE and order.hold_code == HoldCode.PARCEL_ABOARD:
        return "Its flight is over. Take it off the drone, then tap."
    return "Operations decide where it goes." if order.hold_code else ""


def _buttons(order: Order, place: Place | None, in_hand: bool) -> Iterable[Button]:
    with_a_job = order.status in WITH_A_JOB and order.current_job is not None
    if order.holder in FLOWN_FROM and (in_hand or _is_here(order, place)):
        if order.parcel_ready_at is None and not order.is_terminal:
            yield Button(ParcelAction.READY, "Ready")
        if with_a_job:
            yield Button(ParcelAction.LOADED, "Loaded")
    # A parcel comes back to a hub of ours, never to a store.
    if not isinstance(place, Hub) or order.is_at_rest:
        return
    if order.holder == Holder.UNKNOWN or (order.holder == Holder.DRONE and not with_a_job):
        yield Button(ParcelAction.UNLOADED, "Came back")
    elif order.holder == Holder.DRONE and in_hand:
        flies = "As far as we know it is in the air. Is it really here?"
        confirmation = flies if _flies(order) else "Taken off the drone again?"
        yield Button(ParcelAction.UNLOADED, "Came back", confirmation)
    elif order.holder == Holder.HUB and in_hand and order.holder_hub != place:
        confirmation = f"As far as we know it is at {_whereabouts(order)}. Is it here?"
        yield Button(ParcelAction.UNLOADED, "Is here", confirmation)
