"""Reads the orders and flights of some days as columns, in one statement each, for `figures`.

PostgreSQL sends each column as one array. It would sort all rows again for each of the seven things
that percentiles are grouped by.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import numpy as np
from django.db import connections, router

from dispatch.shift.figures import By, Column, Flown, Outcome, Told
from dispatch.shift.spans import Span
from fleet.feasibility.geometry import Floats, Ints
from fleet.feasibility.rules import Priority
from orders.models import Order
from orders.states import CancelReason, ReasonCode
from wingxtra.database.postgresql.base import DatabaseWrapper

PRIORITIES = list(Priority.values)
REASONS = ["", *sorted({*ReasonCode.values, *CancelReason.values})]
ENDED_BADLY = (Outcome.CANCELED, Outcome.FAILED, Outcome.ABORTED)
REASON_KEYS = [f"{outcome.name}:{code}" for outcome in ENDED_BADLY for code in REASONS]


@dataclass(frozen=True, slots=True)
class Small:
    """A number from 0 to below `size`, as SQL. All of one row are sent as one number."""

    sql: str
    size: int | str  # or SQL


def _as_one(small: dict[str, Small]) -> str:
    text = "0::bigint"
    for one in small.values():
        text = f"({text}) * ({one.size}) + ({one.sql})"
    return text


def _apart(numbers: Ints, sizes: dict[str, int]) -> dict[str, Ints]:
    found = {}
    for name, size in reversed(sizes.items()):
        numbers, found[name] = np.divmod(numbers, size)
    return found


# What has an id is numbered. The hub is the base of the drone: where a drone stands changes, where
# it belongs hardly ever.
# PostgreSQL expects one row in 200 of a join or a filter by an expression, and compares each row
# with each where it expects few. So the rows are planned apart (OFFSET 0), no join leaves one out
# (LEFT JOIN), and those of other areas are left out at the end.
_STATEMENT = """
    WITH areas AS MATERIALIZED (
        SELECT id, row_number() OVER () - 1 AS n FROM fleet_servicearea {only}),
    merchants AS MATERIALIZED (SELECT id, row_number() OVER () - 1 AS n FROM accounts_merchant),
    hubs AS MATERIALIZED (SELECT id, row_number() OVER () AS n FROM fleet_hub),
    drones AS MATERIALIZED (
        SELECT drone_id, hubs.n FROM fleet_drone JOIN hubs ON hubs.id = base_id)
    SELECT (SELECT array_agg(id ORDER BY n) FROM areas),
        (SELECT array_agg(id ORDER BY n) FROM merchants),
        (SELECT array_agg(id ORDER BY n) FROM hubs),
        {arrays}
    FROM (
        SELECT {area} AS area_id, {merchant} AS merchant_id, {drone} AS drone_id, {rows}
        FROM {tables} WHERE {where} OFFSET 0
    ) AS one
    LEFT JOIN areas ON areas.id = one.area_id
    LEFT JOIN merchants ON merchants.id = one.merchant_id
    LEFT JOIN drones ON drones.drone_id = one.drone_id
