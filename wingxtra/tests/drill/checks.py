"""Invariants at the end of a drill: the database, in SQL, against the simulator's truth."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wingxtra.tests.drill import city
from wingxtra.tests.drill.outside import SAME_PLACE_M, Truth, nearest
from wingxtra.tests.drill.staff import Desk

TERMINAL = ("DELIVERED", "CANCELED", "FAILED", "ABORTED")
AT_REST = ("RECIPIENT", "RETURNED", "LOST")


@dataclass(frozen=True)
class Finding:
    """`about`: the order's id, if it is about one order."""

    check: str
    words: str
    about: str = ""


class Database:
    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        return self._connection.execute(query, values).fetchall()  # type: ignore[arg-type]

    def orders(self) -> dict[str, dict[str, Any]]:
        found = self.rows(
            "SELECT o.id::text, o.external_id, o.status, o.holder, o.holder_drone_id, o.hold_code,"
            " o.hold_message, o.public_tracking_id, h.name AS hub, o.attempts"
            " FROM orders_order o LEFT JOIN fleet_hub h ON h.id = o.holder_hub_id"
        )
        return {row["id"]: row for row in found}

    def delivered(self) -> set[str]:
        rows = self.rows("SELECT id::text FROM orders_order WHERE status = 'DELIVERED'")
        return {row["id"] for row in rows}

    def open_orders(self) -> int:
        query = "SELECT count(*) AS n FROM orders_order WHERE NOT status = ANY(%s)"
        return int(self.rows(query, list(TERMINAL))[0]["n"])

    def story(self, order_id: str) -> list[str]:
        """Its timeline, missions, discrepancies, and its flights as telemetry showed them."""
        events = self.rows(
            "SELECT occurred_at, created_at, type, status, actor_kind, message, payload"
            " FROM orders_deliveryevent WHERE order_id = %s ORDER BY id",
            order_id,
        )
        lines = [
            f"{row['created_at']:%H:%M:%S} {row['type']:17} {row['status']:17} "
            f"{row['actor_kind']:9} {row['message'][:160]} {json.dumps(row['payload'])[:160]}"
            for row in events
        ]
        missions = self.rows(
            "SELECT m.id::text, m.drone_id, m.state, m.recall_state, m.recall_mode, m.said,"
            " m.tries, p.live, m.over_at, m.over_by, m.over_because, m.bridge_answer"
            " FROM dispatch_mission m JOIN dispatch_missionpart p ON p.mission_id = m.id"
            " WHERE p.order_id = %s ORDER BY m.created_at",
            order_id,
        )
        lines += [
            "mission " + ", ".join(f"{k} {v}" for k, v in m.items() if v not in (None, ""))
            for m in missions
        ]
        doubts = self.rows(
            "SELECT raised_at, code, message, settled_at, settled_by, settlement"
            " FROM dispatch_discrepancy WHERE order_id = %s ORDER BY id",
            order_id,
        )
        lines += [f"discrepancy {d}" for d in doubts]
        flights = self.rows(
            "SELECT j.drone_id, f.state::text, f.recent::text,"
            " (SELECT string_agg(p.points::text, ' ' ORDER BY p.id) FROM dispatch_trackpiece p"
            "  WHERE p.job_id = j.id) AS track"
            " FROM orders_deliveryjob j JOIN dispatch_flight f ON f.job_id = j.id"
            " WHERE j.order_id = %s ORDER BY j.created_at",
            order_id,
        )
        return lines + [f"flight {f}" for f in flights]


def findings(
    database: Database, truth: Truth, desk: Desk, placed: dict[str, str]
) -> Iterator[Finding]:
    orders = database.orders()
    yield from lost_or_doubled(orders, truth, placed)
    yield from (
        Finding(one["kind"], f"{one['drone_id']}: {one['detail']}", one["order_id"])
        for one in truth.violations
    )
    yield from stuck(orders, truth, database)
    yield from _custody(orders, truth, desk)
    yield from _silent(truth, desk, database)
    yield from _read_wrongly(truth, desk, database)
    yield from _drones(database, truth)
    for item in desk.left:
        offered = ", ".join(remedy.label for remedy in item.remedies) or "none"
        yield Finding("left on the list", f"{item.key}: {item.text} (remedies: {offered})")
    for (key, action), words in desk.refused.items():
        if any(item.key == key for item in desk.left):
            yield Finding("remedy refused", f"{key}: {action}: {words}")


def lost_or_doubled(
    orders: dict[str, dict[str, Any]], truth: Truth, placed: dict[str, str]
) -> Iterator[Finding]:
    by_name: dict[str, list[str]] = {}
    for order_id, row in orders.items():
        by_name.setdefault(row["external_id"], []).append(order_id)
    for external_id, order_id in placed.items():
        if by_name.get(external_id) != [order_id]:
            words = f"{external_id} was answered as {order_id} and is {by_name.get(external_id)}."
            yield Finding("lost" if order_id not in orders else "doubled", words)
    for order_id, missions in truth.missions.items():
        dropped = [m["intent_id"] for m in missions if m["over_why"] == "dropped"]
        if len(dropped) > 1:
            yield Finding("delivered twice", f"By the missions {dropped}.", order_id)


