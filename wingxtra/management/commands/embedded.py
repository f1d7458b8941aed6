from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from wingxtra.embedded import launcher


class Command(BaseCommand):
    help = "Start, stop or show the PostgreSQL and Valkey servers of this checkout."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["start", "stop", "status"])

    def handle(self, *, action: str, **options: Any) -> None:
        try:
            if action == "start":
                launcher.ensure(settings.BASE_DIR)
            elif action == "stop":
                launcher.stop(settings.BASE_DIR)
            for program, url in launcher.status(settings.BASE_DIR).items():
                self.stdout.write(f"{program}: {url or 'not running'}")
        except launcher.ServerError as error:
            raise CommandError(str(error)) from error
