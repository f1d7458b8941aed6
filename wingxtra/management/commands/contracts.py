"""`manage.py contracts`: writes the members of docs/contracts/ from the types of the code."""

import json
from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from wingxtra.api import contract_page, contracts


def texts() -> dict[Any, str]:
    """Path -> expected content of each generated file."""
    import_module(settings.ROOT_URLCONF)  # imports every published type
    written = {
        contracts.path_of(name): json.dumps(contracts.generated(name), indent=2, ensure_ascii=False)
        for name in contracts.PUBLISHED
    }
    written = {path: f"{text}\n" for path, text in written.items()}
    return written | {contract_page.PAGE: contract_page.text()}


class Command(BaseCommand):
    requires_system_checks: list[str] = []
    help = "Write the members of docs/contracts/ from the types of the code."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Only report stale files.")

    def handle(self, *args: Any, check: bool = False, **options: Any) -> None:
        old = {path: text for path, text in texts().items() if path.read_text() != text}
        for path, text in old.items():
            name = f"docs/contracts/{path.name}"
            if check:
                self.stderr.write(f"{name} differs from the code: run manage.py contracts.")
            else:
                path.write_text(text)
                self.stdout.write(f"{name} was written.")
        if check and old:
            raise SystemExit(1)
