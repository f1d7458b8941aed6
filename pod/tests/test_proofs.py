"""Recording a proof: allowed statuses, the completed delivery, and one proof per order."""

import json
from io import BytesIO
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction
from PIL import Image

from orders import lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import EventType, PodRequirement, Status
from orders.tests.factories import order_in
from pod import proofs
from pod.models import ProofOfDelivery
from pod.proofs import Evidence
from wingxtra.accounts.identity import CUSTOMER, GCS, Actor, ActorKind
from wingxtra.problems import Conflict, NotFound

pytestmark = pytest.mark.django_db

OPS = Actor(ActorKind.USER, "efua")
STROKES = [[[0.0, 0.0], [30.0, 20.0], [60.0, 5.0]]]


def picture(kind: str = "JPEG", color: str = "teal") -> bytes:
    out = BytesIO()
    Image.new("RGB", (40, 30), color).save(out, kind)
    return out.getvalue()


def current(order: Order) -> Order:
    return Order.objects.get(pk=order.pk)


def types_of(order: Order) -> list[str]:
    return [event.type for event in DeliveryEvent.objects.filter(order=order)]


@pytest.mark.parametrize("status", [Status.ARRIVED, Status.DELIVERING])
@pytest.mark.parametrize(
    "evidence",
    [
        Evidence.confirmation("Kofi"),
        Evidence.photo(picture()),
        Evidence.linked_photo("https://photos.example/1.jpg"),
        Evidence.signature(picture("PNG")),
        Evidence.drawn_signature(STROKES),
    ],
    ids=lambda evidence: evidence.method,
)
def test_at_the_drop_point_a_proof_completes_the_delivery(
    status: Status, evidence: Evidence
) -> None:
    order = order_in(status, pod_requirement=evidence.method)

    recorded = proofs.record(order.pk, evidence, by=OPS)

    assert recorded.is_new
    delivered = current(order)
    assert (delivered.status, delivered.proof_missing) == (Status.DELIVERED, False)
    assert types_of(order)[-3:] == [EventType.DELIVERING, "DELIVERED", "PROOF_RECORDED"]
    assert (recorded.proof.method, recorded.proof.recorded_by) == (evidence.method, "user:efua")


@pytest.mark.parametrize("requirement", PodRequirement)
def test_proof_missing_is_set_until_the_proof_is_given(requirement: PodRequirement) -> None:
    order = order_in(Status.DELIVERED, pod_requirement=requirement)
    needs_one = requirement != PodRequirement.NONE
    assert current(order).proof_missing == needs_one
    assert Order.objects.missing_proof().exists() == needs_one

    proofs.record(order.pk, Evidence.confirmation("Kofi"), by=OPS)

    assert not Order.objects.missing_proof().exists()
    assert types_of(order)[-1] == EventType.PROOF_RECORDED
    assert types_of(order).count(EventType.DELIVERED) == 1


@pytest.mark.parametrize(
    "status", sorted(set(Status) - {Status.ARRIVED, Status.DELIVERING, Status.DELIVERED})
)
def test_a_proof_in_any_other_status_is_refused_and_writes_nothing(
    status: Status, media: Path
) -> None:
    order = order_in(status)
    before = types_of(order)

    with pytest.raises(lifecycle.Refused) as refused:
        proofs.record(order.pk, Evidence.photo(picture()), by=OPS)

    assert refused.value.code == "not_at_the_drop_point"
    assert refused.value.extra["current_status"] == status
    assert (current(order).status, types_of(order)) == (status, before)
    assert not ProofOfDelivery.objects.exists()
    assert not [path for path in media.rglob("*") if path.is_file()]


def test_an_unknown_order_is_not_found() -> None:
    with pytest.raises(NotFound):
        proofs.record(Order().pk, Evidence.confirmation("Kofi"), by=OPS)


