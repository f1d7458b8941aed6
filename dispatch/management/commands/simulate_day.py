"""`manage.py simulate_day`: compares first come, first served with the planner."""

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from dispatch.evaluation import chart, comparison
from dispatch.whatif import simulation
from fleet import policy


class Command(BaseCommand):
    help = "Simulate days of deliveries with the current policy. Writes nothing to the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seeds", type=int, nargs="+", default=[1])
        parser.add_argument("--days", nargs="+", default=[day.name for day in simulation.DAYS])
        parser.add_argument("--drones", type=int, help="The number of drones; 40 by default.")
        parser.add_argument("--plot", type=Path, help="Also write a chart (SVG) to this file.")

    def handle(self, *args: Any, **options: Any) -> None:
        rules, compared = policy.current(), []
        for day in simulation.DAYS:
            if day.name in options["days"]:
                if options["drones"]:
                    day = replace(day, drones=options["drones"])
                runs = comparison.run(day, options["seeds"], rules)
                self.stdout.write(comparison.table(day, runs))
                compared.append((day, runs))
        if options["plot"]:
            options["plot"].write_text(chart.svg(compared))
