"""Where a new order is picked up: at a store of its merchant, or at coordinates."""

from uuid import UUID

from orders import stores
from orders.models import Order
from wingxtra.problems import FieldProblem

COORDINATES = ("pickup_lat", "pickup_lng")


def settle(
    order: Order, store_id: UUID | None, merchant_id: UUID | None, known: list[FieldProblem]
) -> list[FieldProblem]:
    """Let an unsaved order be picked up at the store that the caller named, if any; returns the
    problems. The order has the coordinates of the input and its mode.

    merchant_id: as in `stores.set_pickup`. known: the problems of the input.
    """
    given = [name for name in stores.PICKUP if getattr(order, name) not in (None, "")]
    if store_id is not None:
        if not given:
            return stores.set_pickup(order, store_id, merchant_id)
        message = f"Give store_id or {', '.join(given)}, not both."
        return [FieldProblem("store_id", "store_or_pickup", message)]
    reported = {problem.field for problem in known}
    if "store_id" in reported:
        return []
    missing = [name for name in COORDINATES if name not in {*given, *reported}]
    message = "Give pickup_lat and pickup_lng, or a store_id."
    return [FieldProblem(name, "required", message) for name in missing]
