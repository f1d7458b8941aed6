"""Missions for ground control, and the jobs that they fly."""

from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from django.db import models
from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone

from fleet.models import Drone, Hub, Pilot
from orders.models import DeliveryJob, Order
from wingxtra.outbox import Outgoing, OutgoingQuerySet

# Longer than any flight home. A drone grounded for longer was held earlier.
MAX_TIME_HOME = timedelta(hours=1)
# From the assignment on; longer than any mission waits and flies.
MAX_FLIGHT = timedelta(days=1)


class MissionQuerySet(OutgoingQuerySet["Mission"]):
    def unsent(self, now: datetime) -> Self:
        """Missions that are due for publishing and not claimed."""
        return self.due(now).filter(state=Mission.State.PENDING, recall_state=Mission.Recall.NONE)

    def never_tried(self) -> Self:
        """Missions that were never sent and wait to be sent or submitted."""
        return self.filter(state__in=(Mission.State.HELD, Mission.State.PENDING), tries=0)

    def recalls_due(self, now: datetime) -> Self:
        """Withdrawals and aborts that are due, not confirmed and not claimed."""
        return self.due(now).filter(recall_state=Mission.Recall.WANTED)

    def of_job(self, job_id: UUID | None) -> Self:
        return self.filter(parts__job_id=job_id)

    def errands(self) -> Self:
        """Missions without an order that are not over: their drones take no order."""
        return self.filter(kind=Mission.Kind.REPOSITION, over_at__isnull=True)

    def coming(self, now: datetime) -> Self:
        """Missions whose drones have still to land: a pad of `return_to` is reserved for each. A
        drone has two while it flies one and the next one is not sent.
        """
        of_drone = Mission.objects.filter(drone=OuterRef("drone")).order_by("-created_at")
        newest, newest_sent = (
            Subquery(each.values("created_at")[:1])
            for each in (of_drone, of_drone.filter(tries__gt=0))
        )
        return self.filter(
            Q(over_at__isnull=True) | Q(over_at__gt=now - MAX_TIME_HOME),
            # As of both lists below: for the index.
            Q(created_at__gt=now - MAX_FLIGHT),
            Q(state__in=Mission.MAY_FLY) | Q(live=True),
            Q(created_at__gte=newest) | Q(tries__gt=0, created_at__gte=newest_sent),
            created_at__gt=now - MAX_FLIGHT,
            landed_at__isnull=True,
        )


