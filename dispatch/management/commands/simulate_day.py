"""`manage.py simulate_day`: first come, first served by the nearest drone, against the plan."""

from argparse import ArgumentParser
from dataclasses import replace
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand

from dispatch import simulation
from dispatch.simulation import Day, Outcome
from fleet import policy
from fleet.policy import Rules

COLUMNS = ("all", *simulation.PRIORITIES)


class Command(BaseCommand):
    help = "Simulate days of deliveries with the present policy; nothing is written anywhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seeds", type=int, nargs="+", default=[1])
        parser.add_argument("--days", nargs="+", default=[day.name for day in simulation.DAYS])
        parser.add_argument("--drones", type=int, help="How many drones instead of 40.")

    def handle(self, *args: Any, **options: Any) -> None:
        rules = policy.current()
        for day in simulation.DAYS:
            if day.name in options["days"]:
                if options["drones"]:
                    day = replace(day, drones=options["drones"])
                self.stdout.write(compared(day, options["seeds"], rules))


def compared(day: Day, seeds: list[int], rules: Rules) -> str:
    """A table: minutes to the door (median / 95 %), promises kept (%), kilometres, and ratios."""
    rows = [
        f"{day.name}: {day.orders} orders, {day.drones} drones, {len(seeds)} seeds",
        f"{'':24}" + "".join(f"{name:>16}" for name in COLUMNS) + f"{'kept':>8}{'km':>9}",
    ]
    base: list[float] = []
    for way in simulation.WAYS:
        numbers = _numbers([simulation.simulate(day, seed, rules, way) for seed in seeds])
        base = base or numbers
        rows += [
            _row(way.name, numbers),
            _row("  ratio", [n / b for n, b in zip(numbers, base, strict=True)]),
        ]
    return "\n".join(rows)


def _numbers(outcomes: list[Outcome]) -> list[float]:
    minutes = np.concatenate([outcome.minutes for outcome in outcomes])
    priority = np.concatenate([outcome.priority for outcome in outcomes])
    of = [minutes, *(minutes[priority == name] for name in simulation.PRIORITIES)]
    kept = np.concatenate([outcome.kept for outcome in outcomes])
    km = float(np.mean([outcome.drone_km for outcome in outcomes]))
    return [
        *(float(np.percentile(m, q)) for m in of for q in (50, 95)),
        100 * float(kept.mean()),
        km,
    ]


def _row(name: str, numbers: list[float]) -> str:
    *minutes, kept, km = numbers
    digits = 2 if name == "  ratio" else 1
    pairs = zip(minutes[::2], minutes[1::2], strict=True)
    cells = "".join(f"{f'{m:.{digits}f} / {p:.{digits}f}':>16}" for m, p in pairs)
    return f"{name:24}{cells}{kept:8.{digits}f}{km:9.{2 if digits == 2 else 0}f}"
