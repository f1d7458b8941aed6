"""The policy lets a delivery wait for its proof: the drone's word alone does not complete it."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from dispatch.missions import answers, reports
from dispatch.missions.reports import MissionEvent, ReportResult, ReportType
from dispatch.models import Discrepancy
from dispatch.tests.support import able_drone, stored, timeline
from dispatch.tests.test_progress import Watch
from fleet import policy
from orders import lifecycle
from orders.models import Order
from orders.states import EventType, Holder, JobStatus, PodRequirement, Status
from orders.tests.factories import order_in
from pod import console, proofs
from pod.proofs import Evidence
from wingxtra.accounts.identity import GCS, SYSTEM, TELEMETRY, Actor, ActorKind
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention

pytestmark = pytest.mark.django_db

OPS = Actor(ActorKind.USER, "ama")
WAITS = {
    PodRequirement.OTP: "proof_waits_otp",
    PodRequirement.SIGNATURE: "proof_waits_signature",
    PodRequirement.PHOTO: "proof_waits_photo",
}
NEVER_WAIT = (PodRequirement.NONE, PodRequirement.OPERATOR_CONFIRM)


def report(order: Order, kind: ReportType) -> ReportResult:
    return reports.report(order.pk, MissionEvent(kind, event_id=str(kind)), by=GCS)


def waiting(requirement: PodRequirement = PodRequirement.PHOTO) -> Order:
    """An order whose drone has reported the hand-over, and that waits for its proof."""
    policy.change(by=SYSTEM, **{WAITS[requirement]: True})
    order = order_in(Status.ARRIVED, drone=able_drone(), pod_requirement=requirement)
    report(order, ReportType.DELIVERED)
    return stored(order)


def lines(minutes: float) -> list[Attention]:
    return list(console.awaited_proofs(Look(timezone.now() + timedelta(minutes=minutes))))


@pytest.mark.parametrize("requirement", PodRequirement)
def test_unless_the_policy_says_so_no_delivery_waits(requirement: PodRequirement) -> None:
    order = order_in(Status.ARRIVED, pod_requirement=requirement)
    report(order, ReportType.DELIVERED)
    assert stored(order).status == Status.DELIVERED
    assert lines(60) == []


@pytest.mark.parametrize("requirement", NEVER_WAIT)
def test_the_policy_is_about_what_customers_give_and_photos(requirement: PodRequirement) -> None:
    policy.change(by=SYSTEM, **dict.fromkeys(WAITS.values(), True))
    order = order_in(Status.ARRIVED, pod_requirement=requirement)
    report(order, ReportType.DELIVERED)
    assert stored(order).status == Status.DELIVERED


@pytest.mark.parametrize("requirement", WAITS)
def test_a_reported_hand_over_waits_for_its_proof_and_is_kept(requirement: PodRequirement) -> None:
    policy.change(by=SYSTEM, **{WAITS[requirement]: True})
    order = order_in(Status.ARRIVED, drone=able_drone(), pod_requirement=requirement)

    done = report(order, ReportType.DELIVERED)

    assert done.applied == ["DELIVERING", "PROOF_AWAITED"]
    assert "waits for its" in done.note
    after = stored(order)
    assert (after.status, after.holder) == (Status.DELIVERING, Holder.DRONE)
    assert after.current_job.status == JobStatus.ACTIVE
    event = order.events.get(type=EventType.PROOF_AWAITED)
    assert (event.actor, event.payload) == ("gcs", {"needed": requirement})


def test_a_repeated_report_changes_nothing() -> None:
    order = waiting()
    before = timeline(order)
    assert lifecycle.advance(order.pk, Status.DELIVERED, by=TELEMETRY).applied == []
    assert timeline(order) == before


def test_the_proof_completes_the_delivery() -> None:
    order = waiting()
    proofs.record(order.pk, Evidence.confirmation("Kofi"), by=OPS)
    after = stored(order)
    assert (after.status, after.holder) == (Status.DELIVERED, Holder.RECIPIENT)
    assert (after.proof_missing, after.proof_awaited_since) == (False, None)
    assert lines(60) == []


def test_a_person_completes_it_without_the_proof_which_then_is_missing() -> None:
    order = waiting()
    answers.confirm_delivered(order.pk, by=OPS, note="The customer has it.")
    after = stored(order)
    assert (after.status, after.proof_missing) == (Status.DELIVERED, True)
    assert lifecycle.miss_proofs(timezone.now() + timedelta(hours=1)) == 1


def test_a_person_can_say_that_it_failed() -> None:
    order = waiting()
    answers.confirm_failed(order.pk, by=OPS, note="The drone came home with it.")
    after = stored(order)
    assert (after.status, after.proof_awaited_since) == (Status.QUEUED, None)


def test_staff_get_a_line_with_its_remedies(client: Client) -> None:
    order = waiting()
    assert lines(1) == []  # customers need a moment
    (line,) = lines(3)
    assert str(order) in line.text
    assert [button.label for button in line.remedies] == [
        "It was delivered…",
        "It failed…",
        "Confirm the delivery…",
    ]
    client.force_login(UserFactory())
    (target,) = client.get(line.remedies[0].url).context["targets"]
    form = {f"seen-{order.pk}": target.token, "note": "The customer has it."}
    assert client.post(line.remedies[0].url, form).status_code == 302
    assert stored(order).status == Status.DELIVERED
    assert lines(3) == []


@pytest.mark.parametrize("kind", [ReportType.FAILED, ReportType.ABORTED])
def test_a_failure_after_the_hand_over_is_a_contradiction(kind: ReportType) -> None:
    order = waiting()
    done = report(order, kind)
    assert "operations is asked" in done.note
    assert stored(order).status == Status.DELIVERING
    assert Discrepancy.objects.get().code == Discrepancy.Code.FAILED_AFTER_DELIVERY
    answers.confirm_delivered(order.pk, by=OPS, note="The customer has it.")
    assert Discrepancy.objects.get().settled_at is not None


def test_a_drone_that_comes_home_after_the_hand_over_raises_no_doubt() -> None:
    policy.change(by=SYSTEM, proof_waits_photo=True)
    photo = PodRequirement.PHOTO
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone(), pod_requirement=photo)
    watch = Watch(order).launches()
    lifecycle.advance(order.pk, Status.DELIVERED, by=GCS)
    assert stored(order).proof_awaited_since is not None
    seen = [step for alt_m in (9, 6, 3, *[0] * 100) for step in watch.sees(0, alt_m)]
    assert seen == []
    assert not Discrepancy.objects.exists()
    assert stored(order).status == Status.DELIVERING
