"""How well quoted ranges held, and the ranges that follow from it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db.models import (
    Count,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
)

from orders.models import DeliveryEvent, Order
from orders.promises import calibration
from orders.promises.calibration import Ranges
from orders.states import EventType, Status
from wingxtra import redis_client
from wingxtra.database.aggregates import Percentile

WEEK = timedelta(days=7)
# Ranges are learnt from the newest deliveries of this time, at most so many.
LEARNT_FROM = timedelta(days=28)
MAX_LEARNT = 20_000
RANGES_KEY = "promise:ranges"
LEARN_EVERY_S = 3600


@dataclass(frozen=True, slots=True)
class Coverage:
    """Deliveries with a quoted range, and how many were inside it. width_s: the median of the
    ranges; None without deliveries.
    """

    deliveries: int
    inside: int
    width_s: float | None


def last_week(now: datetime) -> Coverage:
    """One statement."""
    width: Any = ExpressionWrapper(F("quoted_high_at") - F("quoted_low_at"), DurationField())
    inside = Q(delivered_at__range=(F("quoted_low_at"), F("quoted_high_at")))
    # An order is open for days at most, so few are left out by its time of placing.
    orders = _delivered().filter(
        delivered_at__gte=now - WEEK, created_at__gte=now - 2 * WEEK, quoted_low_at__isnull=False
    )
    found = orders.order_by().aggregate(
        deliveries=Count("pk"), inside=Count("pk", filter=inside), width_s=Percentile(width, 0.5)
    )
    return Coverage(**found)


def ranges(now: datetime) -> Ranges:
    """The range of each case with enough deliveries, learnt again once an hour. Raises Away."""
    stored = redis_client.ask(lambda client: client.get(RANGES_KEY))
    if isinstance(stored, bytes):
        return msgspec.json.decode(stored, type=Ranges)
    learnt = calibration.fitted(_ratios(now))
    encoded = msgspec.json.encode(learnt)
    redis_client.ask(lambda client: client.set(RANGES_KEY, encoded, ex=LEARN_EVERY_S))
    return learnt


def _ratios(now: datetime) -> dict[str, list[float]]:
    """Real over expected time of the deliveries of whole days, by case. See `calibration`."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)

    def since(at: F) -> ExpressionWrapper:
        return ExpressionWrapper(at - F("created_at"), DurationField())

    rows = (
        _delivered()
        .filter(created_at__gte=today - LEARNT_FROM, created_at__lt=today)
        .filter(quoted_expected_at__gt=F("created_at"))
        .exclude(quoted_case="")
        .order_by("-created_at")
        .values_list("quoted_case", since(F("delivered_at")), since(F("quoted_expected_at")))
    )
    ratios: dict[str, list[float]] = {}
    for case, took, expected in rows[:MAX_LEARNT]:
        ratios.setdefault(case, []).append(took / expected)
    return ratios


def _delivered() -> QuerySet[Order]:
    """Live deliveries whose time was not changed after the quote."""
    events = DeliveryEvent.objects.since(OuterRef("created_at")).filter(order=OuterRef("pk"))
    changed = events.filter(type=EventType.RESCHEDULED)
    return Order.objects.live().filter(~Exists(changed), status=Status.DELIVERED)
