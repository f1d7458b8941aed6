"""Clearances to fly: what an airspace service says about a mission."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from dispatch.models.missions import Mission
from wingxtra.outbox import Outgoing, OutgoingQuerySet


class ClearanceQuerySet(OutgoingQuerySet["Clearance"]):
    def of_ended_missions(self) -> Self:
        """Of missions that nothing flies any more, and that the service is not told of yet."""
        ended = Q(mission__over_at__isnull=False) | Q(
            mission__state__in=(Mission.State.WITHDRAWN, Mission.State.REJECTED),
            mission__live=False,
        )
        return self.filter(ended).exclude(state=Clearance.State.ENDED)

    def to_follow(self, now: datetime) -> Self:
        """Due and not claimed: to check once more while the mission is live, or to give back."""
        checked = (Clearance.State.GRANTED, Clearance.State.WITHDRAWN)
        ended = self.of_ended_missions().order_by().values("pk")
        open_ones = self.due(now).exclude(state=Clearance.State.ENDED)
        return open_ones.filter(Q(state__in=checked) | Q(pk__in=ended))

    def missing(self) -> Self:
        """Of missions that wait to be sent, and are not granted."""
        return self.exclude(state__in=(Clearance.State.GRANTED, Clearance.State.ENDED)).filter(
            mission__state=Mission.State.PENDING, mission__recall_state=Mission.Recall.NONE
        )

    def nonconforming(self) -> Self:
        """Of missions in the air outside of their declared corridor."""
        return self.filter(
            flown_as=Clearance.Flown.NONCONFORMING,
            mission__live=True,
            mission__over_at__isnull=True,
        )

    def lost(self, now: datetime) -> Self:
        """Of missions that may be in the air: withdrawn, or its time is over."""
        is_over = Q(state=Clearance.State.GRANTED, ends_at__lt=now)
        return self.filter(
            Q(state=Clearance.State.WITHDRAWN) | is_over,
            mission__live=True,
            mission__over_at__isnull=True,
        )


class Clearance(Outgoing):
    """What the service of the setting CLEARANCE says about one mission. The row is its outbox: the
    grant is checked again while the mission is live, and given back when it is over.
    """

    class State(models.TextChoices):
        ASKED = "ASKED", "No usable answer yet"
        WAITING = "WAITING", "Waits for approval"
        GRANTED = "GRANTED", "Granted"
        REFUSED = "REFUSED", "Refused"
        WITHDRAWN = "WITHDRAWN", "Withdrawn by the service"
        ENDED = "ENDED", "Given back"

    class Flown(models.TextChoices):
        NOT_YET = "", "Not in the air"
        ACTIVATED = "ACTIVATED", "In the air, inside the declared corridor"
        NONCONFORMING = "NONCONFORMING", "In the air, outside of the declared corridor"

    mission = models.OneToOneField(
        Mission, on_delete=models.CASCADE, primary_key=True, related_name="clearance"
    )
    state = models.CharField(max_length=9, choices=State, default=State.ASKED)
    known_as = models.CharField(max_length=64, blank=True, help_text="The service's own id of it.")
    code = models.CharField(max_length=40, blank=True, help_text="Why it is not granted.")
    answer = models.CharField(max_length=1000, blank=True, help_text="The same in words.")
    asks = models.PositiveIntegerField(default=0, help_text="How often a grant was asked for.")
    failures = models.PositiveIntegerField(default=0, help_text="Calls in a row without an answer.")
    asked_at = models.DateTimeField(default=timezone.now, help_text="When it was first asked for.")
    answered_at = models.DateTimeField(null=True, help_text="When the service last answered.")
    starts_at = models.DateTimeField(null=True, help_text="From when the flight is granted.")
    ends_at = models.DateTimeField(null=True, help_text="Until when.")
    legs = models.JSONField(
        default=list, help_text="Of the declared corridor, each [[lat, lng], [lat, lng]]."
    )
    flown_as = models.CharField(
        max_length=13, choices=Flown, default=Flown.NOT_YET, blank=True, help_text="As last seen."
    )
    flown_since = models.DateTimeField(null=True, help_text="When the look that found it was.")
    told_as = models.CharField(
        max_length=13,
        choices=Flown,
        default=Flown.NOT_YET,
        blank=True,
        help_text="What the service was last told.",
    )
    told_at = models.DateTimeField(null=True)
    lost_at = models.DateTimeField(null=True, help_text="When a grant was found withdrawn.")

    objects = ClearanceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="clearance_granted_for_a_time",
                condition=~Q(state="GRANTED")
                | Q(starts_at__isnull=False, ends_at__isnull=False, answered_at__isnull=False),
            )
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"], name="clearance_to_follow", condition=~Q(state="ENDED")
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_state_display()}: {self.mission_id}"
