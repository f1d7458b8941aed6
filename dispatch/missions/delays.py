"""Orders that will be late, told to merchant and customer once for each promise.

The expectation is the later of two times: the ETA, if it is believed, and the soonest time that is
still possible, which needs no telemetry. Before launch an ETA only stands, so time passes it. An
order in line is also late when the start of its expected range is.
"""

from datetime import datetime, timedelta

from django.db.models import Case, DurationField, Exists, F, OuterRef, Q, Value, When
from django.db.models.functions import Greatest

from dispatch.missions import discrepancies
from dispatch.models import Flight
from fleet import policy
from fleet.feasibility.rules import Rules
from orders import lifecycle
from orders.lifecycle import Delay
from orders.models import Order
from orders.promises import memory
from orders.states import AT_THE_DROP_POINT, IN_FLIGHT, TERMINAL, WAITING
from wingxtra.accounts.identity import SYSTEM

# Too late to be told: the parcel is there, or nothing more comes.
NOT_TOLD = (*AT_THE_DROP_POINT, *TERMINAL)
# Older delays are not told, for example after an outage of ours.
MAX_AGE = timedelta(hours=12)
MAX_PER_RUN = 200


def tell(now: datetime) -> int:
    """Write DELAY_PREDICTED for each order that is predicted late; returns how many."""
    rules = policy.current()
    told_after = timedelta(minutes=rules.delay_told_minutes)
    longest = timedelta(seconds=rules.launch_time_s + _handling_s(rules))
    orders = (
        Order.objects.exclude(status__in=NOT_TOLD)
        .filter(deliver_by__gte=now - MAX_AGE)
        # Cheap, and true for few orders: the rest takes subqueries.
        .filter(
            Q(deliver_by__lt=now + longest - told_after)
            | Q(current_job__eta_at__gt=F("deliver_by") + told_after)
        )
        .exclude(lifecycle.told_of_delay())
        .annotate(expected_at=_expected_at(rules, now))
        .filter(expected_at__gt=F("deliver_by") + told_after)
    )
    found = orders.order_by("deliver_by").values_list("pk", "deliver_by", "expected_at")
    delays = [Delay(*row) for row in found[:MAX_PER_RUN]]
    known = {delay.order_id for delay in delays}
    in_line = [delay for delay in _in_line(now, told_after) if delay.order_id not in known]
    delays += in_line[: MAX_PER_RUN - len(delays)]
    return len(lifecycle.predict_delays(delays, by=SYSTEM)) if delays else 0


def _in_line(now: datetime, told_after: timedelta) -> list[Delay]:
    """Waiting orders that are late even at the start of their expected range."""
    waiting = Order.objects.dispatchable().filter(deliver_by__gte=now - MAX_AGE)
    orders = list(waiting.exclude(lifecycle.told_of_delay()).order_by("deliver_by"))
    spots = memory.in_line(orders, now)
    return [
        Delay(order.pk, order.deliver_by, spot.soonest_at)
        for order in orders
        if (spot := spots.get(order.pk)) is not None
        and spot.soonest_at is not None
        and spot.soonest_at > order.deliver_by + told_after
    ]


def _expected_at(rules: Rules, now: datetime) -> Greatest:
    """PostgreSQL's GREATEST ignores a missing ETA."""
    handling_s = _handling_s(rules)
    soonest = Case(
        When(status__in=IN_FLIGHT, then=Value(timedelta(0))),
        When(status__in=WAITING, then=Value(timedelta(seconds=rules.launch_time_s + handling_s))),
        default=Value(timedelta(seconds=handling_s)),
        output_field=DurationField(),
    )
    lost = Flight.objects.filter(job=OuterRef("current_job"), link_lost_at__isnull=False)
    believed = ~discrepancies.doubted() & ~Q(Exists(lost))
    eta = Case(When(believed, then=F("current_job__eta_at")))
    return Greatest(Value(now) + soonest, eta)


def _handling_s(rules: Rules) -> float:
    return rules.load_time_s + rules.delivery_time_s
