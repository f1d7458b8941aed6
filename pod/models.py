"""That it arrived: one proof per order, and the one-time code that can give it."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from orders.models import Order
from orders.states import PodRequirement


class ProofOfDelivery(models.Model):
    """The proof. One per order: the database refuses a second one."""

    class Method(models.TextChoices):
        OTP = PodRequirement.OTP.value, "One-time code"
        PHOTO = PodRequirement.PHOTO.value, "Photo"
        SIGNATURE = PodRequirement.SIGNATURE.value, "Signature"
        OPERATOR_CONFIRM = PodRequirement.OPERATOR_CONFIRM.value, "Operator's confirmation"

    order = models.OneToOneField(
        Order, on_delete=models.PROTECT, primary_key=True, related_name="proof"
    )
    method = models.CharField(max_length=16, choices=Method)
    confirmed_by = models.CharField(
        max_length=120, blank=True, help_text="Who confirmed it, where somebody did."
    )
    photo_url = models.URLField(max_length=500, blank=True)
    note = models.CharField(max_length=500, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    recorded_by = models.CharField(max_length=180, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "proof of delivery"
        verbose_name_plural = "proofs of delivery"
        constraints = [
            models.CheckConstraint(
                name="proof_operator_named",
                condition=~Q(method=PodRequirement.OPERATOR_CONFIRM) | ~Q(confirmed_by=""),
            )
        ]

    def __str__(self) -> str:
        return self.get_method_display()


class OneTimeCode(models.Model):
    """Six digits that only the recipient knows, kept as a keyed hash. Five tries, then locked."""

    MAX_TRIES = 5

    order = models.OneToOneField(
        Order, on_delete=models.CASCADE, primary_key=True, related_name="one_time_code"
    )
    digest = models.CharField(max_length=64)
    tries = models.PositiveSmallIntegerField(default=0)
    issued_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(name="code_tries_bounded", condition=Q(tries__lte=5))
        ]

    def __str__(self) -> str:
        return "locked" if self.is_locked else f"{self.MAX_TRIES - self.tries} tries left"

    @property
    def is_locked(self) -> bool:
        return self.tries >= self.MAX_TRIES
