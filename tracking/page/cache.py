"""Caches the public view of one delivery in Redis for a few seconds.

All requests within that time get the same view and the same ETag. The cache also limits how often
outsiders see a new position. Without Redis each request builds the view, without a position.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import redis
import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Subquery
from django.utils import timezone, translation

from dispatch import testmode
from dispatch.missions import discrepancies
from fleet import policy
from fleet.live import picture
from orders.changes import dropoff
from orders.models import EVENT_MARGIN, DeliveryEvent, Order
from orders.promises import memory
from orders.states import IN_FLIGHT, EventType, Holder, Status
from orders.timing import opening
from orders.tracking_ids import canonical_id
from pod import cases
from pod.models import Case
from tracking.page import arrival, public
from tracking.page.texts import Situation, Stage
from wingxtra import redis_client
from wingxtra.database.statements import Statement
from wingxtra.problems import NotFound

log = structlog.get_logger(__name__)

MAX_AGE_S = 3
# Longer than a view takes to be built.
CLOSED_FOR_S = 60


@dataclass(frozen=True, slots=True)
class Sender:
    """The merchant as the page shows it. `logo` is a file name in the storage, or empty."""

    name: str
    support_contact: str
    brand_color: str
    logo: str


@dataclass(frozen=True, slots=True)
class ShownCase:
    """A case of the customer. `outcome` and `closed_at` once it is answered; `answer`: in words."""

    kind: str
    opened_at: datetime
    outcome: str
    answer: str
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Copy:
    """The cached view: the API's answer, the fields that only the page shows, and their ETag."""

    view: dict[str, Any]
    situation: Situation
    sender: Sender
    live_mode: bool
    pod_requirement: str
    code_locked: bool
    deliver_by: datetime
    dropoff_radius_m: float
    has_instructions: bool
    cases: list[ShownCase]
    takes_cases: bool
    # The earliest and latest expected arrival, if the view has an ETA that is not over.
    arrival: tuple[datetime, datetime] | None
    # Metres to the north and east by which the customer has moved the drop point.
    dropoff_moved_m: tuple[float, float]
    etag: str


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """The part of a copy that the API returns: the view as JSON, and the ETag."""

    view: msgspec.Raw
    etag: str


def fetch(tracking_id: str, *, fresh: bool = False) -> Copy:
    """The copy for an id in any spelling. `fresh` builds it again, after the caller's own change.

    Raises NotFound, the same for unknown and for malformed ids.
    """
    canonical = _canonical(tracking_id)
    return _decode_copy((None if fresh else _cached(canonical)) or _store(canonical))


def drop(tracking_id: str) -> None:
    """Delete the copy after the caller's own change: the next reader builds it."""
    _send("DEL", key_of(tracking_id))


def _cached(canonical: str) -> Any:
    try:
        return redis_client.read(key_of(canonical))
    except redis_client.Away:
        return None


def api_answer(tracking_id: str, cached: bytes | None) -> ApiAnswer:
    """The API's answer without decoding the view. `cached`: the value of `key_of` in Redis.

    Raises NotFound like `fetch`.
    """
    return _decode_answer(cached or _store(_canonical(tracking_id)))


_decode_copy = msgspec.json.Decoder(Copy).decode
_decode_answer = msgspec.json.Decoder(ApiAnswer).decode


def key_of(tracking_id: str) -> str:
    """The Redis key of the copy. All malformed ids share one key, which is never set."""
    return f"tracking-view:{canonical_id(tracking_id)}"


def _store(canonical: str) -> bytes:
    encoded = msgspec.json.encode(_build(canonical, timezone.now()))
    trip = redis_client.RoundTrip()
    trip.do("SET", key_of(canonical), encoded, "EX", MAX_AGE_S)
    is_closed = trip.do("EXISTS", _closed_key(canonical))
    try:
        trip.send()
    except redis_client.Away:
        return encoded
    if is_closed.value:
        # The link was renewed after the order was read.
        _send("DEL", key_of(canonical))
        raise NotFound("delivery")
    return encoded


