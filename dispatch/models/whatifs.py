"""Questions about other rules or another fleet."""

import uuid
from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Exists, F, Q
from django.utils import timezone

from fleet.models import DroneKind, Hub, ServiceArea
from wingxtra.outbox import Outgoing, OutgoingQuerySet


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
