"""How far each flight is: by telemetry, by its track, and by ground control's reports."""

from datetime import UTC, datetime

from django.db import models
from django.utils import timezone

from dispatch.models.missions import Mission
from fleet.models import ServiceArea
from orders.models import DeliveryJob, Order


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


class FollowerLease(models.Model):
    """Who follows the flights of a service area, and until when (`missions.following.leases`)."""

    service_area = models.OneToOneField(
        ServiceArea, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    holder = models.UUIDField()
    ends_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"Follower of {self.service_area_id}"


class TrackPiece(models.Model):
    """About a minute of a job's track (`missions.following.tracks`). Never updated."""

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(DeliveryJob, on_delete=models.CASCADE, related_name="track_pieces")
    points = models.JSONField(
        help_text="Each [POSIX seconds, lat, lng, alt_m, speed_mps, battery_pct]."
    )

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{len(self.points)} points of {self.job_id}"


class ErrandFlight(models.Model):
    """What is seen of a flight without an order until its record is written. Degrees, percent."""

    mission = models.OneToOneField(
        Mission, on_delete=models.CASCADE, primary_key=True, related_name="errand_flight"
    )
    start_lat = models.FloatField(null=True, help_text="Where telemetry saw it stand before.")
    start_lng = models.FloatField(null=True)
    battery_before_pct = models.FloatField(null=True)
    battery_after_pct = models.FloatField(null=True)
    launched_at = models.DateTimeField(null=True, help_text="As ground control reports it.")
    points = models.JSONField(default=list, help_text="Its track, as in TrackPiece.")

    def __str__(self) -> str:
        return f"Flight of {self.mission_id}"

    @property
    def is_seen_flying(self) -> bool:
        """One sample proves nothing."""
        return len(self.points) > 1

    @property
    def took_off_at(self) -> datetime | None:
        """As reported; else the first point of its track; None while it stands."""
        if self.launched_at is not None or not self.is_seen_flying:
            return self.launched_at
        return datetime.fromtimestamp(self.points[0][0], UTC)


class MissionReport(models.Model):
    """A reported mission event; the unique key applies each once."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="reports")
    key = models.CharField(max_length=200, help_text="Source and event id of the sender.")
    type = models.CharField(max_length=40)
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "key"], name="report_applied_once")]

    def __str__(self) -> str:
        return f"{self.type} ({self.key})"
