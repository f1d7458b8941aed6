"""One order's life by the Python client that openapi-generator makes. Prints what it read."""

import json
import os
import sys
from pathlib import Path

from openapi_generator_made import (
    ApiClient,
    ApiException,
    CancelInput,
    CancelReason,
    Configuration,
    NewOrder,
    Order,
    OrderChange,
    OrderMessage,
    OrdersApi,
    PayloadType,
    PlacedOrder,
    Priority,
    Problem,
)

configuration = Configuration(host=os.environ["URL"], api_key={"apiKey": os.environ["KEY"]})
orders = OrdersApi(ApiClient(configuration))


def place() -> PlacedOrder:
    trip = json.loads(os.environ["TRIP"])
    order = NewOrder(
        **trip,
        payload_type=PayloadType.MEDICINE,
        customer_name="Ama Mensah",
        customer_email="ama@example.com",
    )
    return orders.orders_create(order)


def walk() -> list[Order]:
    found: list[Order] = []
    cursor: str | None = ""
    while cursor is not None:
        page = orders.orders_list(cursor=cursor, page_size=2)
        found += page.items
        cursor = page.next_cursor
    return found


def refusal(call: ApiException) -> Problem:
    problem = Problem.from_json(str(call.body))
    assert problem is not None
    return problem


placed, _, _ = place(), place(), place()
order = orders.orders_retrieve(placed.id)
why = CancelInput(reason=CancelReason.CUSTOMER_REQUEST)
canceled = orders.orders_cancel(placed.id, cancel_input=why)
try:
    orders.orders_partial_update(placed.id, order_change=OrderChange(priority=Priority.URGENT))
    raise AssertionError("an order that was canceled was changed")
except ApiException as error:
    problem = refusal(error)
message = OrderMessage.from_json(Path(os.environ["MESSAGE"]).read_text())
assert message is not None
event, told = message.data.event, message.data.order
json.dump(
    {
        "placed": str(placed.id),
        "listed": [str(one.id) for one in walk()],
        "read": [order.customer_email, order.status.value, order.deliver_by.isoformat()],
        "canceled": canceled.status.value,
        "problem": [problem.status, problem.code],
        "message": [message.type, str(told.id), told.custody.holder.value, event.type],
    },
    sys.stdout,
)
