"""Reads the orders and flights of some days as columns, in one statement, for `figures`.

PostgreSQL sends each column as one array. It would sort all rows again for each of the seven things
that percentiles are grouped by. Nearly every order has one flight on the same days, so a row is an
order with the flight of its latest attempt; other flights have rows of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import numpy as np
from django.db import connections, router

from dispatch.shift.figures import By, Column, Flown, Key, Outcome, Told
from dispatch.shift.spans import Span
from fleet.feasibility.geometry import Bools, Floats, Ints
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
    FROM (SELECT {rows} FROM {tables} WHERE {where} OFFSET 0) AS one
    LEFT JOIN areas ON areas.id = one.area_id
    LEFT JOIN merchants ON merchants.id = one.merchant_id
    LEFT JOIN drones ON drones.drone_id = one.drone_id
"""
_NUMBERED = {
    "hub": Small("COALESCE(drones.n, 0)", "(SELECT count(*) + 1 FROM hubs)"),
    "merchant": Small("merchants.n", "(SELECT count(*) FROM merchants)"),
    "area": Small("areas.n", "(SELECT count(*) FROM areas)"),
}


def _position(column: str, among: str) -> str:
    """SQL for the place of its value in this list of texts, from 0."""
    return f"array_position(%({among})s::text[], {column}::text) - 1"


# --- rows ----------------------------------------------------------------------------------------

_ORDERS = """
    SELECT id, current_job_id, service_area_id, merchant_id, priority, status, cancel_reason,
        reason_code, deliver_by, delivered_at, GREATEST(created_at, not_before) AS starts
    FROM orders_order
    WHERE live_mode AND GREATEST(created_at, not_before) >= %(start)s
        AND GREATEST(created_at, not_before) < %(end)s"""
# Records of these days by the index of their times, and any other by the keys of their jobs. A
# record has what the job, the mission and the flight have as well.
_FLIGHTS = """
    SELECT e.order_id, e.job_id, e.occurred_at, r.job_id AS recorded, r.drone_id,
        COALESCE(r.landed_at, r.ended_at) AS over_at,
        r.battery_before_pct - r.battery_after_pct AS battery_pct
    FROM orders_deliveryevent e
    LEFT JOIN dispatch_flightrecord r ON r.job_id = e.job_id
        AND r.ended_at >= %(start)s AND r.ended_at < %(end)s + interval '1 day'
    WHERE e.type = 'LAUNCHED' AND e.created_at >= %(start)s AND e.created_at < %(end)s"""
_TABLES = f"({_ORDERS}) AS o FULL JOIN ({_FLIGHTS}) AS f ON f.job_id = o.current_job_id"
# A flight without the order of its row: it is of an earlier attempt, or the order started on
# another day. Few are, so their orders are looked up by their keys.
_OF_ORDER = "(SELECT x.{column} FROM orders_order x WHERE x.id = f.order_id)"
_AREA, _MERCHANT, _PRIORITY = (
    f"COALESCE(o.{column}, {_OF_ORDER.format(column=column)})"
    for column in ("service_area_id", "merchant_id", "priority")
)
_COUNTS = f"o.id IS NOT NULL OR {_OF_ORDER.format(column='live_mode')}"
_DRONE = """COALESCE(f.drone_id, (
    SELECT x.drone_id FROM orders_deliveryjob x
    WHERE x.id = COALESCE(f.job_id, o.current_job_id)))"""
_AIR_S = """date_part('epoch', COALESCE(f.over_at, (
    SELECT COALESCE(m.landed_at, x.ended_at) FROM orders_deliveryjob x
    LEFT JOIN dispatch_mission m ON m.id = x.mission_intent_id WHERE x.id = f.job_id
), %(now)s) - f.occurred_at)"""
_BATTERY_PCT = """CASE WHEN f.recorded IS NOT NULL THEN f.battery_pct
    ELSE (SELECT (x.state->>'ground_battery_pct')::float8 - (x.state->>'battery_pct')::float8
        FROM dispatch_flight x WHERE x.job_id = f.job_id
        AND jsonb_typeof(x.state->'ground_battery_pct') = 'number'
        AND jsonb_typeof(x.state->'battery_pct') = 'number')
END"""
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
_IS_ORDER, _IS_FLIGHT = 1, 2
_KIND = f"""CASE WHEN o.id IS NULL THEN 0 ELSE {_IS_ORDER} END
    + CASE WHEN f.job_id IS NULL THEN 0 ELSE {_IS_FLIGHT} END"""
