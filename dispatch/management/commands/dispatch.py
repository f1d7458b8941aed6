"""`manage.py dispatch`: one dispatch run, with a table of its decisions."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db.models import prefetch_related_objects

from dispatch.models import DispatchDecision, DispatchRun
from dispatch.planning import runs
from fleet.models import ServiceArea
from wingxtra.accounts.identity import SYSTEM
from wingxtra.problems import Problem


class Command(BaseCommand):
    help = "Plan all queued orders against all able drones, assign them, and print the decisions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Decide, but assign nothing.")
        parser.add_argument("--area", help="Name of one service area; all without it.")
        parser.add_argument("--max-assignments", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            outcome = runs.run(
                trigger=DispatchRun.Trigger.COMMAND,
                by=SYSTEM,
                service_area_id=_area_id(options["area"]),
                max_assignments=options["max_assignments"],
                dry_run=options["dry_run"],
            )
        except Problem as problem:
            raise CommandError(problem.detail) from problem
        self.stdout.write(_headline(outcome))
        if outcome.decisions:
            self.stdout.write(_table(outcome.decisions))


def _area_id(name: str | None) -> UUID | None:
    if name is None:
        return None
    area = ServiceArea.objects.filter(name=name).first()
    if area is None:
        known = ", ".join(ServiceArea.objects.values_list("name", flat=True)) or "none yet"
        raise CommandError(f"There is no service area “{name}”. Known: {known}.")
    return area.pk


def _headline(outcome: runs.Outcome) -> str:
    run = outcome.run
    parts = [
        f"{'Dry run: ' if run.dry_run else ''}{run.orders_considered} orders,",
        f"{run.drones_considered} drones, {run.assigned} assigned",
        f"in {run.duration_ms} ms.",
    ]
    if run.note:
        parts.append(run.note)
    return " ".join(parts)


def _table(decisions: list[DispatchDecision]) -> str:
    head = f"{'order':13}  {'priority':8}  {'drone':16}  {'to the door':>11}  {'energy':>6}  why"
    rows = [head, "-" * len(head)]
    prefetch_related_objects(decisions, "order")
    for decision in decisions:
        figures = decision.figures
        door = f"{figures['delivery_s'] / 60:.1f} min" if figures else "-"
        energy = f"{figures['energy_pct']:.0f} %" if figures else "-"
        rows.append(
            f"{decision.order.public_tracking_id:13}  {decision.order.priority:8}  "
            f"{decision.drone_id or '-':16}  {door:>11}  {energy:>6}  {decision.why}"
        )
    return "\n".join(rows)
