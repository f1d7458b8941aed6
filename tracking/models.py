"""Webhook endpoints of merchants, and the outbox of deliveries to them."""

import uuid
from datetime import datetime
from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from orders.models import DeliveryEvent, Order
from tracking.messages.models import CodeToTell, CustomerMessage  # noqa: F401 (Django looks here)
from wingxtra.accounts.identity import Caller, Role
from wingxtra.accounts.models import Merchant
from wingxtra.outbox import Outgoing, OutgoingQuerySet

# Tries at the same time: a slow receiver must delay neither its merchant's others nor the others'.
# A quick endpoint may have more, but not all of its merchant's.
MAX_CLAIMED_PER_ENDPOINT, MAX_CLAIMED_PER_QUICK_ENDPOINT = 2, 6
MAX_CLAIMED_PER_MERCHANT = 8
SWEEP_PER_ENDPOINT = 10


class WebhookEndpointQuerySet(models.QuerySet["WebhookEndpoint"]):
    def visible_to(self, caller: Caller) -> Self:
        """All for an administrator, a merchant's own for the merchant, none for others.

        A test key sees the merchant's test endpoints only, and a live key its live ones.
        """
        if caller.role == Role.ADMIN:
            return self
        if caller.role == Role.MERCHANT and caller.merchant_id is not None:
            return self.filter(merchant_id=caller.merchant_id, live_mode=caller.live_mode)
        return self.none()

    def switched_off(self) -> Self:
        """Switched off by us after failures or a 410. Excludes those that a merchant paused."""
        return self.filter(switched_off_at__isnull=False)


