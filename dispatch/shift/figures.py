"""The figures of the orders of some days, in one statement (see docs/decisions/0054).

An order belongs to the day on which it was to start: when it was placed, or the agreed start.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import connections, router

from dispatch.shift.spans import Span
from orders.models import DeliveryEvent

Key = str | UUID | int | None


class By(StrEnum):
    """What the orders are grouped by. The names are the columns of the statement."""

    ALL = "all"
    AREA = "area"
    PRIORITY = "priority"
    MERCHANT = "merchant"
    HUB = "hub"
    REASON = "reason"
    SLOT = "slot"


GROUPS = (By.AREA, By.PRIORITY, By.MERCHANT, By.HUB)


@dataclass(frozen=True, slots=True)
class Figures:
    """A group of orders. Each is kept, broken, canceled or open.

    kept: delivered by its promise. broken: delivered later, failed or aborted, or open past its
    promise. open: not decided yet. failed: failed or aborted. median_s, p95_s: from the start to
    the door, of the delivered ones; None without any.
    """

    orders: int
    delivered: int
    kept: int
    broken: int
    canceled: int
    failed: int
    median_s: float | None
    p95_s: float | None

    @property
    def open(self) -> int:
        return self.orders - self.kept - self.broken - self.canceled

    @property
    def decided(self) -> int:
        return self.kept + self.broken

    @property
    def kept_pct(self) -> float | None:
        return 100 * self.kept / self.decided if self.decided else None


NOTHING = Figures(0, 0, 0, 0, 0, 0, None, None)

# The base of the drone of the latest attempt: where a drone stands changes, where it belongs
# hardly ever. That attempt was nearly always made within a day of the span: those are read by their
# index, any other by its key. Without these times the database would read all jobs that ever were.
# Rows are small, because they are sorted for each column that they are grouped by.
_TOLD = """
    SELECT o.service_area_id AS area, o.priority, o.merchant_id AS merchant, d.base_id AS hub,
        CASE WHEN o.status = 'CANCELED' THEN 'CANCELED:' || o.cancel_reason
             WHEN o.status IN ('FAILED', 'ABORTED') THEN o.status || ':' || o.reason_code
        END AS reason,
        {slot} AS slot,
        o.status = 'DELIVERED' AS delivered, o.status = 'CANCELED' AS canceled,
        o.status IN ('FAILED', 'ABORTED') AS failed, o.delivered_at <= o.deliver_by AS kept,
        o.delivered_at IS NULL AND o.status <> 'CANCELED' AND o.deliver_by < %(now)s AS overdue,
        EXTRACT(EPOCH FROM o.delivered_at - GREATEST(o.created_at, o.not_before))::float8 AS door_s
    FROM orders_order o
    LEFT JOIN orders_deliveryjob j ON j.id = o.current_job_id
        AND j.created_at >= %(start)s - interval '1 day'
        AND j.created_at < %(end)s + interval '1 day'
    LEFT JOIN fleet_drone d ON d.drone_id = COALESCE(
        j.drone_id, (SELECT x.drone_id FROM orders_deliveryjob x WHERE x.id = o.current_job_id))
    WHERE o.live_mode AND GREATEST(o.created_at, o.not_before) >= %(start)s
        AND GREATEST(o.created_at, o.not_before) < %(end)s {area}
"""
_FIGURES = """
    WITH told AS ({told})
    SELECT GROUPING(area, priority, merchant, hub, reason, slot), area, priority, merchant, hub,
        reason, slot,
        count(*), count(*) FILTER (WHERE delivered), count(*) FILTER (WHERE kept),
        count(*) FILTER (WHERE NOT kept OR failed OR overdue),
        count(*) FILTER (WHERE canceled), count(*) FILTER (WHERE failed),
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY door_s)
    FROM told
    GROUP BY GROUPING SETS ((), (area), (priority), (merchant), (hub), (reason), (slot))
