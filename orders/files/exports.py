"""A list of orders as a CSV file, row by row, for a spreadsheet."""

import csv
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone

from orders.api.serializers import order_json
from orders.files.cells import harmless
from orders.models import Order, OrderQuerySet
from wingxtra.accounts.identity import Caller

# Members of the API's order, with a dot before those inside.
COLUMNS = (
    "external_id",
    "public_tracking_id",
    "status",
    "sla",
    "created_at",
    "not_before",
    "deliver_by",
    "delivered_at",
    "reason.code",
    "reason.message",
    "cancel_reason",
    "custody.holder",
    "custody.place",
    "priority",
    "payload_type",
    "payload_weight_kg",
    "payload_size_cm.l",
    "payload_size_cm.w",
    "payload_size_cm.h",
    "pod_requirement",
    "customer_name",
    "customer_phone",
    "customer_email",
    "store_id",
    "pickup_name",
    "pickup_lat",
    "pickup_lng",
    "dropoff_lat",
    "dropoff_lng",
    "dropoff_address",
    "dropoff_instructions",
    "live_mode",
    "test_scenario",
    "tracking_url",
    "merchant_id",
    "id",
)
BOM = "\ufeff"  # without it, spreadsheets do not read UTF-8
ROWS_AT_ONCE = 500


def download(orders: OrderQuerySet, caller: Caller, name: str) -> StreamingHttpResponse:
    """The file as an answer that a browser stores under this name and today's date."""
    answer = StreamingHttpResponse(lines(orders, caller), content_type="text/csv; charset=utf-8")
    day = f"{timezone.now():%Y-%m-%d}"
    answer["Content-Disposition"] = f'attachment; filename="{name}-{day}.csv"'
    return answer


class _Line:
    """What `csv.writer` writes to: `write` returns the line."""

    def write(self, line: str) -> str:
        return line


def lines(orders: OrderQuerySet, caller: Caller) -> Iterator[str]:
    """The file in lines, as `caller` may see these orders in a list: customers are masked.

    Read in parts, each in a statement of its own: a slow reader holds no transaction and no cursor.
    No cell is a formula.
    """
    now = timezone.now()
    writer: Any = csv.writer(_Line())
    yield BOM + writer.writerow(COLUMNS)
    ids = list(orders.values_list("pk", flat=True))
    for start in range(0, len(ids), ROWS_AT_ONCE):
        part = ids[start : start + ROWS_AT_ONCE]
        read = Order.objects.select_related("current_job", "holder_hub").in_bulk(part)
        listed = (read[order_id] for order_id in part if order_id in read)
        yield "".join([writer.writerow(_cells(order, caller, now)) for order in listed])


def _cells(order: Order, caller: Caller, now: datetime) -> list[str | float]:
    body: Any = order_json(order, caller, now, in_full=False)
    return [_cell(_member(body, column)) for column in COLUMNS]


def _member(body: Mapping[str, Any], column: str) -> Any:
    value: Any = body
    for name in column.split("."):
        value = value[name] if value is not None else None
    return value


def _cell(value: Any) -> str | float:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return harmless(str(value))
