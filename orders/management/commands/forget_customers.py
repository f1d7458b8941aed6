"""`manage.py forget_customers`: removes personal data past its retention, or of one order."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from orders.models import Order
from orders.personal_data import retention
from wingxtra.problems import Problem


class Command(BaseCommand):
    help = (
        "Remove personal data from orders that were over before the policy's number of days. "
        "This also happens by itself, every hour."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--order", help="Only this order, also before its time: its id or its tracking id."
        )

    def handle(self, *args: Any, order: str | None = None, **options: Any) -> None:
        if order is not None:
            self._forget_one(order)
            return
        total = 0
        while True:
            done, failed = retention.forget_old(timezone.now())
            total += done
            if not done:
                break
        self.stdout.write(f"Personal data was removed from {total} orders.")
        if failed:
            raise CommandError(f"{failed} orders failed; the log names them.")

    def _forget_one(self, named: str) -> None:
        try:
            is_new = retention.forget(_id_of(named))
        except Problem as problem:
            raise CommandError(problem.detail) from problem
        self.stdout.write(
            f"Personal data was removed from order {named}."
            if is_new
            else f"Order {named} has no personal data any more."
        )


def _id_of(named: str) -> UUID:
    try:
        return UUID(named)
    except ValueError:
        orders = Order.objects.filter(public_tracking_id=named.upper().replace("-", ""))
        order_id = orders.values_list("pk", flat=True).first()
    if order_id is None:
        raise CommandError(f"There is no order {named}.")
    return order_id
