"""`manage.py simulate_day`: compares first come, first served with the planner."""

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from dispatch.evaluation import chart, comparison
from dispatch.whatif import city
from dispatch.whatif.strategies import CHOICES, STRATEGIES
from fleet import policy


class Command(BaseCommand):
    help = "Simulate days of deliveries with the current policy. Writes nothing to the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seeds", type=int, nargs="+", default=[1])
        parser.add_argument("--days", nargs="+", default=[day.name for day in city.DAYS])
        parser.add_argument("--drones", type=int, help="The number of drones; 40 by default.")
        parser.add_argument("--network", action="store_true", help="Drones land at the best hub.")
        either = parser.add_mutually_exclusive_group()
        either.add_argument(
            "--choices",
            action="store_true",
            help="Compare the policy's choices for late NORMAL orders instead.",
        )
        either.add_argument("--plot", type=Path, help="Also write a chart (SVG) to this file.")

    def handle(self, *args: Any, **options: Any) -> None:
        rules, compared = policy.current(), []
        for day in city.DAYS:
            if day.name in options["days"]:
                day = replace(
                    day, drones=options["drones"] or day.drones, network=options["network"]
                )
                strategies = CHOICES if options["choices"] else STRATEGIES
                runs = comparison.run(day, options["seeds"], rules, strategies)
                self.stdout.write(comparison.table(day, runs))
                compared.append((day, runs))
        if options["plot"]:
            options["plot"].write_text(chart.svg(compared))
