"""Recording the proof that a parcel arrived, whatever the method, once per order.

At the drop point (ARRIVED, DELIVERING) a proof completes the delivery; after DELIVERED it completes
the record. Everything happens under the order's row lock: two tabs and double taps come one after
the other, and the second finds the first one's proof.
"""

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

from django.core import signing
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from fleet.live.picture import Picture
from orders import lifecycle
from orders.models import Order
from orders.states import AT_THE_DROP_POINT, EventType, Happened, PodRequirement, Status
from pod import codes, images, whereabouts
from pod.models import ProofOfDelivery
from pod.whereabouts import Whereabouts
from wingxtra.accounts.identity import Actor
from wingxtra.problems import Conflict, Problem

LINK_MAX_AGE_S = 300
LINK_SALT = "pod.image"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What proves it. Make one by the constructors below: they decode, check and re-encode."""

    method: PodRequirement
    fingerprint: str
    confirmed_by: str = ""
    photo_url: str = ""
    image: bytes = b""
    strokes: list[images.Stroke] | None = None
    note: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    typed: str | None = field(default=None, repr=False)

    @classmethod
    def code(cls, typed: str, **about: Any) -> Self:
        """The recipient's one-time code as it was typed; `record` judges it."""
        return cls(PodRequirement.OTP, _fingerprint("code"), typed=typed, **about)

    @classmethod
    def photo(cls, data: bytes, **about: Any) -> Self:
        """An uploaded photo. Raises images.BadImage."""
        return cls(PodRequirement.PHOTO, _fingerprint(data), image=images.photo(data), **about)

    @classmethod
    def photo_elsewhere(cls, url: str, **about: Any) -> Self:
        """A photo behind somebody else's https address; it is never fetched by us."""
        return cls(PodRequirement.PHOTO, _fingerprint(url), photo_url=url, **about)

    @classmethod
    def signature(cls, data: bytes, **about: Any) -> Self:
        """An uploaded PNG of a signature. Raises images.BadImage."""
        return cls(
            PodRequirement.SIGNATURE, _fingerprint(data), image=images.signature(data), **about
        )

    @classmethod
    def drawn_signature(cls, strokes: list[images.Stroke], **about: Any) -> Self:
        """A signature drawn with a finger. Raises images.BadImage."""
        return cls(
            PodRequirement.SIGNATURE,
            _fingerprint(json.dumps(strokes)),
            image=images.drawn(strokes),
            strokes=strokes,
            **about,
        )

    @classmethod
    def confirmation(cls, confirmed_by: str, **about: Any) -> Self:
        """Somebody's word for it; `confirmed_by` names them."""
        return cls(
            PodRequirement.OPERATOR_CONFIRM,
            _fingerprint(confirmed_by),
            confirmed_by=confirmed_by,
            **about,
        )


@dataclass(frozen=True, slots=True)
class Recorded:
    """The order's proof, and whether it is new or the same one given again."""

    proof: ProofOfDelivery
    is_new: bool


class LinkOver(Problem):
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

    The same evidence again is answered with the proof it made. Raises NotFound, Refused (the parcel
    cannot have arrived yet, or never will), Conflict (another proof was given before), and
    WrongCode once the try is committed.
    """
    # The file is written before the transaction: a slow disk must not hold the order's lock.
    taking = _Taking(evidence, _store(evidence), whereabouts.newest_picture(), by)
    try:
        lifecycle.confirm(order_id, by=by, proof=taking)
        recorded = taking.result()
    except BaseException:
        _discard(taking.stored_as)
        raise
    if not recorded.is_new:
        _discard(taking.stored_as)
    return recorded


def image_token(proof: ProofOfDelivery) -> str:
    """Names the proof's picture for the next five minutes, to whoever was given it."""
    return signing.dumps(str(proof.pk), salt=LINK_SALT)


