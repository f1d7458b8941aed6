"""How many orders waited for a drone over a span, from the events that put them into the queue and
took them out.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
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


# ASSIGNED always leads out of the queue; the others do if the order was QUEUED before.
_STEP = """
    SELECT e.id, e.order_id, e.created_at AS at,
        CASE WHEN e.status = 'QUEUED' THEN 1 ELSE -1 END AS step
    FROM orders_deliveryevent e
    WHERE e.created_at >= %(start)s AND e.created_at < %(ahead)s AND {of}
"""
_STEPS = """
    {step} AND e.type IN ('QUEUED', 'REQUEUED', 'ASSIGNED')
    UNION ALL
    {step} AND e.type IN ('DELIVERED', 'CORRECTED') AND e.payload->>'was' = 'QUEUED'
    UNION ALL
    {step} AND e.type IN ('CANCELED', 'FAILED', 'RESCHEDULED') AND 'QUEUED' = (
        SELECT b.status FROM orders_deliveryevent b
        WHERE b.order_id = e.order_id AND b.id < e.id AND b.created_at >= (
            SELECT o.created_at - interval '1 day' FROM orders_order o WHERE o.id = e.order_id)
        ORDER BY b.id DESC LIMIT 1)
"""
# Whose events count. Joined with the orders, a day would read all orders that ever were: there are
# few test orders, and an index has them.
_OF_ALL = """NOT EXISTS (
        SELECT FROM orders_order o WHERE o.id = e.order_id AND NOT o.live_mode)"""
_OF_AREA = """(SELECT o.live_mode AND o.service_area_id = %(area)s
        FROM orders_order o WHERE o.id = e.order_id)"""
_QUEUE = """
    WITH steps AS MATERIALIZED ({steps}),
    first_steps AS (SELECT DISTINCT ON (order_id) order_id, step FROM steps ORDER BY order_id, id),
    before AS (
        SELECT (SELECT count(*) FROM first_steps WHERE step = -1) + (
            SELECT count(*) FROM orders_order o
            WHERE o.status = 'QUEUED' AND o.live_mode {area}
                AND NOT EXISTS (SELECT FROM first_steps f WHERE f.order_id = o.id)
                AND EXISTS (
                    SELECT FROM orders_deliveryevent b WHERE b.order_id = o.id
                    AND b.type IN ('QUEUED', 'REQUEUED') AND b.created_at < %(start)s
                    AND b.created_at >= o.created_at - interval '1 day')
        ) AS waiting
    )
    SELECT NULL::int, waiting FROM before
    UNION ALL
    SELECT floor(EXTRACT(EPOCH FROM at - %(start)s) / %(stride_s)s)::int AS slot, sum(step)
    FROM steps WHERE at < %(end)s GROUP BY slot
"""


def lengths(span: Span, area_id: UUID | None, now: datetime) -> list[Point]:
    """The length at the start of the span, and at the end of each quarter of an hour of it (each
    hour, for several days) up to now. Test orders are not counted.

    An order that waited through all of a span and the day after it, and left the queue since, is
    missing in it.
    """
    stride = QUARTER if span.by_hour else HOUR
    values = {
        "start": span.start,
        "end": span.end,
        "ahead": span.end + LOOK_AHEAD,
        "area": area_id,
        "stride_s": stride.total_seconds(),
    }
    area = "AND o.service_area_id = %(area)s" if area_id else ""
    steps = _STEPS.format(step=_STEP.format(of=_OF_AREA if area_id else _OF_ALL))
    with connections[router.db_for_read(DeliveryEvent)].cursor() as cursor:
        cursor.execute(_QUEUE.format(steps=steps, area=area), values)
        changes: dict[int | None, int] = dict(cursor.fetchall())
    length = changes.pop(None)
    points = [Point(span.start, length)]
    slots = -int(-(span.end - span.start) // stride)
    for slot in range(slots):
        if span.start + slot * stride >= now:
            break
        length += changes.get(slot, 0)
        points.append(Point(min(span.start + (slot + 1) * stride, now), length))
    return points
