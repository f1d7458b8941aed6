"""The state machine: every pair of status and transition against the product's table."""

from datetime import timedelta
from itertools import product

import pytest
from django.utils import timezone
from django_fsm import TransitionNotAllowed

from orders.management.commands.state_machine import PAGE, rendered
from orders.models import DeliveryJob, Order
from orders.states import (
    MISSION_STEPS,
    TRANSITIONS,
    CancelReason,
    JobStatus,
    ReasonCode,
    Status,
    before,
    steps_between,
)

NOW = timezone.now()
IN_THE_AIR = "LAUNCHED ENROUTE ARRIVED DELIVERING"

# Copied from the product description, not from the code.
PRODUCT = {
    "validate": ("CREATED", "VALIDATED", "VALIDATED"),
    "enqueue": ("VALIDATED", "QUEUED", "QUEUED"),
    "assign": ("QUEUED", "ASSIGNED", "ASSIGNED"),
    "reassign": ("ASSIGNED", "ASSIGNED", "REASSIGNED"),
    "submit_mission": ("ASSIGNED", "MISSION_SUBMITTED", "MISSION_SUBMITTED"),
    "launch": ("MISSION_SUBMITTED", "LAUNCHED", "LAUNCHED"),
    "go_enroute": ("LAUNCHED", "ENROUTE", "ENROUTE"),
    "arrive": ("ENROUTE", "ARRIVED", "ARRIVED"),
    "begin_delivery": ("ARRIVED", "DELIVERING", "DELIVERING"),
    "deliver": ("DELIVERING", "DELIVERED", "DELIVERED"),
    "requeue": (f"ASSIGNED MISSION_SUBMITTED {IN_THE_AIR}", "QUEUED", "REQUEUED"),
    "reschedule": ("VALIDATED QUEUED ASSIGNED", "VALIDATED", "RESCHEDULED"),
    "cancel": ("CREATED VALIDATED QUEUED ASSIGNED MISSION_SUBMITTED", "CANCELED", "CANCELED"),
    # From QUEUED: an order on hold whose parcel is returned or lost.
    "fail": (f"QUEUED ASSIGNED MISSION_SUBMITTED {IN_THE_AIR}", "FAILED", "FAILED"),
    "abort": (f"ASSIGNED MISSION_SUBMITTED {IN_THE_AIR}", "ABORTED", "ABORTED"),
    # From QUEUED: an order on hold that was delivered after all, which writes DELIVERED.
    "correct_to_delivered": ("QUEUED CANCELED FAILED ABORTED", "DELIVERED", "CORRECTED"),
    "correct_to_failed": ("DELIVERED FAILED ABORTED", "FAILED", "CORRECTED"),
}
OTHER_EVENTS = {("correct_to_delivered", "QUEUED"): "DELIVERED"}
ARGUMENTS = {
    "assign": {"drone_id": "D-1", "why": "Nearest."},
    "reassign": {"drone_id": "D-2", "why": "Fuller battery."},
    "deliver": {"at": NOW},
    "requeue": {"job_ends": JobStatus.FAILED, "why": "Refused."},
    "reschedule": {"not_before": NOW, "deliver_by": NOW + timedelta(hours=1)},
    "cancel": {"reason": CancelReason.WEATHER},
    "fail": {"why": "Lost.", "reason": ReasonCode.LOST},
    "abort": {"why": "Wind.", "reason": ReasonCode.WEATHER},
    "correct_to_delivered": {
        "at": NOW,
        "job": DeliveryJob(drone_id="D-1", attempt=1),
        "why": "The customer has it.",
    },
    "correct_to_failed": {"why": "It is at the gate.", "reason": ReasonCode.OTHER},
}


def order_held_in(status: str) -> Order:
    order = Order(status=status, deliver_by=NOW + timedelta(hours=1))
    if status not in (Status.CREATED, Status.VALIDATED, Status.QUEUED):
        order.current_job = DeliveryJob(order=order, drone_id="D-1", attempt=1)
        order.attempts = 1
    return order


