"""One order, moved on step by step through every state."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from fleet.models import Drone
from fleet.tests.factories import DroneFactory
from orders import lifecycle, unit_of_work
from orders.models import Order
from orders.states import CancelReason, EventType, Happened, JobStatus, PodRequirement, Status
from orders.tests.factories import order_in
from tracking.tests import looks
from tracking.tests.deliveries import expect_in
from tracking.tests.phone import fresh
from wingxtra.accounts.identity import DISPATCHER, GCS, SYSTEM


class Delivery:
    """One order, moved on step by step. `drone` flies it."""

    def __init__(self) -> None:
        self.drone: Drone = DroneFactory()
        self.order: Order = order_in(
            Status.CREATED,
            merchant=looks.sender(),
            pod_requirement=PodRequirement.OTP,
            not_before=timezone.now() + timedelta(hours=2),
            deliver_by=timezone.now() + timedelta(hours=3),
        )

    def validate(self) -> None:
        with unit_of_work.changing(self.order.pk, by=SYSTEM) as (change, order):
            change.note(order, Happened(EventType.CREATED, "The order was placed."))
            change.step(order.validate)

    def reschedule(self, hours: float) -> None:
        start = timezone.now() + timedelta(hours=hours)
        until = start + timedelta(hours=1)
        lifecycle.reschedule(self.order.pk, not_before=start, deliver_by=until, by=SYSTEM)

    def assign(self) -> None:
        lifecycle.assign(self.order.pk, self.drone.pk, by=DISPATCHER, why="The only one.")

    def fly(self, to: Status, *, share: float, minutes: float) -> None:
        lifecycle.advance(self.order.pk, to, by=GCS)
        looks.place(self.drone.pk, share)
        expect_in(fresh(self.order), minutes)

    def cancel(self) -> None:
        lifecycle.cancel(self.order.pk, by=SYSTEM, reason=CancelReason.WEATHER)

    def end(self, ended: JobStatus) -> None:
        lifecycle.mission_over(
            self.order.pk, ended=ended, by=GCS, why="Motor 3 failed.", max_attempts=1
        )


@dataclass(frozen=True)
class Step:
    """To the state `name` by `act`; then the headline is `title`, in English."""

    name: str
    act: Callable[[Delivery], None]
    title: str


def fly(to: Status, title: str, *, share: float = 0, minutes: float) -> Step:
    return Step(to, lambda made: made.fly(to, share=share, minutes=minutes), title)


WAY = (
    Step("CREATED", lambda made: None, "We have your order"),
    Step("VALIDATED", Delivery.validate, "Scheduled for"),
    Step("rescheduled", lambda made: made.reschedule(26), "Scheduled for"),
    Step("QUEUED", lambda made: made.reschedule(0), "Waiting for a drone"),
    Step("ASSIGNED", Delivery.assign, "Your drone is getting ready"),
    fly(Status.MISSION_SUBMITTED, "Your drone is getting ready", minutes=6),
    fly(Status.LAUNCHED, "Your drone has taken off", share=0.1, minutes=5),
    fly(Status.ENROUTE, "On its way", share=0.6, minutes=2.5),
    fly(Status.ARRIVED, "Your drone is here", share=1, minutes=0.5),
    fly(Status.DELIVERING, "Your parcel is coming down", share=1, minutes=0.2),
)
DELIVERED = Step("DELIVERED", lambda made: None, "Delivered")
NO = "We could not deliver this order"
# The end, and the state that it comes after.
ENDS = {
    "QUEUED": Step("CANCELED", Delivery.cancel, "Canceled because of the weather"),
    "ENROUTE": Step("FAILED", lambda made: made.end(JobStatus.FAILED), NO),
    "LAUNCHED": Step("ABORTED", lambda made: made.end(JobStatus.ABORTED), NO),
}
