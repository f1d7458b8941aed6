"""Templates of orders, and what became of each of their days."""

import uuid
from typing import Any, Self
from zoneinfo import ZoneInfo

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from orders.recurring.schedule import Schedule
from wingxtra.accounts.identity import Caller, Role
from wingxtra.accounts.models import Merchant
from wingxtra.opening_hours import WEEKDAYS

MOST_HOURS_AHEAD = 14 * 24


class RecurringOrderQuerySet(models.QuerySet["RecurringOrder"]):
    def visible_to(self, caller: Caller) -> Self:
        """All for an administrator, a merchant's own of the caller's mode, none for others."""
        if caller.role == Role.ADMIN:
            return self
        if caller.role == Role.MERCHANT and caller.merchant_id is not None:
            return self.filter(merchant_id=caller.merchant_id, live_mode=caller.live_mode)
        return self.none()


class RecurringOrder(models.Model):
    """A template that places an order for each of its days, some hours ahead."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    merchant = models.ForeignKey(
        Merchant, on_delete=models.PROTECT, related_name="recurring_orders"
    )
    live_mode = models.BooleanField(default=True, editable=False)
    name = models.CharField(max_length=80)
    order: Any = models.JSONField(help_text="As a new order of the API, without times.")
    weekdays = ArrayField(
        models.CharField(max_length=9, choices=[(day, day.title()) for day in WEEKDAYS])
    )
    local_time = models.TimeField(help_text="By the clock on the wall there.")
    time_zone = models.CharField(max_length=64, editable=False, help_text="Of the service area.")
    hours_ahead = models.PositiveSmallIntegerField(
        default=24, validators=[MinValueValidator(1), MaxValueValidator(MOST_HOURS_AHEAD)]
    )
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True, help_text="The last day. Empty: no end.")
    paused = models.BooleanField(default=False)
    active_since = models.DateTimeField(
        default=timezone.now, editable=False, help_text="Days before are not made up for."
    )
    next_due_at = models.DateTimeField(null=True, default=timezone.now, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = RecurringOrderQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["next_due_at"], name="recurring_due", condition=Q(paused=False))
        ]
        constraints = [
            models.CheckConstraint(
                name="recurring_ends_after_its_start",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")),
            ),
            models.CheckConstraint(
                name="recurring_on_some_weekday", condition=Q(weekdays__len__gt=0)
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def schedule(self) -> Schedule:
        zone = ZoneInfo(self.time_zone)
        days = frozenset(self.weekdays)
        return Schedule(days, self.local_time, zone, self.starts_on, self.ends_on)


class Occurrence(models.Model):
    """What became of one day of a template. A day without a row is not due yet."""

    class State(models.TextChoices):
        PLACED = "PLACED", "Placed"
        SKIPPED = "SKIPPED", "Skipped"
        REFUSED = "REFUSED", "Not placed"

    recurring = models.ForeignKey(
        RecurringOrder, on_delete=models.CASCADE, related_name="occurrences", db_index=False
    )
    on = models.DateField()
    at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State)
    order = models.OneToOneField(
        "orders.Order", on_delete=models.PROTECT, null=True, related_name="occurrence"
    )
    problems: Any = models.JSONField(default=list, help_text="Why it was not placed.")
    note = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["on"]
        constraints = [
            models.UniqueConstraint(fields=["recurring", "on"], name="occurrence_once_a_day"),
            models.CheckConstraint(
                name="occurrence_placed_with_an_order",
                condition=Q(state="PLACED", order__isnull=False)
                | (~Q(state="PLACED") & Q(order__isnull=True)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.recurring}, {self.on}"
