"""One delivery per look of the page, for browser tests and screenshots."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import time_machine
from django.utils import timezone

from fleet.models import Drone
from fleet.tests.factories import ACCRA, DroneFactory, HubFactory, TelemetryFactory, show
from orders import lifecycle
from orders.models import Order
from orders.promises import memory
from orders.states import CancelReason, PodRequirement, Status, WhyHeldUp
from orders.tests.factories import order_in
from pod import cases, codes, proofs
from pod.models import Case, OneTimeCode
from tracking.tests.deliveries import STROKES, expect_in
from wingxtra.accounts.identity import CUSTOMER, GCS, SYSTEM, TELEMETRY
from wingxtra.accounts.models import Merchant

DOOR = (5.6150, -0.1750)
ORDERED_BEFORE = timedelta(minutes=7)
USUAL_FLIGHT = timedelta(minutes=3)


def sender() -> Merchant:
    merchant, _ = Merchant.objects.get_or_create(
        name="Ridge Pharmacy",
        defaults={"support_contact": "+233 30 222 0000", "brand_color": "#0a6b5e"},
    )
    return merchant


def order(status: Status, **attributes: Any) -> Order:
    """An order of some minutes ago. A drone exists, because the drop point can move only within
    the range of one.
    """
    if not Drone.objects.exists():
        DroneFactory()
    with time_machine.travel(timezone.now() - ORDERED_BEFORE):
        return order_in(status, merchant=sender(), **attributes)


def flying(status: Status, *, share: float, minutes: float = 0, **attributes: Any) -> Order:
    """An order in flight. Its drone has flown this share of the straight line to the door.

    `minutes`: the time left, which also sets the ETA.
    """
    drone = DroneFactory()
    made = order(Status.MISSION_SUBMITTED, drone=drone, **attributes)
    flown = timedelta(minutes=minutes * share / (1 - share)) if minutes else USUAL_FLIGHT
    taken_off = timezone.now() - flown
    lifecycle.advance(made.pk, Status.LAUNCHED, by=GCS, occurred_at=taken_off)
    made = lifecycle.advance(made.pk, status, by=GCS).order
    place(drone.pk, share)
    if minutes:
        expect_in(made, minutes)
    return made


def place(drone_id: str, share: float) -> None:
    lat, lng = (start + share * (end - start) for start, end in zip(ACCRA, DOOR, strict=True))
    show(TelemetryFactory(drone_id=drone_id, lat=lat, lng=lng, alt_m=60, heading_deg=46.0))


def scheduled() -> Order:
    return order(Status.VALIDATED)


def waiting() -> Order:
    return order(Status.QUEUED)


def in_line() -> Order:
    """The third in line."""
    made = order(Status.QUEUED)
    now = timezone.now()
    low_s, high_s = now.timestamp() + 5 * 60, now.timestamp() + 20 * 60
    spots = {made.pk: memory.Spot(3, low_s, high_s)}
    memory.write(made.service_area_id, None, memory.Queue(now, 12), spots)
    return made


def no_drone() -> Order:
    made = order(Status.QUEUED)
    spots = {made.pk: memory.Spot(3, because=WhyHeldUp.NO_DRONE)}
    memory.write(made.service_area_id, None, memory.Queue(timezone.now(), 12), spots)
    return made


def delayed() -> Order:
    return order(Status.QUEUED, deliver_by=timezone.now() - timedelta(minutes=4))


def another() -> Order:
    first = flying(Status.ENROUTE, share=0.4)
    return lifecycle.requeue(first.pk, by=GCS, why="Battery low.")


def checking() -> Order:
    """The flight failed with the parcel aboard."""
    first = flying(Status.ENROUTE, share=0.6)
    lifecycle.loaded(first.pk, by=GCS)
    return lifecycle.requeue(first.pk, by=GCS, why="Motor 3 failed.")


def looking() -> Order:
    first = flying(Status.ENROUTE, share=0.6)
    return lifecycle.sight_lost(first.pk, by=GCS, why="It landed in a field.")


def at_hub() -> Order:
    made = checking()
    return lifecycle.unloaded(made.pk, HubFactory(name="East").pk, by=SYSTEM)


def preparing() -> Order:
    made = order(Status.MISSION_SUBMITTED)
    expect_in(made, 9)
    return made


def on_its_way() -> Order:
    """With the parcel aboard."""
    made = flying(Status.ENROUTE, share=0.55, minutes=3.6)
    return lifecycle.loaded(made.pk, by=TELEMETRY)


def silent() -> Order:
    return order(Status.ENROUTE)


def here_for_a_code() -> Order:
    return flying(Status.ARRIVED, share=1, pod_requirement=PodRequirement.OTP)


def here_for_a_signature() -> Order:
    return flying(Status.DELIVERING, share=1, pod_requirement=PodRequirement.SIGNATURE)


def here_for_a_word() -> Order:
    return flying(Status.DELIVERING, share=1)


def locked() -> Order:
    made = here_for_a_code()
    code = codes.renew(made.pk, by=SYSTEM)
    for _ in range(OneTimeCode.MAX_TRIES):
        with suppress(codes.WrongCode):
            wrong = proofs.Evidence.code(f"{(int(code) + 1) % 10**6:06d}")
            proofs.record(made.pk, wrong, by=CUSTOMER)
    return made


def delivered() -> Order:
    made = flying(Status.DELIVERING, share=1, pod_requirement=PodRequirement.SIGNATURE)
    proofs.record(made.pk, proofs.Evidence.drawn_signature(STROKES), by=CUSTOMER)
    return made


def handed_over() -> Order:
    """The drone has reported the delivery; the code is missing."""
    made = flying(Status.DELIVERING, share=1, pod_requirement=PodRequirement.OTP)
    return lifecycle.advance(made.pk, Status.DELIVERED, by=GCS).order


def told() -> Order:
    """One problem is answered, another is open."""
    made = delivered()
    for kind in Case.Kind:
        cases.open_case(made.pk, cases.Complaint(kind), by=CUSTOMER)
    first = Case.objects.open().filter(order=made).earliest("opened_at")
    words = "It stands behind the water tank; your neighbour saw it."
    cases.close(first.pk, Case.Outcome.FOUND, answer=words, by=SYSTEM)
    return made


def canceled() -> Order:
    made = order(Status.QUEUED)
    return lifecycle.cancel(made.pk, by=SYSTEM, reason=CancelReason.WEATHER)


def failed() -> Order:
    return order(Status.FAILED)


ALL = {
    made.__name__.replace("_", "-"): made
    for made in (
        scheduled,
        waiting,
        in_line,
        no_drone,
        delayed,
        another,
        checking,
        looking,
        at_hub,
        preparing,
        on_its_way,
        silent,
        here_for_a_code,
        here_for_a_signature,
        here_for_a_word,
        locked,
        delivered,
        handed_over,
        told,
        canceled,
        failed,
    )
}