def stuck(orders: dict[str, dict[str, Any]], truth: Truth, database: Database) -> Iterator[Finding]:
    for order_id, row in orders.items():
        about = f"{row['status']}, parcel {row['holder']}, hold {row['hold_code'] or 'none'}"
        if row["status"] not in TERMINAL:
            yield Finding("stuck", f"Not over: {about} {row['hold_message']}", order_id)
        elif row["holder"] in ("DRONE", "UNKNOWN"):
            yield Finding("stuck", f"Over, and its parcel is nowhere: {about}", order_id)
        elif truth.live(order_id):
            yield Finding("stuck", f"{about}, and a mission of it still flies.", order_id)
    live = "SELECT order_id::text FROM dispatch_missionpart WHERE live"
    for row in database.rows(live):
        if orders[row["order_id"]]["status"] in TERMINAL:
            words = "The order is over and its mission is not known to be."
            yield Finding("stuck", words, row["order_id"])


def _custody(orders: dict[str, dict[str, Any]], truth: Truth, desk: Desk) -> Iterator[Finding]:
    for order_id, row in orders.items():
        holder, where = row["holder"], truth.where(order_id)
        parcel = truth.parcels.get(order_id)
        is_so = {
            "SENDER": where == "AT_PICKUP",
            "DRONE": bool(parcel) and parcel["drone_id"] == row["holder_drone_id"],
            "HUB": where == "AT_HUB" and _is_at(row["hub"], parcel),
            "RECIPIENT": where == "AT_DROP",
            "RETURNED": order_id in desk.given_back,
            "LOST": order_id in desk.lost,
        }.get(holder, False)
        if not is_so:
            who = row["holder_drone_id"] or row["hub"] or ""
            words = f"The order ({row['status']}) says {holder} {who}, the parcel is {where}."
            yield Finding("custody", words, order_id)


def _is_at(hub: str, parcel: dict[str, Any] | None) -> bool:
    if parcel is None:
        return False
    name, away_m = nearest(city.HUBS, parcel["lat"], parcel["lng"])
    return name == hub and away_m <= SAME_PLACE_M


def _silent(truth: Truth, desk: Desk, database: Database) -> Iterator[Finding]:
    """Staff were shown each flight that ended with its parcel aboard or in the field."""
    doubts = database.rows(
        "SELECT DISTINCT order_id::text FROM dispatch_discrepancy UNION"
        " SELECT DISTINCT order_id::text FROM orders_deliveryevent WHERE type IN"
        " ('PARCEL_UNKNOWN', 'CONTRADICTION', 'CORRECTED', 'FAILED', 'ABORTED')"
        " OR (type = 'REQUEUED' AND payload->>'hold' IS NOT NULL)"
    )
    told = {row["order_id"] for row in doubts} | desk.about
    for order_id, missions in truth.missions.items():
        for mission in missions:
            loaded = any(
                stop["where"] == "ABOARD"
                and mission["accepted_at"] <= stop["at"] <= (mission["over_at"] or stop["at"])
                for stop in truth.parcels[order_id]["stops"]
            )
            if mission["over_why"] in ("gave_up", "kept") and loaded and order_id not in told:
                words = f"Mission {mission['intent_id']} {mission['over_why']} with the parcel."
                yield Finding("silent", words, order_id)


def _read_wrongly(truth: Truth, desk: Desk, database: Database) -> Iterator[Finding]:
    """Ground control may report a false delivery. Telemetry must never lead to one, unless the
    drone did all that a delivery takes and kept its parcel.
    """
    by_telemetry = database.rows(
        "SELECT DISTINCT order_id::text FROM orders_deliveryevent"
        " WHERE type = 'DELIVERED' AND actor_kind = 'telemetry'"
    )
    for row in by_telemetry:
        missions = truth.missions.get(row["order_id"], [])
        if row["order_id"] in desk.found and not any(m["over_why"] == "kept" for m in missions):
            yield Finding(
                "delivery misread", "Telemetry showed one that was none.", row["order_id"]
            )


def _drones(database: Database, truth: Truth) -> Iterator[Finding]:
    """Each drone is able, or on hold with a reason; after a resolved drill none is on hold."""
    jobs = database.rows(
        "SELECT j.drone_id, o.status, o.id::text AS order_id FROM orders_deliveryjob j"
        " JOIN orders_order o ON o.id = j.order_id WHERE j.status = 'ACTIVE'"
    )
    for row in jobs:
        if row["status"] in TERMINAL:
            words = f"{row['drone_id']} has an active job for an order that is {row['status']}."
            yield Finding("drone busy for ever", words, row["order_id"])
    holds = database.rows(
        "SELECT drone_id, code, message FROM fleet_dronehold WHERE released_at IS NULL"
    )
    for row in holds:
        words = f"{row['drone_id']} is still on hold ({row['code']}): {row['message']}"
        yield Finding("drone on hold", words)
    for drone_id, drone in truth.drones.items():
        if not drone["airborne"] and not drone["at_home"]:
            words = (
                f"{drone_id} stands in the field since {drone['landed_at']}, and nothing says so."
            )
            yield Finding("drone in the field", words)
