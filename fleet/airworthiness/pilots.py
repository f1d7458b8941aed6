"""Responsible pilots and their shifts in a service area.

A pilot supervises at most `at_once` drones. In an area with `pilots_required`, dispatch gives each
mission to a pilot on duty (`dispatch.planning.limits.pilots`). All times are instants.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Self
from uuid import UUID

import structlog
from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeBoundary, RangeOperators
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import IntegrityError, models, transaction
from django.db.models import F, Func, Q
from django.utils import timezone

from fleet import work
from fleet.airspace.areas import ServiceArea
from wingxtra.accounts.identity import Actor
from wingxtra.problems import Conflict, NotFound

MOST_AT_ONCE = 100
ONE_SHIFT_AT_A_TIME = "pilot_on_one_shift_at_a_time"

log = structlog.get_logger(__name__)


class Pilot(models.Model):
    """A person who answers for flights. Never deleted: missions name their pilot."""

    name = models.CharField(max_length=120, unique=True)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="pilot",
        help_text="The console's user, if the pilot is one.",
    )
    remote_pilot_id = models.CharField(
        "remote pilot id",
        max_length=60,
        blank=True,
        help_text="The number of the certificate, as the authority gave it.",
    )
    active = models.BooleanField(default=True, help_text="Off: no new shifts; the record is kept.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ShiftQuerySet(models.QuerySet["Shift"]):
    def on_duty(self, at: datetime) -> Self:
        """Shifts under way; the end does not belong to a shift."""
        return self.filter(starts_at__lte=at, ends_at__gt=at, pilot__active=True)

    def next_in(self, area_ids: Iterable[UUID], at: datetime) -> Self:
        """The next shift of each of these areas that has one."""
        later = self.filter(service_area__in=area_ids, starts_at__gt=at, pilot__active=True)
        return later.order_by("service_area_id", "starts_at", "pk").distinct("service_area_id")


class Shift(models.Model):
    """One pilot on duty in one area. The database refuses a second shift at the same time."""

    pilot = models.ForeignKey(Pilot, on_delete=models.PROTECT, related_name="shifts")
    service_area = models.ForeignKey(ServiceArea, on_delete=models.PROTECT, related_name="shifts")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    at_once = models.PositiveSmallIntegerField(
        "drones at once",
        validators=[MinValueValidator(1), MaxValueValidator(MOST_AT_ONCE)],
        help_text="How many drones the pilot may supervise at the same time.",
    )

    objects = ShiftQuerySet.as_manager()

    class Meta:
        ordering = ["-starts_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                name="shift_ends_after_its_start", condition=Q(ends_at__gt=F("starts_at"))
            ),
            models.CheckConstraint(
                name="shift_at_once_sensible",
                condition=Q(at_once__gte=1, at_once__lte=MOST_AT_ONCE),
            ),
            ExclusionConstraint(
                name=ONE_SHIFT_AT_A_TIME,
                expressions=[
                    ("pilot", RangeOperators.EQUAL),
                    (
                        Func("starts_at", "ends_at", RangeBoundary(), function="tstzrange"),
                        RangeOperators.OVERLAPS,
                    ),
                ],
            ),
        ]
        indexes = [models.Index(fields=["service_area", "ends_at"], name="shift_of_area")]

    def __str__(self) -> str:
        return f"{self.pilot}, {self.times}"

    @property
    def times(self) -> str:
        """“Mon 30 Nov 06:00 to 14:00 (Africa/Accra)”, by the clock of its area."""
        zone = self.service_area.zone
        start, end = self.starts_at.astimezone(zone), self.ends_at.astimezone(zone)
        until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%a %d %b %H:%M}"
        return f"{start:%a %d %b %H:%M} to {until} ({self.service_area.time_zone})"

    def clean(self) -> None:
        """Raises ValidationError when the times are wrong, or naming the other shift."""
        if not (self.starts_at and self.ends_at and self.pilot_id):
            return
        if self.ends_at <= self.starts_at:
            raise ValidationError({"ends_at": "A shift ends after its start."})
        if self._state.adding and not self.pilot.active:
            raise ValidationError({"pilot": f"{self.pilot} is not active."})
        if other := self.overlapping():
            raise ValidationError({"starts_at": _two_shifts(other)})

    def overlapping(self) -> "Shift | None":
        """The pilot's first other shift at the same time."""
        others = Shift.objects.filter(
            pilot=self.pilot_id, starts_at__lt=self.ends_at, ends_at__gt=self.starts_at
        ).exclude(pk=self.pk)
        return others.select_related("pilot", "service_area").order_by("starts_at").first()


