"""Flight records: the operator's log, one row for each job, and each flight without an order,
that left the ground.
"""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from dispatch.models.missions import Mission
from fleet.models import Drone, ServiceArea
from orders.models import DeliveryJob, Order
from orders.states import JobStatus


class Missing(models.TextChoices):
    """What a record lacks. The letter is the item of UK CAA AMC1 UAS.SPEC.050(1)(g); without a
    letter, the guidance does not ask for it.
    """

    SERIAL = "serial", "a. Serial number of the drone"
    REGISTRATION = "registration", "a. Registration of the drone"
    TAKE_OFF_TIME = "take_off_time", "b. Time of the take-off"
    TAKE_OFF_PLACE = "take_off_place", "b. Place of the take-off"
    LANDING = "landing", "b. Time and place of the landing"
    DURATION = "duration", "c. Duration of the whole flight"
    PILOT = "pilot", "e. Name of the pilot in command"
    OPERATOR_ID = "operator_id", "f. Id of the operator"
    AUTHORISATION = "authorisation", "f. Operational authorisation, and whether VLOS or BVLOS"
    PREFLIGHT = "preflight", "h. Pre-flight inspection"
    SITE_ASSESSMENT = "site_assessment", "i. Site risk assessment and radio survey"
    RECTIFICATIONS = "rectifications", "j. Rectifications: see the log of the drone"
    REPAIRS = "repairs", "k. Repairs and changes: see the log of the drone"
    CERTIFIED_EQUIPMENT = "certified_equipment", "l. Use of certified equipment"
    PACKS = "packs", "Battery packs"
    TRACK = "track", "Track"
    RETURN_TRACK = "return_track", "Track after the end of the job"
    ENERGY = "energy", "Energy"
    AIRSPACE_VERSION = "airspace_version", "Airspace that the flight was planned with"
    CONFORMANCE = "conformance", "Conformance to the planned corridor"


class FlightRecord(models.Model):
    """One flight, written in the transaction that ends its job, or its mission without an order,
    and completed when the landing is known.

    It holds no personal data and is kept for the policy's `flight_record_days`, longer than the
    customer's data. Coordinates are degrees, times UTC.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.OneToOneField(
        DeliveryJob, on_delete=models.SET_NULL, null=True, related_name="flight_record"
    )
    order = models.ForeignKey(
        Order, on_delete=models.SET_NULL, null=True, related_name="flight_records"
    )
    mission = models.ForeignKey(
        Mission, on_delete=models.SET_NULL, null=True, related_name="flight_records"
    )
    drone = models.ForeignKey(Drone, on_delete=models.PROTECT, related_name="flight_records")
    kind = models.CharField(max_length=60)
    serial = models.CharField(max_length=40, blank=True)
    registration = models.CharField(max_length=40, blank=True)
    operator_id = models.CharField(max_length=40, blank=True)
    service_area = models.ForeignKey(
        ServiceArea, on_delete=models.PROTECT, null=True, related_name="+"
    )
    hub = models.CharField(max_length=80, help_text="Where the drone stood before.")
    pilot = models.CharField(max_length=180, blank=True)
    activity = models.CharField(max_length=10, choices=Mission.Kind)
    took_off_at = models.DateTimeField(null=True)
    took_off_lat = models.FloatField(null=True)
    took_off_lng = models.FloatField(null=True)
    ended_at = models.DateTimeField(help_text="When the job ended.")
    landed_at = models.DateTimeField(null=True)
    landed_lat = models.FloatField(null=True)
    landed_lng = models.FloatField(null=True)
    landed_place = models.CharField(max_length=80, blank=True)
    pickup_lat = models.FloatField(
        null=True, help_text="Rounded, about 10 m. Empty for a flight without an order."
    )
    pickup_lng = models.FloatField(null=True)
    drop_lat = models.FloatField(null=True, help_text="Rounded, about 1 km: it may be a home.")
    drop_lng = models.FloatField(null=True)
    planned_m = models.FloatField(
        null=True, help_text="Straight legs to pickup and drop point, or to the base."
    )
    distance_m = models.FloatField(null=True, help_text="Flown until the job ended, by the track.")
    duration_s = models.FloatField(
        null=True, help_text="From take-off to landing; to the job's end while that is unknown."
    )
    flights_total = models.PositiveIntegerField(help_text="Of the drone, with this flight.")
    seconds_total = models.FloatField(help_text="In the air, of the drone, with this flight.")
    battery_before_pct = models.FloatField(null=True)
    battery_after_pct = models.FloatField(null=True, help_text="The last reading of the job.")
    energy_wh = models.FloatField(null=True)
    outcome = models.CharField(max_length=10, choices=JobStatus)
    reason_code = models.CharField(max_length=20, blank=True)
    airspace_version = models.CharField(max_length=80, blank=True)
    track = models.JSONField(null=True, help_text="As `missions.records.track` writes it.")
    conformance = models.JSONField(null=True, help_text="See `missions.records.conformance`.")
    preflight = models.JSONField(
        default=list, help_text="Checks attested for the day at its hub, each {checklist, at}."
    )
    defects = models.JSONField(
        default=list, help_text="Not released when the job ended, each {what, since, grounds}."
    )
    packs = ArrayField(
        models.CharField(max_length=40),
        default=list,
        help_text="Serials of the battery packs that the drone had when the job ended.",
    )
    events = models.JSONField(default=list, help_text="Each {type, at}, oldest first.")
    missing = ArrayField(models.CharField(max_length=24, choices=Missing), default=list)
    written_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-ended_at", "-id"]
        indexes = [
            models.Index(fields=["ended_at", "id"], name="record_by_time"),
            models.Index(fields=["drone", "ended_at", "id"], name="record_of_drone"),
            # What the report of a shift reads of a flight: rows with their tracks are large.
            models.Index(
                fields=["ended_at"],
                include=["job", "drone", "landed_at", "battery_before_pct", "battery_after_pct"],
                name="record_in_reports",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["mission"],
                condition=Q(activity=Mission.Kind.REPOSITION),
                name="one_record_without_an_order",
            )
        ]

    def __str__(self) -> str:
        return f"{self.drone_id}, {self.ended_at:%Y-%m-%d %H:%M}"
