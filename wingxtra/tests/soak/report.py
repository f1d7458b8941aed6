"""The bound of each measured thing, and the table at the end."""

from collections.abc import Iterator, Sequence

from wingxtra.tests.bench.tables import Table
from wingxtra.tests.drill.machine import WEB_PROCESSES
from wingxtra.tests.soak.figures import (
    AtMost,
    Bound,
    Flat,
    Line,
    Sample,
    Told,
    first_half,
    line,
    per_unit,
    usually,
)

POOL_MAX = 10  # connections of each process; also the default of DATABASE_POOL_MAX
WORKERS = 2
OTHER_CONNECTIONS = 4  # the scheduler's, and one for its lock
MOST_CONNECTIONS = (WEB_PROCESSES + WORKERS) * POOL_MAX + OTHER_CONNECTIONS

MEMORY = Flat(per_h=24, noise=6)  # MB; twenty minutes find what a process cannot keep for a day
CONNECTION_MB = 16.0  # the pools replace each connection after an hour, so none grows for ever
KB_PER_ORDER = 60.0
BEHIND = 0.02  # a queue that grows by more than this share of the orders is not worked off
JITTER_S = 15.0  # orders of this time may wait more or less, because plans are made every 5 s
TABLES_TOLD = 10
# An order of the second half costs no more reading than one of the first, or a statement without an
# index reads more with each order. 10,000 rows take about a millisecond.
ROWS_PER_ORDER = 10_000
SCANS_TOLD = 5
POSTS = "POST /orders, p95"
CONNECTION_MEMORY = "PostgreSQL, each connection"
HEADINGS = ("what", "unit", "start", "middle", "end", "an hour", "verdict")


def bounds(rate: float, samples: Sequence[Sample]) -> Iterator[tuple[str, Bound]]:
    """Each line of the table, except the tables of the database. `rate`: orders a second."""
    for name in samples[-1].values:
        if name == "memory: simulator":
            yield name, Told("not ours: it keeps all flights")
        elif name.startswith("memory: "):
            yield name, MEMORY
    yield CONNECTION_MEMORY, AtMost(CONNECTION_MB)
    queue = Flat(per_h=BEHIND * rate * 3600, noise=JITTER_S * rate + 5)
    yield "connections", AtMost(MOST_CONNECTIONS)
    yield "connections: active", Told()
    yield "connections: idle", Told()
    yield "connections: idle in transaction", Told()
    yield "oldest idle transaction", AtMost(30)
    yield "orders placed", Told()
    yield "orders waiting for a drone", queue
    yield "orders not over", queue
    yield "messages waiting", queue
    yield "messages given up", Flat(per_h=6, noise=0)
    yield "outbox: rows due", queue
    yield "outbox: oldest", AtMost(30)
    if any(POSTS in one.values for one in samples):  # not if it was interrupted before an order
        yield POSTS, usually(1000)
    yield "Valkey: data", Flat(per_h=6, noise=2)
    yield "Valkey: keys", Told()
    yield "Valkey: keys that never expire", Flat(per_h=20, noise=10)


UNITS = {
    "memory": "MB",
    "PostgreSQL": "MB",
    "oldest": "s",
    "outbox: oldest": "s",
    "POST": "ms",
    "Valkey: data": "MB",
}


def show(rate: float, samples: Sequence[Sample]) -> list[str]:
    """Print the tables; what broke its bound, in words."""
    lines = [line(samples, name, bound) for name, bound in bounds(rate, samples)]
    table = Table("What was measured", HEADINGS)
    for one in lines:
        unit = next((unit for name, unit in UNITS.items() if one.name.startswith(name)), "")
        figures = [_figure(each) for each in (one.start, one.middle, one.end, one.slope_per_h)]
        table.row(one.name, unit, *figures, one.verdict.words)
    broken = [f"{one.name}: {one.verdict.words}" for one in lines if one.verdict.kept is False]
    return [*broken, *_show_tables(samples), *_show_scans(samples)]


def _show_tables(samples: Sequence[Sample]) -> Iterator[str]:
    """The tables that grew most, and their sum, which is judged."""
    headings = ("table", "start kB", "end kB", "bytes per order")
    table = Table("Tables of the database, with indexes", headings)
    names = [name for name in samples[-1].values if name.startswith("table: ")]
    grown = sorted((line(samples, name, Told()) for name in names), key=_growth, reverse=True)
    total = line(samples, "all tables", Told())
    for one in [*grown[:TABLES_TOLD], total]:
        each = per_unit(samples, one.name, "orders placed")
        row = (one.name.removeprefix("table: "), f"{one.start / 1024:,.0f}")
        table.row(*row, f"{one.end / 1024:,.0f}", "" if each is None else f"{each:,.0f}")
    each = per_unit(samples, "all tables", "orders placed")
    if each is not None and each > KB_PER_ORDER * 1024:
        yield f"all tables: {each / 1024:.1f} kB per order, at most {KB_PER_ORDER:g}"


def _show_scans(samples: Sequence[Sample]) -> Iterator[str]:
    """The tables of which most rows were read by scanning them, for each order."""
    headings = ("table", "first half", "second half")
    table = Table("Rows read by scanning whole tables, for each order", headings)
    found = []
    for name in samples[-1].values:
        if not name.startswith("scanned: "):
            continue
        early = per_unit(samples, name, "orders placed", first_half)
        late = per_unit(samples, name, "orders placed")
        if early is not None and late is not None:
            found.append((late, early, name.removeprefix("scanned: ")))
    for late, early, name in sorted(found, reverse=True)[:SCANS_TOLD]:
        table.row(name, f"{early:,.0f}", f"{late:,.0f}")
        if late - early > ROWS_PER_ORDER:
            yield (
                f"{name}: an order scans {late:,.0f} rows of it, {early:,.0f} in the first half; "
                f"at most {ROWS_PER_ORDER:,} more"
            )


def _growth(one: Line) -> float:
    return one.end - one.start


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"
