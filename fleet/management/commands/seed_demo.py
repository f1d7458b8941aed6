"""`manage.py seed_demo`: the demo city in the database, and the credentials on standard output."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.management.base import BaseCommand, CommandError

from fleet.demo import seed, upkeep


class Command(BaseCommand):
    help = "Write the demo city (Accra) to the database. Only in the demo and test environments."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--drones", type=int, default=12)
        parser.add_argument(
            "--upkeep", action="store_true", help="One drone due for maintenance, one overdue."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            credentials = seed.seed(options["drones"])
        except PermissionDenied as refusal:
            raise CommandError(str(refusal)) from refusal
        if options["upkeep"]:
            upkeep.seed()
        self.stdout.write(json.dumps(asdict(credentials)))
