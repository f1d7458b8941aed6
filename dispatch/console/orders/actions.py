"""Actions of ops on an order: assign, reassign, dispatch, submit, cancel, requeue and so on.

Each calls one verb of `dispatch` or `orders.lifecycle`; `wingxtra.console.actions` has the pages.
dispatch/console/pages.py registers them, because orders does not import dispatch.
"""

from typing import Any

from django.db.models import QuerySet

from dispatch.console.orders.forms import (
    AssignForm,
    CancelForm,
    DetailsForm,
    MoveDropForm,
    RequeueForm,
    RescheduleForm,
)
from dispatch.console.orders.parcel_actions import ask_for_the_parcel
from dispatch.missions import before_launch, publishing, recalls
from dispatch.missions.before_launch import BEFORE_LAUNCH
from dispatch.models import DispatchRun, Mission
from dispatch.planning import manual_assignment, runs
from orders.changes import details, dropoff
from orders.models import Order
from orders.states import (
    CANCELABLE,
    IN_FLIGHT,
    WAITING,
    CancelReason,
    DropoffSource,
    EventType,
    Status,
)
from wingxtra.console.actions import Action, ReasonForm
from wingxtra.console.times import in_words
from wingxtra.problems import Conflict

# What makes “Ask for abort” and “Requeue” another request than the one that was opened: another
# flight, a colleague's abort, the end of the mission or of the order. A doubt that the watch over
# the missions raises, or the next step of the same flight, does not.
CHANGES_THE_FLIGHT = (
    EventType.ASSIGNED,
    EventType.REASSIGNED,
    EventType.REQUEUED,
    EventType.RESCHEDULED,
    EventType.ABORT_REQUESTED,
    EventType.MISSION_OVER,
    EventType.DELIVERED,
    EventType.FAILED,
    EventType.ABORTED,
    EventType.CANCELED,
    EventType.CORRECTED,
)


def _in(*statuses: Status, otherwise: str, may_be_held: bool = False) -> Any:
    """A `why_not`: None in these statuses, else why the action is not possible."""

    def why_not(order: Order) -> str | None:
        if order.status in statuses and order.hold_code and not may_be_held:
            return f"{order.get_hold_code_display()}. Answer that first."
        if order.status in statuses:
            return None
        return f"The order's status is “{order.get_status_display()}”. {otherwise}"

    return why_not


# --- verbs ---------------------------------------------------------------------------------------


def _assign(order: Order, data: dict[str, Any], user: Any) -> str:
    manual_assignment.assign(
        order.pk, data["drone_id"], by=user.actor, override_reason=data["override_reason"]
    )
    return f"{data['drone_id']} flies order {order}."


def _reassign(order: Order, data: dict[str, Any], user: Any) -> str:
    before_launch.reassign(
        order.pk, data["drone_id"], by=user.actor, override_reason=data["override_reason"]
    )
    return f"{data['drone_id']} flies order {order} now."


def _run(orders: list[Order], data: dict[str, Any], user: Any) -> runs.Outcome:
    return runs.run(
        trigger=DispatchRun.Trigger.CONSOLE, by=user.actor, only=[order.pk for order in orders]
    )


def _result_of_run(order: Order, data: dict[str, Any], user: Any) -> str:
    outcome: runs.Outcome = data["prepared"]
    assigned = {each.pk: each for each in outcome.assigned}
    if order.pk in assigned:
        return f"{assigned[order.pk].assigned_drone_id} flies order {order}."
    decision = next((d for d in outcome.decisions if d.order_id == order.pk), None)
    raise Conflict(
        "not_assigned",
        decision.why if decision else f"Order {order} was not planned: it is not queued any more.",
    )


def _submit(order: Order, data: dict[str, Any], user: Any) -> str:
    publishing.submit(order.pk, by=user.actor)
    return f"Ground control accepted the mission of order {order}."


def _cancel(order: Order, data: dict[str, Any], user: Any) -> str:
    after = before_launch.cancel(
        order.pk,
        by=user.actor,
        reason=CancelReason(data["reason"]),
        note=data["note"],
        override=data["override"],
    )
    return f"Order {order} was canceled.{ask_for_the_parcel(after)}"


def _requeue(order: Order, data: dict[str, Any], user: Any) -> str:
    after = before_launch.requeue(
        order.pk, by=user.actor, why=data["reason"], override=data["override"]
    )
    if after.hold_code:
        return f"Order {order} is on hold: say where its parcel is. {after.hold_message}"
    return f"Order {order} is back in the queue."


def _reschedule(order: Order, data: dict[str, Any], user: Any) -> str:
    done = before_launch.reschedule(
        order.pk,
        not_before=data["not_before"],
        deliver_by=data["deliver_by"],
        by=user.actor,
        why=data["reason"],
        override=data["override"],
    )
    if not done.changed:
        return f"Order {order} has that window already; nothing was changed."
    by = in_words(data["deliver_by"], order.service_area.zone)
    return f"Order {order} is to be there by {by}."


