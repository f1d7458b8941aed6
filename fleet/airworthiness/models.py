"""Maintenance rules, their records, defects, battery packs and pre-flight checks."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.validators import ArrayMinLengthValidator
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from fleet.airworthiness.maintenance import Interval

MAX_TEXT = 300
MAX_ITEMS = 40


class MaintenanceRule(models.Model):
    """What is due on each drone of a kind after so many flights, hours or days."""

    kind = models.ForeignKey(
        "fleet.DroneKind", on_delete=models.CASCADE, related_name="maintenance_rules"
    )
    name = models.CharField(max_length=60, help_text="For example 50 h inspection.")
    every_flights = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Empty: not counted."
    )
    every_hours = models.FloatField(
        "every hours in the air",
        null=True,
        blank=True,
        validators=[MinValueValidator(0.1), MaxValueValidator(100_000)],
        help_text="Empty: not counted.",
    )
    every_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(36_500)],
        help_text="Empty: not counted. If there are several intervals, the first that ends counts.",
    )
    due_soon_pct = models.FloatField(
        "due soon (%)",
        default=10,
        validators=[MinValueValidator(0), MaxValueValidator(90)],
        help_text="In this last share of the interval it is due soon, in percent.",
    )
    active = models.BooleanField(default=True, help_text="Off: not asked for; records are kept.")

    class Meta:
        ordering = ["kind__name", "name"]
        verbose_name = "maintenance rule"
        constraints = [
            models.UniqueConstraint(
                "kind",
                Lower("name"),
                name="maintenance_rule_once_per_kind",
                violation_error_message="This kind has a rule with this name: one rule may have "
                "several intervals.",
            ),
            models.CheckConstraint(
                name="maintenance_rule_has_an_interval",
                condition=~Q(every_flights=None, every_hours=None, every_days=None)
                & (Q(every_flights=None) | Q(every_flights__gt=0))
                & (Q(every_hours=None) | Q(every_hours__gt=0))
                & (Q(every_days=None) | Q(every_days__gt=0)),
                violation_error_message="Give at least one interval: flights, hours or days.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"

    @property
    def interval(self) -> Interval:
        return Interval(
            self.name, self.every_flights, self.every_hours, self.every_days, self.due_soon_pct
        )


class Maintenance(models.Model):
    """A rule was fulfilled on a drone: when, by whom, what was done. Append-only."""

    drone = models.ForeignKey("fleet.Drone", on_delete=models.PROTECT, related_name="maintenance")
    rule = models.ForeignKey(MaintenanceRule, on_delete=models.PROTECT, related_name="records")
    done_at = models.DateTimeField()
    flights = models.PositiveIntegerField(help_text="The drone's counter at that time.")
    flight_seconds = models.PositiveBigIntegerField(help_text="The drone's counter at that time.")
    done = models.CharField("what was done", max_length=MAX_TEXT)
    recorded_by = models.CharField(max_length=180)
    recorded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-done_at", "-id"]
        verbose_name = "maintenance record"
        indexes = [
            models.Index(fields=["drone", "rule", "-done_at", "-id"], name="maintenance_latest")
        ]

    def __str__(self) -> str:
        return f"{self.drone_id}: {self.rule.name}"


class DefectQuerySet(models.QuerySet["Defect"]):
    def standing(self) -> "DefectQuerySet":
        """Defects that are not released."""
        return self.filter(released_at__isnull=True)


class Defect(models.Model):
    """What is wrong with a drone. One that grounds it keeps it out of dispatch until its release.

    Append-only: the database takes one change of a row, its release.
    """

    drone = models.ForeignKey("fleet.Drone", on_delete=models.PROTECT, related_name="defects")
    description = models.CharField(max_length=MAX_TEXT)
    grounds = models.BooleanField()
    reported_by = models.CharField(max_length=180)
    reported_at = models.DateTimeField(default=timezone.now)
    released_at = models.DateTimeField(null=True)
    released_by = models.CharField(max_length=180, blank=True)
    done = models.CharField("what was done", max_length=MAX_TEXT, blank=True)

    objects = DefectQuerySet.as_manager()

    class Meta:
        ordering = ["-reported_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="defect_released_in_writing",
                condition=Q(released_at__isnull=True, released_by="", done="")
                | (Q(released_at__isnull=False) & ~Q(released_by="") & ~Q(done="")),
            )
        ]
        indexes = [
            models.Index(
                fields=["drone"],
                condition=Q(released_at__isnull=True),
                name="defects_standing",
            )
        ]

    def __str__(self) -> str:
        return f"{self.drone_id}: {self.description}"


class BatteryPack(models.Model):
    """A battery pack; its cycles are counted with the flights of the drone that has it."""

    serial = models.CharField(max_length=40, unique=True)
    drone = models.ForeignKey(
        "fleet.Drone",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="packs",
        help_text="The drone that has it now. Empty: none.",
    )
    cycles = models.PositiveIntegerField(
        default=0, help_text="Counted while a drone has it. Correct it here."
    )
    note = models.CharField(max_length=MAX_TEXT, blank=True)

    class Meta:
        ordering = ["serial"]
        verbose_name = "battery pack"

    def __str__(self) -> str:
        return self.serial


class UncountedFlight(models.Model):
    """What `counters.add` has still to add, because another transaction had the drone's row."""

    drone = models.ForeignKey("fleet.Drone", on_delete=models.CASCADE, related_name="+")
    flights = models.PositiveIntegerField()
    seconds = models.PositiveBigIntegerField()
    cycles = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.drone_id}: {self.flights} flights, {self.seconds} s, {self.cycles} cycles"


