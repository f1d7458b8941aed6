from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from fleet.simulator import cli


class Command(BaseCommand):
    help = "Simulate drones: replaces the Fleet API and the GCS bridge, over HTTP."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        cli.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        cli.run(options)
