"""How long an export of flight records takes, and how much memory."""

import os
import time
from pathlib import Path

import pytest
from django.db import connection

from dispatch.missions.records import exports
from dispatch.models import FlightRecord
from dispatch.tests.test_bench import peak_mb
from dispatch.tests.test_flight_records import record_of
from orders.states import Status
from orders.tests.factories import order_in
from wingxtra.tests.bench.tables import Figure, Table

pytestmark = [pytest.mark.bench, pytest.mark.django_db]

RECORDS = int(os.environ.get("BENCH_RECORDS", "1000000"))
POINTS = 40  # of a thinned track: a delivery of ten minutes has about as many
EXPORTS = Table(
    "Exports of flight records",
    ("format", "records", "CPU s", "database CPU s", "both", "clock s", "MB sent", "peak MB"),
    first_width=8,
)
TRACK = f"""jsonb_build_object(
    'coordinates', (SELECT jsonb_agg(jsonb_build_array(-0.18 - i * 0.000347, 5.6 + i * 0.00041))
                    FROM generate_series(1, {POINTS}) i),
    'at', (SELECT jsonb_agg(1790000000.1 + i * 12.3) FROM generate_series(1, {POINTS}) i),
    'alt_m', (SELECT jsonb_agg(60.1 + i * 0.3) FROM generate_series(1, {POINTS}) i))"""
CHANGED = {
    "id": "gen_random_uuid()",
    "job_id": "NULL",
    "ended_at": "ended_at - n * interval '90 seconds'",
    "track": TRACK,
}


def multiply(times: int) -> None:
    columns = [field.column for field in FlightRecord._meta.concrete_fields]
    values = ", ".join(CHANGED.get(column, f'"{column}"') for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO dispatch_flightrecord ({', '.join(columns)}) "
            f"SELECT {values} FROM dispatch_flightrecord, generate_series(1, {times}) AS n"
        )
        cursor.execute("ANALYZE dispatch_flightrecord")


def database_cpu_s() -> float:
    """What this connection's process of PostgreSQL has used."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_exports_of_many_records() -> None:
    record_of(order_in(Status.DELIVERED))
    multiply(RECORDS - 1)
    EXPORTS.row("before", Figure(RECORDS), *["—"] * 5, Figure(peak_mb()))
    for fmt, (_, lines) in exports.FORMATS.items():
        began, cpu, database_cpu = time.perf_counter(), time.process_time(), database_cpu_s()
        size_mb = sum(len(part.encode()) for part in lines(FlightRecord.objects.all())) / 1e6
        ours_s, database_s = time.process_time() - cpu, database_cpu_s() - database_cpu
        # They take turns, so their sum is the time on a machine that does nothing else.
        at_most_s = 60 * RECORDS / 1_000_000
        EXPORTS.row(
            fmt,
            Figure(RECORDS),
            Figure(ours_s, ".1f"),
            Figure(database_s, ".1f"),
            Figure(ours_s + database_s, ".1f", at_most=at_most_s),
            Figure(time.perf_counter() - began, ".1f"),
            Figure(size_mb),
            Figure(peak_mb(), at_most=300),
        )
