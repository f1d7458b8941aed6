"""Dispatch decisions, missions for ground control, and flights."""

import uuid
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from django.db import models
from django.db.models import Exists, F, Q
from django.utils import timezone

from dispatch.shift.models import ShiftNote as ShiftNote
from fleet.models import Drone, DroneKind, Hub, Pilot, ServiceArea
from orders.models import DeliveryJob, Order
from wingxtra.outbox import Outgoing, OutgoingQuerySet


class DispatchRun(models.Model):
    """One plan of all queued orders against all able drones, and how good it was."""

    class Trigger(models.TextChoices):
        SCHEDULE = "SCHEDULE", "Schedule"
        API = "API", "API"
        CONSOLE = "CONSOLE", "Console"
        COMMAND = "COMMAND", "Command"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    trigger = models.CharField(max_length=8, choices=Trigger)
    actor = models.CharField(max_length=180)
    dry_run = models.BooleanField(default=False)
    service_area = models.ForeignKey(ServiceArea, on_delete=models.PROTECT, null=True, blank=True)
    policy_version = models.PositiveIntegerField()
    picture_at = models.DateTimeField(null=True, help_text="When the fleet picture was taken.")
    note = models.CharField(
        max_length=300, blank=True, help_text="Why nothing was planned, if nothing was."
    )
    orders_considered = models.PositiveIntegerField(default=0)
    drones_considered = models.PositiveIntegerField(default=0)
    assigned = models.PositiveIntegerField(default=0)
    value = models.FloatField(null=True, help_text="The cost of the plan, in weighted seconds.")
    bound = models.FloatField(null=True, help_text="No plan can cost less than this.")
    started_at = models.DateTimeField(default=timezone.now)
    duration_ms = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-started_at", "-id"]
        indexes = [models.Index(fields=["-started_at", "-id"], name="run_newest")]

    def __str__(self) -> str:
        return f"Run of {self.started_at:%Y-%m-%d %H:%M:%S}"