_COLUMNS = {
    "door_s": "date_part('epoch', o.delivered_at - o.starts)",
    "air_s": _AIR_S,
    "battery_pct": _BATTERY_PCT,
}


def columns(span: Span, area_id: UUID | None, now: datetime) -> tuple[Told, Flown]:
    """The orders that started in the span, and the flights that took off in it. Test orders and
    their flights are left out.

    Keys: ids, priorities, “FAILED:WEATHER”, the number of a slot; None for all, and for the hub of
    an order without a drone.
    """
    small = {
        "kind": Small(_KIND, _IS_ORDER + _IS_FLIGHT + 1),
        "priority": Small(_position(_PRIORITY, "priorities"), len(PRIORITIES)),
        "fate": Small(_FATE, len(Outcome) * len(REASONS)),
        "slot": Small(
            "COALESCE(width_bucket(o.starts, %(slots)s::timestamptz[]) - 1, 0)", len(span.slots)
        ),
    }
    values = {
        "start": span.start,
        "end": span.end,
        "area": area_id,
        "now": now,
        "slots": span.slots,
        "priorities": PRIORITIES,
        "reasons": REASONS,
    }
    keys, found, (door_s, air_s, battery_pct) = _read(small, values)
    is_order = (found["kind"] & _IS_ORDER) > 0
    is_flight = (found["kind"] & _IS_FLIGHT) > 0
    flown = Flown(
        _grouped(keys, found, is_flight),
        np.maximum(0, air_s[is_flight]),
        np.maximum(0, battery_pct[is_flight]),
    )
    by = _grouped(keys, found, is_order)
    reason, outcome = np.divmod(found["fate"][is_order], len(Outcome))
    which = (outcome - Outcome.CANCELED) * len(REASONS) + reason
    by[By.REASON] = Column(
        np.where(outcome >= Outcome.CANCELED, which + 1, 0), [None, *REASON_KEYS]
    )
    by[By.SLOT] = Column(found["slot"][is_order], range(len(span.slots)))
    return Told(by, outcome, door_s[is_order]), flown


def _grouped(
    keys: dict[By, Sequence[Key]], found: dict[str, Ints], rows: Bools
) -> dict[By, Column]:
    everything = Column(np.zeros(np.count_nonzero(rows), int), [None])
    return {By.ALL: everything} | {
        by: Column(found[by][rows], of_group) for by, of_group in keys.items()
    }


def _read(
    small: dict[str, Small], values: dict[str, Any]
) -> tuple[dict[By, Sequence[Key]], dict[str, Ints], list[Floats]]:
    """The keys of each group, the small numbers of the rows, and the columns, which are NaN where
    they have no value.
    """
    rows = {"area_id": _AREA, "merchant_id": _MERCHANT, "drone_id": _DRONE}
    rows |= _COLUMNS | {name: one.sql for name, one in small.items()}
    named = {name: Small(f"one.{name}", one.size) for name, one in small.items()}
    sent = [_as_one(_NUMBERED | named), *(f"COALESCE({name}, 'NaN')" for name in _COLUMNS)]
    of_areas = "FILTER (WHERE areas.n IS NOT NULL)"
    sql = _STATEMENT.format(
        arrays=", ".join(f"array_send(array_agg({one}) {of_areas})" for one in sent),
        rows=", ".join(f"{sql} AS {name}" for name, sql in rows.items()),
        only="WHERE id = %(area)s" if values["area"] else "",
        tables=_TABLES,
        where=_COUNTS,
    )
    database = cast(DatabaseWrapper, connections[router.db_for_read(Order)])
    ((areas, merchants, hubs, numbers, *others),) = database.planned_rows_of(sql, values)
    keys: dict[By, Sequence[Key]] = {
        By.AREA: areas or (),
        By.PRIORITY: PRIORITIES,
        By.MERCHANT: merchants or (),
        By.HUB: [None, *(hubs or ())],
    }
    sizes = {name: len(keys[By(name)]) for name in _NUMBERED}
    found = _apart(_values_of(numbers, int), sizes | {k: int(one.size) for k, one in small.items()})
    return keys, found, [_values_of(one, float) for one in others]


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
