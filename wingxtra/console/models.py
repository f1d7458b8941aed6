"""Tables of the console itself."""

import uuid
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from wingxtra.outbox import Outgoing, OutgoingQuerySet

# The next shift has to look again.
LASTS = timedelta(hours=12)
MAX_QUERY = 2000  # characters of a saved filter


class AcknowledgementQuerySet(models.QuerySet["Acknowledgement"]):
    def standing(self, now: datetime) -> Self:
        return self.filter(at__gt=now - LASTS)


class Acknowledgement(models.Model):
    """A user takes care of an attention item. The item is open again when its level rises."""

    key = models.CharField(max_length=200, unique=True)
    level = models.IntegerField()
    text = models.CharField(max_length=300)
    note = models.CharField(max_length=300)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    objects = AcknowledgementQuerySet.as_manager()

    def __str__(self) -> str:
        return self.text


class BulkActionQuerySet(OutgoingQuerySet["BulkAction"]):
    def due(self, now: datetime) -> Self:
        return super().due(now).filter(state=BulkAction.State.RUNNING)


class BulkAction(Outgoing):
    """One action of staff on many objects, in the background. Its rows are what was chosen.

    The row is the outbox: a worker claims it, works for a few seconds, and leaves the rest to the
    next one.
    """

    class State(models.TextChoices):
        CHOSEN = "CHOSEN", "Not confirmed"
        RUNNING = "RUNNING", "Running"
        DONE = "DONE", "Done"
        STOPPED = "STOPPED", "Stopped"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    label = models.CharField(max_length=100, help_text="The model: orders.order")
    name = models.CharField(max_length=50, help_text="The action: cancel")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    chosen_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=7, choices=State, default=State.CHOSEN)
    form = models.JSONField(default=dict, help_text="As posted. Emptied at the end.")
    stop = models.BooleanField(default=False, help_text="A person asked to stop it.")

    objects = BulkActionQuerySet.as_manager()

    class Meta:
        ordering = ["-chosen_at", "-id"]
        indexes = [
            models.Index(
                fields=["next_try_at"],
                name="bulk_action_to_do",
                condition=models.Q(state="RUNNING"),
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.chosen_at:%d %b %H:%M}"

    @property
    def is_over(self) -> bool:
        return self.state in (self.State.DONE, self.State.STOPPED)


class BulkRow(models.Model):
    """One object of a bulk action, and what became of it."""

    class State(models.TextChoices):
        WAITING = "WAITING", "Waiting"
        STARTED = "STARTED", "Started"
        DONE = "DONE", "Done"
        REFUSED = "REFUSED", "Not done"
        UNKNOWN = "UNKNOWN", "Not known"

    bulk = models.ForeignKey(BulkAction, on_delete=models.CASCADE, related_name="rows")
    position = models.PositiveIntegerField(help_text="From 1, as in the list.")
    object_id = models.CharField(max_length=64)
    about = models.CharField(max_length=200)
    seen = models.TextField(help_text="The token of its state when it was chosen.")
    state = models.CharField(max_length=7, choices=State, default=State.WAITING)
    result = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["bulk", "position"], name="bulk_row_position"),
            models.UniqueConstraint(fields=["bulk", "object_id"], name="bulk_row_once"),
        ]
        indexes = [models.Index(fields=["bulk", "state", "position"], name="bulk_row_state")]

    def __str__(self) -> str:
        return self.about


class SavedFilter(models.Model):
    """What a list shows, under a name: for its owner, or for all staff."""

    label = models.CharField(max_length=100, help_text="The list's model: orders.order")
    name = models.CharField(max_length=60)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    is_shared = models.BooleanField(default=False, help_text="All staff see it.")
    query = models.CharField(
        max_length=MAX_QUERY, help_text="The list's own parameters, no search."
    )

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "label", "name"], name="saved_filter_name"),
        ]

    def __str__(self) -> str:
        return self.name
