"""Records proofs of delivery with any method, one per order.

At the drop point (ARRIVED, DELIVERING) a proof completes the delivery; after DELIVERED it only adds
the missing proof. Everything happens under the order's row lock, so that concurrent requests and
double taps are serialized, and the second finds the proof of the first.
"""

import hashlib
import uuid
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

import msgspec
from django.core import signing
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from fleet.live.picture import Picture
from orders import lifecycle
from orders.models import Order
from orders.states import AT_THE_DROP_POINT, Happened, PodRequirement, Status
from pod import codes, whereabouts
from pod.models import ProofOfDelivery
from pod.pictures import images
from pod.whereabouts import Whereabouts
from wingxtra.accounts.identity import Actor
from wingxtra.database import few_rows
from wingxtra.problems import Conflict, NotFound, Problem

LINK_MAX_AGE_S = 300
LINK_SALT = "pod.image"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What proves the delivery. Use the constructors below: they decode, check and re-encode."""

    method: PodRequirement
    fingerprint: str
    confirmed_by: str = ""
    photo_url: str = ""
    image: bytes = b""
    strokes: msgspec.Raw | None = None
    note: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    typed: str | None = field(default=None, repr=False)

    @classmethod
    def code(cls, typed: str, **details: Any) -> Self:
        """The recipient's one-time code as it was typed; `record` checks it."""
        return cls(PodRequirement.OTP, _fingerprint("code"), typed=typed, **details)

    @classmethod
    def photo(cls, data: bytes, **details: Any) -> Self:
        """An uploaded photo. Raises images.BadImage."""
        return cls(PodRequirement.PHOTO, _fingerprint(data), image=images.photo(data), **details)

    @classmethod
    def linked_photo(cls, url: str, **details: Any) -> Self:
        """A photo at an external https address; we never fetch it."""
        return cls(PodRequirement.PHOTO, _fingerprint(url), photo_url=url, **details)

    @classmethod
    def signature(cls, data: bytes, **details: Any) -> Self:
        """An uploaded PNG of a signature. Raises images.BadImage."""
        return cls(
            PodRequirement.SIGNATURE, _fingerprint(data), image=images.signature(data), **details
        )

    @classmethod
    def drawn_signature(cls, strokes: list[images.Stroke], **details: Any) -> Self:
        """A signature by finger. Raises images.BadImage."""
        images.refuse_empty(strokes)
        # Never as it was sent: jsonb keeps 1e-16000 exactly, with 16,000 digits.
        kept = msgspec.json.encode(strokes)
        return cls(
            PodRequirement.SIGNATURE,
            _fingerprint(kept),
            strokes=msgspec.Raw(kept),
            **details,
        )

    @classmethod
    def confirmation(cls, confirmed_by: str, **details: Any) -> Self:
        """A person's statement; `confirmed_by` is their name."""
        return cls(
            PodRequirement.OPERATOR_CONFIRM,
            _fingerprint(confirmed_by),
            confirmed_by=confirmed_by,
            **details,
        )


@dataclass(frozen=True, slots=True)
class Recorded:
    """The order's proof, and whether this call created it."""

    proof: ProofOfDelivery
    is_new: bool


class LinkExpired(Problem):
    status = 404
    title = "Not found"

    def __init__(self) -> None:
        super().__init__(
            "link_expired",
            f"Links to proofs work for {LINK_MAX_AGE_S // 60} minutes. Ask for the order's proof "
            "again to get a new one.",
        )


def record(order_id: UUID, evidence: Evidence, *, by: Actor) -> Recorded:
    """Record a proof and, at the drop point, complete the delivery with it.

    Idempotent: the same evidence again returns the same proof. Raises NotFound, Refused (the order
    is not at the drop point and not delivered), Conflict (it has another proof), and WrongCode
    after the try is committed.
    """
    if evidence.image and (first := _first_proof(_found(order_id), evidence)):
        return Recorded(first, is_new=False)
    # The file is written before the transaction: a slow disk must not hold the order's lock.
    recorder = _Recorder(evidence, _store(evidence), whereabouts.newest_picture(), by)
    try:
        lifecycle.confirm(order_id, by=by, proof=recorder)
        recorded = recorder.result()
    except BaseException:
        _discard(recorder.stored_as)
        raise
    if not recorded.is_new:
        _discard(recorder.stored_as)
    return recorded


def image_token(proof: ProofOfDelivery) -> str:
    """A signed token that gives access to the proof's picture for five minutes."""
    return signing.dumps(str(proof.pk), salt=LINK_SALT)