class Checklist(models.Model):
    """Pre-flight checks of a hub or of a kind: attested each day at each hub whose area asks."""

    name = models.CharField(max_length=60)
    hub = models.ForeignKey(
        "fleet.Hub",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="checklists",
        help_text="For all drones that stand at this hub.",
    )
    kind = models.ForeignKey(
        "fleet.DroneKind",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="checklists",
        help_text="For all drones of this kind, at each hub where one stands.",
    )
    items = ArrayField(
        models.CharField(max_length=MAX_TEXT),
        size=MAX_ITEMS,
        validators=[ArrayMinLengthValidator(1)],
        help_text=f"One to {MAX_ITEMS} checks, one a line.",
    )
    active = models.BooleanField(default=True, help_text="Off: not asked for.")

    class Meta:
        ordering = ["name", "id"]
        verbose_name = "pre-flight checklist"
        constraints = [
            models.CheckConstraint(
                name="checklist_of_a_hub_or_a_kind",
                condition=Q(hub__isnull=True) ^ Q(kind__isnull=True),
                violation_error_message="Choose either a hub or a kind.",
            ),
            models.UniqueConstraint(
                "hub",
                Lower("name"),
                name="checklist_once_per_hub",
                violation_error_message="This hub has a checklist with this name.",
            ),
            models.UniqueConstraint(
                "kind",
                Lower("name"),
                name="checklist_once_per_kind",
                violation_error_message="This kind has a checklist with this name.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Attestation(models.Model):
    """A person says that the checks were done at a hub on a day of its area. Append-only."""

    checklist = models.ForeignKey(Checklist, on_delete=models.PROTECT, related_name="attestations")
    hub = models.ForeignKey("fleet.Hub", on_delete=models.PROTECT, related_name="attestations")
    day = models.DateField(help_text="By the clock of the hub's area.")
    items = ArrayField(models.CharField(max_length=MAX_TEXT), help_text="As they were attested.")
    attested_by = models.CharField(max_length=180)
    attested_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-day", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["checklist", "hub", "day"], name="attested_once_per_hub_and_day"
            )
        ]

    def __str__(self) -> str:
        return f"{self.hub}, {self.day}: {self.checklist}"