class DispatchDecision(models.Model):
    """What one run decided about one order, and why."""

    class Outcome(models.TextChoices):
        ASSIGNED = "ASSIGNED", "Assigned"
        WAITING = "WAITING", "Waits for a better drone"
        UNASSIGNED = "UNASSIGNED", "No drone"
        OVERTAKEN = "OVERTAKEN", "Changed during the run"

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(DispatchRun, on_delete=models.CASCADE, related_name="decisions")
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="decisions")
    outcome = models.CharField(max_length=10, choices=Outcome)
    drone = models.ForeignKey(Drone, on_delete=models.PROTECT, null=True, related_name="+")
    able_at = models.DateTimeField(
        null=True, help_text="When the drone that the order waits for is expected to be able."
    )
    figures = models.JSONField(
        default=dict, help_text="The chosen drone's delivery_s, energy_pct, distance_m and cost."
    )
    runners_up = models.JSONField(default=list, help_text="The next best drones and their figures.")
    ruled_out = models.JSONField(default=list, help_text="Per reason: code and how many drones.")
    nearest = models.JSONField(
        null=True, help_text="Where no drone was able: the closest miss, and what it lacked."
    )
    why = models.CharField(max_length=500, blank=True, help_text="The decision in words.")

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["order", "-id"], name="decision_of_order"),
            models.Index(
                fields=["order", "drone"],
                name="decision_to_wait",
                include=["able_at"],
                condition=Q(outcome="WAITING"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome}: {self.drone_id or 'none'}"


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
        newest = self.filter(created_at__gt=now - MAX_FLIGHT).order_by("drone_id", "-created_at")
        latest, sent = (each.distinct("drone_id") for each in (newest, newest.filter(tries__gt=0)))
        return self.filter(
            Q(over_at__isnull=True) | Q(over_at__gt=now - MAX_TIME_HOME),
            Q(state__in=Mission.MAY_FLY) | Q(live=True),
            Q(pk__in=latest.values("pk")) | Q(pk__in=sent.values("pk")),
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


class Flight(models.Model):
    """The progress of one job's flight by telemetry; `state` is a `flight.state.FlightState`."""

    job = models.OneToOneField(
        DeliveryJob, on_delete=models.CASCADE, primary_key=True, related_name="flight"
    )
    state = models.JSONField(default=dict)
    heard_at = models.DateTimeField(help_text="When telemetry last changed, by our clock.")
    link_lost_at = models.DateTimeField(null=True)
    recent = models.JSONField(default=list, help_text="The end of its track, as in TrackPiece.")

    def __str__(self) -> str:
        return f"Flight of {self.job_id}"


class TrackPiece(models.Model):
    """About a minute of a job's track (see `missions.tracks`). Written once, never updated."""

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(DeliveryJob, on_delete=models.CASCADE, related_name="track_pieces")
    points = models.JSONField(
        help_text="Each [POSIX seconds, lat, lng, alt_m, speed_mps, battery_pct]."
    )

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{len(self.points)} points of {self.job_id}"


class MissionReport(models.Model):
    """A reported mission event; the unique key applies each once."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="reports")
    key = models.CharField(max_length=200, help_text="Source and event id of the sender.")
    type = models.CharField(max_length=40)
    applied = models.JSONField(default=list, help_text="The events that it caused.")
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "key"], name="report_applied_once")]

    def __str__(self) -> str:
        return f"{self.type} ({self.key})"


class WhatIfQuerySet(OutgoingQuerySet["WhatIf"]):
    def due(self, now: datetime) -> Self:
        """New ones, and those whose worker has died; none while one is simulated.

        A started one comes first: it blocks the others.
        """
        started = WhatIf.objects.order_by().filter(state=WhatIf.State.RUNNING)
        return (
            super()
            .due(now)
            .filter(
                ~Exists(started.filter(claimed_until__gt=now)),
                state__in=(WhatIf.State.QUEUED, WhatIf.State.RUNNING),
            )
            .order_by(F("claimed_until").asc(nulls_last=True), "asked_at")
        )


class WhatIf(Outgoing):
    """A day's orders simulated without and with a change: the question and its results.

    This row is the outbox, like a Mission: a worker claims it, and the sweep retries it when that
    worker dies. It has no personal data.
    """

    class State(models.TextChoices):
        QUEUED = "QUEUED", "Waiting"
        RUNNING = "RUNNING", "Being simulated"
        DONE = "DONE", "Done"
        FAILED = "FAILED", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    actor = models.CharField(max_length=180)
    asked_at = models.DateTimeField(default=timezone.now)
    day = models.DateField()
    service_area = models.ForeignKey(ServiceArea, on_delete=models.PROTECT, related_name="+")
    policy_version = models.PositiveIntegerField(help_text="The rules as it is.")
    changes = models.JSONField(default=dict, help_text="Rule to [as it is, with the change].")
    more_drones = models.SmallIntegerField(default=0, help_text="Negative: fewer drones.")
    hub = models.ForeignKey(Hub, on_delete=models.SET_NULL, null=True, related_name="+")
    kind = models.ForeignKey(DroneKind, on_delete=models.SET_NULL, null=True, related_name="+")
    state = models.CharField(max_length=7, choices=State, default=State.QUEUED)
    progress_pct = models.PositiveSmallIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=0)
    results = models.JSONField(null=True, help_text="As dispatch.whatif.day_figures makes them.")
    problem = models.CharField(max_length=500, blank=True, help_text="Why it failed, in words.")

    objects = WhatIfQuerySet.as_manager()

    class Meta:
        verbose_name = "what-if"
        ordering = ["-asked_at", "-id"]
        constraints = [
            # Simulations must leave workers free for dispatch.
            models.UniqueConstraint(
                fields=["state"], condition=Q(state="RUNNING"), name="one_what_if_at_a_time"
            )
        ]
        indexes = [
            models.Index(fields=["-asked_at", "-id"], name="what_if_newest"),
            models.Index(
                fields=["asked_at"],
                name="what_if_to_compute",
                condition=Q(state__in=("QUEUED", "RUNNING")),
            ),
        ]

    def __str__(self) -> str:
        return f"What if of {self.day:%d %b %Y}"

    @property
    def is_over(self) -> bool:
        return self.state in (self.State.DONE, self.State.FAILED)
