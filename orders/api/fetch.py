"""Read one order with a prepared statement; the hottest read of the API."""

from dataclasses import dataclass
from functools import cache
from uuid import UUID

from orders.models import Order, OrderQuerySet
from wingxtra.accounts.identity import Caller, Role
from wingxtra.database.statements import Statement
from wingxtra.problems import NotFound


def order_for(caller: Caller, order_id: UUID) -> Order:
    """The order with its job and the hub where its parcel is.

    Raises NotFound when it does not exist or the caller may not see it.
    """
    statement = _visible(caller.role, caller.live_mode)
    order = statement.first(order_id=order_id, merchant_id=caller.merchant_id)
    if order is None:
        raise NotFound
    return order


@dataclass(frozen=True, slots=True)
class _AnyCaller:
    role: str
    live_mode: bool
    merchant_id: UUID | None


@cache
def _visible(role: str, live_mode: bool) -> Statement[Order]:
    def orders(order_id: UUID, merchant_id: UUID | None = None) -> OrderQuerySet:
        caller = _AnyCaller(role, live_mode, merchant_id)
        visible = Order.objects.visible_to(caller)  # type: ignore[arg-type]
        with_related = visible.select_related("current_job", "holder_hub")
        return with_related.filter(pk=order_id).order_by()

    if role == Role.MERCHANT:
        return Statement(orders, order_id=UUID, merchant_id=UUID)
    return Statement(orders, order_id=UUID)
