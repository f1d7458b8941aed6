"""How an order is proven to be delivered: what it needs, and what there is of it."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from fleet.feasibility.rules import Rules
from orders.states import EventType, Happened, PodRequirement, Status


class Receipt(models.Model):
    """The part of Order about its proof. The proof itself is in the app `pod`."""

    pod_requirement = models.CharField(
        max_length=16, choices=PodRequirement, default=PodRequirement.NONE
    )
    proof_missing = models.BooleanField(
        default=False, editable=False, help_text="Delivered without the proof that it needs."
    )
    proof_method = models.CharField(
        max_length=16,
        choices=PodRequirement,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Of the proof that there is.",
    )
    proof_at = models.DateTimeField(null=True, editable=False)
    proof_awaited_since = models.DateTimeField(
        null=True,
        editable=False,
        help_text="When the drone reported the hand-over, while the delivery waits for its proof.",
    )
    proof_missed_at = models.DateTimeField(
        null=True, editable=False, help_text="When its merchant was told that the proof is missing."
    )

    class Meta:
        abstract = True

    @property
    def lacks_proof(self) -> bool:
        return self.pod_requirement != PodRequirement.NONE and not self.proof_method

    def waits_for_proof(self, rules: Rules) -> bool:
        """Whether a drone's report of the hand-over is not enough to complete the delivery."""
        waits = {
            PodRequirement.OTP: rules.proof_waits_otp,
            PodRequirement.SIGNATURE: rules.proof_waits_signature,
            PodRequirement.PHOTO: rules.proof_waits_photo,
        }
        return self.lacks_proof and waits.get(PodRequirement(self.pod_requirement), False)

    def prove(self, method: PodRequirement, at: datetime) -> Happened:
        self.proof_method, self.proof_at, self.proof_missing = method, at, False
        message = f"Proof of delivery: {method.label.lower()}."
        return Happened(EventType.PROOF_RECORDED, message, {"method": method})

    def await_proof(self, at: datetime) -> Happened:
        """The drone reports the hand-over, and the delivery waits for its proof."""
        self.proof_awaited_since = at
        needed = PodRequirement(self.pod_requirement)
        message = f"The drone reports the hand-over. Waiting for the proof: {needed.label.lower()}."
        return Happened(EventType.PROOF_AWAITED, message, {"needed": needed})

    def miss_proof(self, at: datetime) -> Happened:
        self.proof_missed_at = at
        needed = PodRequirement(self.pod_requirement)
        message = f"Delivered, and the proof is still missing: {needed.label.lower()}."
        return Happened(EventType.PROOF_MISSING, message, {"needed": needed})


CONSTRAINTS = [
    models.CheckConstraint(
        name="order_proof_awaited_at_the_door",
        condition=Q(proof_awaited_since__isnull=True) | Q(status=Status.DELIVERING),
    ),
    models.CheckConstraint(
        name="order_proof_has_its_time",
        condition=Q(proof_method="", proof_at__isnull=True)
        | (~Q(proof_method="") & Q(proof_at__isnull=False)),
    ),
]

INDEXES = [
    models.Index(fields=["delivered_at"], name="order_proofless", condition=Q(proof_missing=True)),
    models.Index(
        fields=["delivered_at"],
        name="order_proofless_untold",
        condition=Q(proof_missing=True, proof_missed_at__isnull=True),
    ),
    models.Index(
        fields=["proof_awaited_since"],
        name="order_proof_awaited",
        condition=Q(proof_awaited_since__isnull=False),
    ),
]
