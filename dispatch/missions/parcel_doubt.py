"""Whether the parcel's location is known when a flight ends without a delivery."""

from datetime import timedelta

from django.utils import timezone

from dispatch.missions.bridge import NEVER_FLOWN, UNKNOWN
from dispatch.missions.flight import phases
from dispatch.missions.flight.state import FlightState, Plan
from dispatch.models import Flight, Mission, MissionPart
from fleet import registry
from fleet.models import DroneHold
from orders import lifecycle
from orders.models import DeliveryJob, Order
from orders.states import FLOWN_FROM, WITH_A_JOB, Holder
from wingxtra.accounts.identity import SYSTEM

# Two polls of the Fleet API plus a margin. In a longer gap a drone may reach the pickup.
LAST_SEEN_WITHIN = timedelta(seconds=5)


def plan_of(job: DeliveryJob) -> Plan:
    """The plan by the intent as sent; the order may have changed since."""
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


def parcel_astray(order: Order, job: DeliveryJob | None, flight: Flight | None) -> str:
    """Why the parcel's location is unknown, empty if it is where the order says.

    A parcel whose loading was seen is aboard. Otherwise it is with its sender only if telemetry
    followed the whole flight and showed no visit to the pickup.
    """
    # Also before launch: the source that reports an end may know of a flight that we missed.
    return unseen_pickup(order, job, flight) if order.status in WITH_A_JOB else ""


def unseen_pickup(order: Order, job: DeliveryJob | None, flight: Flight | None) -> str:
    """As `parcel_astray`, in every status: for a mission that may have flown unnoticed."""
    if order.holder not in FLOWN_FROM:
        return ""
    if job is None or job.drone_id is None:  # a test order, whose parcel is not real
        return ""
    if flight is None:
        return "The flight was not seen: the parcel may be aboard or still at the pickup."
    if flight.heard_at is not None and timezone.now() - flight.heard_at > LAST_SEEN_WITHIN:
        return "The drone was not seen at its end: it may have picked the parcel up."
    if phases.may_carry(FlightState.from_dict(flight.state), plan_of(job)):
        return "The drone may have picked the parcel up without being seen."
    return ""


def unseen_flight(order: Order, part: MissionPart | None) -> str:
    """Why a mission without a known launch may have moved the parcel; empty if it cannot have.

    part: the order's part of it, None if the order had no mission. It cannot have if it was never
    sent, if ground control says so, or if telemetry followed the drone and it never left.
    """
    if part is None or _cannot_have_flown(part.mission):
        return ""
    return unseen_pickup(order, part.job, Flight.objects.filter(job=part.job_id).first())


def _cannot_have_flown(mission: Mission) -> bool:
    # Ground control may say “unknown” and accept a slow request for the same mission afterwards.
    is_unknown = mission.said == UNKNOWN and mission.accepted_at is None
    return not mission.tries or mission.said in NEVER_FLOWN or is_unknown


def hold_if_it_flew(order: Order, part: MissionPart | None) -> Order:
    """The order; it and its drone are put on hold if the mission may have flown with the parcel.

    For the transaction that ended its job, when no launch was known.
    """
    doubt = unseen_flight(order, part)
    if part is None or not doubt:
        return order
    registry.hold(part.mission.drone_id, DroneHold.Code.UNCLEAR_LANDING, doubt, by=SYSTEM)
    return lifecycle.sight_lost(order.pk, by=SYSTEM, why=doubt)


def lost_with_the_drone(order: Order, *, at_hub: bool) -> str:
    """As `parcel_astray`, for a parcel aboard a drone that has landed away from every hub."""
    if order.holder == Holder.DRONE and not at_hub:
        return "Its drone landed away from every hub, with the parcel aboard."
    return ""
