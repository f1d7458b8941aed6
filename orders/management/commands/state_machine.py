"""`manage.py state_machine`: writes the diagram and the table of docs/state-machine.md."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from orders.states import TERMINAL, TRANSITIONS, Status

PAGE = Path(settings.BASE_DIR) / "docs" / "state-machine.md"
BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"


def diagram() -> str:
    """The state diagram, in Mermaid."""
    lines = ["stateDiagram-v2", f"    [*] --> {Status.CREATED}"]
    lines += [
        f"    {source} --> {edge.target}: {edge.name}"
        for edge in TRANSITIONS.values()
        for source in edge.sources
    ]
    lines += [f"    {status} --> [*]" for status in TERMINAL]
    return "\n".join(lines)


def table() -> str:
    lines = ["| transition | from | to | event written |", "|---|---|---|---|"]
    for edge in TRANSITIONS.values():
        cells = (edge.name, ", ".join(edge.sources), edge.target, edge.event)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def rendered(page: str) -> str:
    """The page, with the text between the two marks replaced."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n```mermaid\n{diagram()}\n```\n\n{table()}\n{END}{after}"


class Command(BaseCommand):
    requires_system_checks: list[str] = []
    help = "Write the diagram and the table of docs/state-machine.md from the code."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="Only check whether it is current."
        )

    def handle(self, *args: Any, check: bool = False, **options: Any) -> None:
        page = PAGE.read_text()
        wanted = rendered(page)
        if page == wanted:
            self.stdout.write("docs/state-machine.md is current.")
        elif check:
            self.stderr.write("docs/state-machine.md is not what the code says.")
            raise SystemExit(1)
        else:
            PAGE.write_text(wanted)
            self.stdout.write("docs/state-machine.md was written.")