@pytest.mark.parametrize("status", Status.values)
@pytest.mark.parametrize("verb", PRODUCT)
def test_every_pair_of_state_and_transition_does_what_the_product_says(
    status: str, verb: str
) -> None:
    sources, target, event = PRODUCT[verb]
    order = order_held_in(status)
    take = getattr(order, verb)
    if status not in sources.split():
        with pytest.raises(TransitionNotAllowed):
            take(**ARGUMENTS.get(verb, {}))
        assert order.status == status
        return
    happened = take(**ARGUMENTS.get(verb, {}))
    written = OTHER_EVENTS.get((verb, status), event)
    assert (order.status, happened.type) == (target, written)


def test_the_code_has_only_the_transitions_of_the_product() -> None:
    named = {
        (verb, source, target)
        for verb, (sources, target, _) in PRODUCT.items()
        for source in sources.split()
    }
    assert {(verb, source, target) for verb, source, target in of_the_model()} == named


def of_the_model() -> list[tuple[str, str, str]]:
    """Every (name, from, to) that django-fsm knows of Order."""
    known = Order._meta.get_field("status").get_all_transitions(Order)
    return [(t.name, str(t.source), str(t.target)) for t in known]


# The transitions of a delivery without problems, according to the product description.
FORWARD = {
    *("validate", "enqueue", "assign", "submit_mission", "launch", "go_enroute"),
    *("arrive", "begin_delivery", "deliver"),
}


def distance(start: str, end: str) -> int | None:
    """The number of forward transitions from `start` to `end`, by breadth-first search."""
    edges = [(source, target) for verb, source, target in of_the_model() if verb in FORWARD]
    visited, frontier, steps = {start}, {start}, 0
    while frontier:
        if end in frontier:
            return steps
        frontier = {target for source, target in edges if source in frontier} - visited
        visited, steps = visited | frontier, steps + 1
    return None


@pytest.mark.parametrize("start", Status)
def test_the_steps_between_two_statuses_match_a_reference_search(start: Status) -> None:
    for end in Status:
        steps = steps_between(start, end)
        assert len(steps) == (distance(start, end) or 0), (start, end)
        assert before(start, end) == (distance(start, end) not in (None, 0))
        here = start.value
        for step in steps:
            assert (step.name, here, step.target) in of_the_model()
            here = step.target.value
        assert here == (end if steps else start)


def test_before_is_a_strict_order() -> None:
    for one, other in product(Status, Status):
        assert not (before(one, other) and before(other, one))


def test_a_status_outside_the_forward_path_is_before_and_after_no_other() -> None:
    for end in (Status.CANCELED, Status.FAILED, Status.ABORTED):
        assert not any(before(end, other) or before(other, end) for other in Status)


def test_a_report_can_lead_to_each_step_of_a_mission() -> None:
    assert " ".join(MISSION_STEPS) == f"MISSION_SUBMITTED {IN_THE_AIR} DELIVERED"


def test_the_status_cannot_be_assigned() -> None:
    with pytest.raises(AttributeError):
        Order().status = Status.DELIVERED


def test_the_docs_page_of_the_state_machine_is_current() -> None:
    assert {verb: event for verb, (_, _, event) in PRODUCT.items()} == {
        edge.name: edge.event for edge in TRANSITIONS.values()
    }
    page = PAGE.read_text()
    assert page == rendered(page), "Run `python manage.py state_machine`."


@pytest.mark.parametrize(
    ("delivered_min", "eta_min", "now_min", "expected"),
    [
        (None, None, 10, "on_time"),
        (None, None, 46, "at_risk"),
        (None, None, 61, "late"),
        (None, 59, 10, "on_time"),
        (None, 61, 10, "at_risk"),
        (59, None, 500, "on_time"),
        (61, None, 500, "late"),
    ],
)
def test_the_sla_for_each_combination_of_times(
    delivered_min: int | None, eta_min: int | None, now_min: int, expected: str
) -> None:
    def minutes(count: int | None) -> object:
        return None if count is None else NOW + timedelta(minutes=count)

    order = order_held_in("ENROUTE")
    order.created_at = NOW
    order.delivered_at = minutes(delivered_min)
    order.current_job.eta_at = minutes(eta_min)
    assert order.sla(minutes(now_min)) == expected


def test_a_scheduled_order_is_not_at_risk_before_its_window_opens() -> None:
    order = order_held_in("VALIDATED")
    order.created_at = NOW - timedelta(days=3)
    order.not_before = NOW + timedelta(hours=5)
    order.deliver_by = NOW + timedelta(hours=6)
    assert order.sla(NOW) == "on_time"
