"""What of the fleet goes to Prometheus: how old the picture is, and what is in it."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import Metric

from fleet import policy
from fleet.live import drone_status, picture
from wingxtra.observability import metrics


def the_picture(now: datetime) -> Iterator[Metric]:
    seen = picture.read()
    age_s = seen.age_s(now) if seen else float("inf")
    text = "Since the Fleet API's answer that is in use; infinite when there never was one."
    yield metrics.gauge("fleet_picture_age_seconds", text, {(): age_s})
    text = "How old it may be, by the policy, before nothing is dispatched."
    yield metrics.gauge(
        "fleet_picture_age_allowed_seconds", text, {(): policy.current().telemetry_max_age_s}
    )
    text = "Drones in it."
    yield metrics.gauge("fleet_drones_seen", text, {(): len(seen.telemetry) if seen else 0})
    text = "How far the Fleet API's clock is ahead of ours."
    yield metrics.gauge("fleet_clock_ahead_seconds", text, {(): seen.clock_ahead_s if seen else 0})
    found = drone_status.completeness(seen)
    text = "Drones in service that send telemetry without this value, which dispatch needs."
    lacking = {(need.name,): count for need, count in found.lacking.items()}
    yield metrics.gauge("fleet_drones_lacking", text, lacking, "field")


metrics.register("fleet", the_picture)
