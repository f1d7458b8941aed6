"""One order's life by the client that openapi-python-client makes. Prints what it read."""

import json
import os
import sys
from pathlib import Path

from openapi_python_client_made import AuthenticatedClient
from openapi_python_client_made.api.orders import (
    orders_cancel,
    orders_create,
    orders_list,
    orders_partial_update,
    orders_retrieve,
)
from openapi_python_client_made.models import (
    CancelInput,
    CancelReason,
    NewOrder,
    Order,
    OrderChange,
    OrderList,
    OrderMessage,
    PayloadType,
    PlacedOrder,
    Priority,
    Problem,
)

client = AuthenticatedClient(
    os.environ["URL"], os.environ["KEY"], prefix="", auth_header_name="X-API-Key"
)


def place() -> PlacedOrder:
    trip = json.loads(os.environ["TRIP"])
    order = NewOrder(
        **trip,
        payload_type=PayloadType.MEDICINE,
        customer_name="Ama Mensah",
        customer_email="ama@example.com",
    )
    placed = orders_create.sync(client=client, body=order)
    assert isinstance(placed, PlacedOrder), placed
    return placed


def walk() -> list[Order]:
    found: list[Order] = []
    cursor: str | None = ""
    while cursor is not None:
        page = orders_list.sync(client=client, cursor=cursor, page_size=2)
        assert isinstance(page, OrderList), page
        found += page.items
        assert page.next_cursor is None or isinstance(page.next_cursor, str)
        cursor = page.next_cursor
    return found


placed, _, _ = place(), place(), place()
order = orders_retrieve.sync(placed.id, client=client)
assert isinstance(order, Order)
why = CancelInput(reason=CancelReason.CUSTOMER_REQUEST)
canceled = orders_cancel.sync(placed.id, client=client, body=why)
assert canceled
assert not isinstance(canceled, Problem)
change = OrderChange(priority=Priority.URGENT)
problem = orders_partial_update.sync(placed.id, client=client, body=change)
assert isinstance(problem, Problem)
message = OrderMessage.from_dict(json.loads(Path(os.environ["MESSAGE"]).read_text()))
event, told = message.data.event, message.data.order
json.dump(
    {
        "placed": str(placed.id),
        "listed": [str(one.id) for one in walk()],
        "read": [order.customer_email, order.status.value, order.deliver_by.isoformat()],
        "canceled": canceled.status.value,
        "problem": [problem.status, problem.code],
        "message": [message.type_, str(told.id), told.custody.holder.value, event.type_],
    },
    sys.stdout,
)
