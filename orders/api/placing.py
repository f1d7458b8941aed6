"""Quote and place for a caller: the API, the merchant's page and imports compose both here."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from orders import placement, quotes, scenarios
from orders.api import pickup
from orders.api.serializers import NewOrder, OrderInput, as_order
from orders.models import Order
from orders.states import DropoffSource
from orders.timing import window
from wingxtra.accounts.identity import STAFF_ROLES, Caller
from wingxtra.accounts.models import Merchant
from wingxtra.problems import FieldProblem, Invalid


def quote(caller: Caller, data: Any) -> quotes.Quote:
    """Check a trip and keep the answer. data: JSON as `OrderInput`.

    Raises Invalid for bad input only: a trip that we cannot fly is an answer, too.
    """
    values, problems = OrderInput.read(data)
    store_id = values.pop("store_id", None)
    order = as_order(values)
    order.live_mode = caller.live_mode
    merchant_id = caller.merchant_id or values.get("merchant_id")
    problems += pickup.settle(order, store_id, merchant_id, problems)
    checked, promise = placement.quote(order)
    if problems:
        raise Invalid([*problems, *checked.problems])
    start = window.starts_at(order, timezone.now())
    held_up = promise.held_up
    answer = {
        "serviceable": not checked.problems,
        "reasons": [
            {"code": p.code, "message": p.message, "until": p.until} for p in checked.problems
        ],
        "distance_m": _rounded(placement.straight_m(order)),
        "eta_seconds": {
            "low": _seconds_after(start, promise.low_at),
            "high": _seconds_after(start, promise.high_at),
        },
        "eta_at": {"low": _whole(promise.low_at), "high": _whole(promise.high_at)},
        "busy": promise.busy,
        "held_up": held_up
        and {"code": held_up.code, "message": held_up.message, "until": held_up.until},
        "service_area_id": checked.service_area and checked.service_area.pk,
    }
    return quotes.store(order, caller, timezone.now(), answer)


def place(caller: Caller, data: Any) -> Order:
    """Place an order. data: JSON as `NewOrder`.

    Raises Invalid with every problem, or Conflict naming the order that has its `external_id`;
    nothing is written then.
    """
    new = draft(caller, data)
    return placement.place(new.order, by=caller.actor, known=new.problems)


def draft(caller: Caller, data: Any) -> placement.Draft:
    """Read a new order. data: JSON as `NewOrder`. `placement` finds the problems of the order.

    Takes no SQL statement for a merchant, or one to find the store that it names.
    """
    values, problems = NewOrder.read(data)
    merchant_id, merchant_problems = _merchant(values, caller, problems)
    if caller.role in STAFF_ROLES:
        values.setdefault("dropoff_source", DropoffSource.OPS)
    store_id = values.pop("store_id", None)
    order = as_order(values)
    order.live_mode = caller.live_mode
    if merchant_id is not None:
        order.merchant_id = merchant_id
    problems += pickup.settle(order, store_id, merchant_id, problems)
    problems += [*merchant_problems, *scenarios.problems(order, timezone.now())]
    problems += quotes.problems(order, caller, timezone.now())
    return placement.Draft(order, problems)


def _seconds_after(start: datetime, at: datetime | None) -> int | None:
    return None if at is None else max(0, round((at - start).total_seconds()))


def _whole(at: datetime | None) -> datetime | None:
    return None if at is None else at.replace(microsecond=0)


def _rounded(number: float | None) -> int | None:
    return None if number is None else round(number)


def _merchant(
    values: dict[str, Any], caller: Caller, known: list[FieldProblem]
) -> tuple[UUID | None, list[FieldProblem]]:
    """The merchant of a new order: the caller's own, or the one that staff name; with problems."""

    def problem(code: str, message: str) -> list[FieldProblem]:
        return [FieldProblem("merchant_id", code, message)]

    named = values.get("merchant_id")
    if caller.role not in STAFF_ROLES:
        if named not in (None, caller.merchant_id):
            return None, problem("not_yours", "An order can only be placed for yourself.")
        return caller.merchant_id, []
    if named is None:
        # None also stands for an unreadable value, which is reported already.
        reported = any(one.field == "merchant_id" for one in known)
        missing = problem("required", "Name the merchant that the order is for.")
        return None, [] if reported else missing
    if Merchant.objects.filter(pk=named, active=True).exists():
        return named, []
    return None, problem("does_not_exist", "There is no such merchant.")
