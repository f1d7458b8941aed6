"""`manage.py state_machine`: writes the diagram and the table of docs/state-machine.md."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from orders.models import Order
from orders.states import TERMINAL, EventType, Status

PAGE = Path(settings.BASE_DIR) / "docs" / "state-machine.md"
BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"

# The event that a transition writes; the lifecycle tests take every transition and compare.
EVENT_OF = {
    "validate": EventType.VALIDATED,
    "enqueue": EventType.QUEUED,
    "assign": EventType.ASSIGNED,
    "reassign": EventType.REASSIGNED,
    "submit_mission": EventType.MISSION_SUBMITTED,
    "launch": EventType.LAUNCHED,
    "go_enroute": EventType.ENROUTE,
    "arrive": EventType.ARRIVED,
    "begin_delivery": EventType.DELIVERING,
    "deliver": EventType.DELIVERED,
    "requeue": EventType.REQUEUED,
    "reschedule": EventType.RESCHEDULED,
    "cancel": EventType.CANCELED,
    "fail": EventType.FAILED,
    "abort": EventType.ABORTED,
    "correct_to_delivered": EventType.CORRECTED,
    "correct_to_failed": EventType.CORRECTED,
}


def transitions() -> Iterator[tuple[str, Status, Status]]:
    """Every (name, from, to) that the model knows, in the order of a delivery."""
    known = Order._meta.get_field("status").get_all_transitions(Order)
    ranks, names = list(Status), list(EVENT_OF)
    yield from sorted(
        ((t.name, Status(str(t.source)), Status(str(t.target))) for t in known),
        key=lambda step: (names.index(step[0]), ranks.index(step[1])),
    )


def diagram() -> str:
    """The state diagram, in Mermaid."""
    lines = ["stateDiagram-v2", f"    [*] --> {Status.CREATED}"]
    lines += [f"    {source} --> {target}: {name}" for name, source, target in transitions()]
    lines += [f"    {status} --> [*]" for status in TERMINAL]
    return "\n".join(lines)


def table() -> str:
    lines = ["| transition | from | to | event written |", "|---|---|---|---|"]
    for name, event in EVENT_OF.items():
        steps = [(source, target) for verb, source, target in transitions() if verb == name]
        sources = ", ".join(source.value for source, _ in steps)
        lines.append(f"| {name} | {sources} | {steps[0][1].value} | {event.value} |")
    return "\n".join(lines)


def rendered(page: str) -> str:
    """The page with what lies between the two marks written anew."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n```mermaid\n{diagram()}\n```\n\n{table()}\n{END}{after}"


class Command(BaseCommand):
    requires_system_checks: list[str] = []
    help = "Write the diagram and the table of docs/state-machine.md from the code."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Only say whether it is current.")

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
