import os
import sys
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = "Run the actors of all apps."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--processes", type=int, default=1)
        parser.add_argument("--threads", type=int, default=8, help="per process")

    def handle(self, *, processes: int, threads: int, **options: Any) -> None:
        actors = [
            f"{app.name}.actors"
            for app in apps.get_app_configs()
            if app.name != "django_dramatiq" and find_spec(f"{app.name}.actors")
        ]
        command = [sys.executable, "-m", "dramatiq", "django_dramatiq.setup", *actors]
        command += ["--processes", str(processes), "--threads", str(threads)]
        # exec, so that signals to this process reach the worker. --skip-logging keeps the format of
        # settings.LOGGING.
        os.execv(sys.executable, [*command, "--skip-logging"])  # noqa: S606
