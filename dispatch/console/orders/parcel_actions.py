"""Actions of ops that state how a flight ended or where its parcel is.

Each calls one verb, as in dispatch/console/orders/actions.py. Those with `is_answer` are on top of
an order's page while an answer is awaited. Notes written here stay in the timeline.
"""

from typing import Any

from django.db.models import QuerySet

from dispatch.console.orders.parcel_forms import (
    CloseForm,
    CorrectForm,
    HubForm,
    KnownForm,
    NeverLeftForm,
    ReturnForm,
)
from dispatch.missions import answers, closing, discrepancies, publishing_pause, recalls
from dispatch.missions.closing import Found
from dispatch.models import Discrepancy, MissionPart, PublishingPause
from orders import lifecycle
from orders.models import Order
from orders.states import (
    FLOWN_FROM,
    IN_FLIGHT,
    TERMINAL,
    WITH_A_JOB,
    Holder,
    ReasonCode,
    Status,
)
from wingxtra.console import actions
from wingxtra.console.actions import Action

CHANGE = "orders.change_order"


# --- why an action is not possible ---------------------------------------------------------------


def awaits_answer(order: Order) -> bool:
    """Whether staff must state where its parcel is; as `awaiting_staff`, plus test orders."""
    is_astray = order.holder == Holder.DRONE and order.status not in WITH_A_JOB
    return bool(order.hold_code) or order.holder == Holder.UNKNOWN or is_astray


def _why_not_delivered(order: Order) -> str | None:
    if order.status in answers.MAY_HAVE_FLOWN or order.hold_code:
        return None
    if order.status == Status.CANCELED and awaits_answer(order):
        return None
    if order.status in TERMINAL:
        return "The order is over: “Correct the outcome” changes that."
    return "It neither flies nor waits for an answer about its parcel."


def _why_not_failed(order: Order) -> str | None:
    return None if order.status in answers.MAY_HAVE_FLOWN else "It is not in flight."


def _why_not_at_hub(order: Order) -> str | None:
    if order.is_at_rest:
        return f"The parcel is elsewhere: {order.get_holder_display().lower()}."
    if awaits_answer(order) or order.status in IN_FLIGHT:
        return None
    return "The parcel is where the order says."


def _why_not_never_left(order: Order) -> str | None:
    if awaits_answer(order) and order.holder in (Holder.UNKNOWN, Holder.DRONE):
        return None
    return "The parcel is not looked for."


def _why_not_out(order: Order) -> str | None:
    """For lost parcels and those returned to the sender."""
    if order.status in WITH_A_JOB:
        return "A drone has the order: say first how its flight ended, or requeue it."
    if order.holder == Holder.HUB or (awaits_answer(order) and order.holder not in FLOWN_FROM):
        return None
    return "The parcel is neither looked for nor at a hub."


def _why_not_correct(order: Order) -> str | None:
    if order.status in (Status.DELIVERED, Status.FAILED, Status.ABORTED):
        return None
    return "Only the outcome of an order that has ended can be corrected."


def _why_not_close(order: Order) -> str | None:
    return None if order.status in WITH_A_JOB else "No attempt is under way."


def _in_the_air(order: Order) -> tuple[QuerySet[MissionPart]]:
    return (MissionPart.objects.live().filter(order=order.pk),)


def _why_not_over(order: Order, in_the_air: list[MissionPart]) -> str | None:
    return None if in_the_air else "No mission of this order can be in the air."


def _why_not_ready(order: Order) -> str | None:
    if order.parcel_ready_at is not None:
        return "It is ready already."
    if order.holder in FLOWN_FROM and order.status not in (Status.CREATED, *TERMINAL):
        return None
    return "Its parcel is not waited for."


def _why_not_loaded(order: Order) -> str | None:
    if order.status not in WITH_A_JOB:
        return "No drone has this order."
    return None if order.holder in FLOWN_FROM else "The parcel is not at the pickup any more."


# --- verbs ---------------------------------------------------------------------------------------


