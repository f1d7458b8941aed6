"""Service areas: polygons that staff draw on a map, with their clock and hours."""

import uuid
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from fleet.feasibility import geometry
from wingxtra.opening_hours import OpeningHours


def validate_polygon(value: Any) -> None:
    """Raises ValidationError unless this is a GeoJSON Polygon as `geometry.polygon` accepts it."""
    try:
        geometry.polygon(value)
    except geometry.InvalidPolygon as problem:
        raise ValidationError(str(problem), code=problem.code) from problem


def default_time_zone() -> str:
    return str(settings.AREA_TIME_ZONE)


def validate_time_zone(value: str) -> None:
    """Raises ValidationError unless this is the name of an IANA time zone."""
    if value not in available_timezones():
        raise ValidationError(
            f"{value!r} is no time zone; give a name like Africa/Accra.", code="unknown_time_zone"
        )


def intents_name_a_hub() -> bool:
    """Whether the mission intent says where the drone lands. Version 1 has no member for that."""
    return bool(settings.GCS_INTENT_VERSION >= 2)


class ServiceArea(models.Model):
    """A region in which we deliver. Its orders are planned with the drones of its own hubs only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80, unique=True)
    polygon = models.JSONField(validators=[validate_polygon], help_text="GeoJSON Polygon.")
    active = models.BooleanField(default=True)
    dispatch_paused = models.BooleanField(
        default=False, help_text="No automatic dispatch in this area while this is on."
    )
    network = models.BooleanField(
        default=False,
        db_default=False,
        help_text="A drone lands at the hub of this area that is best for the next orders. Off: it "
        "flies home to its base.",
    )
    pilots_required = models.BooleanField(
        default=False,
        db_default=False,
        help_text="A drone starts only while a pilot is on duty here who may supervise one more.",
    )
    preflight_required = models.BooleanField(
        "pre-flight checks",
        default=False,
        db_default=False,
        help_text="Drones get no orders before the checklists of their hub and kind are attested "
        "for the day, by the area's clock.",
    )
    time_zone = models.CharField(
        max_length=64,
        default=default_time_zone,
        validators=[validate_time_zone],
        help_text="Customers read times in it.",
    )
    hours: Any = models.JSONField(
        null=True,
        blank=True,
        help_text="As in wingxtra.opening_hours, without a time zone. Empty: always.",
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def opening_hours(self) -> OpeningHours | None:
        """When we fly here, by the area's own clock. None: always."""
        if not self.hours:
            return None
        return OpeningHours.from_json({**self.hours, "timezone": self.time_zone})

    @property
    def uses_network(self) -> bool:
        """Whether any of its hubs may receive a drone: ground control must be told which one."""
        return self.network and intents_name_a_hub()


def areas_of(rows: list[ServiceArea]) -> geometry.Zones:
    """The areas as geometry; a zone index is an index of `rows`."""
    return geometry.Zones([row.polygon for row in rows])
