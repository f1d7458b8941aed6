"""Drones, their kinds, their hubs and their holds."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.validators import ArrayMinLengthValidator
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from fleet.airspace.areas import ServiceArea, intents_name_a_hub
from fleet.airspace.zones import GeoZone, ZoneImport
from fleet.airworthiness import serials
from fleet.airworthiness.models import (
    Attestation,
    BatteryPack,
    Checklist,
    Defect,
    Maintenance,
    MaintenanceRule,
    UncountedFlight,
)
from fleet.airworthiness.pilots import Pilot, Shift
from fleet.feasibility.rules import PayloadType
from fleet.policy import Policy, PolicyVersion

__all__ = [
    "Attestation",
    "BatteryPack",
    "Checklist",
    "Defect",
    "Drone",
    "DroneHold",
    "DroneKind",
    "GeoZone",
    "Hub",
    "Maintenance",
    "MaintenanceRule",
    "PauseChange",
    "Pilot",
    "Policy",
    "PolicyVersion",
    "ServiceArea",
    "Shift",
    "UncountedFlight",
    "ZoneImport",
]

# The Fleet API's own rule for drone ids.
DRONE_ID_PATTERN = r"[A-Z0-9_-]{3,64}"

LATITUDE = [MinValueValidator(-90.0), MaxValueValidator(90.0)]
LONGITUDE = [MinValueValidator(-180.0), MaxValueValidator(180.0)]


def on_earth(lat: str, lng: str) -> Q:
    """A check for valid coordinates; NaN and infinity fail it."""
    return Q(**{f"{lat}__range": (-90.0, 90.0), f"{lng}__range": (-180.0, 180.0)})


MAX_SIDE_CM = 1000.0


def is_a_size(field: str) -> Q:
    """A check for three sides of at most MAX_SIDE_CM each; NaN and infinity fail it."""
    positive = {f"{field}__{side}__gt": 0.0 for side in range(3)}
    at_most = {f"{field}__{side}__lte": MAX_SIDE_CM for side in range(3)}
    return Q(**{f"{field}__len": 3}, **positive, **at_most)


def default_payload_types() -> list[str]:
    return [PayloadType.PARCEL]


class DroneKind(models.Model):
    """A type of airframe: payload, speeds, battery and powers.

    Powers are at empty mass, from the manufacturer's data sheet or a measured flight.
    `fleet.feasibility.energy` scales them with the payload.
    """

    name = models.CharField(max_length=60, unique=True)
    max_payload_kg = models.FloatField(validators=[MinValueValidator(0.01)])
    payload_types = ArrayField(
        models.CharField(max_length=12, choices=PayloadType), default=default_payload_types
    )
    max_size_cm = ArrayField(
        models.FloatField(validators=[MinValueValidator(0.1), MaxValueValidator(MAX_SIDE_CM)]),
        verbose_name="largest parcel (cm)",
        size=3,
        null=True,
        blank=True,
        validators=[ArrayMinLengthValidator(3)],
        help_text="Length, width and height, in any order, as in 40, 30, 20. Empty: not limited.",
    )
    empty_mass_kg = models.FloatField(validators=[MinValueValidator(0.1)])
    battery_wh = models.FloatField("battery (Wh)", validators=[MinValueValidator(1.0)])
    hover_power_w = models.FloatField("hover power (W)", validators=[MinValueValidator(1.0)])
    cruise_power_w = models.FloatField("cruise power (W)", validators=[MinValueValidator(1.0)])
    cruise_speed_mps = models.FloatField("cruise speed (m/s)", validators=[MinValueValidator(0.5)])
    climb_speed_mps = models.FloatField("climb speed (m/s)", validators=[MinValueValidator(0.1)])
    descent_speed_mps = models.FloatField(
        "descent speed (m/s)", validators=[MinValueValidator(0.1)]
    )
    max_wind_mps = models.FloatField("wind limit (m/s)", validators=[MinValueValidator(0.0)])

    class Meta:
        verbose_name = "drone kind"
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="drone_kind_physics_positive",
                condition=Q(
                    max_payload_kg__gt=0,
                    empty_mass_kg__gt=0,
                    battery_wh__gt=0,
                    hover_power_w__gt=0,
                    cruise_power_w__gt=0,
                    cruise_speed_mps__gt=0,
                    climb_speed_mps__gt=0,
                    descent_speed_mps__gt=0,
                ),
            ),
            models.CheckConstraint(
                name="drone_kind_size_sensible",
                condition=Q(max_size_cm__isnull=True) | is_a_size("max_size_cm"),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Hub(models.Model):
    """Where drones stand: they start, land and charge there."""

    name = models.CharField(max_length=80, unique=True)
    lat = models.FloatField(validators=LATITUDE)
    lng = models.FloatField(validators=LONGITUDE)
    service_area = models.ForeignKey(
        ServiceArea,
        on_delete=models.PROTECT,
        related_name="hubs",
        help_text="The usual area of the drones based here.",
    )
    launches_at_once = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How many drones may be between assignment and take-off here. Empty: any number.",
    )
    pads = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How many drones have room here. Empty: any number.",
    )
    chargers = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How many drones charge here at once. Empty: any number.",
    )

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(name="hub_on_earth", condition=on_earth("lat", "lng"))
        ]

    def __str__(self) -> str:
        return self.name


class ServiceStatus(models.TextChoices):
    """Follows from `active` and `retired`."""

    IN_SERVICE = "IN_SERVICE", "In service"
    IN_MAINTENANCE = "IN_MAINTENANCE", "In maintenance"
    RETIRED = "RETIRED", "Retired"


class DroneQuerySet(models.QuerySet["Drone"]):
    def with_home(self) -> "DroneQuerySet":
        """With kind, hub and base, which feasibility needs, in one statement."""
        return self.select_related(*Drone.HOME)


class Drone(models.Model):
    """A registered drone. Position and charge come from telemetry only."""

    # What feasibility needs beside it.
    HOME = ("kind", "hub", "base")

    drone_id = models.CharField(
        "drone id",
        primary_key=True,
        max_length=64,
        validators=[
            RegexValidator(
                rf"^{DRONE_ID_PATTERN}\Z",
                "Use 3 to 64 capital letters, digits, “-” or “_”, as the Fleet API does.",
            )
        ],
    )
    kind = models.ForeignKey(DroneKind, on_delete=models.PROTECT, related_name="drones")
    hub = models.ForeignKey(
        Hub, on_delete=models.PROTECT, related_name="drones", help_text="Where it stands."
    )
    base = models.ForeignKey(
        Hub,
        on_delete=models.PROTECT,
        related_name="based_drones",
        blank=True,
        help_text="Where it belongs. Empty for a new drone: its hub.",
    )
    stands_at = models.ForeignKey(
        Hub,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="standing_drones",
        help_text="The hub at which the latest telemetry shows it disarmed, in its area or not.",
    )
    stands_since = models.DateTimeField(
        null=True, editable=False, help_text="When telemetry first showed it there."
    )
    active = models.BooleanField(default=True, help_text="Off: out of service; the record is kept.")
    retired = models.BooleanField(
        default=False, db_default=False, help_text="On: out of service for good."
    )
    serial = models.CharField(
        max_length=serials.MAX_CHARACTERS,
        blank=True,
        db_default="",
        help_text="By ANSI/CTA-2063-A if the airframe has one, otherwise the manufacturer's own.",
    )
    registration = models.CharField(
        max_length=40, blank=True, db_default="", help_text="As the authority has it."
    )
    flights = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    flight_seconds = models.PositiveBigIntegerField(
        default=0, db_default=0, editable=False, help_text="Time in the air."
    )
    cycles = models.PositiveIntegerField(
        default=0, db_default=0, editable=False, help_text="Charges of its batteries."
    )
    grounded_at = models.DateTimeField(null=True, editable=False)
    grounded_by = models.CharField(max_length=160, blank=True, editable=False)
    grounded_reason = models.CharField(max_length=300, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DroneQuerySet.as_manager()

    class Meta:
        ordering = ["drone_id"]
        permissions = [("correct_counters", "Can correct the counters of a drone")]
        constraints = [
            models.UniqueConstraint(
                fields=["serial"],
                condition=~Q(serial=""),
                name="drone_serial_once",
                violation_error_message="Another drone has this serial.",
            ),
            models.CheckConstraint(
                name="drone_retired_is_not_active",
                condition=Q(active=False) | Q(retired=False),
                violation_error_message="A retired drone is not active.",
            ),
            models.CheckConstraint(
                name="drone_id_as_the_fleet_api_has_it",
                condition=Q(drone_id__regex=rf"^{DRONE_ID_PATTERN}$"),
            ),
            models.CheckConstraint(
                name="drone_grounded_with_a_reason",
                condition=Q(grounded_at__isnull=True, grounded_reason="")
                | (Q(grounded_at__isnull=False) & ~Q(grounded_reason="")),
            ),
        ]

    def __str__(self) -> str:
        return self.drone_id

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.base_id is None:
            self.base_id = self.hub_id
        super().save(*args, **kwargs)

    @property
    def home(self) -> Hub:
        """Where it lands if no other hub is chosen: its base, or where it took off while the
        mission intent names no hub.
        """
        return self.base if intents_name_a_hub() else self.hub

    @property
    def service_status(self) -> "ServiceStatus":
        if self.active:
            return ServiceStatus.IN_SERVICE
        return ServiceStatus.RETIRED if self.retired else ServiceStatus.IN_MAINTENANCE

    @property
    def is_grounded(self) -> bool:
        return self.grounded_at is not None


class DroneHoldQuerySet(models.QuerySet["DroneHold"]):
    def standing(self) -> "DroneHoldQuerySet":
        """Holds that are not released."""
        return self.filter(released_at__isnull=True)


class DroneHold(models.Model):
    """A hold keeps a drone out of dispatch until staff release it with a note.

    A separate row and not a column of Drone, so that setting a hold needs no lock on the drone: it
    is set while an order is locked, and the lock order is drones before orders.
    """

    class Code(models.TextChoices):
        FLIGHT_FAILED = "FLIGHT_FAILED", "Its flight failed"
        LANDED_AWAY = "LANDED_AWAY", "It landed away from every hub"
        UNCLEAR_LANDING = "UNCLEAR_LANDING", "It is not known whether it delivered"
        CONTRADICTION = "CONTRADICTION", "Ground control and telemetry contradict each other"

    drone = models.ForeignKey(Drone, on_delete=models.PROTECT, related_name="holds")
    code = models.CharField(max_length=16, choices=Code)
    message = models.CharField(max_length=300)
    held_by = models.CharField(max_length=180)
    held_at = models.DateTimeField(default=timezone.now)
    released_at = models.DateTimeField(null=True)
    released_by = models.CharField(max_length=180, blank=True)
    release_note = models.CharField(max_length=300, blank=True)

    objects = DroneHoldQuerySet.as_manager()

    class Meta:
        ordering = ["-held_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["drone", "code"],
                condition=Q(released_at__isnull=True),
                name="drone_held_once_for_the_same",
            ),
            models.CheckConstraint(
                name="drone_released_in_writing",
                condition=Q(released_at__isnull=True, released_by="", release_note="")
                | (Q(released_at__isnull=False) & ~Q(released_by="") & ~Q(release_note="")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.drone_id}: {self.get_code_display()}"


class PauseChange(models.Model):
    """Dispatch was paused or resumed. Append-only: the database refuses UPDATE and DELETE."""

    id = models.BigAutoField(primary_key=True)
    area = models.ForeignKey(
        ServiceArea,
        on_delete=models.PROTECT,
        null=True,
        related_name="pause_changes",
        help_text="Empty: everywhere.",
    )
    paused = models.BooleanField()
    reason = models.CharField(max_length=300)
    by = models.CharField(max_length=180)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["-at", "-id"], name="pause_newest")]

    def __str__(self) -> str:
        where = str(self.area) if self.area else "everywhere"
        return f"{'Paused' if self.paused else 'Resumed'} {where}"
