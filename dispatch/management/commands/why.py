"""`manage.py why`: the last decisions about an order, in sentences."""

from argparse import ArgumentParser
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from dispatch.console.presentation import ruled_out, runner_up
from dispatch.models import DispatchDecision
from orders.models import Order


class Command(BaseCommand):
    help = "Why an order got its drone, or none: its last decisions, newest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("order", help="Its tracking id, or its id.")
        parser.add_argument("--last", type=int, default=3, help="How many decisions to show.")

    def handle(self, *args: Any, **options: Any) -> None:
        order = _order(options["order"])
        self.stdout.write(
            f"{order.public_tracking_id} is {order.status}, {order.priority}, to be delivered by "
            f"{order.deliver_by:%Y-%m-%d %H:%M} UTC."
        )
        decisions = order.decisions.select_related("run").order_by("-id")[: options["last"]]
        for decision in decisions:
            self.stdout.write("\n".join(["", *_sentences(decision)]))
        if not decisions:
            self.stdout.write("No run has considered this order yet.")


def _order(name: str) -> Order:
    found = Order.objects.filter(public_tracking_id__iexact=name).first()
    if found is None:
        with suppress(ValueError):
            found = Order.objects.filter(pk=UUID(name)).first()
    if found is None:
        raise CommandError(f"There is no order “{name}”; give its tracking id or its UUID.")
    return found


def _sentences(decision: DispatchDecision) -> list[str]:
    run = decision.run
    dry = ", a dry run" if run.dry_run else ""
    head = (
        f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC{dry}: {decision.get_outcome_display()}, of "
        f"{run.orders_considered} orders and {run.drones_considered} drones."
    )
    lines = [head, f"  {decision.why}"]
    lines += [f"  Next: {runner_up(other)}" for other in decision.runners_up]
    lines += [f"  {line}" for line in ruled_out(decision.ruled_out)]
    return lines
