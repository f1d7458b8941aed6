"""Tables of the console itself."""

from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone

# The next shift has to look again.
LASTS = timedelta(hours=12)


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