def ask_for_the_parcel(after: Order) -> str:
    """The end of the message of an action whose mission may have flown unseen."""
    return " Say now where its parcel is." if after.holder == Holder.UNKNOWN else ""


def _delivered(order: Order, data: dict[str, Any], user: Any) -> str:
    answers.confirm_delivered(order.pk, by=user.actor, note=data["note"])
    return f"Order {order} was delivered."


def _failed(order: Order, data: dict[str, Any], user: Any) -> str:
    after = answers.confirm_failed(order.pk, by=user.actor, note=data["note"])
    if after.hold_code:
        return f"The flight of order {order} failed. Say now where its parcel is."
    return f"The flight of order {order} failed: {after.get_status_display().lower()}."


def _at_hub(order: Order, data: dict[str, Any], user: Any) -> str:
    lifecycle.unloaded(order.pk, data["hub"].pk, by=user.actor, note=data["note"])
    return f"The parcel of order {order} is at {data['hub']}."


def _never_left(order: Order, data: dict[str, Any], user: Any) -> str:
    lifecycle.never_left(order.pk, by=user.actor, note=data["note"])
    return f"The parcel of order {order} is with its sender."


def _given_back(order: Order, data: dict[str, Any], user: Any) -> str:
    lifecycle.given_back(order.pk, by=user.actor, received_by=data["received_by"])
    return f"The parcel of order {order} is back with its sender."


def _lost(order: Order, data: dict[str, Any], user: Any) -> str:
    lifecycle.lost(order.pk, by=user.actor, note=data["note"])
    return f"The parcel of order {order} is lost."


def _correct(order: Order, data: dict[str, Any], user: Any) -> str:
    outcome = Status(data["outcome"])
    reason = ReasonCode(data["reason"] or ReasonCode.OTHER)
    lifecycle.correct(order.pk, outcome=outcome, by=user.actor, why=data["note"], reason=reason)
    return f"The outcome of order {order} is {outcome.label.lower()} now."


def _over(order: Order, data: dict[str, Any], user: Any) -> str:
    after = recalls.confirm_over(order.pk, by=user.actor, note=data["note"])
    return f"No mission of order {order} flies any more.{ask_for_the_parcel(after)}"


def _close(order: Order, data: dict[str, Any], user: Any) -> str:
    found, hub = Found(data["found"]), data["hub"] if data["found"] == Found.HUB else None
    after = closing.close_attempt(
        order.pk,
        found=found,
        is_over=data["mission"] == "over",
        by=user.actor,
        note=data["note"],
        hub_id=hub and hub.pk,
    )
    where = f"at {hub}" if hub else found.label.lower()
    state = after.get_hold_code_display() or after.get_status_display()
    return f"The attempt of order {order} is closed, its parcel is {where}. Now: {state}."


def _ready(order: Order, data: dict[str, Any], user: Any) -> str:
    lifecycle.ready(order.pk, by=user.actor)
    return f"The parcel of order {order} is ready."


def _loaded(order: Order, data: dict[str, Any], user: Any) -> str:
    lifecycle.loaded(order.pk, by=user.actor)
    return f"The parcel of order {order} is aboard."


def _settle(doubt: Discrepancy, data: dict[str, Any], user: Any) -> str:
    discrepancies.settle(doubt.pk, by=user.actor, note=data["note"])
    return f"Settled: {data['note']}"


def _resume(pause: PublishingPause, data: dict[str, Any], user: Any) -> str:
    publishing_pause.resume(by=user.actor)
    return "Missions are sent again, the oldest first."