@pytest.mark.parametrize(
    ("first", "same"),
    [
        (Evidence.confirmation("Kofi"), Evidence.confirmation("Kofi")),
        (Evidence.photo(picture()), Evidence.photo(picture())),
        (Evidence.drawn_signature(STROKES), Evidence.drawn_signature(STROKES)),
    ],
    ids=lambda evidence: evidence.method,
)
def test_the_same_evidence_again_is_the_same_proof(
    first: Evidence, same: Evidence, media: Path
) -> None:
    order = order_in(Status.ARRIVED)
    proof = proofs.record(order.pk, first, by=OPS).proof
    before = types_of(order)

    again = proofs.record(order.pk, same, by=CUSTOMER)

    assert not again.is_new
    assert (again.proof.created_at, again.proof.image) == (proof.created_at, proof.image)
    assert types_of(order) == before
    assert len([path for path in media.rglob("*") if path.is_file()]) == bool(proof.image)


@pytest.mark.parametrize(
    "second",
    [
        Evidence.confirmation("Abena"),
        Evidence.photo(picture(color="red")),
        Evidence.drawn_signature(STROKES),
    ],
    ids=lambda evidence: evidence.method,
)
def test_other_evidence_is_refused_naming_the_first_proof(second: Evidence, media: Path) -> None:
    order = order_in(Status.ARRIVED)
    first = proofs.record(order.pk, Evidence.confirmation("Kofi"), by=OPS).proof

    with pytest.raises(Conflict, match="has its proof already: operator's confirmation") as refused:
        proofs.record(order.pk, second, by=OPS)

    assert refused.value.code == "proof_exists"
    assert refused.value.extra["proof"] == {
        "method": "OPERATOR_CONFIRM",
        "created_at": first.created_at,
    }
    assert not [path for path in media.rglob("*") if path.is_file()]


def test_a_failed_delivery_leaves_no_proof_and_no_file(media: Path) -> None:
    order = order_in(Status.ARRIVED)

    def fail_to_write(events: list[DeliveryEvent], **_signal: object) -> None:
        if events[-1].type == EventType.PROOF_RECORDED:
            raise RuntimeError("power cut")

    lifecycle.recorded.connect(fail_to_write)
    try:
        with pytest.raises(RuntimeError):
            proofs.record(order.pk, Evidence.photo(picture()), by=OPS)
    finally:
        lifecycle.recorded.disconnect(fail_to_write)

    assert current(order).status == Status.ARRIVED
    assert not ProofOfDelivery.objects.exists()
    assert not [path for path in media.rglob("*") if path.is_file()]


def test_a_drawn_signature_is_kept_as_strokes_and_drawn_when_it_is_looked_at() -> None:
    order = order_in(Status.ARRIVED)

    proof = proofs.record(order.pk, Evidence.drawn_signature(STROKES), by=CUSTOMER).proof

    proof.refresh_from_db()
    assert (proof.strokes, proof.image.name) == (STROKES, "")
    assert proof.has_picture


def test_events_hold_no_personal_data() -> None:
    order = order_in(Status.ARRIVED)

    proofs.record(order.pk, Evidence.confirmation("Kofi", note="Gave it to his aunt"), by=CUSTOMER)

    for event in DeliveryEvent.objects.filter(order=order):
        text = event.message + json.dumps(event.payload) + event.actor
        assert "Kofi" not in text
        assert "aunt" not in text


def test_a_delivery_report_after_the_proof_changes_nothing() -> None:
    order = order_in(Status.ARRIVED, pod_requirement=PodRequirement.PHOTO)
    proofs.record(order.pk, Evidence.photo(picture()), by=OPS)

    late = lifecycle.advance(order.pk, Status.DELIVERED, by=GCS)

    assert late.applied == []
    assert not current(order).proof_missing


@pytest.mark.parametrize(
    "method", [PodRequirement.PHOTO, PodRequirement.SIGNATURE, PodRequirement.OPERATOR_CONFIRM]
)
def test_the_database_refuses_a_proof_without_its_evidence(method: PodRequirement) -> None:
    order = order_in(Status.DELIVERED)

    with pytest.raises(IntegrityError), transaction.atomic():
        ProofOfDelivery.objects.create(order=order, method=method)
