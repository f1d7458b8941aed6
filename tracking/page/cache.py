"""The public view of one delivery, kept in Redis for a few seconds.

Whoever asks within that time gets the same view and the same ETag, however many they are; it is
also what keeps the position from being told more often than every few seconds.
"""

import hashlib
import math
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
import redis
from django.conf import settings
from django.utils import timezone, translation

from fleet import policy
from fleet.live import picture
from orders.models import DeliveryEvent, Order
from orders.states import IN_FLIGHT, EventType, Holder, Status
from orders.tracking_ids import canonical_id
from tracking import doubts
from tracking.page import public
from tracking.page.texts import Face
from wingxtra.problems import NotFound

KEPT_S = 3


@dataclass(frozen=True, slots=True)
class Sender:
    """What the page shows of the merchant. `logo` names a file in the storage, or is empty."""

    name: str
    support_contact: str
    brand_color: str
    logo: str


@dataclass(frozen=True, slots=True)
class Copy:
    """The view as the API tells it, what only the page shows besides, and the tag of both."""

    view: dict[str, Any]
    face: Face
    sender: Sender
    pod_requirement: str
    code_locked: bool
    deliver_by: datetime
    dropoff_radius_m: float
    etag: str


@dataclass(frozen=True, slots=True)
class Told:
    """Of a copy what the API tells: the view, as JSON already, and its tag."""

    view: msgspec.Raw
    etag: str


def fetch(tracking_id: str, *, fresh: bool = False) -> Copy:
    """The copy for an id as somebody typed it; `fresh` after a change of one's own.

    Raises NotFound, the same for ids that are unknown and ids that cannot be.
    """
    canonical = _canonical(tracking_id)
    kept: Any = None if fresh else _redis().get(key_of(canonical))
    return _as_copy(kept or _keep(canonical))


def told(tracking_id: str, kept: bytes | None) -> Told:
    """The same for who passes it on as it is, and has asked what is `kept` under `key_of` it.

    Raises NotFound like `fetch`.
    """
    return _as_told(kept or _keep(_canonical(tracking_id)))


_as_copy = msgspec.json.Decoder(Copy).decode
_as_told = msgspec.json.Decoder(Told).decode


def key_of(tracking_id: str) -> str:
    """Where the copy lies in Redis; ids that cannot be have a place where there is never one."""
    return f"tracking:{canonical_id(tracking_id)}"


def _keep(canonical: str) -> bytes:
    made = msgspec.json.encode(_build(canonical, timezone.now()))
    _redis().set(key_of(canonical), made, ex=KEPT_S)
    return made


def _canonical(tracking_id: str) -> str:
    canonical = canonical_id(tracking_id)
    if canonical is None:
        raise NotFound("delivery")
    return canonical


def order_of(tracking_id: str) -> Order:
    """The order behind the link. Raises NotFound like `fetch`."""
    canonical = canonical_id(tracking_id)
    order = Order.objects.filter(public_tracking_id=canonical).first() if canonical else None
    if order is None:
        raise NotFound("delivery")
    return order


def _build(tracking_id: str, now: datetime) -> Copy:
    order = (
        Order.objects.select_related(
            "current_job", "merchant", "proof", "one_time_code", "service_area"
        )
        .annotate(is_contradicted=doubts.contradicted())
        .filter(public_tracking_id=tracking_id)
        .first()
    )
    if order is None:
        raise NotFound("delivery")
    doubted = order.is_contradicted or order.hold_code != ""
    events = DeliveryEvent.objects.filter(order=order).order_by("id")
    moments = [
        public.Moment(
            EventType(kind),
            at,
            held=bool(payload.get("hold")),
            outcome=payload.get("outcome", ""),
            inferred=bool(payload.get("inferred")),
        )
        for kind, at, payload in events.values_list("type", "occurred_at", "payload")
    ]
    rules = policy.current()
    # The API speaks one language, whoever asks first; the page has words of its own.
    with translation.override(settings.LANGUAGE_CODE):
        view, face = public.view(
            _facts(order, rules, doubted), moments, _seen(order, now), rules, now
        )
    merchant, code = order.merchant, getattr(order, "one_time_code", None)
    shown: dict[str, Any] = {
        "view": view,
        "face": face,
        "sender": Sender(
            merchant.name, merchant.support_contact, merchant.brand_color, str(merchant.logo)
        ),
        "pod_requirement": order.pod_requirement,
        "code_locked": code is not None and code.is_locked,
        "deliver_by": order.deliver_by,
        "dropoff_radius_m": rules.customer_dropoff_radius_m,
    }
    tag = hashlib.sha256(msgspec.json.encode(shown)).hexdigest()[:32]
    return Copy(**shown, etag=f'"{tag}"')


def _facts(order: Order, rules: policy.Rules, doubted: bool) -> public.Facts:
    proof = getattr(order, "proof", None)
    return public.Facts(
        public_tracking_id=order.public_tracking_id,
        status=Status(order.status),
        not_before=order.not_before,
        deliver_by=order.deliver_by,
        eta_at=order.current_job.eta_at if order.current_job else None,
        cancel_reason=order.cancel_reason,
        paused=rules.dispatch_paused or order.service_area.dispatch_paused,
        dropoff_lat=order.dropoff_lat,
        dropoff_lng=order.dropoff_lng,
        proof_method=proof.method if proof else None,
        proof_at=proof.created_at if proof else None,
        updated_at=order.updated_at,
        holder=Holder(order.holder),
        holder_since=order.holder_since,
        doubted=doubted,
        forgotten=order.forgotten_at is not None,
    )


def _seen(order: Order, now: datetime) -> public.Seen | None:
    drone_id = order.assigned_drone_id
    if order.status not in IN_FLIGHT or drone_id is None:
        return None
    fleet = picture.read()
    sample = fleet.telemetry.get(drone_id) if fleet else None
    if fleet is None or sample is None:
        return public.Seen(age_s=math.inf)
    return public.Seen(
        fleet.age_s_of(drone_id, now),
        sample.lat,
        sample.lng,
        sample.heading_deg,
        sample.measured_at,
    )


@cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
