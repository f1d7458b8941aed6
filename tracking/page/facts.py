"""What the public view of one delivery is made of, as the database has it: no telemetry, no clock
that runs on. `tracking/page/cache.py` keeps it, so that one read serves all who watch.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Subquery

from dispatch.missions import discrepancies
from fleet import policy
from orders.changes import dropoff
from orders.models import EVENT_MARGIN, DeliveryEvent, Order
from orders.promises import memory
from orders.states import IN_FLIGHT, WITH_A_JOB, EventType, Holder, Status
from orders.timing import opening
from pod import cases
from pod.models import Case
from tracking.page import arrival, public
from wingxtra.database.statements import Statement
from wingxtra.problems import NotFound


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
class Facts:
    """Of one delivery. Not for outsiders: `public.view` decides what they may see of it."""

    order: public.OrderFields
    log: list[public.LogEntry]
    drone_id: str | None
    pickup: tuple[float, float]
    link_lost_after_s: float
    sender: Sender
    live_mode: bool
    pod_requirement: str
    code_locked: bool
    dropoff_radius_m: float
    has_instructions: bool
    cases: list[ShownCase]
    takes_cases: bool
    # The earliest and latest expected arrival of a drone that has not taken off.
    before_take_off: tuple[datetime, datetime] | None
    # Metres to the north and east by which the customer has moved the drop point.
    dropoff_moved_m: tuple[float, float]

    @property
    def in_flight(self) -> bool:
        return self.order.status in IN_FLIGHT


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
        .order_by("id")
        .values_list("type", "occurred_at", "payload")
    ),
    order_id=UUID,
    since=datetime,
)
_CASES = Statement(
    lambda order_id: Case.objects.filter(order_id=order_id).order_by("opened_at"),
    order_id=UUID,
)


def order_of(canonical_id: str | None) -> Order:
    """The order behind the link. Raises NotFound, the same for unknown and for malformed ids."""
    order = _ORDER.first(tracking_id=canonical_id) if canonical_id else None
    if order is None:
        raise NotFound("delivery")
    return order


def read(canonical_id: str, now: datetime) -> Facts:
    """Two statements, three for a delivery that is over. Raises NotFound."""
    order: Any = _SHOWN.first(tracking_id=canonical_id)
    if order is None:
        raise NotFound("delivery")
    memory.attach([order], now)
    doubted = order.is_contradicted or order.hold_code != ""
    merchant, code = order.merchant, getattr(order, "one_time_code", None)
    return Facts(
        order=_order_fields(order, doubted, now),
        log=[
            public.LogEntry(
                EventType(kind),
                at,
                held=bool(payload.get("hold")),
                outcome=payload.get("outcome", ""),
                inferred=bool(payload.get("inferred")),
            )
            for kind, at, payload in _EVENTS.all(
                order_id=order.pk, since=order.created_at - EVENT_MARGIN
            )
        ],
        drone_id=order.assigned_drone_id,
        pickup=(order.pickup_lat, order.pickup_lng),
        link_lost_after_s=order.link_lost_after_s,
        sender=Sender(
            merchant.name, merchant.support_contact, merchant.brand_color, str(merchant.logo)
        ),
        live_mode=order.live_mode,
        pod_requirement=order.pod_requirement,
        code_locked=code is not None and code.is_locked,
        dropoff_radius_m=order.customer_dropoff_radius_m,
        has_instructions=order.dropoff_instructions != "",
        cases=_cases(order),
        takes_cases=cases.takes_cases(order, now),
        before_take_off=_before_take_off(order, now),
        dropoff_moved_m=dropoff.moved_m(order),
    )


def _before_take_off(order: Order, now: datetime) -> tuple[datetime, datetime] | None:
    """One read of Redis, none in flight."""
    job = order.current_job
    waits = order.status in WITH_A_JOB and order.status not in IN_FLIGHT
    if not waits or job is None or job.eta_at is None:
        return None
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
