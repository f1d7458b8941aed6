"""The handover note of a shift."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from wingxtra.console.times import in_words


class ShiftNote(models.Model):
    """What one shift tells the next, with what was open at that moment. Only its reading is added
    later.
    """

    written_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    written_at = models.DateTimeField(default=timezone.now)
    text = models.TextField(max_length=4000)
    open_items = models.JSONField(
        default=list, help_text="The attention lines: text, detail, since, tone."
    )
    not_checked = models.JSONField(default=list, help_text="What could not be checked, and why.")
    paused = models.JSONField(default=list, help_text="Where dispatch was paused: text, detail.")
    held = models.JSONField(default=list, help_text="Drones on hold or grounded: text, detail.")
    read_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    read_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "handover note"
        ordering = ["-written_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="shift_note_read_by_a_person",
                condition=Q(read_by__isnull=True, read_at__isnull=True)
                | Q(read_by__isnull=False, read_at__isnull=False),
            )
        ]
        indexes = [
            models.Index(fields=["-written_at", "-id"], name="shift_note_newest"),
            models.Index(
                fields=["written_at"], name="shift_note_unread", condition=Q(read_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"Note of {in_words(self.written_at)}"
