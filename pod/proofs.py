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
from django.db import transaction
from django.utils import timezone

from fleet.live.picture import Picture
from orders import lifecycle
from orders.models import Order
from orders.states import EventType, Happened, Status
from pod import codes, images, whereabouts
from pod.models import ProofOfDelivery
from pod.whereabouts import Whereabouts
from wingxtra.accounts.identity import Actor
from wingxtra.problems import Conflict, NotFound, Problem

Method = ProofOfDelivery.Method

AT_THE_DROP_POINT = (Status.ARRIVED, Status.DELIVERING)
LINK_MAX_AGE_S = 300
LINK_SALT = "pod.image"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What proves it. Make one by the constructors below: they decode, check and re-encode."""

    method: Method
    fingerprint: str
    confirmed_by: str = ""
    photo_url: str = ""
    image: bytes = b""
    strokes: list[images.Stroke] | None = None
    note: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def code(cls, **about: Any) -> Self:
        """The recipient's code; `record_with_code` judges it."""
        return cls(Method.OTP, _fingerprint("code"), **about)

    @classmethod
    def photo(cls, data: bytes, **about: Any) -> Self:
        """An uploaded photo. Raises images.BadImage."""
        return cls(Method.PHOTO, _fingerprint(data), image=images.photo(data), **about)

    @classmethod
    def photo_elsewhere(cls, url: str, **about: Any) -> Self:
        """A photo behind somebody else's https address; it is never fetched by us."""
        return cls(Method.PHOTO, _fingerprint(url), photo_url=url, **about)

    @classmethod
    def signature(cls, data: bytes, **about: Any) -> Self:
        """An uploaded PNG of a signature. Raises images.BadImage."""
        return cls(Method.SIGNATURE, _fingerprint(data), image=images.signature(data), **about)

    @classmethod
    def drawn_signature(cls, strokes: list[images.Stroke], **about: Any) -> Self:
        """A signature drawn with a finger. Raises images.BadImage."""
        return cls(
            Method.SIGNATURE,
            _fingerprint(json.dumps(strokes)),
            image=images.drawn(strokes),
            strokes=strokes,
            **about,
        )

    @classmethod
    def confirmation(cls, confirmed_by: str, **about: Any) -> Self:
        """Somebody's word for it; `confirmed_by` names them."""
        return cls(
            Method.OPERATOR_CONFIRM,
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
    cannot have arrived yet, or never will) and Conflict (another proof was given before).
    """
    # The file is written before the transaction: a slow disk must not hold the order's lock.
    stored_as = _store(evidence)
    seen = whereabouts.newest_picture()
    try:
        with transaction.atomic():
            recorded = _record(_locked(order_id), evidence, stored_as, seen, by)
    except BaseException:
        _discard(stored_as)
        raise
    if not recorded.is_new:
        _discard(stored_as)
    return recorded


def record_with_code(order_id: UUID, code: str, *, by: Actor, **about: Any) -> Recorded:
    """The same with the recipient's one-time code. Raises WrongCode once the try is committed."""
    seen = whereabouts.newest_picture()
    with transaction.atomic():
        order = _locked(order_id)
        _refuse_unless_there(order)
        refusal = codes.judge(order, code, by=by)
        if refusal is None:
            return _record(order, Evidence.code(**about), "", seen, by)
    raise refusal


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


def _locked(order_id: UUID) -> Order:
    order = Order.objects.select_for_update(no_key=True).filter(pk=order_id).first()
    if order is None:
        raise NotFound
    return order


def _record(
    order: Order, evidence: Evidence, stored_as: str, seen: Picture | None, by: Actor
) -> Recorded:
    first = ProofOfDelivery.objects.filter(pk=order.pk).first()
    if first is not None:
        if first.fingerprint == evidence.fingerprint and first.method == evidence.method:
            return Recorded(first, is_new=False)
        raise Conflict(
            "proof_exists",
            f"This order has its proof already: {first.get_method_display().lower()}, "
            f"{first.created_at:%Y-%m-%d %H:%M:%S} UTC. There is one proof per order.",
            current_status=order.status,
            proof={"method": first.method, "created_at": first.created_at},
        )
    _refuse_unless_there(order)
    # Once it has delivered, the drone's position says nothing about the delivery any more.
    is_there = order.status in AT_THE_DROP_POINT
    drone = whereabouts.of_the_drone(order, seen, timezone.now()) if is_there else None
    proof = ProofOfDelivery.objects.create(
        order_id=order.pk,
        method=evidence.method,
        confirmed_by=evidence.confirmed_by,
        photo_url=evidence.photo_url,
        image=stored_as,
        strokes=evidence.strokes,
        note=evidence.note,
        metadata=evidence.metadata,
        fingerprint=evidence.fingerprint,
        recorded_by=str(by),
        **_where(drone),
    )
    if order.status != Status.DELIVERED:
        lifecycle.advance(order.pk, Status.DELIVERED, by=by)
    lifecycle.amend(order.pk, by=by, happened=lambda locked: _prove(locked, proof))
    return Recorded(proof, is_new=True)


def _where(drone: Whereabouts | None) -> dict[str, Any]:
    if drone is None:
        return {}
    return {
        "drone_lat": drone.lat,
        "drone_lng": drone.lng,
        "drone_seen_at": drone.at,
        "drone_distance_m": drone.distance_m,
    }


def _prove(order: Order, proof: ProofOfDelivery) -> Happened:
    order.proof_missing = False
    return Happened(
        EventType.PROOF_RECORDED,
        f"Proof of delivery: {proof.get_method_display().lower()}.",
        {"method": proof.method},
    )


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
    suffix = "jpg" if evidence.method == Method.PHOTO else "png"
    return default_storage.save(f"proofs/{uuid.uuid4()}.{suffix}", ContentFile(evidence.image))


def _discard(stored_as: str) -> None:
    if stored_as:
        default_storage.delete(stored_as)


def _fingerprint(content: bytes | str) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
