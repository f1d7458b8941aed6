"""Changing what an order says beside its trip, until launch."""

from typing import Any
from uuid import UUID

from django.db import transaction

from orders import lifecycle
from orders.changes import tracking_link
from orders.models import Order
from orders.placement import refuse_unless
from orders.states import CANCELABLE, EventType, Happened
from wingxtra.accounts.identity import Actor, ActorKind

# The fields, with their names for people.
DETAILS = {
    "customer_name": "customer's name",
    "customer_phone": "phone number",
    "customer_email": "e-mail address",
    "customer_language": "language",
    "dropoff_address": "address",
    "dropoff_instructions": "instructions",
    "metadata": "metadata",
    "priority": "priority",
}
# Messages with the tracking link go there.
ADDRESSES = ("customer_phone", "customer_email")
# Each change is an event and a webhook.
MAX_CUSTOMER_CHANGES = 20


def change_details(order_id: UUID, details: dict[str, Any], *, by: Actor) -> lifecycle.Done:
    """Change some of the fields in DETAILS. Raises Refused once the drone has launched.

    A corrected phone number or e-mail address belonged to another person: the link gets a new id,
    and the customer a message with it.
    """
    corrected = False

    def change(order: Order) -> Happened | None:
        nonlocal corrected
        by_customer = by.kind == ActorKind.CUSTOMER
        code = "too_late_to_instruct" if by_customer else "invalid_transition"
        refuse_unless(order, CANCELABLE, "its details can be changed only until launch", code)
        changed = [name for name, value in details.items() if getattr(order, name) != value]
        if not changed:
            return None
        if by_customer:
            _refuse_too_many_changes(order)
        corrected = any(getattr(order, name) for name in changed if name in ADDRESSES)
        for name in changed:
            setattr(order, name, details[name])
        names = " and the ".join(DETAILS[name] for name in changed)
        return Happened(EventType.DETAILS_CHANGED, f"The {names} changed.", {"fields": changed})

    with transaction.atomic():
        done = lifecycle.amend(order_id, by=by, happened=change)
        if corrected:
            order = tracking_link.renew(order_id, by=by)
            done = lifecycle.Done(order, changed=True)
    return done


def _refuse_too_many_changes(order: Order) -> None:
    changes = order.history().filter(type=EventType.DETAILS_CHANGED, actor_kind=ActorKind.CUSTOMER)
    if changes.count() >= MAX_CUSTOMER_CHANGES:
        raise lifecycle.Refused(
            order,
            f"The customer has changed the instructions {MAX_CUSTOMER_CHANGES} times, the limit. "
            "The merchant can still change them.",
            code="changed_too_often",
        )