class Mission(Outgoing):
    """One flight for ground control: stored with the assignment, sent after its commit.

    This row is the outbox; the sweep finds messages lost between commit and queue. A mission is
    over (`over_at`) only when ground control, telemetry or a person reports it; `over_by` names the
    source.
    """

    class Kind(models.TextChoices):
        DELIVERY = "DELIVERY", "Delivery"
        RETURN = "RETURN", "Return of a parcel"
        REPOSITION = "REPOSITION", "To another hub"

    class State(models.TextChoices):
        HELD = "HELD", "Held for ops to submit"
        PENDING = "PENDING", "Waiting to be sent"
        ACCEPTED = "ACCEPTED", "Accepted"
        REJECTED = "REJECTED", "Rejected"
        WITHDRAWN = "WITHDRAWN", "Withdrawn"

    MAY_FLY = (State.HELD, State.PENDING, State.ACCEPTED)

    class Recall(models.TextChoices):
        NONE = "", "Not recalled"
        WANTED = "WANTED", "To be recalled"
        ASKED = "ASKED", "Ground control was asked"
        DONE = "DONE", "Recalled"
        TOO_LATE = "TOO_LATE", "Launched already"

    id = models.UUIDField(primary_key=True, editable=False, help_text="The intent_id.")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.DELIVERY)
    drone = models.ForeignKey(Drone, on_delete=models.PROTECT, related_name="missions")
    return_to = models.ForeignKey(
        Hub,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="The hub that receives the drone.",
    )
    alternate = models.ForeignKey(
        Hub,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="The hub for a drone that cannot reach that one.",
    )
    pilot = models.ForeignKey(
        Pilot,
        on_delete=models.PROTECT,
        null=True,
        db_index=False,
        related_name="missions",
        help_text="Who answers for the flight. Empty in an area without responsible pilots.",
    )
    pilot_name = models.CharField(max_length=120, blank=True, default="", db_default="")
    body = models.JSONField(help_text="The contract, exactly as sent.")
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    tries = models.PositiveIntegerField(default=0)
    bridge_status = models.PositiveSmallIntegerField(null=True)
    bridge_answer = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    accepted_at = models.DateTimeField(null=True)
    recall_state = models.CharField(max_length=8, choices=Recall, default=Recall.NONE, blank=True)
    recall_mode = models.CharField(max_length=8, blank=True, help_text="withdraw or abort")
    recall_by = models.CharField(max_length=180, blank=True)
    recall_reason = models.CharField(max_length=300, blank=True)
    recall_asked_at = models.DateTimeField(null=True)
    recall_refused_at = models.DateTimeField(
        null=True, help_text="When ground control last gave no confirmation of a withdrawal."
    )
    said = models.CharField(
        max_length=40, blank=True, help_text="What ground control last said of it."
    )
    said_at = models.DateTimeField(null=True)
    live = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Ground control may still fly it. At most one mission of a drone is live.",
    )
    stands_since = models.DateTimeField(
        null=True, help_text="Since when every sample shows its drone disarmed at a hub."
    )
    landed_at = models.DateTimeField(
        null=True, help_text="When telemetry showed its drone at a hub after the mission."
    )
    over_at = models.DateTimeField(null=True)
    over_by = models.CharField(max_length=180, blank=True)
    over_because = models.CharField(max_length=300, blank=True)

    objects = MissionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                name="mission_over_by_a_word",
                condition=Q(over_at__isnull=True, over_by="")
                | (Q(over_at__isnull=False) & ~Q(over_by="")),
            ),
            models.UniqueConstraint(
                fields=["drone"], condition=Q(live=True), name="one_live_mission_per_drone"
            ),
            models.UniqueConstraint(
                fields=["drone"],
                condition=Q(kind="REPOSITION", over_at__isnull=True),
                name="one_way_home_per_drone",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"],
                name="mission_to_send",
                condition=Q(state="PENDING") | Q(recall_state="WANTED"),
            ),
            models.Index(fields=["-created_at"], name="mission_newest"),
            models.Index(fields=["drone", "-created_at"], name="mission_of_drone"),
            # Every poll of the fleet queries the missions that have just ended.
            models.Index(
                fields=["over_at"], name="mission_over", condition=Q(over_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def is_live(self) -> bool:
        """Whether it may be at ground control or in the air."""
        return self.tries > 0 and self.over_at is None


class PilotChange(models.Model):
    """A handover of one mission. Append-only: the database refuses UPDATE and DELETE."""

    id = models.BigAutoField(primary_key=True)
    mission = models.ForeignKey(Mission, on_delete=models.PROTECT, related_name="pilot_changes")
    former = models.ForeignKey(Pilot, on_delete=models.PROTECT, null=True, related_name="+")
    former_name = models.CharField(max_length=120, blank=True)
    pilot = models.ForeignKey(Pilot, on_delete=models.PROTECT, related_name="+")
    pilot_name = models.CharField(max_length=120)
    note = models.CharField(max_length=300)
    changed_by = models.CharField(max_length=180)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.former_name or 'No pilot'} to {self.pilot_name}"


class MissionPartQuerySet(models.QuerySet["MissionPart"]):
    def live(self) -> Self:
        return self.filter(live=True)

    def with_related(self) -> Self:
        """With mission, job and order in one statement."""
        return self.select_related("mission", "job", "order")


class MissionPart(models.Model):
    """The job of a mission. `live`: ground control may still fly it for this order.

    The database refuses a second live mission of an order.
    """

    mission = models.ForeignKey(Mission, on_delete=models.PROTECT, related_name="parts")
    job = models.OneToOneField(DeliveryJob, on_delete=models.PROTECT, related_name="part")
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="parts")
    live = models.BooleanField(default=False)

    objects = MissionPartQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["order"], condition=Q(live=True), name="one_live_mission_per_order"
            )
        ]

    def __str__(self) -> str:
        return f"{self.mission_id} for {self.order_id}"
