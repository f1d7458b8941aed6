"""Orders as answers show them, read without model objects by statements that are compiled once.

`orders.api.serializers.order_json` makes the answer of one, in details, lists, webhooks and files.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, Value
from msgspec import Struct

from orders.models import Order, OrderQuerySet
from orders.models.search import Terms, terms_of
from orders.promises.memory import InLine
from wingxtra.accounts.identity import STAFF_ROLES, Caller, Role
from wingxtra.api.pagination import Pageable, Place, after_place
from wingxtra.database.statements import PlannedStatement, Statement
from wingxtra.problems import NotFound


class ShownOrder(Struct):
    """The columns that answers show: of the order, of its current job, and of the parcel's hub."""

    pk: UUID
    public_tracking_id: str
    merchant_id: UUID
    external_id: str | None
    live_mode: bool
    test_scenario: str
    quote_id: UUID | None
    status: str
    customer_name: str
    customer_phone: str
    customer_email: str
    customer_language: str
    store_id: UUID | None
    pickup_name: str
    pickup_lat: float
    pickup_lng: float
    dropoff_lat: float
    dropoff_lng: float
    dropoff_accuracy_m: float | None
    dropoff_captured_at: datetime | None
    dropoff_source: str
    dropoff_address: str
    dropoff_instructions: str
    service_area_id: UUID
    payload_weight_kg: float
    payload_type: str
    payload_size_cm: list[float] | None
    priority: str
    pod_requirement: str
    proof_method: str
    proof_at: datetime | None
    ready_at: datetime | None
    not_before: datetime | None
    deliver_by: datetime
    cancel_reason: str
    reason_code: str
    holder: str
    holder_drone_id: str | None
    holder_since: datetime
    hold_code: str
    hold_message: str
    hold_since: datetime | None
    quoted_low_at: datetime | None
    quoted_high_at: datetime | None
    created_at: datetime
    updated_at: datetime
    delivered_at: datetime | None
    metadata: dict[str, str]
    job_id: UUID | None
    drone_id: str | None
    mission_intent_id: UUID | None
    eta_at: datetime | None
    promised_at: datetime | None
    hub: str | None
    in_line: InLine | None = None


OF_ORDER = ShownOrder.__struct_fields__[:-7]
OF_JOB = ("pk", "drone_id", "mission_intent_id", "eta_at", "promised_at")
COLUMNS = (*OF_ORDER, *(f"current_job__{name}" for name in OF_JOB), "holder_hub__name")
_of_order, _of_job = attrgetter(*OF_ORDER), attrgetter(*OF_JOB)


def shown(order: Order) -> ShownOrder:
    """The same of a model object, which a change has just made. Takes no SQL statement when it was
    fetched with its `current_job` and `holder_hub`.
    """
    job = _of_job(order.current_job) if order.current_job else [None] * len(OF_JOB)
    hub = order.holder_hub.name if order.holder_hub_id and order.holder_hub else None
    values: list[Any] = [*_of_order(order), *job, hub, order.in_line]
    return ShownOrder(*values)


# --- one order -----------------------------------------------------------------------------------


def order_for(caller: Caller, order_id: UUID) -> Order:
    """The order with its job and the hub where its parcel is, to be changed.

    Raises NotFound when it does not exist or the caller may not see it.
    """
    statement = _objects(caller.role, caller.live_mode)
    return _known(statement.first(order_id=order_id, merchant_id=caller.merchant_id))


def shown_to(caller: Caller, order_id: UUID) -> ShownOrder:
    """The order to be answered. Raises NotFound like `order_for`."""
    statement = _columns(caller.role, caller.live_mode)
    return ShownOrder(*_known(statement.first(order_id=order_id, merchant_id=caller.merchant_id)))


def _known(found: Any) -> Any:
    if found is None:
        raise NotFound
    return found


@dataclass(frozen=True, slots=True)
class _AnyCaller:
    role: str
    live_mode: bool
    merchant_id: UUID | None


def _visible(role: str, live_mode: bool, merchant_id: UUID | None) -> OrderQuerySet:
    caller = _AnyCaller(role, live_mode, merchant_id)
    return Order.objects.visible_to(caller)  # type: ignore[arg-type]


def _kinds(role: str) -> dict[str, type]:
    return {"merchant_id": UUID} if role == Role.MERCHANT else {}


@cache
def _objects(role: str, live_mode: bool) -> Statement[Order]:
    def orders(order_id: UUID, merchant_id: UUID | None = None) -> OrderQuerySet:
        visible = _visible(role, live_mode, merchant_id)
        return visible.select_related("current_job", "holder_hub").filter(pk=order_id).order_by()

    return Statement(orders, order_id=UUID, **_kinds(role))


