"""Whether it is still known where a parcel is when its flight ends without a delivery."""

from datetime import timedelta

from django.utils import timezone

from dispatch.missions.flight import phases
from dispatch.missions.flight.state import Plan, State
from dispatch.models import Flight
from orders.models import DeliveryJob, Order
from orders.states import FLOWN_FROM, WITH_A_JOB, Holder

# Two polls of the Fleet API and some way. In a longer silence a drone may come to the pickup.
LAST_SEEN_WITHIN = timedelta(seconds=5)


def plan_of(job: DeliveryJob) -> Plan:
    """From the intent as it was sent: the order may have been changed since."""
    assert job.drone is not None  # noqa: S101 (a job without a drone has no mission)
    body, kind = job.part.mission.body, job.drone.kind
    return Plan(
        pickup_lat=body["pickup"]["lat"],
        pickup_lng=body["pickup"]["lng"],
        dropoff_lat=body["dropoff"]["lat"],
        dropoff_lng=body["dropoff"]["lng"],
        cruise_alt_m=body["dropoff"]["alt_m"],
        delivery_alt_m=body["dropoff"]["delivery_alt_m"],
        cruise_speed_mps=kind.cruise_speed_mps,
        climb_speed_mps=kind.climb_speed_mps,
        descent_speed_mps=kind.descent_speed_mps,
    )


def parcel_astray(order: Order, job: DeliveryJob | None, seen: Flight | None) -> str:
    """Why it is not known where the parcel is, empty when it is where the order says.

    A parcel that was seen going aboard is aboard. One that was not is with its sender only if
    telemetry followed the whole flight and saw no visit to the pickup.
    """
    # Also before its launch, for all we know: whoever reports an end may know of more.
    return unseen_pickup(order, job, seen) if order.status in WITH_A_JOB else ""


def unseen_pickup(order: Order, job: DeliveryJob | None, seen: Flight | None) -> str:
    """The same of a mission that may have been flown without a sign of it, whatever the status."""
    if order.holder not in FLOWN_FROM:
        return ""
    if job is None or job.drone_id is None:  # a test order, whose parcel is not real
        return ""
    if seen is None:
        return "The flight was not seen: the parcel may be aboard or still at the pickup."
    if seen.heard_at is not None and timezone.now() - seen.heard_at > LAST_SEEN_WITHIN:
        return "The drone was not seen at its end: it may have picked the parcel up."
    if phases.may_carry(State.from_dict(seen.state), plan_of(job)):
        return "The drone may have picked the parcel up without being seen."
    return ""


def lost_with_the_drone(order: Order, *, at_hub: bool) -> str:
    """The same for a parcel aboard a drone that has landed: in the field nobody can say more."""
    if order.holder == Holder.DRONE and not at_hub:
        return "Its drone landed away from every hub, with the parcel aboard."
    return ""
