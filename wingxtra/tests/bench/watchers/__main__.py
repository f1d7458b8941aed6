"""`python -m wingxtra.tests.bench.watchers`: how old a position is when an open page has it.

The whole stack of compose.yaml (but its proxy) with a simulated fleet; pages in a process of their
own, and one in a real Chromium. With `--polls` the pages have no streams. Nothing leaves the
machine, and it ends by itself.
"""

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psutil
import requests

from fleet.demo.processes import free_port
from wingxtra.tests.bench.tables import Figure, Table, write
from wingxtra.tests.bench.watchers import crowd, screen
from wingxtra.tests.drill import city
from wingxtra.tests.drill.checks import Database
from wingxtra.tests.drill.machine import MANAGE, DrillFailed, Machine
from wingxtra.tests.image import web_command

NO_LIMIT = "100000000/minute"
SEED = 7
PAGES = int(os.environ.get("BENCH_PAGES", "1000"))
P95_S, P99_S = 2.0, 3.0  # docs/performance.md
IN_FLIGHT = ("LAUNCHED", "ENROUTE")


class Stack(Machine):
    """As many processes as in Dockerfile and compose.yaml."""

    @cached_property
    def streams_port(self) -> int:
        return free_port()

    def _more_commands(self) -> dict[str, list[str]]:
        return {"streams": [*MANAGE, "streams", "--port", str(self.streams_port)]}

    def _simulator_options(self) -> list[str]:
        return ["--tick-s", "0.5"]

    def _web_command(self) -> list[str]:
        program, *options, application = web_command()
        here = ["--host", "127.0.0.1", "--port", self.url.rsplit(":", 1)[1]]
        return [str(Path(sys.executable).with_name(program)), *options, *here, application]


def main() -> None:
    parser = argparse.ArgumentParser(prog="watchers", description=__doc__)
    parser.add_argument("--drones", type=int, default=2000)
    parser.add_argument("--flying", type=int, default=600)
    parser.add_argument("--pages", type=int, nargs="+", default=[PAGES], help="one run for each")
    parser.add_argument("--seconds", type=float, default=60, help="of each run")
    # Slow flights, so that all are in the air at the same time. Telemetry is real time.
    parser.add_argument("--speed", type=float, default=0.3, help="time factor of the flights")
    parser.add_argument("--polls", action="store_true", help="pages ask each second")
    options = parser.parse_args()
    if not any(options.pages):
        return
    signal.signal(signal.SIGTERM, _interrupt)
    settings = {
        "API_RATE_POSITIONS": NO_LIMIT,  # all pages have one address here
        "API_RATE_LINKS": NO_LIMIT,
        "LOG_LEVEL": "WARNING",
    }
    try:
        _run(options, settings)
    except DrillFailed as failure:
        sys.exit(f"watchers: {failure}")
    except KeyboardInterrupt:
        sys.exit("watchers: stopped.")


def _run(options: argparse.Namespace, settings: dict[str, str]) -> None:
    with Stack(city.drones(options.drones), options.speed, SEED, settings) as stack:
        database = Database(stack.database_url)
        _fly(stack, database, options.flying)
        for pages in options.pages:
            _measure(stack, database, pages, options)
        ended = stack.ended_by_themselves()
        if ended:
            raise DrillFailed(f"These processes ended: {', '.join(ended)}.")


def _fly(stack: Stack, database: Database, count: int) -> None:
    """Place orders by the API until so many are in flight."""
    chance, keys = random.Random(SEED), cycle(stack.credentials.shop_keys.values())

    def place(key: str, body: dict[str, Any]) -> bool:
        answer = requests.post(
            f"{stack.url}/api/v1/orders", json=body, headers={"X-API-Key": key}, timeout=60
        )
        return answer.status_code == 201

    with ThreadPoolExecutor(2) as pool:
        wanted = ((next(keys), city.order(chance)) for _ in range(4 * count))
        placed = 0
        while placed < count and (some := list(islice(wanted, count - placed))):
            placed += sum(pool.map(lambda each: place(*each), some))
    stack.until("fleet", lambda: len(_links(database)) >= 0.9 * count, within_s=600)


