"""The jobs (attempts) and events of an order."""

import uuid
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from fleet.models import Drone
from orders.models.sla import seconds_until
from orders.states import EventType, JobStatus, Status
from wingxtra.accounts.identity import ActorKind


class DeliveryJobQuerySet(models.QuerySet["DeliveryJob"]):
    def active(self) -> Self:
        return self.filter(status=JobStatus.ACTIVE)


class DeliveryJob(models.Model):
    """One drone's attempt at an order. The database allows one active job per order and drone."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    order = models.ForeignKey("orders.Order", on_delete=models.PROTECT, related_name="jobs")
    drone = models.ForeignKey(
        Drone,
        on_delete=models.PROTECT,
        null=True,
        related_name="jobs",
        help_text="Empty for a test order: no real drone ever flies one.",
    )
    # The mission of this job. The id is generated here, so that lists need no join.
    mission_intent_id = models.UUIDField(default=uuid.uuid4, db_index=True, editable=False)
    attempt = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=10, choices=JobStatus, default=JobStatus.ACTIVE)
    override_reason = models.CharField(max_length=300, blank=True)
    promised_at = models.DateTimeField(
        null=True, help_text="When dispatch expected the parcel at the door."
    )
    eta_at = models.DateTimeField(null=True, help_text="As it is known now, while it flies.")
    ended_because = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    ended_at = models.DateTimeField(null=True)

    objects = DeliveryJobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(status=JobStatus.ACTIVE),
                name="one_active_job_per_order",
            ),
            models.UniqueConstraint(
                fields=["drone"],
                condition=Q(status=JobStatus.ACTIVE),
                name="one_active_job_per_drone",
            ),
            models.UniqueConstraint(fields=["order", "attempt"], name="job_attempts_counted"),
            models.CheckConstraint(
                name="job_ended_has_its_time",
                condition=Q(status=JobStatus.ACTIVE, ended_at__isnull=True)
                | (~Q(status=JobStatus.ACTIVE) & Q(ended_at__isnull=False)),
            ),
        ]
        # With its drone for the report of a shift, which joins the jobs of its days.
        indexes = [
            models.Index(fields=["-created_at", "-id"], include=["drone"], name="job_newest_drone")
        ]

    def __str__(self) -> str:
        return f"{self.drone_id or 'test drone'}, attempt {self.attempt}"

    def eta_seconds(self, now: datetime) -> int | None:
        return seconds_until(self.eta_at, now)


# The events of one transaction have the time at which it began, a moment before its rows were made.
EVENT_MARGIN = timedelta(days=1)


class DeliveryEventQuerySet(models.QuerySet["DeliveryEvent"]):
    def since(self, at: Any) -> Self:
        """Those of what was made at this time, a datetime or an expression: the database skips the
        months before.
        """
        return self.filter(created_at__gte=at - EVENT_MARGIN)


IN_REPORTS = (
    *(EventType.QUEUED, EventType.REQUEUED, EventType.ASSIGNED, EventType.LAUNCHED),
    *(EventType.CANCELED, EventType.FAILED, EventType.RESCHEDULED),
)


class DeliveryEvent(models.Model):
    """What happened, who caused it and why. Append-only: the database refuses UPDATE, DELETE
    and TRUNCATE. Partitioned by month of `created_at`.

    Kept forever, so it must hold no personal data. `id` grows in the order of writing. The database
    also refuses a second prediction of a delay for the same promise (a trigger).
    """

    id = models.BigAutoField(primary_key=True)
    order = models.ForeignKey("orders.Order", on_delete=models.PROTECT, related_name="events")
    job = models.ForeignKey(DeliveryJob, on_delete=models.PROTECT, null=True, related_name="events")
    type = models.CharField(max_length=20, choices=EventType)
    status = models.CharField(
        max_length=20, choices=Status, help_text="The order's status once this had happened."
    )
    message = models.CharField(max_length=500)
    actor_kind = models.CharField(max_length=12, choices=ActorKind)
    actor_ref = models.CharField(max_length=160, blank=True)
    payload = models.JSONField(default=dict)
    occurred_at = models.DateTimeField(help_text="When it happened, as the sender says.")
    created_at = models.DateTimeField(default=timezone.now, help_text="When we wrote it down.")

    objects = DeliveryEventQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["order", "id"], name="event_of_order"),
            models.Index(fields=["type", "created_at"], name="event_type_time"),
            models.Index(
                fields=["actor_ref", "created_at"],
                name="event_of_person",
                condition=Q(actor_kind=ActorKind.USER),
            ),
            # The steps into the queue and out of it, and the take-offs: a report reads these of
            # its days without the rows, which lie between all others.
            models.Index(
                fields=["type", "created_at"],
                include=["order", "id", "job", "occurred_at"],
                name="event_in_reports",
                condition=Q(type__in=IN_REPORTS) | Q(payload__was=Status.QUEUED),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} ({self.actor_kind})"

    @property
    def actor(self) -> str:
        return f"{self.actor_kind}:{self.actor_ref}" if self.actor_ref else self.actor_kind
