"""Orders, missions and drones with an unclear state."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from dispatch.missions import discrepancies
from dispatch.models import Discrepancy, Mission, MissionPart
from fleet import registry
from fleet.models import DroneHold
from orders import lifecycle
from orders.models import DeliveryJob, Order
from orders.states import JobStatus, Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import GCS, TELEMETRY

IN_A_FIELD = "Its drone landed in a field."


def astray(**attributes: Any) -> Order:
    """An order on hold: its drone landed in a field, and the parcel's location is unknown."""
    order = order_in(Status.ENROUTE, **attributes)
    lifecycle.mission_over(
        order.pk,
        ended=JobStatus.FAILED,
        by=GCS,
        why="Motor 3 failed.",
        max_attempts=3,
        parcel_astray=IN_A_FIELD,
    )
    let_its_mission_be_over(order)
    return stored(order)


def aboard(**attributes: Any) -> Order:
    """The same, with the parcel known to be aboard."""
    order = order_in(Status.ENROUTE, **attributes)
    lifecycle.loaded(order.pk, by=GCS)
    lifecycle.mission_over(
        order.pk, ended=JobStatus.FAILED, by=GCS, why="Motor 3 failed.", max_attempts=3
    )
    let_its_mission_be_over(order)
    return stored(order)


def contradicted() -> Order:
    """An order that was requeued and then put on hold by a contradicting report."""
    order = order_in(Status.ASSIGNED)
    lifecycle.requeue(order.pk, by=GCS, why="It stayed at the hub.")
    return lifecycle.sight_lost(order.pk, why="Said twice.", by=GCS)


def doubtful(code: Discrepancy.Code, status: Status = Status.DELIVERING) -> Discrepancy:
    """A standing discrepancy of an order in `status`.

    QUEUED: the order was requeued, and the discrepancy is about the ended attempt. DELIVERED: codes
    for active jobs were raised before the delivery.
    """
    was_in_flight = status == Status.DELIVERED and code in discrepancies.ACTIVE_JOB_CODES
    began = Status.DELIVERING if was_in_flight else status
    order = order_in(Status.ENROUTE if status == Status.QUEUED else began)
    job = job_of(order)
    if status == Status.QUEUED:
        lifecycle.mission_over(
            order.pk, ended=JobStatus.FAILED, by=GCS, why="It landed.", max_attempts=3
        )
        discrepancies.raise_for_ended_job(job, code, "Two sources differ.", GCS)
    else:
        discrepancies.raise_(job, code, "Two sources differ.", by=TELEMETRY)
        if was_in_flight:
            lifecycle.advance(order.pk, status, by=GCS)
    return Discrepancy.objects.get(order=order)


def not_over(minutes: float = 5) -> MissionPart:
    """A mission that ground control had, whose job has ended, and that may still fly."""
    order = order_in(Status.MISSION_SUBMITTED)
    part = MissionPart.objects.get(order=order)
    Mission.objects.filter(pk=part.mission_id).update(tries=1)
    MissionPart.objects.filter(pk=part.pk).update(live=True)
    lifecycle.requeue(order.pk, by=TELEMETRY, why="It never took off.")
    ended_at = timezone.now() - timedelta(minutes=minutes)
    DeliveryJob.objects.filter(pk=part.job_id).update(ended_at=ended_at)
    return MissionPart.objects.with_related().get(pk=part.pk)


def unconfirmed(status: Status, **recall: Any) -> MissionPart:
    """A mission whose withdrawal ground control did not confirm."""
    order = order_in(status)
    part = MissionPart.objects.get(order=order)
    at = timezone.now() - timedelta(minutes=1)
    Mission.objects.filter(pk=part.mission_id).update(
        tries=1, recall_refused_at=at, bridge_answer="404 page not found", **recall
    )
    MissionPart.objects.filter(pk=part.pk).update(live=True)
    return MissionPart.objects.with_related().get(pk=part.pk)


def held(drone_id: str) -> None:
    registry.hold(drone_id, DroneHold.Code.LANDED_AWAY, "It landed in a field.", by=TELEMETRY)


def let_its_mission_be_over(order: Order) -> None:
    MissionPart.objects.filter(order=order).update(live=False)


def job_of(order: Order) -> DeliveryJob:
    job = stored(order).current_job
    assert job is not None
    return job


def stored(order: Order) -> Order:
    return Order.objects.select_related("current_job", "holder_hub").get(pk=order.pk)