def _links(database: Database) -> list[str]:
    rows = database.rows(
        "SELECT public_tracking_id FROM orders_order WHERE status = ANY(%s)"
        " ORDER BY created_at DESC",
        list(IN_FLIGHT),
    )
    return [row["public_tracking_id"] for row in rows]


def _measure(stack: Stack, database: Database, pages: int, options: argparse.Namespace) -> None:
    seconds: float = options.seconds
    streams_port = 0 if options.polls else stack.streams_port
    links = _links(database)
    watched = list(islice(cycle(links), pages))
    port = int(stack.url.rsplit(":", 1)[1])
    warm_up_s = crowd.STARTS_WITHIN_S + 5
    process = crowd.watch(crowd.Plan(port, streams_port, watched, seconds, warm_up_s))
    try:
        time.sleep(warm_up_s)
        with _cpu(stack) as used:
            if screen.CHROMIUM_IS_THERE:
                url = f"{stack.url}/track/{links[0]}/"
                painted = screen.watch(url, seconds - 2, streams_port)
            else:
                painted = []
                time.sleep(seconds - 2)
        seen = crowd.seen(process)
    finally:
        process.kill()
    title = f"{pages:,} open pages of {len(links):,} flights, {seconds:g} s, load {_load()}"
    _show(title, seen, painted)
    _show_cpu(used, seen.cpu_s / (seconds + warm_up_s))


def _show(title: str, seen: crowd.Seen, painted: list[tuple[float, float]]) -> None:
    table = Table(title, ("seconds from telemetry to the page", "p50", "p95", "p99", "count"))
    shown = [screen_s - at_s for pairs in seen.arrivals for screen_s, at_s in pairs]
    every = [delay for pairs in seen.arrivals for delay in crowd.delays_s(pairs)]
    browser = [screen_s - at_s for screen_s, at_s in painted]
    rows = [("telemetry that was shown", shown), ("all telemetry, until it or newer shows", every)]
    for name, values in [*rows, ("painted by Chromium", browser)]:
        if values:
            table.row(
                name,
                Figure(crowd.percentile(values, 0.5), ".2f"),
                Figure(crowd.percentile(values, 0.95), ".2f", at_most=P95_S),
                Figure(crowd.percentile(values, 0.99), ".2f", at_most=P99_S),
                Figure(len(values), ","),
            )
    answers = Table("Answers", ("what", "number", "p50 ms", "p95 ms", "p99 ms"))
    for kind, number in sorted(seen.answers.items()):
        took = seen.took_ms[kind.split()[0]]
        took_ms = [
            Figure(crowd.percentile(took, share), ".0f") if took else ""  # events answer nothing
            for share in (0.5, 0.95, 0.99)
        ]
        answers.row(kind, Figure(number, ","), *took_ms)
    silent = sum(not pairs for pairs in seen.arrivals)
    write(f"{silent} pages saw no position.")


@contextmanager
def _cpu(stack: Stack) -> Iterator[dict[str, float]]:
    """Seconds of the processor in each second, by part. Filled in at the end."""
    used: dict[str, float] = {}
    before, began = _spent(stack), time.monotonic()
    yield used
    took_s = time.monotonic() - began
    for name, spent_s in _spent(stack).items():
        used[name] = (spent_s - before[name]) / took_s


def _spent(stack: Stack) -> dict[str, float]:
    return {name: sum(map(_cpu_s, each)) for name, each in stack.processes().items()}


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _show_cpu(used: dict[str, float], pages: float) -> None:
    table = Table("Seconds of the processor in each second", ("part", "s"))
    for name, value in [*used.items(), ("the pages themselves", pages)]:
        table.row(name, Figure(value, ".2f"))
    table.row("all of these", Figure(sum(used.values()) + pages, ".2f"))


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
