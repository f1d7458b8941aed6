"""Orders in the console: their page, the numbers, and the map."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Count, DurationField, F, Max, Q, Window
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
from wingxtra.console.registry import Chart, Feature, Layer, Number, Tone
from wingxtra.console.times import house_zone, in_words
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


def numbers(now: datetime) -> Iterator[Number]:
    counts = (
        Order.objects.live()
        .filter(tabs.OPEN)
        .aggregate(
            queued=Count("pk", filter=Q(status=Status.QUEUED)),
            in_flight=Count("pk", filter=Q(status__in=IN_FLIGHT)),
        )
    )
    list_url = reverse("admin:orders_order_changelist")
    yield Number(
        "Queued", str(counts["queued"]), "waiting for a drone", url=f"{list_url}?tab=queued"
    )
    yield Number(
        "In flight", str(counts["in_flight"]), "parcels in the air", url=f"{list_url}?tab=in_flight"
    )
    zone = house_zone()
    midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    today = _delivered_since(midnight).aggregate(
        count=Count("pk"), on_time=Count("pk", filter=Q(delivered_at__lte=F("deliver_by")))
    )
    yield Number("Delivered today", str(today["count"]), f"since 00:00 {zone.key}")
    if today["count"]:
        share = 100 * today["on_time"] / today["count"]
        tone = Tone.GOOD if share >= 95 else Tone.WARN if share >= 80 else Tone.BAD
        yield Number(
            "On time today", f"{share:.0f} %", f"{today['on_time']} of {today['count']}", tone
        )
    else:
        yield Number("On time today", "—", "nothing delivered yet")
    yield from _minutes_per_priority(midnight)
    yield _promises_kept(coverage.last_week(now))


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


def _delivered_since(start: datetime) -> Any:
    """Uses the events: they have an index on type and time."""
    return Order.objects.live().filter(
        events__type=EventType.DELIVERED, events__created_at__gte=start
    )


def _minutes_per_priority(start: datetime) -> Iterator[Number]:
    took: Any = F("delivered_at") - Coalesce(F("not_before"), F("created_at"))
    took.output_field = DurationField()
    rows = (
        _delivered_since(start)
        .order_by()
        .values("priority")
        .annotate(median_s=Percentile(took, 0.5), p95_s=Percentile(took, 0.95))
    )
    by_priority = {row["priority"]: row for row in rows}
    for priority in reversed(Priority):
        row = by_priority.get(priority)
        value = f"{row['median_s'] / 60:.0f} min" if row else "—"
        detail = f"median; 95 %: {row['p95_s'] / 60:.0f} min" if row else "none delivered today"
        yield Number(f"{priority.label}, to the door", value, detail)


def last_day(now: datetime) -> Chart:
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=23)
    rows = (
        DeliveryEvent.objects.filter(
            order__live_mode=True,
            type__in=[EventType.CREATED, EventType.DELIVERED],
            created_at__gte=first,
        )
        .order_by()
        .annotate(hour=TruncHour("created_at"))
        .values_list("type", "hour")
        .annotate(count=Count("id"))
    )
    counts = {(kind, hour): count for kind, hour, count in rows}
    hours = [first + timedelta(hours=n) for n in range(24)]
    return Chart(
        f"Orders per hour, last 24 hours ({house_zone().key})",
        [f"{hour.astimezone(house_zone()):%H:%M}" for hour in hours],
        {
            "Placed": [counts.get((EventType.CREATED, hour), 0) for hour in hours],
            "Delivered": [counts.get((EventType.DELIVERED, hour), 0) for hour in hours],
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


registry.number_sources.insert(0, numbers)  # above the drones' numbers
registry.chart_sources.append(last_day)
for name, title, statuses in [
    ("flying", "In flight", IN_FLIGHT),
    ("assigned", "Assigned", (Status.ASSIGNED, Status.MISSION_SUBMITTED)),
    ("queued", "Queued", (Status.QUEUED,)),
]:
    registry.layers.append(_layer(name, title, *statuses))