def _abort(order: Order, data: dict[str, Any], user: Any) -> str:
    recalls.request_abort(order.pk, by=user.actor, reason=data["reason"])
    return f"Ground control is asked to abort the flight of order {order}. It decides."


def _move_drop(order: Order, data: dict[str, Any], user: Any) -> str:
    drop = dropoff.Drop(lat=data["dropoff_lat"], lng=data["dropoff_lng"], source=DropoffSource.OPS)
    done = dropoff.move_dropoff(order.pk, drop, by=user.actor, why=data["reason"])
    if not done.changed:
        return f"The drop point of order {order} is there already; nothing was changed."
    return f"The drop point of order {order} was moved."


def _change_details(order: Order, data: dict[str, Any], user: Any) -> str:
    done = details.change_details(order.pk, data["details"], by=user.actor)
    if done.order.public_tracking_id != order.public_tracking_id:
        return f"Order {done.order} is corrected. Its link is new; the customer gets it at once."
    return f"Order {order} is corrected."


def _unsent(order: Order) -> tuple[QuerySet[Mission]]:
    if order.status != Status.ASSIGNED:
        return (Mission.objects.none(),)
    waiting = (Mission.State.HELD, Mission.State.PENDING)
    return (Mission.objects.of_job(order.current_job_id).filter(state__in=waiting).only("pk"),)


def _why_not_submit(order: Order, unsent: list[Mission]) -> str | None:
    return None if unsent else "There is no mission that waits to be sent."


ACTIONS = [
    Action(
        model=Order,
        name="assign",
        label="Assign",
        permission="orders.change_order",
        form=AssignForm,
        carry_out=_assign,
        why_not=_in(Status.QUEUED, otherwise="Only a queued order can be assigned."),
        in_bulk=False,
        template="console/order/assign.html",
    ),
    Action(
        model=Order,
        name="reassign",
        label="Reassign",
        permission="orders.change_order",
        form=AssignForm,
        carry_out=_reassign,
        why_not=_in(Status.ASSIGNED, otherwise="Only before its mission is accepted."),
        explanation="The former mission is withdrawn from ground control first.",
        in_bulk=False,
        template="console/order/assign.html",
    ),
    Action(
        model=Order,
        name="dispatch",
        label="Dispatch now",
        permission="orders.change_order",
        prepare=_run,
        carry_out=_result_of_run,
        why_not=_in(Status.QUEUED, otherwise="Only queued orders are dispatched."),
        explanation="Plans these orders together, now, against all able drones.",
    ),
    Action(
        model=Order,
        name="submit",
        label="Submit the mission",
        permission="orders.change_order",
        carry_out=_submit,
        why_not=_why_not_submit,
        reads=_unsent,
        explanation="Sends the mission intent to ground control now.",
    ),
    Action(
        model=Order,
        name="requeue",
        in_background=True,
        label="Requeue",
        permission="orders.change_order",
        form=RequeueForm,
        carry_out=_requeue,
        why_not=_in(*BEFORE_LAUNCH, otherwise="Only before launch."),
        explanation="Takes the order from its drone. Ground control's mission is withdrawn first.",
    ),
    Action(
        model=Order,
        name="reschedule",
        in_background=True,
        label="Reschedule",
        permission="orders.change_order",
        form=RescheduleForm,
        carry_out=_reschedule,
        why_not=_in(
            Status.VALIDATED,
            Status.QUEUED,
            Status.ASSIGNED,
            otherwise="Only before its mission is accepted.",
        ),
    ),
    Action(
        model=Order,
        name="move-drop",
        label="Move the drop point",
        permission="orders.change_order",
        form=MoveDropForm,
        carry_out=_move_drop,
        why_not=_in(*WAITING, otherwise="Only until a drone is assigned.", may_be_held=True),
        explanation="Drag the pin, or write the coordinates. It is checked like a new order's.",
        in_bulk=False,
        template="console/order/move_drop.html",
    ),
    Action(
        model=Order,
        name="details",
        label="Correct the details",
        permission="orders.change_order",
        form=DetailsForm,
        carry_out=_change_details,
        why_not=_in(*CANCELABLE, otherwise="Only until launch.", may_be_held=True),
        explanation="A corrected phone number or e-mail address renews the customer's link. A new "
        "priority changes the order of dispatch, not the promise.",
        in_bulk=False,
    ),
    Action(
        model=Order,
        name="abort",
        label="Ask for abort",
        permission="orders.change_order",
        form=ReasonForm,
        carry_out=_abort,
        why_not=_in(*IN_FLIGHT, otherwise="Only a flight can be aborted."),
        explanation="We ask, ground control decides. The order is aborted once it says so.",
        is_grave=True,
    ),
    Action(
        model=Order,
        name="cancel",
        in_background=True,
        label="Cancel the order",
        permission="orders.change_order",
        form=CancelForm,
        carry_out=_cancel,
        why_not=_in(*CANCELABLE, otherwise="It cannot be canceled any more.", may_be_held=True),
        explanation="Ground control's mission, if there is one, is withdrawn first.",
        is_grave=True,
    ),
]