def close_former_links(events: Sequence[DeliveryEvent], **_: Any) -> None:
    """Receiver of `lifecycle.recorded`: a link that was renewed is unknown from the commit on."""
    for event in events:
        former = event.order.former_tracking_id
        if event.type == EventType.TRACKING_RENEWED and former is not None:
            transaction.on_commit(partial(_close, former), robust=True)


def _close(former: str) -> None:
    """First the mark, then the copy: a view that is being built now finds the mark in `_store`."""
    _send("SET", _closed_key(former), b"1", "EX", CLOSED_FOR_S)
    _send("DEL", key_of(former))


def _send(*command: Any) -> None:
    """Without Redis the copy ends by itself after MAX_AGE_S."""
    trip = redis_client.RoundTrip()
    trip.do(*command)
    try:
        trip.send()
    except redis_client.Away as error:
        log.warning("tracking_copy_not_deleted", error=str(error))


def _closed_key(tracking_id: str) -> str:
    return f"tracking-closed:{tracking_id}"


def _canonical(tracking_id: str) -> str:
    canonical = canonical_id(tracking_id)
    if canonical is None:
        raise NotFound("delivery")
    return canonical


# Compiled once: strangers make these, and compiling costs several times what reading costs.
_ORDER = Statement(
    lambda tracking_id: Order.objects.filter(public_tracking_id=tracking_id).order_by(),
    tracking_id=str,
)
_POLICY = policy.Policy.objects.filter(pk=1)
_SHOWN = Statement(
    lambda tracking_id: (
        Order.objects.select_related(
            "current_job", "merchant", "proof", "one_time_code", "service_area", "store"
        )
        .defer("proof__strokes")  # up to 20,000 numbers, which no view shows
        .annotate(
            is_contradicted=discrepancies.contradicted(),
            link_lost_after_s=Subquery(_POLICY.values("link_lost_after_s")),
            customer_dropoff_radius_m=Subquery(_POLICY.values("customer_dropoff_radius_m")),
            paused_everywhere=Subquery(_POLICY.values("dispatch_paused")),
        )
        .filter(public_tracking_id=tracking_id)
        .order_by()
    ),
    tracking_id=str,
)
_EVENTS = Statement(
    lambda order_id, since: (
        DeliveryEvent.objects.filter(order_id=order_id, created_at__gte=since)
        .only("type", "occurred_at", "payload")
        .order_by("id")
    ),
    order_id=UUID,
    since=datetime,
)
_CASES = Statement(
    lambda order_id: Case.objects.filter(order_id=order_id).order_by("opened_at"),
    order_id=UUID,
)


def order_of(tracking_id: str) -> Order:
    """The order behind the link. Raises NotFound like `fetch`."""
    canonical = canonical_id(tracking_id)
    order = _ORDER.first(tracking_id=canonical) if canonical else None
    if order is None:
        raise NotFound("delivery")
    return order


def _build(tracking_id: str, now: datetime) -> Copy:
    order: Any = _SHOWN.first(tracking_id=tracking_id)
    if order is None:
        raise NotFound("delivery")
    memory.attach([order], now)
    doubted = order.is_contradicted or order.hold_code != ""
    log = [
        public.LogEntry(
            EventType(event.type),
            event.occurred_at,
            held=bool(event.payload.get("hold")),
            outcome=event.payload.get("outcome", ""),
            inferred=bool(event.payload.get("inferred")),
        )
        for event in _EVENTS.all(order_id=order.pk, since=order.created_at - EVENT_MARGIN)
    ]
    # The API always answers in LANGUAGE_CODE: the request that fills the cache must not decide.
    with translation.override(settings.LANGUAGE_CODE):
        view, situation = public.view(
            _order_fields(order, doubted, now),
            log,
            _drone_sample(order, log, now),
            order.link_lost_after_s,
            now,
        )
    merchant, code = order.merchant, getattr(order, "one_time_code", None)
    fields: dict[str, Any] = {
        "view": view,
        "situation": situation,
        "sender": Sender(
            merchant.name, merchant.support_contact, merchant.brand_color, str(merchant.logo)
        ),
        "live_mode": order.live_mode,
        "pod_requirement": order.pod_requirement,
        "code_locked": code is not None and code.is_locked,
        "deliver_by": order.deliver_by,
        "dropoff_radius_m": order.customer_dropoff_radius_m,
        "has_instructions": situation.stage != Stage.OVER and order.dropoff_instructions != "",
        "cases": _cases(order) if situation.stage != Stage.OVER else [],
        "takes_cases": cases.takes_cases(order, now),
        "arrival": _arrival(order, view, now),
        "dropoff_moved_m": dropoff.moved_m(order),
    }
    tag = hashlib.sha256(msgspec.json.encode(fields)).hexdigest()[:32]
    return Copy(**fields, etag=f'"{tag}"')