class WebhookEndpoint(models.Model):
    """A merchant's URL that receives events of its live orders or, without `live_mode`, of its
    test orders.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="webhooks")
    live_mode = models.BooleanField(default=True, editable=False)
    url = models.CharField("URL", max_length=2000)
    description = models.CharField(max_length=200, blank=True)
    events = ArrayField(
        models.CharField(max_length=40),
        default=list,
        blank=True,
        help_text="Types like “order.delivered”; none means all.",
    )
    enabled = models.BooleanField(default=True)
    switched_off_at = models.DateTimeField(null=True, editable=False)
    switched_off_because = models.CharField(max_length=300, blank=True, editable=False)

    # Sealed, see wingxtra.webhooks.secrets. After a rotation both secrets sign for a day.
    secret = models.BinaryField(editable=False)
    former_secret = models.BinaryField(null=True, editable=False)
    former_secret_until = models.DateTimeField(null=True, editable=False)

    last_success_at = models.DateTimeField(
        null=True, editable=False, help_text="To about a minute: not every one is worth a write."
    )
    is_quick = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Its last answer came within a second. All others share half of the tries.",
    )
    rests_until = models.DateTimeField(
        null=True, editable=False, help_text="Nothing is sent until then: it was slow to fail."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = WebhookEndpointQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="webhook_switched_off_is_off",
                condition=Q(switched_off_at__isnull=True) | Q(enabled=False),
            )
        ]

    def __str__(self) -> str:
        return self.url


def _room(claimed: "WebhookDeliveryQuerySet", most: int) -> Q:
    """Whether fewer than `most` of these rows exist."""
    return ~Q(Exists(claimed[most - 1 : most]))


class WebhookDeliveryQuerySet(OutgoingQuerySet["WebhookDelivery"]):
    def waiting(self) -> Self:
        return self.filter(state=WebhookDelivery.State.WAITING)

    def unblocked(self, now: datetime) -> Self:
        """Deliveries whose turn it is at their endpoint.

        An order's events go to an endpoint in order: a later one waits until the earlier one has
        arrived, was given up, or has failed for too long to hold it back (`holds_until`). The
        conditions on the row itself are its columns, so that a claim by UPDATE checks them again
        after it has waited for another claim.
        """
        rows = WebhookDelivery.objects.order_by()
        earlier = rows.waiting().filter(
            Q(holds_until__isnull=True) | Q(holds_until__gt=now),
            order=OuterRef("order"),
            endpoint=OuterRef("endpoint"),
            event_id__lt=OuterRef("event_id"),
        )
        own = rows.filter(claimed_until__gt=now, endpoint=OuterRef("endpoint"))
        quick = WebhookEndpoint.objects.filter(pk=OuterRef("endpoint"), is_quick=True)
        rows = super().due(now).waiting()
        return rows.filter(
            ~Exists(earlier),
            _room(own, MAX_CLAIMED_PER_ENDPOINT)
            | Q(Exists(quick)) & _room(own, MAX_CLAIMED_PER_QUICK_ENDPOINT),
        )

    def due(self, now: datetime) -> Self:
        """Deliveries to send now. The first worker to claim one sends it."""
        claimed = WebhookDelivery.objects.order_by().filter(claimed_until__gt=now)
        at_once = settings.WEBHOOK_AT_ONCE
        slow = claimed.filter(endpoint__is_quick=False)
        merchants = claimed.filter(endpoint__merchant=OuterRef("merchant"))
        ready = WebhookEndpoint.objects.filter(
            Q(rests_until__isnull=True) | Q(rests_until__lte=now),
            Q(is_quick=True) | _room(slow, max(1, at_once // 2)),
            _room(merchants, MAX_CLAIMED_PER_MERCHANT),
            pk=OuterRef("endpoint"),
            enabled=True,
        )
        return self.unblocked(now).filter(Exists(ready), _room(claimed, at_once))

    def due_per_endpoint(self, now: datetime) -> Self:
        """Due deliveries, at most SWEEP_PER_ENDPOINT per endpoint, in turns: the first ones of all
        endpoints, the second ones, and so on. So no endpoint starves.
        """
        place = Window(RowNumber(), partition_by=F("endpoint"), order_by=F("next_try_at").asc())
        found = self.due(now).annotate(place=place).filter(place__lte=SWEEP_PER_ENDPOINT)
        return found.order_by("place", "next_try_at")

    def failed_since(self, since: datetime, now: datetime) -> Self:
        """Events of orders from `since` on whose tries failed. One that is being tried is not among
        them: it is not known yet whether it fails.
        """
        return self.unclaimed(now).filter(
            Q(state=WebhookDelivery.State.GIVEN_UP)
            | Q(state=WebhookDelivery.State.WAITING, tries__gt=0),
            order__isnull=False,
            created_at__gte=since,
        )


class WebhookDelivery(Outgoing):
    """One event for one endpoint, with its tries. Its id is sent as `webhook-id`. Partitioned by
    month of `created_at`.
    """

    class State(models.TextChoices):
        WAITING = "WAITING", "Waiting"
        DELIVERED = "DELIVERED", "Delivered"
        GIVEN_UP = "GIVEN_UP", "Given up"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    order = models.ForeignKey(
        Order, on_delete=models.CASCADE, null=True, related_name="webhook_deliveries"
    )
    # The database cannot check it: events are partitioned. None is ever deleted.
    event = models.ForeignKey(
        DeliveryEvent,
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    type = models.CharField(max_length=40)
    body = models.TextField(help_text="JSON, exactly as sent.")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    given_up_because = models.CharField(max_length=300, blank=True)

    tries = models.PositiveSmallIntegerField(default=0, help_text="Since it was last started.")
    first_tried_at = models.DateTimeField(null=True)
    holds_until = models.DateTimeField(
        null=True,
        help_text="After a failure: until then the later events of its order wait for it.",
    )
    attempts = models.JSONField(
        default=list, help_text="The newest tries, oldest first: at, status, took_ms, answer."
    )
    created_at = models.DateTimeField(default=timezone.now)
    delivered_at = models.DateTimeField(null=True)

    objects = WebhookDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "webhook deliveries"
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["endpoint", "-created_at", "-id"], name="webhook_newest"),
            models.Index(fields=["created_at"], name="webhook_age"),
            models.Index(
                fields=["endpoint", "next_try_at"],
                name="webhook_waiting",
                condition=Q(state="WAITING"),
            ),
            models.Index(
                fields=["order", "endpoint", "event"],
                name="webhook_in_order",
                condition=Q(state="WAITING"),
            ),
            models.Index(
                fields=["endpoint"],
                name="webhook_claimed",
                condition=Q(claimed_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} ({self.get_state_display()})"
