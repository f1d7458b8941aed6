"""Dispatch runs, and what each decided."""

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from fleet.models import Drone, ServiceArea
from orders.models import Order


class DispatchRun(models.Model):
    """One plan of all queued orders against all able drones, and how good it was."""

    class Trigger(models.TextChoices):
        SCHEDULE = "SCHEDULE", "Schedule"
        API = "API", "API"
        CONSOLE = "CONSOLE", "Console"
        COMMAND = "COMMAND", "Command"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    trigger = models.CharField(max_length=8, choices=Trigger)
    actor = models.CharField(max_length=180)
    dry_run = models.BooleanField(default=False)
    service_area = models.ForeignKey(ServiceArea, on_delete=models.PROTECT, null=True, blank=True)
    policy_version = models.PositiveIntegerField()
    picture_at = models.DateTimeField(null=True, help_text="When the fleet picture was taken.")
    note = models.CharField(
        max_length=300, blank=True, help_text="Why nothing was planned, if nothing was."
    )
    orders_considered = models.PositiveIntegerField(default=0)
    drones_considered = models.PositiveIntegerField(default=0)
    assigned = models.PositiveIntegerField(default=0)
    value = models.FloatField(null=True, help_text="The cost of the plan, in weighted seconds.")
    bound = models.FloatField(null=True, help_text="No plan can cost less than this.")
    started_at = models.DateTimeField(default=timezone.now)
    duration_ms = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-started_at", "-id"]
        indexes = [models.Index(fields=["-started_at", "-id"], name="run_newest")]

    def __str__(self) -> str:
        return f"Run of {self.started_at:%Y-%m-%d %H:%M:%S}"


class DispatchDecision(models.Model):
    """What one run decided about one order, and why. Partitioned by month of `decided_at`."""

    class Outcome(models.TextChoices):
        ASSIGNED = "ASSIGNED", "Assigned"
        WAITING = "WAITING", "Waits for a better drone"
        UNASSIGNED = "UNASSIGNED", "No drone"
        OVERTAKEN = "OVERTAKEN", "Changed during the run"

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(DispatchRun, on_delete=models.CASCADE, related_name="decisions")
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="decisions")
    outcome = models.CharField(max_length=10, choices=Outcome)
    drone = models.ForeignKey(Drone, on_delete=models.PROTECT, null=True, related_name="+")
    able_at = models.DateTimeField(
        null=True, help_text="When the drone that the order waits for is expected to be able."
    )
    figures = models.JSONField(
        default=dict, help_text="The chosen drone's delivery_s, energy_pct, distance_m and cost."
    )
    runners_up = models.JSONField(default=list, help_text="The next best drones and their figures.")
    ruled_out = models.JSONField(default=list, help_text="Per reason: code and how many drones.")
    nearest = models.JSONField(
        null=True, help_text="Where no drone was able: the closest miss, and what it lacked."
    )
    why = models.CharField(max_length=500, blank=True, help_text="The decision in words.")
    decided_at = models.DateTimeField(
        default=timezone.now,
        db_default=Now(),
        editable=False,
        help_text="Decisions from before this column have the time of its migration.",
    )

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["order", "-id"], name="decision_of_order"),
            models.Index(
                fields=["order", "drone"],
                name="decision_to_wait",
                include=["able_at"],
                condition=Q(outcome="WAITING"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome}: {self.drone_id or 'none'}"
