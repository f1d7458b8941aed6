"""How many orders waited for a drone over a span, from the events that put them into the queue and
took them out.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connections, router

from dispatch.shift.spans import HOUR, Span
from orders.models import DeliveryEvent

QUARTER = timedelta(minutes=15)
# Events after the span are read, too: they show who waited through all of it.
LOOK_AHEAD = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Point:
    """The queue's length at a moment."""

    at: datetime
    length: int


# Whose steps count. Joined with the orders, a day would read all orders that ever were: there are
# few test orders, and an index has them. The orders of an area are read by their days, and any
# other by its key. Steps of other areas are left out of the sums: left out of the rows, PostgreSQL
# would expect few and sort them.
_OF_ALL = """WHERE NOT EXISTS (
        SELECT FROM orders_order o WHERE o.id = e.order_id AND NOT o.live_mode)"""
_OF_AREA = """LEFT JOIN orders_order o ON o.id = e.order_id
        AND GREATEST(o.created_at, o.not_before) >= %(start)s - interval '1 day'
        AND GREATEST(o.created_at, o.not_before) < %(ahead)s AND o.live_mode"""
_IN_AREA = """FILTER (WHERE COALESCE(o.service_area_id, (
        SELECT x.service_area_id FROM orders_order x WHERE x.id = e.order_id AND x.live_mode
    )) = %(area)s)"""
# Who waited at the start: orders whose first step of the span leads out of the queue, and those
# that are in the queue now and were before the start. The first are found among the events alone,
# and then looked up by their keys (OFFSET 0).
# `others`: ASSIGNED always leads out of the queue, and these do if the order was QUEUED before.
_QUEUE = """
    WITH others AS MATERIALIZED (
        SELECT e.id, e.order_id, e.created_at FROM orders_deliveryevent e
        WHERE e.created_at >= %(start)s AND e.created_at < %(ahead)s
            AND e.type IN ('DELIVERED', 'CORRECTED') AND e.payload->'was' = '"QUEUED"'
        UNION ALL
        SELECT e.id, e.order_id, e.created_at FROM orders_deliveryevent e
        WHERE e.created_at >= %(start)s AND e.created_at < %(ahead)s
            AND e.type IN ('CANCELED', 'FAILED', 'RESCHEDULED') AND 'QUEUED' = (
                SELECT b.status FROM orders_deliveryevent b
                WHERE b.order_id = e.order_id AND b.id < e.id AND b.created_at >= (
                    SELECT o.created_at - interval '1 day' FROM orders_order o
                    WHERE o.id = e.order_id)
                ORDER BY b.id DESC LIMIT 1)
    ),
    left_first AS (
        SELECT DISTINCT l.order_id FROM (
            SELECT e.id, e.order_id FROM orders_deliveryevent e
            WHERE e.created_at >= %(start)s AND e.created_at < %(ahead)s AND e.type = 'ASSIGNED'
            UNION ALL SELECT id, order_id FROM others
        ) AS l WHERE NOT EXISTS (
            SELECT FROM orders_deliveryevent e
            WHERE e.created_at >= %(start)s AND e.created_at < %(ahead)s
                AND e.type IN ('QUEUED', 'REQUEUED')
                AND e.order_id = l.order_id AND e.id < l.id)
        OFFSET 0
    )
    SELECT NULL::timestamptz, (
        SELECT count(*) FROM left_first WHERE (
            SELECT o.status <> 'QUEUED' AND o.live_mode {area}
            FROM orders_order o WHERE o.id = left_first.order_id)
    ) + (
        SELECT count(*) FROM orders_order o
        WHERE o.status = 'QUEUED' AND o.live_mode {area}
            AND o.created_at < %(start)s + interval '1 day' AND 'QUEUED' = (
                SELECT b.status FROM orders_deliveryevent b
                WHERE b.order_id = o.id AND b.created_at < %(start)s
                    AND b.created_at >= o.created_at - interval '1 day'
                ORDER BY b.id DESC LIMIT 1))
    UNION ALL
    SELECT date_bin(%(stride)s, e.created_at, %(start)s) AS slot, COALESCE(sum(step) {only}, 0)
    FROM (
        SELECT e.order_id, e.created_at, CASE WHEN e.type = 'ASSIGNED' THEN -1 ELSE 1 END AS step
        FROM orders_deliveryevent e
        WHERE e.created_at >= %(start)s AND e.created_at < %(end)s
            AND e.type IN ('QUEUED', 'REQUEUED', 'ASSIGNED')
        UNION ALL SELECT order_id, created_at, -1 FROM others WHERE created_at < %(end)s
    ) AS e {of} GROUP BY slot
"""


def lengths(span: Span, area_id: UUID | None, now: datetime) -> list[Point]:
    """The length at the start of the span, and at the end of each quarter of an hour of it (each
    hour, for several days) up to now. Test orders are not counted.

    An order that waited through all of a span and the day after it, and left the queue since, is
    missing in it.
    """
    stride = QUARTER if span.by_hour else HOUR
    start, end = span.start, span.end
    values: dict[str, Any] = {
        "start": start,
        "end": end,
        "ahead": end + LOOK_AHEAD,
        "area": area_id,
        "stride": stride,
    }
    sql = _QUEUE.format(
        area="AND o.service_area_id = %(area)s" if area_id else "",
        of=_OF_AREA if area_id else _OF_ALL,
        only=_IN_AREA if area_id else "",
    )
    with connections[router.db_for_read(DeliveryEvent)].cursor() as cursor:
        cursor.execute(sql, values)
        changes: dict[datetime | None, int] = dict(cursor.fetchall())
    length = changes.pop(None)
    points = [Point(start, length)]
    slots = -int(-(end - start) // stride)
    for slot in range(slots):
        begins = start + slot * stride
        if begins >= now:
            break
        length += changes.get(begins, 0)
        points.append(Point(min(begins + stride, now), length))
    return points
