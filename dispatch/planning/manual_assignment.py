"""Manual assignment: soft limits can be overridden with a written reason, hard ones never.

`missions.before_launch` reassigns an order that has a drone already.
"""

from dataclasses import asdict, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from dispatch.planning import area_locks, eligibility
from dispatch.planning.candidates import Candidate, judged
from dispatch.planning.limits import landings, pilots
from fleet.models import Drone
from orders import lifecycle
from orders.models import Order
from wingxtra.accounts.identity import Actor
from wingxtra.problems import Conflict, NotFound


def assign(order_id: UUID, drone_id: str, *, by: Actor, override_reason: str = "") -> Order:
    """Assign a queued order to this drone.

    Raises Conflict with the reasons: `drone_not_able` for hard ones, `override_needed` for soft
    ones without an override reason; `no_pilot_on_duty` or `pilots_at_their_cap` when a pilot got
    another drone at the same time. Raises NotFound for an unknown order or drone.
    """
    order, chosen = may_fly(order_id, drone_id, override_reason)
    with transaction.atomic():
        chosen = with_its_pad(order, chosen)
        supervised = pilots.reserve(order)
        assigned = lifecycle.assign(
            order.pk,
            drone_id,
            by=by,
            why=in_words(chosen, override_reason),
            override_reason=override_reason,
            promised_at=promise(chosen),
        )
        pilots.write([assigned], supervised)
        write_landing(assigned, chosen)
    return assigned


def with_its_pad(order: Order, chosen: Candidate) -> Candidate:
    """The candidate with a hub that has a pad for it until the transaction ends, in a network.
    Raises Conflict `no_free_pad`.
    """
    if chosen.landing is None:
        return chosen
    area_locks.wait_for([order.service_area_id])
    drone = Drone.objects.with_home().get(pk=chosen.drone_id)
    again = judged(order, [drone], timezone.now())[0]
    if again.landing is None:
        raise Conflict("no_free_pad", f"No hub can receive {drone.pk} now: try again in a minute.")
    return replace(chosen, landing=again.landing)


def write_landing(order: Order, chosen: Candidate) -> None:
    """Write the candidate's hub to the mission of the order that has just got this drone."""
    if chosen.landing is not None:
        landings.write([order], {chosen.drone_id: chosen.landing})


def may_fly(order_id: UUID, drone_id: str, override_reason: str) -> tuple[Order, Candidate]:
    """The order and the judged drone. Raises as `assign` does."""
    order = Order.objects.select_related("current_job", "service_area").filter(pk=order_id).first()
    if order is None:
        raise NotFound
    drone = Drone.objects.with_home().filter(pk=drone_id).first()
    if drone is None:
        raise NotFound("drone")
    eligibility.refuse_unless_clear(order)
    chosen = judged(order, [drone], timezone.now())[0]
    reasons = [asdict(reason) for reason in chosen.reasons]
    text = " ".join(reason.message for reason in chosen.reasons)
    if not chosen.overridable:
        raise Conflict(
            "drone_not_able", f"{drone_id} may not fly this order. {text}", reasons=reasons
        )
    if chosen.reasons and not override_reason.strip():
        raise Conflict(
            "override_needed",
            f"{text} To assign it anyway, send an override_reason.",
            reasons=reasons,
        )
    return order, chosen


def in_words(chosen: Candidate, override_reason: str) -> str:
    why = f"{chosen.drone_id} was chosen by hand"
    if chosen.eta_seconds is not None:
        why += f": about {round(chosen.eta_seconds / 60)} min to the door"
    if chosen.landing is not None:
        why += f"; it {chosen.landing}"
    overridden = ", ".join(reason.code for reason in chosen.reasons)
    return f"{why}; {overridden} overridden: {override_reason}" if overridden else f"{why}."


def promise(chosen: Candidate) -> datetime | None:
    if chosen.eta_seconds is None:
        return None
    return timezone.now() + timedelta(seconds=chosen.eta_seconds)
