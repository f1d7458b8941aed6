"""Occurrences: what went wrong on a flight, as staff wrote it, with files and notes."""

import uuid
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from orders.models import DeliveryJob, Order


class OccurrenceQuerySet(models.QuerySet["Occurrence"]):
    def holding(self) -> Self:
        """Those whose data must not be deleted."""
        return self.filter(released_at__isnull=True)


class Occurrence(models.Model):
    """One occurrence on the flight of one job. It holds the order's data from deletion until an
    administrator releases it, which needs it to be closed.
    """

    class Category(models.TextChoices):
        INJURY_RISK = "INJURY_RISK", "Danger to people"
        COLLISION = "COLLISION", "Collision, or nearly one"
        LOSS_OF_CONTROL = "LOSS_OF_CONTROL", "The drone could not be controlled"
        LINK = "LINK", "The link was lost"
        TECHNICAL = "TECHNICAL", "Technical failure of the drone"
        BATTERY = "BATTERY", "Battery"
        PARCEL = "PARCEL", "The parcel fell, leaked or was damaged"
        AIRSPACE = "AIRSPACE", "In a zone or height where it should not be"
        GROUND = "GROUND", "On the ground: loading, charging, take-off place"
        WEATHER = "WEATHER", "Weather"
        SECURITY = "SECURITY", "Attack, theft or interference"
        OTHER = "OTHER", "Something else"

    class State(models.TextChoices):
        OPEN = "OPEN", "Open"
        REPORTED = "REPORTED", "Reported to the authority"
        CLOSED = "CLOSED", "Closed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="flight_occurrences")
    job = models.ForeignKey(DeliveryJob, on_delete=models.PROTECT, related_name="occurrences")
    category = models.CharField(max_length=16, choices=Category)
    injury = models.BooleanField("a person was hurt", default=False)
    happened_at = models.DateTimeField()
    text = models.CharField(max_length=5000, help_text="What happened, in the words of staff.")
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    written_by = models.CharField(max_length=180)
    created_at = models.DateTimeField(default=timezone.now)
    released_at = models.DateTimeField(null=True, help_text="Until then its data are held.")
    released_by = models.CharField(max_length=180, blank=True)
    released_because = models.CharField(max_length=300, blank=True)

    objects = OccurrenceQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["job", "category", "happened_at"], name="occurrence_written_once"
            ),
            models.CheckConstraint(
                name="occurrence_released_when_closed",
                condition=Q(released_at__isnull=True, released_by="")
                | (Q(released_at__isnull=False, state="CLOSED") & ~Q(released_by="")),
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="occurrence_newest"),
            models.Index(
                fields=["order"], name="occurrence_holding", condition=Q(released_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_category_display()}, {self.happened_at:%d %b %Y %H:%M}"


class OccurrenceNote(models.Model):
    """What was done about it, append-only: a trigger refuses changes."""

    occurrence = models.ForeignKey(Occurrence, on_delete=models.PROTECT, related_name="notes")
    at = models.DateTimeField(default=timezone.now)
    by = models.CharField(max_length=180)
    state = models.CharField(
        max_length=8, choices=Occurrence.State, help_text="Of the occurrence after it."
    )
    text = models.CharField(max_length=2000)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.text[:60]


class OccurrenceFile(models.Model):
    """An attached file, stored as it came: what a picture says of its time and place is evidence.

    It is served for download only. `file` is empty once the order's personal data was removed.
    """

    occurrence = models.ForeignKey(Occurrence, on_delete=models.PROTECT, related_name="files")
    name = models.CharField(max_length=120)
    content_type = models.CharField(max_length=40)
    size_bytes = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    file = models.FileField(upload_to="occurrences", blank=True)
    by = models.CharField(max_length=180)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["occurrence", "sha256"], name="occurrence_file_attached_once"
            )
        ]

    def __str__(self) -> str:
        return self.name
