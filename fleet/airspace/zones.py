"""Geographical zones: airspace that flights keep out of, drawn by staff or taken from a file.

A zone has a type, limits of height with their datum, and times. What is not known counts against
the flight: a limit above sea level cannot be compared with a height above ground, so such a zone
begins at the ground.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from fleet.airspace import schedule
from fleet.airspace.areas import validate_polygon, validate_time_zone
from fleet.feasibility import geometry
from fleet.feasibility.geometry import Window

ALWAYS: Window = (None, None)


class ZoneType(models.TextChoices):
    """As in ED-269 and ED-318."""

    PROHIBITED = "PROHIBITED", "Prohibited"
    REQ_AUTHORISATION = "REQ_AUTHORISATION", "Authorisation required"
    CONDITIONAL = "CONDITIONAL", "Conditional"
    NO_RESTRICTION = "NO_RESTRICTION", "No restriction"


class Datum(models.TextChoices):
    """What a height is measured from."""

    AGL = "AGL", "Above ground"
    AMSL = "AMSL", "Above mean sea level"
    WGS84 = "WGS84", "Above the WGS 84 ellipsoid"


def validate_schedule(value: Any) -> None:
    """Raises ValidationError unless these are rules as `airspace.schedule` reads them."""
    try:
        for rule in value:
            schedule.WeeklyRule.from_json(rule)
    except (schedule.InvalidSchedule, KeyError, TypeError) as problem:
        raise ValidationError(f"The hours cannot be read: {problem}", code="schedule") from problem


class GeoZoneQuerySet(models.QuerySet["GeoZone"]):
    def relevant(self, at: datetime) -> Self:
        """Active zones that restrict flights at `at` or later; expired zones are excluded."""
        restricting = self.filter(active=True).exclude(kind=ZoneType.NO_RESTRICTION)
        return restricting.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=at))


class GeoZone(models.Model):
    """A geographical zone. One feature of a file gives a row for each of its volumes (`part`)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    kind = models.CharField(
        "type",
        max_length=17,
        choices=ZoneType,
        default=ZoneType.PROHIBITED,
        db_default="PROHIBITED",
    )
    polygon = models.JSONField(validators=[validate_polygon], help_text="GeoJSON Polygon.")
    active = models.BooleanField(default=True)
    lower_m = models.FloatField(null=True, blank=True, help_text="Empty: from the ground.")
    lower_datum = models.CharField(max_length=5, choices=Datum, default=Datum.AGL, db_default="AGL")
    upper_m = models.FloatField(null=True, blank=True, help_text="Empty: no upper limit.")
    upper_datum = models.CharField(max_length=5, choices=Datum, default=Datum.AGL, db_default="AGL")
    starts_at = models.DateTimeField(null=True, blank=True, help_text="Empty: no start.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty: no end.")
    schedule: Any = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        validators=[validate_schedule],
        help_text="Weekly hours, as in fleet.airspace.schedule. Empty: at all times.",
    )
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        db_default="UTC",
        validators=[validate_time_zone],
        help_text="The clock of the weekly hours.",
    )
    condition = models.TextField(blank=True, db_default="")
    authority = models.CharField(max_length=300, blank=True, db_default="")
    allowed_until = models.DateTimeField(null=True, blank=True)
    allowed_by = models.CharField(max_length=180, blank=True, db_default="", editable=False)
    allowed_because = models.CharField(max_length=300, blank=True, db_default="")
    source = models.CharField(max_length=60, blank=True, db_default="", editable=False)
    identifier = models.CharField(max_length=100, blank=True, db_default="", editable=False)
    part = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)

    objects = GeoZoneQuerySet.as_manager()

    class Meta:
        verbose_name = "geographical zone"
        ordering = ["name", "part", "id"]
        constraints = [
            models.CheckConstraint(
                name="geo_zone_window_in_order",
                condition=Q(starts_at__isnull=True)
                | Q(ends_at__isnull=True)
                | Q(starts_at__lt=F("ends_at")),
            ),
            models.CheckConstraint(
                name="geo_zone_allowed_in_writing",
                condition=Q(allowed_until__isnull=True, allowed_by="", allowed_because="")
                | (
                    Q(kind__in=["REQ_AUTHORISATION", "CONDITIONAL"], allowed_until__isnull=False)
                    & ~Q(allowed_by="")
                    & ~Q(allowed_because="")
                ),
            ),
            models.UniqueConstraint(
                fields=["name"], condition=Q(source=""), name="drawn_zone_named_once"
            ),
            models.UniqueConstraint(
                fields=["source", "identifier", "part"],
                condition=~Q(source=""),
                name="imported_zone_once",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def concerns(self, highest_m: float) -> bool:
        """Whether a flight up to this height above ground, its margin included, could enter it."""
        begins_above = self.lower_datum == Datum.AGL and (self.lower_m or 0.0) >= highest_m
        return self.kind != ZoneType.NO_RESTRICTION and not begins_above

    def windows(self, at: datetime) -> list[Window]:
        """When the zone is closed, from `at` on, in order. Ignores `active`."""
        hours: list[Window] = [ALWAYS]
        if self.schedule:
            lng, lat = self.polygon["coordinates"][0][0][:2]
            spans = schedule.closures(self.schedule, self.time_zone, lat, lng, at)
            hours = list(spans)
            if schedule.goes_on(self.schedule, at + schedule.HORIZON):
                hours.append((at + schedule.HORIZON, None))
        opens = [moment for moment in (self.starts_at, self.allowed_until) if moment]
        starts_at = max(opens, default=None)
        cut = (_overlap(window, (starts_at, self.ends_at)) for window in hours)
        return [window for window in cut if window is not None]

    def is_closed(self, at: datetime) -> bool:
        return any(
            (start is None or start <= at) and (end is None or at < end)
            for start, end in self.windows(at)
        )

    @property
    def heights(self) -> str:
        """“50 m AGL to 120 m AMSL”."""
        lower = f"{self.lower_m:g} m {self.lower_datum}" if self.lower_m else "the ground"
        upper = f"to {self.upper_m:g} m {self.upper_datum}" if self.upper_m else "without limit"
        return f"from {lower} {upper}"


class ZoneImport(models.Model):
    """A checked file of zones, and whether it was put into use."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.CharField(max_length=60)
    file_name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    format = models.CharField(max_length=10)
    zones: Any = models.JSONField(help_text="As files.feature.Zone, with their part.")
    refused: Any = models.JSONField(help_text="[{identifier, why}]")
    airspace_version = models.CharField(max_length=16, help_text="When the file was checked.")
    checked_by = models.CharField(max_length=180)
    checked_at = models.DateTimeField(default=timezone.now)
    used_by = models.CharField(max_length=180, blank=True)
    used_at = models.DateTimeField(null=True)
    result = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = "zone file"
        ordering = ["-checked_at", "-id"]

    def __str__(self) -> str:
        return f"{self.file_name} of {self.source}"


def zones_of(rows: Sequence[GeoZone], at: datetime) -> geometry.Zones:
    """The zones as geometry with their times from `at` on; a zone index is an index of `rows`."""
    return geometry.Zones(
        [row.polygon for row in rows],
        windows=[row.windows(at) for row in rows],
        names=[row.name for row in rows],
    )


def _overlap(one: Window, other: Window) -> Window | None:
    earliest, latest = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    start = max(one[0] or earliest, other[0] or earliest)
    end = min(one[1] or latest, other[1] or latest)
    if start >= end:
        return None
    return (None if start == earliest else start), (None if end == latest else end)
