"""Orders in the console: their page, the numbers, and the map."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Count, DurationField, F, Max, Q, QuerySet, Window
from django.db.models.functions import Coalesce, TruncHour
from django.urls import reverse
from django.utils import timezone

from fleet.feasibility.rules import Priority
from orders import presentation
from orders.console import (
    attention,  # noqa: F401 (registers itself)
    order_page,
    tabs,
)
from orders.console.order_list import MOST_URGENT_FIRST
from orders.models import DeliveryEvent, Order
from orders.models.sla import sla
from orders.promises import coverage
from orders.promises.coverage import Coverage
from orders.states import IN_FLIGHT, TERMINAL, EventType, Status
from wingxtra.accounts.identity import Role
from wingxtra.console import actions, registry, roles, watches
from wingxtra.console.look import Look
from wingxtra.console.registry import Chart, Feature, Layer, Number, Piece, Tone
from wingxtra.console.times import house_zone, in_words, start_of
from wingxtra.database.aggregates import Percentile

# From fewer deliveries the share inside the quoted range says little.
MIN_FOR_COVERAGE = 50

roles.seen_by_all("orders.view_order")
roles.done_by_ops("orders.add_order", "orders.change_order", "orders.view_personal_data")
order_page.add_to_console()
registry.home_pages[Role.LOADER] = "loading"


# --- changes since the page was opened -----------------------------------------------------------


def watch_of(*types: EventType) -> watches.Watch:
    """Watches the events of these types, or all."""

    def token(orders: Sequence[Order]) -> dict[UUID, str]:
        if not orders:
            return {}
        newest = (
            _of(DeliveryEvent.objects.since(min(order.created_at for order in orders)))
            .filter(order__in=orders)
            .order_by()
            .values_list("order")
            .annotate(Max("id"))
        )
        return {order_id: str(event_id) for order_id, event_id in newest}

    def changes(order: Order, event_id: str) -> list[str]:
        after = int(event_id) if event_id.isdecimal() else 0
        return [
            f"{in_words(event.occurred_at, order.service_area.zone)}, "
            f"{order_page.actor_name(event)}: "
            f"{EventType(event.type).label}. {order_page.added_message(event)}".strip()
            for event in _of(order.history().filter(id__gt=after))
        ]

    def _of(events: Any) -> Any:
        return events.filter(type__in=types) if types else events

    return watches.Watch(token, changes)


def _description(order: Order) -> str:
    """One line for lists of orders, without personal data."""
    promise, _ = presentation.promise(order, timezone.now())
    parts = [
        order.get_status_display(),
        order.get_priority_display(),
        "" if promise == "—" else promise,
        f"{order.get_payload_type_display()}, {order.payload_weight_kg:g} kg",
        f"from {order.merchant}",
        f"with {order.assigned_drone_id}" if order.assigned_drone_id else "",
    ]
    return " · ".join(filter(None, parts))


actions.describe(Order, _description, "merchant", "current_job")
watches.watch(Order, watch_of())


# --- the numbers ---------------------------------------------------------------------------------


def open_by_status(now: datetime) -> QuerySet[Any]:
    """(status, number of live orders) of those that are open."""
    rows = Order.objects.live().filter(tabs.OPEN).order_by()
    return rows.values_list("status").annotate(Count("pk"))


def delivered_today(now: datetime) -> QuerySet[Any]:
    """(priority, number, how many of them on time, median and 95th percentile of the seconds to the
    door).
    """
    took: Any = F("delivered_at") - Coalesce(F("not_before"), F("created_at"))
    took.output_field = DurationField()
    today = Order.objects.live().filter(delivered_at__gte=start_of("day", now, house_zone()))
    return (
        today.order_by()
        .values_list("priority")
        .annotate(
            count=Count("pk"),
            on_time=Count("pk", filter=Q(delivered_at__lte=F("deliver_by"))),
            median_s=Percentile(took, 0.5),
            p95_s=Percentile(took, 0.95),
        )
    )


def numbers(look: Look) -> Iterator[Number]:
    count_of = dict(look.rows(open_by_status))
    queued, in_flight = count_of.get(Status.QUEUED, 0), sum(count_of.get(s, 0) for s in IN_FLIGHT)
    list_url = reverse("admin:orders_order_changelist")
    yield Number("Queued", str(queued), "waiting for a drone", url=f"{list_url}?tab=queued")
    yield Number("In flight", str(in_flight), "parcels in the air", url=f"{list_url}?tab=in_flight")
    today = look.rows(delivered_today)
    delivered = sum(count for _, count, *_ in today)
    on_time = sum(count for _, _, count, *_ in today)
    yield Number("Delivered today", str(delivered), f"since 00:00 {house_zone().key}")
    if delivered:
        share = 100 * on_time / delivered
        tone = Tone.GOOD if share >= 95 else Tone.WARN if share >= 80 else Tone.BAD
        yield Number("On time today", f"{share:.0f} %", f"{on_time} of {delivered}", tone)
    else:
        yield Number("On time today", "—", "nothing delivered yet")
    seconds_of = {priority: seconds for priority, _, _, *seconds in today}
    for priority in reversed(Priority):
        yield _minutes(priority, seconds_of.get(priority))
    yield _promises_kept(coverage.last_week(look.at))


def _minutes(priority: Priority, seconds: Sequence[float] | None) -> Number:
    """`seconds`: median and 95th percentile; None without a delivery."""
    title = f"{priority.label}, to the door"
    if seconds is None:
        return Number(title, "—", "none delivered today")
    median_s, p95_s = seconds
    return Number(title, f"{median_s / 60:.0f} min", f"median; 95 %: {p95_s / 60:.0f} min")


def _promises_kept(week: Coverage) -> Number:
    """Whether the ranges that were quoted last week held; they are meant to hold for 90 %."""
    title = "Quoted ranges, last week"
    if not week.deliveries:
        return Number(title, "—", "no order with a quoted range was delivered")
    pct = 100 * week.inside / week.deliveries
    width = f"median width {(week.width_s or 0.0) / 60:.0f} min"
    detail = f"of {week.deliveries} deliveries were inside the quoted range; {width}"
    enough = week.deliveries >= MIN_FOR_COVERAGE
    tone = Tone.IDLE if not enough else Tone.GOOD if 85 <= pct <= 95 else Tone.WARN
    return Number(title, f"{pct:.0f} %", detail, tone)


def placed_by_hour(now: datetime) -> QuerySet[Any]:
    """(hour, number) of the last 24 hours."""
    return _by_hour("created_at", now)


def delivered_by_hour(now: datetime) -> QuerySet[Any]:
    return _by_hour("delivered_at", now)


def _by_hour(field: str, now: datetime) -> QuerySet[Any]:
    first = start_of("hour", now - timedelta(hours=23), UTC)
    orders = Order.objects.live().filter(**{f"{field}__gte": first}).order_by()
    return orders.annotate(hour=TruncHour(field)).values_list("hour").annotate(Count("pk"))


def last_day(look: Look) -> Iterator[Chart]:
    placed, delivered = dict(look.rows(placed_by_hour)), dict(look.rows(delivered_by_hour))
    hour = look.at.replace(minute=0, second=0, microsecond=0)
    hours = [hour - timedelta(hours=23 - n) for n in range(24)]
    yield Chart(
        f"Orders per hour, last 24 hours ({house_zone().key})",
        [f"{hour.astimezone(house_zone()):%H:%M}" for hour in hours],
        {
            "Placed": [placed.get(hour, 0) for hour in hours],
            "Delivered": [delivered.get(hour, 0) for hour in hours],
        },
    )


# --- on the map ----------------------------------------------------------------------------------

MAX_ON_MAP = 500


@dataclass(slots=True)
class Drawn:
    """What the live map draws of an order, of up to 1,500 each second: model objects would take
    longer. `on_the_map`: how many orders the layer has.
    """

    pk: UUID
    tracking_id: str
    service_area_id: UUID
    status: str
    priority: str
    created_at: datetime
    not_before: datetime | None
    deliver_by: datetime
    delivered_at: datetime | None
    pickup_lat: float
    pickup_lng: float
    dropoff_lat: float
    dropoff_lng: float
    assigned_drone_id: str | None
    eta_at: datetime | None
    on_the_map: int

    COLUMNS: ClassVar = (
        *("pk", "public_tracking_id", "service_area_id", "status", "priority", "created_at"),
        *("not_before", "deliver_by", "delivered_at", "pickup_lat", "pickup_lng"),
        *("dropoff_lat", "dropoff_lng", "current_job__drone_id", "current_job__eta_at"),
    )

    def __str__(self) -> str:
        return self.tracking_id

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    def sla(self, now: datetime) -> str | None:
        return sla(self, self.eta_at, now)


def features_of(order: Order | Drawn, now: datetime) -> list[Feature]:
    """Pickup, drop point and the line between them."""
    pickup = [order.pickup_lng, order.pickup_lat]
    drop = [order.dropoff_lng, order.dropoff_lat]
    promise, tone = presentation.promise(order, now)
    state = str(Status(order.status).label)
    properties: dict[str, Any] = {
        "tone": tone,
        "facts": [
            ("Status", state),
            ("Priority", str(Priority(order.priority).label)),
            ("Promise", promise),
            ("Drone", order.assigned_drone_id or "none"),
        ],
        "url": _page_of(order.pk),
        "area": str(order.service_area_id),
        "state": state,
    }
    name = str(order)
    line = {"type": "LineString", "coordinates": [pickup, drop]}
    return [
        Feature(f"line-{name}", "line", line, name, **properties),
        Feature(f"from-{name}", "pickup", _point(pickup), f"Pickup of {name}", **properties),
        Feature(f"to-{name}", "drop", _point(drop), f"Drop point of {name}", **properties),
    ]


# The live map draws the same orders each second.
@lru_cache(5_000)
def _page_of(pk: UUID) -> str:
    return reverse("admin:orders_order_change", args=[pk])


def _point(coordinates: list[float]) -> dict[str, Any]:
    return {"type": "Point", "coordinates": coordinates}


def _layer(name: str, title: str, *statuses: Status) -> Layer:
    """The most urgent orders in these statuses; if there are more, the map says so."""

    def reads(now: datetime, only: str) -> registry.QuerySets:
        orders = Order.objects.live().filter(status__in=statuses)
        if only:
            orders = orders.filter(public_tracking_id=only.partition("-")[2])
        rows = orders.values_list(*Drawn.COLUMNS, Window(Count("pk")))
        return (rows.order_by(*MOST_URGENT_FIRST)[:MAX_ON_MAP],)

    def features(now: datetime, only: str, rows: list[Any]) -> Iterator[Feature]:
        for row in rows:
            yield from features_of(Drawn(*row), now)

    def left_out(rows: list[Any]) -> str:
        count = Drawn(*rows[0]).on_the_map if rows else 0
        if count <= MAX_ON_MAP:
            return ""
        return f"{title}: {MAX_ON_MAP} of {count:,} orders are shown, the most urgent."

    return Layer(
        name, title, reads, features, "orders.view_order", group="Orders", left_out=left_out
    )


# Above the drones' numbers.
registry.number_sources.insert(0, Piece(numbers, (open_by_status, delivered_today)))
registry.chart_sources.append(Piece(last_day, (placed_by_hour, delivered_by_hour)))
for name, title, statuses in [
    ("flying", "In flight", IN_FLIGHT),
    ("assigned", "Assigned", (Status.ASSIGNED, Status.MISSION_SUBMITTED)),
    ("queued", "Queued", (Status.QUEUED,)),
]:
    registry.layers.append(_layer(name, title, *statuses))
