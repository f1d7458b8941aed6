"""`python -m wingxtra.tests.soak --minutes 20 --rate 5`: see docs/contributing.md."""

import argparse
import math
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from wingxtra.tests.drill import city
from wingxtra.tests.drill.checks import Database, Finding, lost_or_doubled, stuck
from wingxtra.tests.drill.machine import DrillFailed, Machine
from wingxtra.tests.drill.merchants import Merchants
from wingxtra.tests.drill.outside import Outside
from wingxtra.tests.soak import report
from wingxtra.tests.soak.receiver import webhooks_of_each_merchant
from wingxtra.tests.soak.sampling import Sampler

SEED = 1
SAMPLE_EVERY_S = 10.0
FEWEST_MINUTES = 1.5  # fewer give too few samples for a verdict
RATE_OF_ONE_MERCHANT = 2.0  # orders a second: they are placed one after the other
AS_ASKED = 0.95  # of the orders must be placed, or the load was not what was asked for
SHOWN = 5  # findings of one kind


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5, help=f"at least {FEWEST_MINUTES:g}")
    parser.add_argument("--rate", type=float, default=1, help="orders a second")
    parser.add_argument("--speed", type=float, default=10, help="time factor of the flights")
    parser.add_argument("--drones", type=int, help="80 for each order a second, at least 30")
    parser.add_argument("--over-within", type=float, default=5, help="minutes, after the last one")
    options = parser.parse_args()
    if options.minutes < FEWEST_MINUTES or options.rate <= 0:
        parser.error(f"At least {FEWEST_MINUTES:g} minutes, and a rate above 0.")
    options.drones = options.drones or max(30, math.ceil(80 * options.rate))
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        broken = _soak(options)
    except DrillFailed as failure:
        sys.exit(f"soak: {failure}")
    except KeyboardInterrupt:
        sys.exit("soak: stopped.")
    say("All bounds are kept." if not broken else f"{len(broken)} broken:")
    for words in broken:
        print(f"  {words}")
    sys.exit(1 if broken else 0)


def _soak(options: argparse.Namespace) -> list[str]:
    """What broke a bound, in words. Shows what was measured also when it is interrupted."""
    say(
        f"{options.minutes:g} minutes, {options.rate:g} orders a second, {options.drones} drones, "
        f"flights {options.speed:g} times faster than real ones"
    )
    settings = {"MESSAGE_CHANNELS": "console", "DATABASE_POOL_MAX": str(report.POOL_MAX)}
    with Machine(city.drones(options.drones), options.speed, SEED, settings) as machine:
        lanes = math.ceil(options.rate / RATE_OF_ONE_MERCHANT)
        merchants = [Merchants(machine, SEED * 100 + lane, 0.0) for lane in range(lanes)]
        sampler = Sampler(machine, merchants)
        with webhooks_of_each_merchant(machine):
            try:
                _load(options, merchants, sampler)
                over_s = _until_over(machine, options.over_within * 60)
            except KeyboardInterrupt:
                if sampler.samples:
                    report.show(options.rate, sampler.samples)
                raise
        broken = report.show(options.rate, sampler.samples)
        found = [*_findings(options, machine, merchants)]
        found += [Finding("process replaced", name) for name in sampler.replaced()]
        found += [Finding("process ended", name) for name in machine.ended_by_themselves()]
        _tell_end(machine, over_s)
        if broken or found:
            say(f"The logs are in {machine.keep_logs()}.")
    return [*broken, *_in_words(found)]


def _load(options: argparse.Namespace, merchants: Sequence[Merchants], sampler: Sampler) -> None:
    """Orders and samples until the minutes are over. An error of a merchant ends it."""
    stop = threading.Event()
    each_per_minute = 60 * options.rate / len(merchants)
    with ThreadPoolExecutor(len(merchants)) as pool:
        trades = [pool.submit(one.trade, stop, each_per_minute) for one in merchants]
        try:
            began = time.monotonic()
            for number in range(1 + round(options.minutes * 60 / SAMPLE_EVERY_S)):
                time.sleep(max(0.0, began + number * SAMPLE_EVERY_S - time.monotonic()))
                sampler.take()
                _raise_errors(trades)
                if number and number % 6 == 0:
                    _tell_progress(sampler)
        finally:
            stop.set()


def _raise_errors(trades: Sequence[Future[None]]) -> None:
    for trade in trades:
        if trade.done():
            trade.result()


def _tell_progress(sampler: Sampler) -> None:
    now = sampler.samples[-1]
    value = now.values
    say(
        f"{now.at_s / 60:.0f} min: {value['orders placed']:.0f} orders placed, "
        f"{value['orders waiting for a drone']:.0f} wait for a drone, "
        f"{value['orders not over']:.0f} not over, {value['messages waiting']:.0f} messages, "
        f"POST p95 {value.get('POST /orders, p95', 0):.0f} ms"
    )


def _until_over(machine: Machine, within_s: float) -> float:
    """Wait until no order is open and each drone is at home. Returns after how many seconds, also
    if some are not.
    """
    database, outside = Database(machine.database_url), Outside(machine.simulator_url)
    began = time.monotonic()
    while time.monotonic() - began < within_s:
        if not database.open_orders() and all(
            drone["at_home"] for drone in outside.truth().drones.values()
        ):
            break
        time.sleep(2)
    return time.monotonic() - began


def _findings(
    options: argparse.Namespace, machine: Machine, merchants: Sequence[Merchants]
) -> Iterator[Finding]:
    database, truth = Database(machine.database_url), Outside(machine.simulator_url).truth()
    orders = database.orders()
    placed = {name: order_id for one in merchants for name, order_id in one.placed.items()}
    yield from lost_or_doubled(orders, truth, placed)
    yield from stuck(orders, truth, database)
    for order_id, row in orders.items():
        if row["status"] not in ("DELIVERED", "CREATED", "VALIDATED", "QUEUED"):
            yield Finding("not delivered", f"{row['status']}, {row['hold_message']}", order_id)
    for one in merchants:
        yield from (Finding("unanswered", name) for name in one.unanswered)
    wanted = options.minutes * 60 * options.rate
    if len(placed) < AS_ASKED * wanted:
        yield Finding("too few placed", f"{len(placed)} orders, not {wanted:.0f}")


def _in_words(found: Sequence[Finding]) -> Iterator[str]:
    counts = Counter(one.check for one in found)
    told: Counter[str] = Counter()
    for one in found:
        told[one.check] += 1
        if told[one.check] <= SHOWN:
            number = f"{told[one.check]} of {counts[one.check]}"
            yield f"{one.check} ({number}): {one.words} {one.about}".rstrip()


def _tell_end(machine: Machine, over_s: float) -> None:
    orders = Database(machine.database_url).orders().values()
    ended = Counter(row["status"] for row in orders).most_common()
    print(f"\nall over after {over_s:.0f} s: {', '.join(f'{n} {name}' for name, n in ended)}")


def say(words: str) -> None:
    print(f"soak: {words}", flush=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
