"""A new tracking link for an order, when strangers have the former one."""

from uuid import UUID

from orders import lifecycle
from orders.models import Order
from orders.states import EventType, Happened
from orders.tracking_ids import SHORT_LENGTH, new_tracking_id
from wingxtra.accounts.identity import Actor

# Each renewal is a message to the customer.
MAX_RENEWALS = 20


def renew(order_id: UUID, *, by: Actor) -> Order:
    """Give the order a new tracking id; the former one is unknown from the commit on.

    The event does not name either id: events are kept, and an id opens the customer's page.
    Receivers find the former one in the order's `former_tracking_id`. The parcel keeps the short id
    that its label says. Raises NotFound, and Refused after MAX_RENEWALS.
    """

    def change(order: Order) -> Happened:
        renewals = order.history().filter(type=EventType.TRACKING_RENEWED)
        if renewals.count() >= MAX_RENEWALS:
            detail = f"The link was renewed {MAX_RENEWALS} times, the limit."
            raise lifecycle.Refused(order, detail, code="renewed_too_often")
        former = order.public_tracking_id
        order.label_id = order.label_id or former[:SHORT_LENGTH]
        order.public_tracking_id, order.former_tracking_id = new_tracking_id(), former
        return Happened(EventType.TRACKING_RENEWED, "The tracking link was renewed.")

    return lifecycle.amend(order_id, by=by, happened=change).order
