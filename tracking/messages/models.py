"""The outbox of messages to customers, and the sealed codes that the launch message carries."""

import uuid
from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Exists, Q
from django.utils import timezone

from orders.models import DeliveryEvent, Order
from wingxtra.outbox import Outgoing, OutgoingQuerySet

# Claims at a time: a slow gateway must not take all workers.
MAX_CLAIMED = 4


class CustomerMessageQuerySet(OutgoingQuerySet["CustomerMessage"]):
    def waiting(self) -> Self:
        return self.filter(state=CustomerMessage.State.WAITING)

    def due(self, now: datetime) -> Self:
        """Messages to send now. The first worker to claim one sends it."""
        # Claimed ones wait, too. Said here, PostgreSQL knows that they are few, and scans no table.
        claimed = CustomerMessage.objects.order_by().waiting().filter(claimed_until__gt=now)
        return super().due(now).waiting().filter(~Exists(claimed[MAX_CLAIMED - 1 : MAX_CLAIMED]))

    def given_up(self) -> Self:
        """Messages that never reached the customer; the console lists them."""
        return self.filter(state=CustomerMessage.State.GIVEN_UP)


class CustomerMessage(Outgoing):
    """One message of one kind to one customer by one channel. Its id is sent along with it."""

    class Kind(models.TextChoices):
        RECEIVED = "RECEIVED", "Order received"
        LAUNCHED = "LAUNCHED", "Drone launched"
        ARRIVING = "ARRIVING", "Drone arriving"
        DELIVERED = "DELIVERED", "Delivered"
        DELAYED = "DELAYED", "Delayed"
        NEW_TIME = "NEW_TIME", "New time"
        CANCELED = "CANCELED", "Canceled"
        FAILED = "FAILED", "Not delivered"

    class Channel(models.TextChoices):
        SMS = "sms", "SMS"
        WHATSAPP = "whatsapp", "WhatsApp"
        EMAIL = "email", "E-mail"
        CONSOLE = "console", "Console"

    class State(models.TextChoices):
        WAITING = "WAITING", "Waiting"
        SENT = "SENT", "Sent"
        GIVEN_UP = "GIVEN_UP", "Given up"
        REPLACED = "REPLACED", "Sent by SMS instead"
        DROPPED = "DROPPED", "Not needed any more"

    class Receipt(models.TextChoices):
        SENT = "SENT", "On its way"
        DELIVERED = "DELIVERED", "On the phone"
        READ = "READ", "Read"
        FAILED = "FAILED", "Not delivered"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    order = models.ForeignKey(
        Order, on_delete=models.PROTECT, related_name="messages", db_index=False
    )
    event = models.ForeignKey(
        DeliveryEvent,
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,  # as of webhooks
        help_text="What it tells of, for a kind that can be told several times.",
    )
    kind = models.CharField(max_length=10, choices=Kind)
    channel = models.CharField(max_length=8, choices=Channel)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)

    # As it was sent, or last tried. A one-time code in the text is redacted.
    address = models.CharField(max_length=254, blank=True)
    subject = models.CharField(max_length=200, blank=True)
    text = models.TextField(blank=True)

    tries = models.PositiveSmallIntegerField(default=0)
    problem = models.CharField(
        max_length=300, blank=True, help_text="Why it was not sent, the last time that it was not."
    )
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    # Meta's id contains the number.
    gateway_id = models.CharField(max_length=200, blank=True, help_text="WhatsApp's id of it.")
    receipt = models.CharField(
        max_length=10, choices=Receipt, blank=True, help_text="What WhatsApp reported last."
    )
    receipt_at = models.DateTimeField(null=True)

    objects = CustomerMessageQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["order", "kind", "channel"],
                condition=Q(event__isnull=True),
                name="message_told_once_per_channel",
            ),
            models.UniqueConstraint(
                fields=["event", "channel"],
                condition=Q(event__isnull=False),
                name="message_told_once_per_event",
            ),
        ]
        indexes = [
            models.Index(fields=["order", "kind"], name="message_of_order"),
            models.Index(
                fields=["next_try_at"], name="message_waiting", condition=Q(state="WAITING")
            ),
            models.Index(
                fields=["claimed_until"],
                name="message_claimed",
                condition=Q(claimed_until__isnull=False),
            ),
            models.Index(
                fields=["created_at"], name="message_given_up", condition=Q(state="GIVEN_UP")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.get_channel_display()}"


class CodeToTell(models.Model):
    """The sealed one-time code for the launch message; deleted at the end of the delivery."""

    order = models.OneToOneField(
        Order, on_delete=models.CASCADE, primary_key=True, related_name="code_to_tell"
    )
    sealed = models.BinaryField(editable=False)

    def __str__(self) -> str:
        return "sealed"
