"""Constraints and indexes of orders. Each index serves an existing query."""

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Greatest, Upper

from fleet.models import is_a_size, on_earth
from orders.models.queries import SEARCHED
from orders.states import TERMINAL, WITH_A_JOB, Holder, Status

CONSTRAINTS = [
    models.UniqueConstraint(
        fields=["merchant", "external_id"], name="order_external_id_once_per_merchant"
    ),
    models.CheckConstraint(name="order_status_known", condition=Q(status__in=Status.values)),
    models.CheckConstraint(
        name="order_pickup_on_earth", condition=on_earth("pickup_lat", "pickup_lng")
    ),
    models.CheckConstraint(
        name="order_dropoff_on_earth", condition=on_earth("dropoff_lat", "dropoff_lng")
    ),
    models.CheckConstraint(
        name="order_weight_sensible",
        condition=Q(payload_weight_kg__gt=0, payload_weight_kg__lte=1000),
    ),
    models.CheckConstraint(
        name="order_size_sensible",
        condition=Q(payload_size_cm__isnull=True) | is_a_size("payload_size_cm"),
    ),
    models.CheckConstraint(
        name="order_window_in_order",
        condition=Q(not_before__isnull=True) | Q(not_before__lt=F("deliver_by")),
    ),
    models.CheckConstraint(
        name="order_delivered_has_its_time",
        condition=Q(status=Status.DELIVERED, delivered_at__isnull=False)
        | (~Q(status=Status.DELIVERED) & Q(delivered_at__isnull=True)),
    ),
    models.CheckConstraint(
        name="order_scenario_of_test_orders_only",
        condition=Q(live_mode=True, test_scenario="") | Q(live_mode=False),
    ),
    models.CheckConstraint(
        name="order_has_a_job_while_one_is_needed",
        condition=~Q(status__in=[*WITH_A_JOB, Status.DELIVERED]) | Q(current_job__isnull=False),
    ),
]

INDEXES = [
    # `live_mode` is included, so that a count is an index-only scan.
    models.Index(fields=["-created_at", "-id"], include=["live_mode"], name="order_newest_mode"),
    models.Index(
        fields=["merchant", "-created_at", "-id"],
        include=["live_mode"],
        name="order_merchant_newest_mode",
    ),
    # For selective filters.
    models.Index(fields=["status", "-created_at", "-id"], name="order_status_newest"),
    models.Index(fields=["priority", "-created_at", "-id"], name="order_priority_newest"),
    models.Index(
        fields=["store", "-created_at", "-id"],
        name="order_store_newest",
        condition=Q(store__isnull=False),
    ),
    models.Index(
        fields=["reason_code", "-created_at", "-id"],
        name="order_reason_newest",
        condition=~Q(reason_code=""),
    ),
    models.Index(
        fields=["holder", "-created_at", "-id"],
        name="order_holder_list",
        # Recipients hold nearly all parcels: the newest order is soon one of theirs.
        condition=~Q(holder=Holder.RECIPIENT),
    ),
    models.Index(fields=["deliver_by"], name="order_promise"),
    # The figures of the day and of the week.
    models.Index(
        fields=["delivered_at"],
        name="order_delivered",
        condition=Q(live_mode=True, delivered_at__isnull=False),
    ),
    models.Index(fields=["merchant", "updated_at"], name="order_merchant_updated"),
    models.Index(
        fields=["-created_at"],
        name="order_delivered_late",
        condition=Q(delivered_at__gt=F("deliver_by")),
    ),
    models.Index(
        fields=["status", "service_area"],
        name="order_open",
        condition=~Q(status__in=TERMINAL),
    ),
    # The days of reports: when it was placed, or its agreed start. Statistics of this expression
    # (migration 0031) tell PostgreSQL how many orders a day has.
    models.Index(
        Greatest("created_at", "not_before"), name="order_starts", condition=Q(live_mode=True)
    ),
    # Every search scans the index's pending list of new entries: keep it short.
    GinIndex(
        OpClass(Upper(SEARCHED), name="gin_trgm_ops"),
        name="order_search",
        gin_pending_list_limit=256,
    ),
    # Reports leave their events out.
    models.Index(fields=["id"], name="order_test", condition=Q(live_mode=False)),
    models.Index(
        fields=["created_at"],
        name="order_open_test",
        condition=Q(live_mode=False) & ~Q(status__in=TERMINAL),
    ),
    models.Index(
        fields=["updated_at"],
        name="order_to_be_forgotten",
        condition=Q(status__in=TERMINAL, forgotten_at__isnull=True),
    ),
]