"""
# GROUPING sets the bit of each column that is not grouped by; the first column has the highest.
_COLUMNS = (By.AREA, By.PRIORITY, By.MERCHANT, By.HUB, By.REASON, By.SLOT)
_ALL_BITS = 2 ** len(_COLUMNS) - 1
_GROUP_OF = {_ALL_BITS: By.ALL} | {
    _ALL_BITS ^ (1 << (len(_COLUMNS) - 1 - n)): column for n, column in enumerate(_COLUMNS)
}


def slot_of(column: str, span: Span) -> str:
    """SQL for the number of the slot of this time, from 0. It needs `start`, `zone`, `first`."""
    if span.by_hour:
        return f"floor(EXTRACT(EPOCH FROM {column} - %(start)s) / 3600)::int"
    return f"({column} AT TIME ZONE %(zone)s)::date - %(first)s::date"


def values_of(span: Span, area_id: UUID | None, now: datetime) -> dict[str, Any]:
    """The values of the statements of a report."""
    return {
        "start": span.start,
        "end": span.end,
        "first": span.first,
        "zone": str(span.zone),
        "area": area_id,
        "now": now,
    }


def of_orders(span: Span, area_id: UUID | None, now: datetime) -> dict[By, dict[Key, Figures]]:
    """The figures of each group, by its key: an id, a priority, “FAILED:WEATHER”, a slot.

    The key of all orders is None; the hub of an order without a drone is None, too. Test orders
    are not counted.
    """
    told = _TOLD.format(
        slot=slot_of("GREATEST(o.created_at, o.not_before)", span),
        area="AND o.service_area_id = %(area)s" if area_id else "",
    )
    found: dict[By, dict[Key, Figures]] = {by: {} for by in By}
    for grouping, *rest in _rows(_FIGURES.format(told=told), values_of(span, area_id, now)):
        by = _GROUP_OF[grouping]
        keys, (*counts, times) = rest[: len(_COLUMNS)], rest[len(_COLUMNS) :]
        key = None if by == By.ALL else keys[_COLUMNS.index(by)]
        found[by][key] = Figures(*counts, *(times or (None, None)))
    found[By.REASON].pop(None, None)  # those that neither failed nor were canceled
    return found


# --- flights -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Flights:
    """Flights that took off. air_s: from take-off to the landing that telemetry showed, or to the
    end of the attempt where it showed none. battery_pct: used until the attempt ended, summed over
    the `metered` flights, whose battery is known before and after; None without any.
    """

    flights: int
    air_s: float
    battery_pct: float | None
    metered: int


NO_FLIGHTS = Flights(0, 0.0, None, 0)

# Orders, jobs and missions as above: those of these days by the index of their times, any other
# by its key.
_FLIGHTS = """
    WITH took_off AS MATERIALIZED (
        SELECT e.order_id, e.job_id, e.occurred_at FROM orders_deliveryevent e
        WHERE e.type = 'LAUNCHED' AND e.created_at >= %(start)s AND e.created_at < %(end)s
    ),
    missions AS MATERIALIZED (
        SELECT id, landed_at FROM dispatch_mission
        WHERE created_at >= %(start)s - interval '1 day' AND created_at < %(end)s
    ),
    flown AS (
        SELECT o.service_area_id AS area, o.priority, o.merchant_id AS merchant, d.base_id AS hub,
            GREATEST(0, EXTRACT(EPOCH FROM COALESCE(
                m.landed_at,
                (SELECT x.landed_at FROM dispatch_mission x
                    WHERE m.id IS NULL AND x.id = j.mission_intent_id),
                j.ended_at, %(now)s) - e.occurred_at))::float8 AS air_s,
            CASE WHEN f.job_id IS NOT NULL THEN GREATEST(0,
                (f.state->>'ground_battery_pct')::float - (f.state->>'battery_pct')::float)
            END AS battery_pct
        FROM took_off e
        LEFT JOIN orders_order near_o ON near_o.id = e.order_id AND near_o.live_mode
            AND GREATEST(near_o.created_at, near_o.not_before) >= %(start)s - interval '1 day'
            AND GREATEST(near_o.created_at, near_o.not_before) < %(end)s
        JOIN LATERAL (
            SELECT near_o.service_area_id, near_o.priority, near_o.merchant_id
            WHERE near_o.id IS NOT NULL
            UNION ALL
            SELECT x.service_area_id, x.priority, x.merchant_id FROM orders_order x
            WHERE near_o.id IS NULL AND x.id = e.order_id AND x.live_mode
        ) o ON true
        LEFT JOIN orders_deliveryjob near_j ON near_j.id = e.job_id
            AND near_j.created_at >= %(start)s - interval '1 day' AND near_j.created_at < %(end)s
        JOIN LATERAL (
            SELECT near_j.id, near_j.drone_id, near_j.ended_at, near_j.mission_intent_id
            WHERE near_j.id IS NOT NULL
            UNION ALL
            SELECT x.id, x.drone_id, x.ended_at, x.mission_intent_id FROM orders_deliveryjob x
            WHERE near_j.id IS NULL AND x.id = e.job_id
        ) j ON true
        LEFT JOIN fleet_drone d ON d.drone_id = j.drone_id
        LEFT JOIN missions m ON m.id = j.mission_intent_id
        LEFT JOIN dispatch_flight f ON f.job_id = j.id
            AND jsonb_typeof(f.state->'ground_battery_pct') = 'number'
            AND jsonb_typeof(f.state->'battery_pct') = 'number'
        WHERE true {area}
    )
    SELECT GROUPING(area, priority, merchant, hub), area, priority, merchant, hub,
        count(*), COALESCE(sum(air_s), 0), sum(battery_pct), count(battery_pct)
    FROM flown
    GROUP BY GROUPING SETS ((), (area), (priority), (merchant), (hub))
"""
_FLOWN_BY = {15: By.ALL, 7: By.AREA, 11: By.PRIORITY, 13: By.MERCHANT, 14: By.HUB}


def of_flights(span: Span, area_id: UUID | None, now: datetime) -> dict[By, dict[Key, Flights]]:
    """The flights that took off in the span, by the same keys as `of_orders`."""
    statement = _FLIGHTS.format(area="AND o.service_area_id = %(area)s" if area_id else "")
    found: dict[By, dict[Key, Flights]] = {by: {} for by in _FLOWN_BY.values()}
    for grouping, *rest in _rows(statement, values_of(span, area_id, now)):
        by = _FLOWN_BY[grouping]
        flights, air_s, battery_pct, metered = rest[len(GROUPS) :]
        key = None if by == By.ALL else rest[GROUPS.index(by)]
        found[by][key] = Flights(flights, float(air_s), battery_pct, metered)
    return found


def _rows(sql: str, values: dict[str, Any]) -> Iterable[tuple[Any, ...]]:
    with connections[router.db_for_read(DeliveryEvent)].cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