"""
_NUMBERED = {
    "hub": Small("COALESCE(drones.n, 0)", "(SELECT count(*) + 1 FROM hubs)"),
    "merchant": Small("merchants.n", "(SELECT count(*) FROM merchants)"),
    "area": Small("areas.n", "(SELECT count(*) FROM areas)"),
}


def _read(
    small: dict[str, Small], columns: dict[str, str], values: dict[str, Any], **parts: str
) -> tuple[dict[By, Column], dict[str, Ints], list[Floats]]:
    """What the rows are grouped by but for the small numbers, these, and the columns, which are
    NaN where they have no value.
    """
    rows = columns | {name: one.sql for name, one in small.items()}
    named = {name: Small(f"one.{name}", one.size) for name, one in small.items()}
    sent = [_as_one(_NUMBERED | named), *(f"COALESCE({name}, 'NaN')" for name in columns)]
    of_areas = "FILTER (WHERE areas.n IS NOT NULL)"
    sql = _STATEMENT.format(
        arrays=", ".join(f"array_send(array_agg({one}) {of_areas})" for one in sent),
        rows=", ".join(f"{sql} AS {name}" for name, sql in rows.items()),
        only="WHERE id = %(area)s" if values["area"] else "",
        **parts,
    )
    database = cast(DatabaseWrapper, connections[router.db_for_read(Order)])
    ((areas, merchants, hubs, numbers, *others),) = database.planned_rows_of(sql, values)
    hubs, merchants, areas = [None, *(hubs or ())], merchants or (), areas or ()
    sizes = {"hub": len(hubs), "merchant": len(merchants), "area": len(areas)}
    found = _apart(_values_of(numbers, int), sizes | {k: int(one.size) for k, one in small.items()})
    by = {
        By.ALL: Column(np.zeros_like(found["area"]), [None]),
        By.AREA: Column(found["area"], areas),
        By.PRIORITY: Column(found["priority"], PRIORITIES),
        By.MERCHANT: Column(found["merchant"], merchants),
        By.HUB: Column(found["hub"], hubs),
    }
    return by, found, [_values_of(one, float) for one in others]


def _values_of(sent: bytes | None, kind: type[int] | type[float]) -> Any:
    """An array of bigint or double precision as PostgreSQL's `array_send` writes it: a header of
    20 bytes, and each value after its length. None is an array without values.
    """
    if sent is None:
        return np.empty(0, kind)
    if sent[4:8] != bytes(4):
        raise ValueError("The array has a NULL, which takes fewer bytes than a value.")
    one = np.dtype([("length", ">i4"), ("value", np.dtype(kind).newbyteorder(">"))])
    return np.frombuffer(sent, one, offset=20)["value"].astype(kind)


def _position(column: str, among: str) -> str:
    """SQL for the place of its value in this list of texts, from 0."""
    return f"array_position(%({among})s::text[], {column}::text) - 1"


def _values(span: Span, area_id: UUID | None, now: datetime) -> dict[str, Any]:
    return {
        "start": span.start,
        "end": span.end,
        "area": area_id,
        "now": now,
        "slots": span.slots,
        "priorities": PRIORITIES,
        "reasons": REASONS,
    }


# --- orders --------------------------------------------------------------------------------------

_STARTS = "GREATEST(o.created_at, o.not_before)"
# The latest attempt was nearly always made within a day of the span: those are read by their index,
# any other by its key. Without these times the database would read all jobs that ever were.
_ORDERS = """orders_order o LEFT JOIN orders_deliveryjob j ON j.id = o.current_job_id
    AND j.created_at >= %(start)s - interval '1 day'
    AND j.created_at < %(end)s + interval '1 day'"""
_DRONE = """COALESCE(
    j.drone_id, (SELECT x.drone_id FROM orders_deliveryjob x WHERE x.id = o.current_job_id))"""
_STARTED = f"o.live_mode AND {_STARTS} >= %(start)s AND {_STARTS} < %(end)s"
_CANCEL_REASON, _REASON_CODE = (
    f"COALESCE({_position(column, 'reasons')}, 0)"
    for column in ("o.cancel_reason", "o.reason_code")
)
# Its outcome and its reason as one number. Most orders are delivered, so that comes first.
_FATE = f"""CASE o.status
    WHEN 'DELIVERED' THEN
        CASE WHEN o.delivered_at <= o.deliver_by THEN {Outcome.KEPT:d} ELSE {Outcome.LATE:d} END
    WHEN 'CANCELED' THEN {Outcome.CANCELED:d} + {len(Outcome)} * ({_CANCEL_REASON})
    WHEN 'FAILED' THEN {Outcome.FAILED:d} + {len(Outcome)} * ({_REASON_CODE})
    WHEN 'ABORTED' THEN {Outcome.ABORTED:d} + {len(Outcome)} * ({_REASON_CODE})
    ELSE CASE WHEN o.deliver_by < %(now)s THEN {Outcome.OVERDUE:d} ELSE {Outcome.OPEN:d} END
