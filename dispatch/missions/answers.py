"""A person's answer to how a flight ended, when telemetry and ground control leave it open.

The console, the loader's page and the API call these. `note` says what the person knows and how;
the timeline keeps it permanently, so it holds no personal data.
"""

from uuid import UUID

from django.db import transaction

from dispatch.missions.live_missions import mark_over
from dispatch.missions.parcel_doubt import parcel_astray
from dispatch.models import Flight
from fleet import policy
from orders import lifecycle
from orders.models import Order
from orders.states import IN_FLIGHT, JobStatus, Status
from wingxtra.accounts.identity import Actor
from wingxtra.problems import NotFound

# An accepted mission may fly, or may have flown, without any telemetry.
MAY_HAVE_FLOWN = (Status.MISSION_SUBMITTED, *IN_FLIGHT)


def confirm_delivered(order_id: UUID, *, by: Actor, note: str) -> Order:
    """Deliver an order in flight or on hold. Raises Refused for another status; the outcome of an
    ended order is corrected with `lifecycle.correct`.
    """
    order = _found(order_id)
    if order.status in MAY_HAVE_FLOWN:
        done = lifecycle.advance(
            order_id, Status.DELIVERED, by=by, job_id=order.current_job_id, message=note
        )
        return done.order
    return lifecycle.delivered_after_all(order_id, by=by, why=note)


@transaction.atomic
def confirm_failed(order_id: UUID, *, by: Actor, note: str) -> Order:
    """End the flight under way without a delivery. An unknown parcel location puts the order on
    hold. Raises Refused unless ground control has its mission.
    """
    order = _found(order_id)
    job = order.current_job
    if order.status not in MAY_HAVE_FLOWN or job is None:
        raise lifecycle.Refused(order, f"The order is {order.status}, not in flight.")
    order = lifecycle.advance(order_id, Status.LAUNCHED, by=by, job_id=job.pk).order
    mark_over([job.pk], by=str(by), because=note)
    return lifecycle.mission_over(
        order_id,
        ended=JobStatus.FAILED,
        by=by,
        why=note,
        max_attempts=policy.current().max_attempts,
        job_id=job.pk,
        parcel_astray=parcel_astray(order, job, Flight.objects.filter(job=job).first()),
    )


def _found(order_id: UUID) -> Order:
    order = Order.objects.select_related("current_job").filter(pk=order_id).first()
    if order is None:
        raise NotFound
    return order