def _two_shifts(other: Shift) -> str:
    return (
        f"{other.pilot} has a shift in {other.service_area} at that time: {other.times}. "
        "A pilot has one shift at a time: end that one earlier, or choose other times."
    )


# --- verbs ---------------------------------------------------------------------------------------


def lock(pilot_ids: Collection[int]) -> None:
    """Lock these pilots until the transaction ends, in the order of their ids.

    A change of what a pilot supervises, or of a shift under way, needs this lock. It comes after
    the lock of an area and before those of drones and orders.
    """
    rows = Pilot.objects.select_for_update(no_key=True).filter(pk__in=pilot_ids).order_by("pk")
    list(rows.values_list("pk", flat=True))


@transaction.atomic
def save_shift(shift: Shift, *, by: Actor) -> Shift:
    """Add or change a shift.

    Raises ValidationError for wrong input, and Conflict: `pilot_on_two_shifts`, `shift_begun` (of a
    shift that has begun only the end and the number of drones can change, and of one that is over
    nothing), and `pilot_supervises` with the numbers when the pilot has more drones than that.
    """
    shift.full_clean(validate_constraints=False)
    lock([shift.pilot_id])
    if shift.pk:
        refuse_change(shift, timezone.now())
    try:
        with transaction.atomic():
            shift.save()
    except IntegrityError as refusal:
        if ONE_SHIFT_AT_A_TIME not in str(refusal):
            raise
        other = shift.overlapping()
        text = _two_shifts(other) if other else "The pilot has another shift at that time."
        raise Conflict("pilot_on_two_shifts", text) from refusal
    log.info("shift_saved", shift=shift.pk, pilot=shift.pilot.name, by=str(by))
    return shift


def refuse_change(shift: Shift, now: datetime) -> None:
    """Raises Conflict as `save_shift` does when this stored shift may not get these values."""
    before = Shift.objects.select_related("pilot", "service_area").get(pk=shift.pk)
    if before.starts_at > now:
        return
    if before.ends_at <= now:
        raise Conflict("shift_begun", f"The shift of {before} is over: it stays as it was.")
    if any(
        getattr(shift, name) != getattr(before, name)
        for name in ("pilot_id", "service_area_id", "starts_at")
    ):
        raise Conflict(
            "shift_begun",
            f"The shift of {before} has begun: its end and the number of drones can change. For "
            "another pilot, plan a shift for that pilot and hand over.",
        )
    if shift.ends_at <= now:
        raise Conflict("shift_begun", "The new end is in the past: use “End the shift”.")
    drones = supervised(shift.pilot_id, now)
    if len(drones) > shift.at_once:
        raise Conflict("pilot_supervises", _supervises(before, drones))


def supervised(pilot_id: int, now: datetime) -> list[str]:
    """The ids of the drones that this pilot supervises now."""
    return sorted(work.supervised([pilot_id], now).get(pilot_id, ()))


def _supervises(shift: Shift, drones: list[str]) -> str:
    count = f"{len(drones)} drone{'' if len(drones) == 1 else 's'}"
    return f"{shift.pilot} supervises {count} now: {', '.join(drones)}. Hand them over first."


@transaction.atomic
def end_shift(shift_id: int, *, by: Actor) -> Shift:
    """End a shift now. Raises NotFound, and Conflict: `shift_not_on` when it is not under way, and
    `pilot_supervises` with the numbers while the pilot has drones.
    """
    found = Shift.objects.select_related("pilot", "service_area").filter(pk=shift_id)
    shift = found.first()
    if shift is None:
        raise NotFound("shift")
    lock([shift.pilot_id])
    now, shift = timezone.now(), found.get()
    if not shift.starts_at < now < shift.ends_at:
        raise Conflict("shift_not_on", f"The shift of {shift} is not under way.")
    if drones := supervised(shift.pilot_id, now):
        raise Conflict("pilot_supervises", _supervises(shift, drones))
    shift.ends_at = now
    shift.save(update_fields=["ends_at"])
    log.info("shift_ended", shift=shift.pk, pilot=shift.pilot.name, by=str(by))
    return shift


def on_duty_in(area: ServiceArea, at: datetime) -> list[Shift]:
    """The shifts under way in an area, by the pilot's name."""
    shifts = Shift.objects.on_duty(at).filter(service_area=area)
    return list(shifts.select_related("pilot", "service_area").order_by("pilot__name"))
