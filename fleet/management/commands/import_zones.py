"""`manage.py import_zones FILE --source NAME`: check a file of geographical zones, and use it."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fleet.airspace import imports
from fleet.airspace.files.reading import MAX_BYTES
from wingxtra.accounts.identity import SYSTEM
from wingxtra.problems import Problem

SHOWN = 50


class Command(BaseCommand):
    help = (
        "Check an ED-269, ED-318 or GeoJSON file of geographical zones and say what it changes. "
        "With --use, replace the zones of the source by it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--source", required=True, help="Who publishes it, like “FOCA”.")
        parser.add_argument("--use", action="store_true", help="Put it into use.")

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        try:
            with file.open("rb") as opened:
                content = opened.read(MAX_BYTES + 1)
            one = imports.check(content, file_name=file.name, source=options["source"], by=SYSTEM)
            self._say(one)
            if options["use"]:
                found = imports.put_into_use(one.pk, by=SYSTEM)
                self.stdout.write(f"Put into use: {found}.")
            else:
                self.stdout.write("Nothing was changed. Add --use to put it into use.")
        except OSError as error:
            raise CommandError(f"The file cannot be read: {error}") from error
        except Problem as problem:
            raise CommandError(problem.detail) from problem

    def _say(self, one: imports.ZoneImport) -> None:
        found = imports.changes_of(one)
        self.stdout.write(f"{one.format}: {found}, {len(one.refused)} refused.")
        lines = [
            *(f"  refused  {refusal['identifier']}: {refusal['why']}" for refusal in one.refused),
            *(f"  new      {zone} {zone.heights}" for zone in found.new),
            *(f"  changed  {zone}: {', '.join(names)}" for zone, names in found.changed),
            *(f"  gone     {zone}" for zone in found.gone),
        ]
        for line in lines[:SHOWN]:
            self.stdout.write(line)
        if len(lines) > SHOWN:
            self.stdout.write(f"  and {len(lines) - SHOWN} more")