ACTIONS = [
    Action(
        model=Order,
        name="delivered",
        label="It was delivered",
        permission=CHANGE,
        form=KnownForm,
        carry_out=_delivered,
        why_not=_why_not_delivered,
        explanation="The recipient has the parcel. The order ends as delivered; customer and "
        "merchant are notified.",
        is_answer=True,
    ),
    Action(
        model=Order,
        name="failed",
        label="It failed",
        permission=CHANGE,
        form=KnownForm,
        carry_out=_failed,
        why_not=_why_not_failed,
        explanation="The flight is over and did not deliver. Its drone is put on hold. If the "
        "parcel's location is unknown, you state it next.",
        is_answer=True,
    ),
    Action(
        model=Order,
        name="at-hub",
        label="It is at a hub",
        permission=CHANGE,
        form=HubForm,
        carry_out=_at_hub,
        why_not=_why_not_at_hub,
        explanation="The parcel is at this hub. An open order is flown from there.",
        is_answer=True,
    ),
    Action(
        model=Order,
        name="never-left",
        label="It never left the sender",
        permission=CHANGE,
        form=NeverLeftForm,
        carry_out=_never_left,
        why_not=_why_not_never_left,
        explanation="No drone picked the parcel up. An open order is flown from there.",
        is_answer=True,
    ),
    Action(
        model=Order,
        name="given-back",
        label="It goes back to the sender",
        permission=CHANGE,
        form=ReturnForm,
        carry_out=_given_back,
        why_not=_why_not_out,
        explanation="The sender has the parcel again. An open order ends as failed; "
        "customer and merchant are notified.",
        is_grave=True,
        is_answer=True,
    ),
    Action(
        model=Order,
        name="lost",
        label="It is lost",
        permission=CHANGE,
        form=KnownForm,
        carry_out=_lost,
        why_not=_why_not_out,
        explanation="The parcel will not be found. An open order ends as failed; "
        "customer and merchant are notified.",
        is_grave=True,
        is_answer=True,
    ),
    Action(
        model=Order,
        name="ready",
        label="Parcel is ready",
        permission=CHANGE,
        carry_out=_ready,
        why_not=_why_not_ready,
        explanation="The parcel is packed and can be loaded.",
    ),
    Action(
        model=Order,
        name="loaded",
        label="Loaded",
        permission=CHANGE,
        carry_out=_loaded,
        why_not=_why_not_loaded,
        explanation="The parcel is aboard the drone that has this order.",
    ),
    Action(
        model=Order,
        name="mission-over",
        label="Its mission is over",
        permission=CHANGE,
        form=KnownForm,
        carry_out=_over,
        why_not=_why_not_over,
        reads=_in_the_air,
        explanation="You have looked in ground control, and no drone flies this order any more. "
        "From then on another one may be sent. Never guess here.",
        is_grave=True,
    ),
    Action(
        model=Order,
        name="close-attempt",
        label="Close this attempt",
        permission=CHANGE,
        form=CloseForm,
        carry_out=_close,
        why_not=_why_not_close,
        explanation="Ends the attempt under way, also in flight, and says what became of the "
        "parcel. A lost parcel, or one that is back with its sender, ends the order.",
        in_bulk=False,
        is_grave=True,
    ),
    Action(
        model=Order,
        name="correct",
        label="Correct the outcome",
        permission=CHANGE,
        form=CorrectForm,
        carry_out=_correct,
        why_not=_why_not_correct,
        explanation="Within 7 days of its end. Customer and merchant are notified; the former "
        "outcome stays in the timeline. A parcel that was not delivered is looked for.",
        is_grave=True,
    ),
    Action(
        model=Discrepancy,
        name="settle",
        label="Settle",
        permission=CHANGE,
        form=KnownForm,
        carry_out=_settle,
        why_not=lambda doubt: "It is settled already." if doubt.settled_at else None,
        explanation="Say what happened. This changes neither the order nor its drone.",
    ),
    Action(
        model=PublishingPause,
        name="resume",
        label="Resume publishing",
        permission=CHANGE,
        carry_out=_resume,
        why_not=lambda pause: "It has ended already." if pause.ended_at else None,
        explanation="Missions are sent again, the oldest first. If ground control refuses them "
        "once more, publishing pauses again.",
    ),
]

actions.describe(Discrepancy, lambda doubt: doubt.message)
actions.describe(PublishingPause, lambda pause: pause.because)