END"""
_DOOR_S = f"date_part('epoch', o.delivered_at - {_STARTS})"


def orders(span: Span, area_id: UUID | None, now: datetime) -> Told:
    """The orders that started in the span. Test orders are left out.

    Keys: ids, priorities, “FAILED:WEATHER”, the number of a slot; None for all orders, and for the
    hub of an order without a drone.
    """
    small = {
        "priority": Small(_position("o.priority", "priorities"), len(PRIORITIES)),
        "fate": Small(_FATE, len(Outcome) * len(REASONS)),
        "slot": Small(f"width_bucket({_STARTS}, %(slots)s::timestamptz[]) - 1", len(span.slots)),
    }
    by, found, (door_s,) = _read(
        small,
        {"door_s": _DOOR_S},
        _values(span, area_id, now),
        tables=_ORDERS,
        area="o.service_area_id",
        merchant="o.merchant_id",
        drone=_DRONE,
        where=_STARTED,
    )
    reason, outcome = np.divmod(found["fate"], len(Outcome))
    which = (outcome - Outcome.CANCELED) * len(REASONS) + reason
    by[By.REASON] = Column(
        np.where(outcome >= Outcome.CANCELED, which + 1, 0), [None, *REASON_KEYS]
    )
    by[By.SLOT] = Column(found["slot"], range(len(span.slots)))
    return Told(by, outcome, door_s)


# --- flights -------------------------------------------------------------------------------------

# Records and orders of these days by the index of their times; any other, and the jobs that have no
# record, by their keys. A record has what the job, the mission and the flight have as well.
_FLIGHTS = f"""orders_deliveryevent e
    LEFT JOIN dispatch_flightrecord r ON r.job_id = e.job_id
        AND r.ended_at >= %(start)s AND r.ended_at < %(end)s + interval '1 day'
    LEFT JOIN orders_order o ON o.id = e.order_id AND o.live_mode
        AND {_STARTS} >= %(start)s - interval '1 day' AND {_STARTS} < %(end)s"""
_FLOWN_BY = """COALESCE(
    r.drone_id, (SELECT x.drone_id FROM orders_deliveryjob x WHERE x.id = e.job_id))"""
_OF_ORDER = "(SELECT x.{column} FROM orders_order x WHERE x.id = e.order_id)"
_AREA, _MERCHANT, _PRIORITY = (
    f"COALESCE(o.{column}, {_OF_ORDER.format(column=column)})"
    for column in ("service_area_id", "merchant_id", "priority")
)
_TOOK_OFF = f"""e.type = 'LAUNCHED' AND e.created_at >= %(start)s AND e.created_at < %(end)s
    AND (o.live_mode OR {_OF_ORDER.format(column="live_mode")})"""
_AIR_S = """date_part('epoch', COALESCE(r.landed_at, r.ended_at, (
    SELECT COALESCE(m.landed_at, x.ended_at) FROM orders_deliveryjob x
    LEFT JOIN dispatch_mission m ON m.id = x.mission_intent_id WHERE x.id = e.job_id
), %(now)s) - e.occurred_at)"""
_BATTERY_PCT = """CASE WHEN r.job_id IS NOT NULL THEN r.battery_before_pct - r.battery_after_pct
    ELSE (SELECT (f.state->>'ground_battery_pct')::float8 - (f.state->>'battery_pct')::float8
        FROM dispatch_flight f WHERE f.job_id = e.job_id
        AND jsonb_typeof(f.state->'ground_battery_pct') = 'number'
        AND jsonb_typeof(f.state->'battery_pct') = 'number')
END"""


def flights(span: Span, area_id: UUID | None, now: datetime) -> Flown:
    """The flights that took off in the span, by the same keys as `orders`."""
    by, _, (air_s, battery_pct) = _read(
        {"priority": Small(_position(_PRIORITY, "priorities"), len(PRIORITIES))},
        {"air_s": _AIR_S, "battery_pct": _BATTERY_PCT},
        _values(span, area_id, now),
        tables=_FLIGHTS,
        area=_AREA,
        merchant=_MERCHANT,
        drone=_FLOWN_BY,
        where=_TOOK_OFF,
    )
    return Flown(by, np.maximum(0, air_s), np.maximum(0, battery_pct))
