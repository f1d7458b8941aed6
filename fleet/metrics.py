"""Prometheus metrics of the fleet picture: its age and its completeness."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import Metric

from fleet import policy
from fleet.live import drone_status, picture
from wingxtra.observability import metrics


def picture_metrics(now: datetime) -> Iterator[Metric]:
    latest = picture.read()
    age_s = latest.age_s(now) if latest else float("inf")
    text = "Age of the Fleet API answer in use; infinite if there never was one."
    yield metrics.gauge("fleet_picture_age_seconds", text, {(): age_s})
    text = "Maximum age by the policy; dispatch stops above it."
    yield metrics.gauge(
        "fleet_picture_age_allowed_seconds", text, {(): policy.current().telemetry_max_age_s}
    )
    text = "Drones in the fleet picture."
    yield metrics.gauge("fleet_drones_seen", text, {(): len(latest.telemetry) if latest else 0})
    text = "How far the Fleet API's clock is ahead of ours."
    ahead_s = latest.clock_ahead_s if latest else 0
    yield metrics.gauge("fleet_clock_ahead_seconds", text, {(): ahead_s})
    found = drone_status.completeness(latest)
    text = "Drones in service whose telemetry lacks this value, which dispatch needs."
    lacking = {(need.name,): count for need, count in found.lacking.items()}
    yield metrics.gauge("fleet_drones_lacking", text, lacking, "field")


metrics.register("fleet", picture_metrics)
