"""Write flight records to a file or to standard output."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.http import QueryDict

from dispatch.missions.records.exports import FORMATS
from dispatch.missions.records.filters import FlightRecordFilter
from dispatch.models import FlightRecord
from orders.states import JobStatus


class Command(BaseCommand):
    help = "Write flight records as CSV, JSON lines or GeoJSON, oldest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=FORMATS, default="csv")
        parser.add_argument("--from", default="", help="A time with its offset, or a date.")
        parser.add_argument("--to", default="", help="The same; a date includes the whole day.")
        parser.add_argument("--drone", default="", help="Id of the drone.")
        parser.add_argument("--area", default="", help="Id of the service area.")
        parser.add_argument("--outcome", choices=JobStatus.values, action="append", default=[])
        parser.add_argument("--output", type=Path, help="A new file; standard output without it.")

    def handle(self, **options: Any) -> None:
        wanted = QueryDict(mutable=True)
        for name in ("from", "to", "drone", "area"):
            if options[name]:
                wanted[name] = options[name]
        wanted.setlist("outcome", options["outcome"])
        chosen = FlightRecordFilter(wanted, FlightRecord.objects.all())
        if not chosen.is_valid():
            problems = [f"--{name}: {' '.join(each)}" for name, each in chosen.errors.items()]
            raise CommandError("\n".join(problems))
        _, lines = FORMATS[options["format"]]
        if options["output"] is None:
            sys.stdout.writelines(lines(chosen.qs))
            return
        try:
            with options["output"].open("x", encoding="utf-8", newline="") as file:
                file.writelines(lines(chosen.qs))
        except FileExistsError as error:
            raise CommandError(f"{options['output']} exists already.") from error