@cache
def _columns(role: str, live_mode: bool) -> Statement[Any]:
    def orders(order_id: UUID, merchant_id: UUID | None = None) -> Any:
        visible = _visible(role, live_mode, merchant_id)
        return visible.filter(pk=order_id).order_by().values_list(*COLUMNS)

    return Statement(orders, order_id=UUID, **_kinds(role))


# --- lists ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the text of a list's statements depends on: who asks, and of how many terms the search
    consists. Staff see live orders, or with a test key test orders.
    """

    role: str
    live_mode: bool
    words: int = 0
    wholes: int = 0
    has_id: bool = False
    is_empty: bool = False  # the search can match nothing

    @property
    def kinds(self) -> dict[str, type]:
        terms = {f"{name}_{n}": str for name, of in self._terms for n in range(of)}
        return _kinds(self.role) | terms | ({"order_id": UUID} if self.has_id else {})

    @property
    def _terms(self) -> tuple[tuple[str, int], ...]:
        return ("word", self.words), ("whole", self.wholes)

    def orders(
        self, merchant_id: UUID | None = None, order_id: UUID | None = None, **terms: str
    ) -> OrderQuerySet:
        orders = _visible(self.role, self.live_mode, merchant_id)
        if self.is_empty:
            return orders.none()
        if self.role in STAFF_ROLES:
            orders = orders.filter(live_mode=self.live_mode)
        if not self.words:
            return orders
        words, wholes = (tuple(terms[f"{name}_{n}"] for n in range(of)) for name, of in self._terms)
        return orders.matching_terms(Terms(words, wholes, order_id))


def newest(caller: Caller, text: str) -> Pageable:
    """A caller's orders, newest first; with a text, those that match it."""
    text = text.strip()
    return _Newest(caller, terms_of(text) if text else _ALL)


_ALL = Terms(())


class _Newest:
    model = Order

    def __init__(self, caller: Caller, terms: Terms | None) -> None:
        known = terms or _ALL
        self._shape = _Shape(
            caller.role,
            caller.live_mode,
            len(known.words),
            len(known.wholes),
            known.id is not None,
            is_empty=terms is None,
        )
        self._values: dict[str, Any] = {
            "merchant_id": caller.merchant_id,
            "order_id": known.id,
            **{f"word_{n}": word for n, word in enumerate(known.words)},
            **{f"whole_{n}": whole for n, whole in enumerate(known.wholes)},
        }

    def count(self, most: int) -> int:
        return _counted(self._shape, most).count(**self._values)

    def window(self, first: int, size: int) -> list[ShownOrder]:
        rows = _window(self._shape, first, size).all(**self._values)
        return [ShownOrder(*row) for row in rows]

    def after(self, place: Place | None, size: int) -> list[ShownOrder]:
        if place is None:
            return self.window(0, size)
        moment, pk = place
        rows = _after(self._shape, size).all(**self._values, moment=moment, pk=pk)
        return [ShownOrder(*row) for row in rows]


def _statement(shape: _Shape) -> type[Statement[Any]]:
    return PlannedStatement if shape.words else Statement


# Pages are numbered without limit, and some callers read them all.
@lru_cache(maxsize=500)
def _window(shape: _Shape, first: int, size: int) -> Statement[Any]:
    def rows(**values: Any) -> QuerySet[Any, Any]:
        return _joined(shape.orders(**values)[first : first + size])

    return _statement(shape)(rows, **shape.kinds)


@lru_cache(maxsize=500)
def _after(shape: _Shape, size: int) -> Statement[Any]:
    def rows(moment: datetime, pk: UUID, **values: Any) -> QuerySet[Any, Any]:
        return _joined(after_place(shape.orders(**values), (moment, pk))[:size])

    return _statement(shape)(rows, **shape.kinds, moment=datetime, pk=UUID)


@lru_cache(maxsize=500)
def _counted(shape: _Shape, most: int) -> Statement[Any]:
    def rows(**values: Any) -> QuerySet[Any, Any]:
        return shape.orders(**values).order_by().values_list(Value(1))[:most]

    return _statement(shape)(rows, **shape.kinds)


def _joined(page: OrderQuerySet) -> QuerySet[Any, Any]:
    """The joins run for the rows of the page only, not for all that a search finds."""
    return Order.objects.filter(pk__in=page.values("pk")).values_list(*COLUMNS)
