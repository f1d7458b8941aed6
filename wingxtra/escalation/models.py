"""Rules of escalation, the alerts that they raise, and the outbox of what receivers are told."""

import uuid
from datetime import datetime
from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from wingxtra.opening_hours import OpeningHours
from wingxtra.outbox import Outgoing, OutgoingQuerySet

PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
# Messages to one receiver at the same time: a slow one must not delay the others.
MAX_CLAIMED_PER_RULE = 4
DAY_S = 86_400


class Severity(models.TextChoices):
    WARNING = "WARNING", "Warning"
    GRAVE = "GRAVE", "Grave"


class Rule(models.Model):
    """Whom to tell of lines of the attention list that are not acknowledged in time."""

    class Kind(models.TextChoices):
        PAGERDUTY = "PAGERDUTY", "PagerDuty"
        WEBHOOK = "WEBHOOK", "Webhook"
        EMAIL = "EMAIL", "E-mail"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80, unique=True)
    enabled = models.BooleanField(default=True)
    severity = models.CharField(
        "which lines",
        max_length=7,
        choices=[(Severity.GRAVE, "Grave ones"), (Severity.WARNING, "Grave ones and warnings")],
        default=Severity.GRAVE,
    )
    after_s = models.PositiveIntegerField(
        "after (s)",
        default=0,
        validators=[MaxValueValidator(DAY_S)],
        help_text="Seconds on the list without an acknowledgement; 0: at once.",
    )
    hours = models.JSONField(
        null=True, blank=True, help_text="See wingxtra.opening_hours; empty: always."
    )
    kind = models.CharField("receiver", max_length=9, choices=Kind, default=Kind.PAGERDUTY)
    url = models.CharField("URL", max_length=2000, blank=True)
    emails = ArrayField(models.EmailField(), default=list, blank=True)

    # Sealed, see wingxtra.webhooks.secrets. PagerDuty: the integration key. Webhook: what signs.
    secret = models.BinaryField(null=True, editable=False)
    # PagerDuty: the secret of its webhook subscription, which signs what it sends to us.
    hook_secret = models.BinaryField(null=True, editable=False)

    class Meta:
        verbose_name = "escalation rule"
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="escalation_rule_has_its_receiver",
                condition=Q(kind="EMAIL", emails__len__gt=0)
                | Q(~Q(kind="EMAIL"), ~Q(url=""), secret__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def opening_hours(self) -> OpeningHours | None:
        """None: always."""
        return OpeningHours.from_json(self.hours) if self.hours else None

    def is_on_duty(self, now: datetime) -> bool:
        hours = self.opening_hours
        return self.enabled and (hours is None or hours.is_open(now))


class AlertQuerySet(models.QuerySet["Alert"]):
    def open(self) -> Self:
        return self.exclude(state=Alert.State.RESOLVED)


class Alert(models.Model):
    """One cause of attention, as one rule follows it. Its id is the receiver's key of it."""

    class State(models.TextChoices):
        WATCHED = "WATCHED", "Not told yet"
        TOLD = "TOLD", "Told"
        ACKNOWLEDGED = "ACKNOWLEDGED", "Acknowledged"
        RESOLVED = "RESOLVED", "Resolved"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rule = models.ForeignKey(Rule, on_delete=models.PROTECT, related_name="alerts", db_index=False)
    cause = models.CharField(max_length=200, help_text="As the attention list groups its lines.")
    sources = ArrayField(
        models.CharField(max_length=200), default=list, help_text="The checks that found it."
    )
    text = models.CharField(max_length=300)
    severity = models.CharField(max_length=7, choices=Severity)
    level = models.IntegerField()
    state = models.CharField(max_length=12, choices=State, default=State.WATCHED)
    seen_at = models.DateTimeField("first seen")
    told_at = models.DateTimeField("told", null=True)
    acknowledged_at = models.DateTimeField("acknowledged", null=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    quiet_until = models.DateTimeField("acknowledged until", null=True)
    resolved_at = models.DateTimeField("resolved", null=True)
    resolved_because = models.CharField("why resolved", max_length=200, blank=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-seen_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "cause"],
                condition=~Q(state="RESOLVED"),
                name="escalation_one_open_alert",
            ),
            models.CheckConstraint(
                name="escalation_resolved_has_its_time",
                condition=Q(state="RESOLVED", resolved_at__isnull=False)
                | Q(~Q(state="RESOLVED"), resolved_at__isnull=True),
            ),
        ]
        indexes = [
            models.Index(fields=["-seen_at", "-id"], name="escalation_newest"),
            models.Index(fields=["rule", "-seen_at"], name="escalation_newest_of_rule"),
        ]

    def __str__(self) -> str:
        return self.text


class AlertMessageQuerySet(OutgoingQuerySet["AlertMessage"]):
    def waiting(self) -> Self:
        return self.filter(state=AlertMessage.State.WAITING)

    def due(self, now: datetime) -> Self:
        """Messages to send now: of each alert the first one that waits."""
        rows = AlertMessage.objects.order_by()
        earlier = rows.waiting().filter(alert=OuterRef("alert"), place__lt=OuterRef("place"))
        claimed = rows.filter(claimed_until__gt=now, alert__rule=OuterRef("alert__rule"))
        full = Exists(claimed[MAX_CLAIMED_PER_RULE - 1 : MAX_CLAIMED_PER_RULE])
        return super().due(now).waiting().filter(~Exists(earlier), ~full)


class AlertMessage(Outgoing):
    """One thing that the receiver of an alert is told: once each, in the order of `place`."""

    class Place(models.IntegerChoices):
        TRIGGER = 1, "Trigger"
        ACKNOWLEDGE = 2, "Acknowledge"
        RESOLVE = 3, "Resolve"

    class State(models.TextChoices):
        WAITING = "WAITING", "Waiting"
        SENT = "SENT", "Sent"
        GIVEN_UP = "GIVEN_UP", "Given up"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    alert = models.ForeignKey(
        Alert, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    place = models.PositiveSmallIntegerField("what", choices=Place)
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    attempts = models.JSONField(
        default=list, help_text="The newest tries, oldest first: at, took_ms, answer."
    )
    problem = models.CharField(max_length=300, blank=True, help_text="Of the last try.")
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)

    objects = AlertMessageQuerySet.as_manager()

    class Meta:
        ordering = ["created_at", "place"]
        constraints = [
            models.UniqueConstraint(fields=["alert", "place"], name="escalation_told_once")
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"], name="escalation_to_send", condition=Q(state="WAITING")
            ),
            models.Index(fields=["-created_at"], name="escalation_newest_message"),
        ]

    def __str__(self) -> str:
        return f"{self.get_place_display()} ({self.get_state_display()})"
