"""What customers are told, and the code that one of them has to carry: the messages' outbox."""

import uuid
from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Exists, Q
from django.utils import timezone

from orders.models import Order
from wingxtra.outbox import Outgoing, OutgoingQuerySet

# So that a slow gateway does not keep all workers from the rest.
AT_ONCE = 4


class CustomerMessageQuerySet(OutgoingQuerySet["CustomerMessage"]):
    def waiting(self) -> Self:
        return self.filter(state=CustomerMessage.State.WAITING)

    def due(self, now: datetime) -> Self:
        """To be sent now, by the worker that claims it first."""
        claimed = CustomerMessage.objects.order_by().filter(claimed_until__gt=now)
        return super().due(now).waiting().filter(~Exists(claimed[AT_ONCE - 1 : AT_ONCE]))

    def given_up(self) -> Self:
        """Those that somebody should know of: the customer was not told."""
        return self.filter(state=CustomerMessage.State.GIVEN_UP)


class CustomerMessage(Outgoing):
    """One message to one customer by one channel, never twice. Its id is the message's."""

    class Kind(models.TextChoices):
        RECEIVED = "RECEIVED", "Order received"
        LAUNCHED = "LAUNCHED", "Drone launched"
        ARRIVING = "ARRIVING", "Drone arriving"
        DELIVERED = "DELIVERED", "Delivered"
        DELAYED = "DELAYED", "Delayed"
        CANCELED = "CANCELED", "Canceled"
        FAILED = "FAILED", "Not delivered"

    class Channel(models.TextChoices):
        SMS = "sms", "SMS"
        EMAIL = "email", "E-mail"
        CONSOLE = "console", "Console"

    class State(models.TextChoices):
        WAITING = "WAITING", "Waiting"
        SENT = "SENT", "Sent"
        GIVEN_UP = "GIVEN_UP", "Given up"
        DROPPED = "DROPPED", "Not needed any more"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    order = models.ForeignKey(
        Order, on_delete=models.PROTECT, related_name="messages", db_index=False
    )
    kind = models.CharField(max_length=10, choices=Kind)
    channel = models.CharField(max_length=8, choices=Channel)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)

    # As it was sent, or tried last; a code is blotted out.
    address = models.CharField(max_length=254, blank=True)
    subject = models.CharField(max_length=200, blank=True)
    text = models.TextField(blank=True)

    tries = models.PositiveSmallIntegerField(default=0)
    problem = models.CharField(
        max_length=300, blank=True, help_text="Why it was not sent, the last time that it was not."
    )
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)

    objects = CustomerMessageQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["order", "kind", "channel"], name="message_told_once_per_channel"
            )
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"], name="message_waiting", condition=Q(state="WAITING")
            ),
            models.Index(
                fields=["created_at"], name="message_given_up", condition=Q(state="GIVEN_UP")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.get_channel_display()}"


class CodeToTell(models.Model):
    """A delivery's one-time code on its way to the customer: sealed, and gone when that is over."""

    order = models.OneToOneField(
        Order, on_delete=models.CASCADE, primary_key=True, related_name="code_to_tell"
    )
    sealed = models.BinaryField(editable=False)

    def __str__(self) -> str:
        return "sealed"
