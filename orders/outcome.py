"""The verbs that set or correct an order's outcome. Call them through `orders.lifecycle`."""

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
    """Record that an order was delivered: one on hold, or a canceled one whose parcel is missing.
    Raises Refused for any other order.
    """
    with unit_of_work.changing(order_id, by=by, occurred_at=occurred_at) as (change, order):
        is_missing = order.holder in (Holder.DRONE, Holder.UNKNOWN)
        if not order.hold_code and not (order.status == Status.CANCELED and is_missing):
            detail = f"The order is {order.status} and not on hold for its parcel."
            raise Refused(order, detail, code="not_on_hold")
        _deliver(change, order, why)
    return order


def correct(
    order_id: UUID, *, outcome: Status, by: Actor, why: str, reason: ReasonCode = ReasonCode.OTHER
) -> Order:
    """Change DELIVERED to FAILED, or FAILED and ABORTED to DELIVERED, within 7 days of the end.

    `why` is written by a person. A parcel that was not delivered has an UNKNOWN holder afterwards.
    DELIVERED also resolves an order on hold. Raises Refused when the order is not over, ended more
    than 7 days ago, or has that outcome already.
    """
    with unit_of_work.changing(order_id, by=by) as (change, order):
        if order.hold_code and outcome == Status.DELIVERED:
            _deliver(change, order, why)
            return order
        if order.status not in (Status.DELIVERED, Status.FAILED, Status.ABORTED):
            detail = f"The order is {order.status}; only an outcome can be corrected."
            raise Refused(order, detail, code="not_over")
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
    """Mark the order delivered by its latest attempt."""
    at, job = change.happened_at(order), _latest_job(order)
    change.step(order.correct_to_delivered, at=at, job=job, why=why)


def _refuse_when_too_late(order: Order, now: datetime) -> None:
    ends = order.history().filter(
        type__in=(EventType.DELIVERED, EventType.FAILED, EventType.ABORTED)
    )
    ended_at = ends.values_list("created_at", flat=True).order_by("id").first() or now
    if now - ended_at > CORRECTABLE_FOR:
        detail = f"The order ended on {ended_at:%Y-%m-%d}; it can be corrected for 7 days."
        raise Refused(order, detail, code="too_late_to_correct")


def _latest_job(order: Order) -> DeliveryJob:
    job = order.current_job or DeliveryJob.objects.filter(order=order).order_by("attempt").last()
    if job is None:
        raise Refused(order, "No drone has ever flown this order.", code="never_flown")
    return job
