"""Saying how an order ended, where that was not known or was believed wrongly.

Reached through `orders.lifecycle`.
"""

from datetime import datetime, timedelta
from uuid import UUID

from orders import unit_of_work
from orders.models import DeliveryJob, Order
from orders.states import EventType, Holder, ReasonCode, Status
from orders.unit_of_work import Refused
from wingxtra.accounts.identity import Actor

CORRECTABLE_FOR = timedelta(days=7)


def delivered_after_all(
    order_id: UUID, *, by: Actor, why: str, occurred_at: datetime | None = None
) -> Order:
    """A person knows that an order on hold was delivered, or one that was canceled and whose parcel
    is looked for. Raises Refused for any other order.
    """
    with unit_of_work.changing(order_id, by=by, occurred_at=occurred_at) as (change, order):
        is_looked_for = order.holder in (Holder.DRONE, Holder.UNKNOWN)
        if not order.hold_code and not (order.status == Status.CANCELED and is_looked_for):
            words = f"The order is {order.status} and waits for no answer about its parcel."
            raise Refused(order, words, code="not_on_hold")
        _deliver(change, order, why)
    return order


def correct(
    order_id: UUID, *, outcome: Status, by: Actor, why: str, reason: ReasonCode = ReasonCode.OTHER
) -> Order:
    """Change DELIVERED to FAILED or FAILED and ABORTED to DELIVERED, within 7 days of the end.

    `why` is a person's written word. A parcel that was not delivered after all is looked for.
    DELIVERED also answers an order on hold. Raises Refused when the order is not over, is over for
    longer, or has that outcome already.
    """
    with unit_of_work.changing(order_id, by=by) as (change, order):
        if order.hold_code and outcome == Status.DELIVERED:
            _deliver(change, order, why)
            return order
        if order.status not in (Status.DELIVERED, Status.FAILED, Status.ABORTED):
            words = f"The order is {order.status}; only an outcome can be corrected."
            raise Refused(order, words, code="not_over")
        if outcome == order.status and reason == (order.reason_code or reason):
            raise Refused(order, f"The order is {order.status} already.", code="no_change")
        _refuse_when_too_late(order, change.now)
        if outcome == Status.DELIVERED:
            at = order.last_step_at
            change.step(order.correct_to_delivered, at=at, job=_latest_job(order), why=why)
        else:
            was_delivered = order.status == Status.DELIVERED
            change.step(order.correct_to_failed, why=why, reason=reason)
            if was_delivered:
                change.note(order, order.lose_sight(f"Not delivered after all: {why}"))
    return order


def _deliver(change: unit_of_work.Change, order: Order, why: str) -> None:
    """It is delivered now, by the latest attempt."""
    at, job = change.happened_at(order), _latest_job(order)
    change.step(order.correct_to_delivered, at=at, job=job, why=why)


def _refuse_when_too_late(order: Order, now: datetime) -> None:
    ends = order.events.filter(type__in=(EventType.DELIVERED, EventType.FAILED, EventType.ABORTED))
    over_since = ends.values_list("created_at", flat=True).order_by("id").first() or now
    if now - over_since > CORRECTABLE_FOR:
        words = f"It is over since {over_since:%Y-%m-%d}; 7 days are allowed for a correction."
        raise Refused(order, words, code="too_late_to_correct")


def _latest_job(order: Order) -> DeliveryJob:
    job = order.current_job or DeliveryJob.objects.filter(order=order).order_by("attempt").last()
    if job is None:
        raise Refused(order, "No drone has ever flown this order.", code="never_flown")
    return job
