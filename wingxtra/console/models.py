"""Tables of the console itself."""

import uuid
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from wingxtra.outbox import Outgoing, OutgoingQuerySet

# The next shift has to look again.
LASTS = timedelta(hours=12)
MAX_QUERY = 2000  # characters of a saved filter


class AcknowledgementQuerySet(models.QuerySet["Acknowledgement"]):
    def standing(self, now: datetime) -> Self:
        """Without an end of its own a row lasts for LASTS: it is older than the column."""
        return self.filter(Q(until__gt=now) | Q(until__isnull=True, at__gt=now - LASTS))

    def over(self, before: datetime) -> Self:
        """Those that ended before this time."""
        return self.filter(Q(until__lt=before) | Q(until__isnull=True, at__lt=before - LASTS))


class Acknowledgement(models.Model):
    """A person takes care of an attention item, or of a line with all its items, until a time.

    It is open again when its level rises, or when the problem ends and begins again.
    """

    key = models.CharField(max_length=200, unique=True, help_text="Of the item, or a cause.")
    level = models.IntegerField()
    text = models.CharField(max_length=300)
    note = models.CharField(max_length=300, blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    by_name = models.CharField(
        max_length=180,
        blank=True,
        default="",
        db_default="",
        help_text="Who it was, in another system.",
    )
    at = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField(null=True)

    objects = AcknowledgementQuerySet.as_manager()

    def __str__(self) -> str:
        return self.text

    @property
    def who(self) -> str:
        return str(self.by) if self.by else self.by_name


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
                condition=Q(state="RUNNING"),
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
