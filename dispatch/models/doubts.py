"""What a person must settle: contradictions, and a pause of publishing."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from orders.models import DeliveryJob, Order


class Discrepancy(models.Model):
    """An unclear flight, or two sources that contradict each other.

    Kept permanently. It stands until a person settles it or its cause ends.
    """

    class Code(models.TextChoices):
        UNCLEAR_LANDING = "UNCLEAR_LANDING", "Landed, and it is not known whether it delivered"
        AT_THE_DROP = "AT_THE_DROP", "Stands at the drop point"
        STANDS_AT_HUB = "STANDS_AT_HUB", "Said to fly, seen standing at a hub"
        DELIVERED_AFTER_END = "DELIVERED_AFTER_END", "Reported delivered after its end"
        FLIES_AFTER_END = "FLIES_AFTER_END", "Reported flying after its end"
        FAILED_AFTER_DELIVERY = "FAILED_AFTER_DELIVERY", "Reported failed after its delivery"
        EARLY_REPORT = "EARLY_REPORT", "Reported at the drop point, seen far from it"
        AIRSPACE = "AIRSPACE", "A zone is in the way"
        WEATHER = "WEATHER", "The wind is over its limit or unknown"
        BATTERY = "BATTERY", "The battery is not enough for the rest"

    # While one of these stands, no new mission is flown for the order.
    BLOCKING_CODES = (Code.UNCLEAR_LANDING, Code.DELIVERED_AFTER_END, Code.FLIES_AFTER_END)

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="discrepancies")
    job = models.ForeignKey(DeliveryJob, on_delete=models.PROTECT, related_name="discrepancies")
    code = models.CharField(max_length=24, choices=Code)
    message = models.CharField(max_length=500)
    raised_at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True)
    settled_by = models.CharField(max_length=180, blank=True)
    settlement = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name_plural = "discrepancies"
        ordering = ["-raised_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["job", "code"],
                condition=Q(settled_at__isnull=True),
                name="discrepancy_raised_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["raised_at"],
                name="discrepancy_standing",
                condition=Q(settled_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_code_display()}: {self.order}"


class PublishingPause(models.Model):
    """A pause of publishing because ground control refuses the form of our missions."""

    began_at = models.DateTimeField(default=timezone.now)
    because = models.CharField(max_length=1000)
    refused = models.PositiveSmallIntegerField(help_text="Orders refused one after another.")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=180, blank=True)

    class Meta:
        ordering = ["-began_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["ended_at"],
                condition=Q(ended_at__isnull=True),
                nulls_distinct=False,
                name="one_publishing_pause_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"Since {self.began_at:%Y-%m-%d %H:%M}"