def proof_of_token(token: str) -> ProofOfDelivery:
    """The proof whose picture the token names. Raises LinkExpired, also for a forged token."""
    try:
        order_id = signing.loads(token, salt=LINK_SALT, max_age=LINK_MAX_AGE_S)
    except signing.BadSignature as error:
        raise LinkExpired from error
    proof = ProofOfDelivery.objects.filter(pk=order_id).first()
    if proof is None or not proof.has_picture:
        raise LinkExpired
    return proof


@dataclass(slots=True)
class _Recorder:
    """Records one proof of an order whose lock is held, and keeps the result."""

    evidence: Evidence
    stored_as: str
    fleet: Picture | None
    by: Actor
    recorded: Recorded | None = None
    wrong_code: codes.WrongCode | None = None

    def __call__(self, order: Order) -> Happened | None:
        if self.evidence.typed is not None:
            refuse_unless_at_the_drop_point(order)
            self.wrong_code = codes.judge(order, self.evidence.typed)
            if self.wrong_code is not None:
                return self.wrong_code.happened
        if first := _first_proof(order, self.evidence):
            self.recorded = Recorded(first, is_new=False)
            return None
        proof = self._create_proof(order)
        self.recorded = Recorded(proof, is_new=True)
        return order.prove(PodRequirement(proof.method), proof.created_at)

    def _create_proof(self, order: Order) -> ProofOfDelivery:
        # After the delivery the drone's position is no evidence.
        is_there = order.status in AT_THE_DROP_POINT
        drone = whereabouts.of_the_drone(order, self.fleet, timezone.now()) if is_there else None
        proof = ProofOfDelivery(
            order_id=order.pk,
            method=self.evidence.method,
            confirmed_by=self.evidence.confirmed_by,
            photo_url=self.evidence.photo_url,
            image=self.stored_as,
            strokes=self.evidence.strokes,
            note=self.evidence.note,
            metadata=self.evidence.metadata,
            fingerprint=self.evidence.fingerprint,
            recorded_by=str(self.by),
            **_drone_columns(drone),
        )
        few_rows.insert([proof])
        return proof

    def result(self) -> Recorded:
        """Raises WrongCode."""
        if self.wrong_code is not None:
            raise self.wrong_code
        assert self.recorded is not None  # noqa: S101 (else `__call__` has raised)
        return self.recorded


def _found(order_id: UUID) -> Order:
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        raise NotFound
    return order


def _first_proof(order: Order, evidence: Evidence) -> ProofOfDelivery | None:
    """The order's proof if it is the same; None if this can be its first one. Raises otherwise.

    Called without the lock before a picture is stored, and again under it.
    """
    first = _proof_of(order)
    if first is None:
        refuse_unless_at_the_drop_point(order)
    else:
        _refuse_other_evidence(order, first, evidence)
    return first


def _proof_of(order: Order) -> ProofOfDelivery | None:
    """A proof completes the delivery, so an order that is still at the drop point has none."""
    if order.status in AT_THE_DROP_POINT:
        return None
    return ProofOfDelivery.objects.filter(pk=order.pk).first()


def _refuse_other_evidence(order: Order, first: ProofOfDelivery, evidence: Evidence) -> None:
    if (first.fingerprint, first.method) == (evidence.fingerprint, evidence.method):
        return
    raise Conflict(
        "proof_exists",
        f"This order has its proof already: {first.get_method_display().lower()}, "
        f"{first.created_at:%Y-%m-%d %H:%M:%S} UTC. There is one proof per order.",
        current_status=order.status,
        proof={"method": first.method, "created_at": first.created_at},
    )


def _drone_columns(drone: Whereabouts | None) -> dict[str, Any]:
    if drone is None:
        return {}
    return {
        "drone_lat": drone.lat,
        "drone_lng": drone.lng,
        "drone_seen_at": drone.at,
        "drone_distance_m": drone.distance_m,
    }


def refuse_unless_at_the_drop_point(order: Order) -> None:
    """Raises Conflict and Refused."""
    if order.forgotten_at is not None:
        raise Conflict(
            "customer_forgotten",
            "The personal data of this order was removed, and a proof would bring some back.",
            current_status=order.status,
        )
    if order.status not in (*AT_THE_DROP_POINT, Status.DELIVERED):
        raise lifecycle.Refused(
            order,
            f"The order is {order.status}. A proof is accepted when the drone is at the drop point "
            "(ARRIVED, DELIVERING) or after the delivery (DELIVERED).",
            code="not_at_the_drop_point",
        )


def _store(evidence: Evidence) -> str:
    """Store the picture under a random name; returns the name, "" without a picture."""
    if not evidence.image:
        return ""
    suffix = "jpg" if evidence.method == PodRequirement.PHOTO else "png"
    return default_storage.save(f"proofs/{uuid.uuid4()}.{suffix}", ContentFile(evidence.image))


def _discard(stored_as: str) -> None:
    if stored_as:
        default_storage.delete(stored_as)


def _fingerprint(content: bytes | str) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