def _arrival(order: Order, view: dict[str, Any], now: datetime) -> tuple[datetime, datetime] | None:
    """One read of Redis before take-off, none in flight."""
    job = order.current_job
    if not view["eta_seconds"] or job is None or job.eta_at is None:
        return None
    if order.status in IN_FLIGHT:
        return arrival.in_flight(job.eta_at, now)
    outlook = memory.outlook_of(order.service_area_id)
    ranges = outlook.ranges if outlook else {}
    return arrival.before_take_off(job.eta_at, job.created_at, now, order.priority, ranges)


def _cases(order: Order) -> list[ShownCase]:
    if not order.is_terminal:
        return []
    return [
        ShownCase(case.kind, case.opened_at, case.outcome, case.answer, case.closed_at)
        for case in _CASES.all(order_id=order.pk)
    ]


def _order_fields(order: Any, doubted: bool, now: datetime) -> public.OrderFields:
    proof = getattr(order, "proof", None)
    return public.OrderFields(
        public_tracking_id=order.public_tracking_id,
        status=Status(order.status),
        not_before=order.not_before,
        deliver_by=order.deliver_by,
        eta_at=order.current_job.eta_at if order.current_job else None,
        cancel_reason=order.cancel_reason,
        paused=order.paused_everywhere or order.service_area.dispatch_paused,
        dropoff_lat=order.dropoff_lat,
        dropoff_lng=order.dropoff_lng,
        proof_method=proof.method if proof else None,
        proof_at=proof.created_at if proof else None,
        updated_at=order.updated_at,
        holder=Holder(order.holder),
        holder_since=order.holder_since,
        doubted=doubted,
        forgotten=order.forgotten_at is not None,
        external_id=order.external_id,
        unproven=order.pod_requirement if order.proof_missing or order.proof_awaited_since else "",
        opens_at=_opens_at(order, now) if order.status == Status.QUEUED else None,
        spot=order.in_line,
    )


def _opens_at(order: Order, now: datetime) -> datetime | None:
    """When store and service area are open again; None if they are now, or not within a year."""
    opens_at = opening.opens_at(opening.places(order, order.service_area), now)
    return opens_at if opens_at and opens_at > now else None


def _drone_sample(
    order: Order, log: list[public.LogEntry], now: datetime
) -> public.DroneSample | None:
    if not order.live_mode:
        return _test_sample(order, log, now)
    drone_id = order.assigned_drone_id
    if order.status not in IN_FLIGHT or drone_id is None:
        return None
    try:
        fleet = picture.read()
    except redis.RedisError:  # logged there
        fleet = None
    sample = fleet.telemetry.get(drone_id) if fleet else None
    if fleet is None or sample is None:
        return public.DroneSample(age_s=math.inf)
    return public.DroneSample(
        fleet.age_s_of(drone_id, now),
        sample.lat,
        sample.lng,
        sample.heading_deg,
        sample.measured_at,
    )


def _test_sample(
    order: Order, log: list[public.LogEntry], now: datetime
) -> public.DroneSample | None:
    """Where the drone of a test order would be."""
    if order.status not in IN_FLIGHT:
        return None
    pickup, drop = (order.pickup_lat, order.pickup_lng), (order.dropoff_lat, order.dropoff_lng)
    happened = [(entry.type, entry.at) for entry in log]
    point = testmode.place(Status(order.status), happened, pickup, drop, now)
    if point is None:
        return public.DroneSample(age_s=math.inf)
    return public.DroneSample(0, *point, testmode.heading_deg(pickup, drop), now)
