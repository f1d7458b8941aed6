"""`manage.py fit_promises`: fits the ranges that quotes start with on simulated days."""

from argparse import ArgumentParser
from dataclasses import replace
from typing import Any

from django.core.management.base import BaseCommand

from dispatch.evaluation import promises
from dispatch.whatif import city
from fleet.policy import Policy

# A case of fewer orders takes the range of the nearest case.
ENOUGH = 40


class Command(BaseCommand):
    help = (
        "Fit the starting ranges of quotes on simulated days, with the usual policy, and print "
        "orders/promises/starting.py. Writes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seeds", type=int, nargs="+", default=[*range(31, 41)])
        names = [day.name for day in city.DAYS[:3]]
        parser.add_argument("--days", nargs="+", default=names)

    def handle(self, *args: Any, **options: Any) -> None:
        days = [
            replace(day, network=network)
            for day in city.DAYS
            if day.name in options["days"]
            for network in (False, True)
        ]
        ranges = promises.fit(days, options["seeds"], Policy().rules(), ENOUGH)
        rows = "\n".join(f'    "{case}": {found},' for case, found in ranges.items())
        self.stdout.write(
            '"""The ranges that a case starts with. `manage.py fit_promises` prints this file."""\n'
            f"\nSTARTING: dict[str, tuple[float, float]] = {{\n{rows}\n}}"
        )
