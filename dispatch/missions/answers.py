"""What a person answers when it is not clear how a flight ended or where its parcel is.

Each is called by the console, the loader's page and the API alike. `note` is what the person knows
and how; it goes into the timeline for good, so it holds no personal data.
"""

from uuid import UUID

from django.db import transaction

from dispatch.missions.live_missions import set_over
from dispatch.missions.parcel_doubt import parcel_astray
from dispatch.models import Flight
from fleet import policy
from orders import lifecycle
from orders.models import Order
from orders.states import IN_FLIGHT, JobStatus, Status
from wingxtra.accounts.identity import Actor
from wingxtra.problems import NotFound

# A mission that ground control has accepted may fly, or have flown, without a sign of it.
MAY_HAVE_FLOWN = (Status.MISSION_SUBMITTED, *IN_FLIGHT)


def it_was_delivered(order_id: UUID, *, by: Actor, note: str) -> Order:
    """The parcel arrived: of a flight under way, or of an order on hold. Raises Refused for any
    other order; an order that is over is corrected (lifecycle.correct).
    """
    order = _found(order_id)
    if order.status in MAY_HAVE_FLOWN:
        done = lifecycle.advance(
            order_id, Status.DELIVERED, by=by, job_id=order.current_job_id, message=note
        )
        return done.order
    return lifecycle.delivered_after_all(order_id, by=by, why=note)


@transaction.atomic
def it_failed(order_id: UUID, *, by: Actor, note: str) -> Order:
    """The flight under way, seen or not, is over and did not deliver. Where its parcel is, is asked
    next unless that is known. Raises Refused unless ground control has its mission.
    """
    order = _found(order_id)
    job = order.current_job
    if order.status not in MAY_HAVE_FLOWN or job is None:
        raise lifecycle.Refused(order, f"The order is {order.status}, not in flight.")
    order = lifecycle.advance(order_id, Status.LAUNCHED, by=by, job_id=job.pk).order
    set_over([job.pk], by=str(by), because=note)
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
