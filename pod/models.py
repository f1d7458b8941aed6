"""The proof of delivery, one per order, the one-time code, and cases after the delivery."""

import json
from typing import Any, Self

import msgspec
from django.db import models
from django.db.models import Q
from django.utils import timezone

from orders.models import Order
from orders.states import PodRequirement

METHODS = [method for method in PodRequirement if method != PodRequirement.NONE]


def proof_methods() -> list[tuple[str, str]]:
    """The choices of a proof's method. A callable: another one needs no migration of this table."""
    return [(method.value, method.label) for method in METHODS]


class NumbersEncoder(json.JSONEncoder):
    """Five times as fast as its parent, for 20,000 numbers."""

    def encode(self, o: Any) -> str:
        return msgspec.json.encode(o).decode()


class ProofOfDelivery(models.Model):
    """One per order: the database refuses a second one."""

    order = models.OneToOneField(
        Order, on_delete=models.PROTECT, primary_key=True, related_name="proof"
    )
    method = models.CharField(max_length=16, choices=proof_methods)
    confirmed_by = models.CharField(
        max_length=120, blank=True, help_text="The person who confirmed the delivery."
    )
    photo_url = models.URLField(
        max_length=500, blank=True, help_text="A photo that is stored elsewhere."
    )
    image = models.FileField(
        upload_to="proofs", blank=True, help_text="The uploaded picture, as we encoded it."
    )
    strokes = models.JSONField(
        null=True,
        blank=True,
        encoder=NumbersEncoder,
        help_text="A drawn signature: strokes of [x, y] points.",
    )
    note = models.CharField(max_length=500, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    # The drone's position when the proof was given at the drop point; null when not known.
    drone_lat = models.FloatField(null=True, editable=False)
    drone_lng = models.FloatField(null=True, editable=False)
    drone_seen_at = models.DateTimeField(
        null=True, editable=False, help_text="When the drone measured its position."
    )
    drone_distance_m = models.FloatField(
        null=True, editable=False, help_text="From the drone to the drop point."
    )
    # SHA-256 of the content: the same content again (double tap, retry) is the same proof.
    fingerprint = models.CharField(max_length=64, editable=False)
    is_forgotten = models.BooleanField(
        default=False, editable=False, help_text="Its personal data was removed."
    )
    recorded_by = models.CharField(max_length=180, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "proof of delivery"
        verbose_name_plural = "proofs of delivery"
        constraints = [
            models.CheckConstraint(
                name="proof_operator_named",
                condition=~Q(method=PodRequirement.OPERATOR_CONFIRM)
                | ~Q(confirmed_by="")
                | Q(is_forgotten=True),
            ),
            models.CheckConstraint(
                name="proof_photo_is_there",
                condition=~Q(method=PodRequirement.PHOTO)
                | ~Q(image="")
                | ~Q(photo_url="")
                | Q(is_forgotten=True),
            ),
            models.CheckConstraint(
                name="proof_signature_is_kept",
                condition=~Q(method=PodRequirement.SIGNATURE)
                | ~Q(image="")
                | Q(strokes__isnull=False)
                | Q(is_forgotten=True),
            ),
        ]

    def __str__(self) -> str:
        return self.get_method_display()

    @property
    def has_picture(self) -> bool:
        """A stored one, or strokes to draw it from."""
        return bool(self.image or self.strokes)


class OneTimeCode(models.Model):
    """Six digits that only the recipient knows, stored as a keyed hash. Locked after five tries.

    Rows are changed only under the order's row lock (see pod.codes).
    """

    MAX_TRIES = 5

    order = models.OneToOneField(
        Order, on_delete=models.CASCADE, primary_key=True, related_name="one_time_code"
    )
    digest = models.CharField(max_length=64)
    tries = models.PositiveSmallIntegerField(default=0, help_text="Wrong ones.")
    issued_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.CheckConstraint(name="code_tries_bounded", condition=Q(tries__lte=5))]

    def __str__(self) -> str:
        return "locked" if self.is_locked else f"{self.tries_left} tries left"

    @property
    def is_locked(self) -> bool:
        return self.tries >= self.MAX_TRIES

    @property
    def tries_left(self) -> int:
        return self.MAX_TRIES - self.tries


class CaseQuerySet(models.QuerySet["Case"]):
    def open(self) -> Self:
        return self.filter(closed_at__isnull=True)

    def with_upload(self) -> Self:
        """Those whose photo is not encoded yet."""
        return self.exclude(upload="")


class Case(models.Model):
    """A customer says after the delivery that something is wrong, and staff answer.

    Rows are changed only under the order's row lock (see pod.cases). Text, photo and answer are
    personal data.
    """

    class Kind(models.TextChoices):
        NOT_HERE = "NOT_HERE", "It is not here"
        DAMAGED = "DAMAGED", "It is damaged"

    class Outcome(models.TextChoices):
        FOUND = "FOUND", "It was found"
        REFUNDED = "REFUNDED", "The merchant refunds it"
        REPLACED = "REPLACED", "The merchant sends another one"
        NOT_CONFIRMED = "NOT_CONFIRMED", "It could not be confirmed"

    order = models.ForeignKey(
        Order,
        on_delete=models.PROTECT,
        related_name="cases",
        db_index=False,  # case_of_order covers it
    )
    kind = models.CharField(max_length=12, choices=Kind)
    text = models.CharField(max_length=500, blank=True, help_text="In the customer's words.")
    photo = models.FileField(upload_to="cases", blank=True, help_text="As we encoded it.")
    upload = models.FileField(
        upload_to="uploads",
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="The photo as it was sent, until it is encoded. Never shown.",
    )
    photo_problem = models.CharField(
        max_length=300,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Why there is no photo although one was sent.",
    )
    # SHA-256 of the content: the same content again (double tap) is the same case.
    fingerprint = models.CharField(max_length=64, blank=True, editable=False)
    is_forgotten = models.BooleanField(default=False, editable=False)
    opened_at = models.DateTimeField(default=timezone.now, editable=False)
    outcome = models.CharField(max_length=16, choices=Outcome, blank=True)
    answer = models.CharField(max_length=500, blank=True, help_text="The customer reads it.")
    closed_by = models.CharField(max_length=180, blank=True, editable=False)
    closed_at = models.DateTimeField(null=True, editable=False)

    objects = CaseQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="case_one_open_per_kind",
                fields=["order", "kind"],
                condition=Q(closed_at__isnull=True),
            ),
            models.CheckConstraint(
                name="case_closed_with_an_outcome",
                condition=Q(closed_at__isnull=True, outcome="")
                | (Q(closed_at__isnull=False) & ~Q(outcome="")),
            ),
        ]
        indexes = [
            models.Index(fields=["order", "opened_at"], name="case_of_order"),
            models.Index(fields=["-opened_at"], name="case_newest"),
            models.Index(fields=["opened_at"], name="case_with_upload", condition=~Q(upload="")),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: order {self.order}"
