"""`python -m wingxtra.tests.drill --minutes 3 --seed 1`: see docs/contributing.md."""

import argparse
import signal
import sys
import threading
import time
from collections.abc import Callable

import requests

from wingxtra.tests.drill import city, report
from wingxtra.tests.drill.blows import Blows
from wingxtra.tests.drill.chaos import Chaos
from wingxtra.tests.drill.checks import Database, Finding, findings
from wingxtra.tests.drill.machine import DrillFailed, Machine
from wingxtra.tests.drill.merchants import Merchants
from wingxtra.tests.drill.outside import Outside
from wingxtra.tests.drill.staff import Staff

QUIET_S = 8.0  # the list must stay empty, and all orders be over, for this long


def main() -> None:
    parser = argparse.ArgumentParser(prog="drill", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3, help="under fire; then it is put right")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--speed", type=float, default=10, help="time factor of the flights")
    parser.add_argument("--drones", type=int, default=45)
    parser.add_argument("--orders-per-minute", type=float, default=80)
    parser.add_argument("--faults-per-minute", type=float, default=60)
    parser.add_argument("--blow-every", type=float, default=12, help="seconds")
    parser.add_argument("--put-right-within", type=float, default=6, help="minutes")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        found = _drill(options)
    except DrillFailed as failure:
        sys.exit(f"drill: {failure}")
    except KeyboardInterrupt:
        sys.exit("drill: stopped.")
    sys.exit(1 if found else 0)


def _drill(options: argparse.Namespace) -> list[Finding]:
    say(
        f"{options.minutes:g} minutes, seed {options.seed}, {options.drones} drones, flights "
        f"{options.speed:g} times faster than real ones"
    )
    drones = city.drones(options.drones)
    with Machine(drones, options.speed, options.seed) as machine:
        ids = [str(drone["drone_id"]) for drone in drones]
        chaos = Chaos(machine, options.speed, options.seed, ids)
        blows = Blows(machine, options.seed)
        merchants = Merchants(machine, options.seed)
        staff = Staff(machine, options.seed)
        broken = _under_fire(options, chaos, blows, merchants, staff)
        say("Under fire no more; everything is put right now.")
        Outside(machine.simulator_url).clear_faults()
        database = Database(machine.database_url)
        began = time.monotonic()
        _put_right(options.put_right_within * 60, staff, database)
        took_s = time.monotonic() - began
        truth = Outside(machine.simulator_url).truth()
        found = [*broken, *findings(database, truth, staff.desk, merchants.placed)]
        found += blows.findings()
        found += [Finding("process ended", name) for name in machine.ended_by_themselves()]
        report.show(chaos, blows, merchants, staff.desk, database, truth, took_s, found)
    return found


def _under_fire(
    options: argparse.Namespace, chaos: Chaos, blows: Blows, merchants: Merchants, staff: Staff
) -> list[Finding]:
    """Merchants order during the first 4/5 of the time. Returns errors of the drill itself."""
    stop, closed = threading.Event(), threading.Event()
    broken: list[Finding] = []

    def guarded(what: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                what()
            except Exception as error:  # noqa: BLE001 (told as a finding)
                broken.append(Finding("drill broke", f"{what}: {error!r}"))
                stop.set()

        return run

    threads = [
        threading.Thread(target=guarded(what))
        for what in (
            lambda: merchants.trade(closed, options.orders_per_minute),
            lambda: chaos.rage(stop, options.faults_per_minute),
            lambda: blows.rain(stop, options.blow_every),
            lambda: staff.work(stop),
        )
    ]
    for thread in threads:
        thread.start()
    try:
        stop.wait(options.minutes * 48)
        closed.set()
        stop.wait(options.minutes * 12)
    finally:
        closed.set()
        stop.set()
        for thread in threads:
            thread.join()
    return broken


def _put_right(within_s: float, staff: Staff, database: Database) -> None:
    """The staff work until nothing is left for QUIET_S and all drones are home, or until the time
    is over.
    """
    deadline = time.monotonic() + within_s
    quiet_since = time.monotonic()
    while time.monotonic() < deadline:
        try:
            staff.report_found(database.delivered())
            left = staff.look()
        except requests.RequestException:
            continue
        if left or database.open_orders() or staff.sees_a_drone_away():
            quiet_since = time.monotonic()
        if time.monotonic() - quiet_since > QUIET_S:
            return
        time.sleep(1)


def say(words: str) -> None:
    print(f"drill: {words}", flush=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
