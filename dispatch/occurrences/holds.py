"""Which orders an occurrence holds from deletion. Every retention asks here."""

from typing import Any

from django.db.models import QuerySet

from dispatch.models import Occurrence


def held_orders() -> QuerySet[Any]:
    """The ids of orders whose personal data, decisions, tracks and flight records must stay."""
    return Occurrence.objects.holding().order_by().values("order")