def proof_of_token(token: str) -> ProofOfDelivery:
    """The proof with a picture that the token names. Raises LinkOver, also for a forged one."""
    try:
        order_id = signing.loads(token, salt=LINK_SALT, max_age=LINK_MAX_AGE_S)
    except signing.BadSignature as error:
        raise LinkOver from error
    proof = ProofOfDelivery.objects.filter(pk=order_id).exclude(image="").first()
    if proof is None:
        raise LinkOver
    return proof


@dataclass(slots=True)
class _Taking:
    """Takes one proof of an order whose lock is held, and keeps what came of it."""

    evidence: Evidence
    stored_as: str
    seen: Picture | None
    by: Actor
    recorded: Recorded | None = None
    wrong_code: codes.WrongCode | None = None

    def __call__(self, order: Order) -> Happened | None:
        if self.evidence.typed is not None:
            _refuse_unless_there(order)
            self.wrong_code = codes.judge(order, self.evidence.typed)
            if self.wrong_code is not None:
                return self.wrong_code.happened
        if first := _proof_of(order):
            _refuse_another(order, first, self.evidence)
            self.recorded = Recorded(first, is_new=False)
            return None
        _refuse_unless_there(order)
        proof = self._keep(order)
        self.recorded = Recorded(proof, is_new=True)
        words = f"Proof of delivery: {proof.get_method_display().lower()}."
        return Happened(EventType.PROOF_RECORDED, words, {"method": proof.method})

    def _keep(self, order: Order) -> ProofOfDelivery:
        # Once it has delivered, the drone's position says nothing about the delivery any more.
        is_there = order.status in AT_THE_DROP_POINT
        drone = whereabouts.of_the_drone(order, self.seen, timezone.now()) if is_there else None
        return ProofOfDelivery.objects.create(
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
            **_where(drone),
        )

    def result(self) -> Recorded:
        """Raises WrongCode."""
        if self.wrong_code is not None:
            raise self.wrong_code
        assert self.recorded is not None  # noqa: S101 (else `__call__` has raised)
        return self.recorded


def _proof_of(order: Order) -> ProofOfDelivery | None:
    """A proof completes the delivery, so an order that is still at the drop point has none."""
    if order.status in AT_THE_DROP_POINT:
        return None
    return ProofOfDelivery.objects.filter(pk=order.pk).first()


def _refuse_another(order: Order, first: ProofOfDelivery, evidence: Evidence) -> None:
    if (first.fingerprint, first.method) == (evidence.fingerprint, evidence.method):
        return
    raise Conflict(
        "proof_exists",
        f"This order has its proof already: {first.get_method_display().lower()}, "
        f"{first.created_at:%Y-%m-%d %H:%M:%S} UTC. There is one proof per order.",
        current_status=order.status,
        proof={"method": first.method, "created_at": first.created_at},
    )


def _where(drone: Whereabouts | None) -> dict[str, Any]:
    if drone is None:
        return {}
    return {
        "drone_lat": drone.lat,
        "drone_lng": drone.lng,
        "drone_seen_at": drone.at,
        "drone_distance_m": drone.distance_m,
    }


def _refuse_unless_there(order: Order) -> None:
    if order.forgotten_at is not None:
        raise Conflict(
            "customer_forgotten",
            "The personal data of this order was removed, and a proof would bring some back.",
            current_status=order.status,
        )
    if order.status not in (*AT_THE_DROP_POINT, Status.DELIVERED):
        raise lifecycle.Refused(
            order,
            f"The order is {order.status}. A proof is taken when the drone is at the drop point "
            "(ARRIVED, DELIVERING) or after the delivery (DELIVERED).",
            code="not_at_the_drop_point",
        )


def _store(evidence: Evidence) -> str:
    """Write the picture under a name that says nothing; "" when there is none."""
    if not evidence.image:
        return ""
    suffix = "jpg" if evidence.method == PodRequirement.PHOTO else "png"
    return default_storage.save(f"proofs/{uuid.uuid4()}.{suffix}", ContentFile(evidence.image))


def _discard(stored_as: str) -> None:
    if stored_as:
        default_storage.delete(stored_as)


def _fingerprint(content: bytes | str) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
