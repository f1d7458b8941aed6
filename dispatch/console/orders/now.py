"""Where an order is now: pickup, drop point, and its drone by the latest telemetry."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from redis import RedisError

from dispatch.console import replay_pages
from dispatch.missions.following import tracks
from fleet import policy, presentation
from fleet.console.map_pages import drone_feature
from fleet.feasibility.geometry import distance_m
from fleet.feasibility.rules import Rules
from fleet.live import drone_status, picture
from fleet.live.drone_status import LiveDrone
from fleet.models import Drone
from orders.console.pages import features_of
from orders.models import DeliveryJob, Order
from orders.states import JobStatus
from wingxtra.console.admin import badge, duration, moment
from wingxtra.console.registry import Feature, Section, Tone
from wingxtra.console.widgets import tiles

Facts = list[tuple[str, Any]]


def read(order: Order) -> tuple[QuerySet[Any, Any], ...]:
    """The track of the latest attempt, in pieces and its end, and the drone that flies it now."""
    job = order.current_job
    drone_id = job.drone_id if job and job.status == JobStatus.ACTIVE else None
    flying = Drone.objects.with_home().filter(pk=drone_id)
    return *tracks.stored_of([job.pk] if job else []), flying


def where(
    order: Order, request: HttpRequest, pieces: list[Any], end: list[Any], drones: list[Drone]
) -> Section:
    """The page draws `features` once, and `now` again at each renewal."""
    now = timezone.now()
    features: list[Feature] = []
    job = order.current_job
    flown = tracks.points_of(point for _, points in (*pieces, *end) for point in points)
    if flown:
        line = {"type": "LineString", "coordinates": [[point.lng, point.lat] for point in flown]}
        features.append(Feature("flown", "line", line, "Flown", Tone.GOOD))
    facts, drone = _drone(order, drones, policy.current_for(request), now)
    shown = [*features_of(order, now), *([drone] if drone else [])]
    context = {
        "has_parts": True,
        "facts": facts,
        "features": [asdict(feature) for feature in features],
        "now": [asdict(feature) for feature in shown],
        "tiles": tiles(),
        "replay": replay_pages.url_of(job.pk) if job and flown else "",
    }
    return Section("Where it is", "console/order/where.html", context)


def _drone(
    order: Order, drones: list[Drone], rules: Rules, now: datetime
) -> tuple[Facts, Feature | None]:
    """What is known of the drone of the attempt under way; nothing without one."""
    job = order.current_job
    if job is None or job.status != JobStatus.ACTIVE:
        return [], None
    facts: Facts = [("Expected at the door", _expected(order, job, now))]
    if job.drone_id is None:
        return facts, None
    try:
        (live,) = drone_status.live_drones(drones, now, rules)
        fleet = picture.read()
    except RedisError:
        unknown = badge("Not known: the live picture of the fleet cannot be read", Tone.BAD)
        return [*facts, ("Telemetry", unknown)], None
    age_s = abs(fleet.age_s_of(job.drone_id, now)) if fleet else float("inf")
    known = _facts(order, live, age_s, rules.telemetry_max_age_s)
    return [*facts, *known], drone_feature(live, now)


def _expected(order: Order, job: DeliveryJob, now: datetime) -> Any:
    """“12:04 (in 6 min), 12 min before the promise”."""
    at = job.eta_at or job.promised_at
    if at is None:
        return "not known yet"
    left = f"in {duration(at - now)}" if at - now > timedelta(seconds=90) else "any moment"
    spare = order.deliver_by - at
    if spare < timedelta(0):
        return format_html(
            "{} ({}) {}", moment(at), left, badge(f"{duration(-spare)} late", Tone.BAD)
        )
    return format_html("{} ({}), {} before the promise", moment(at), left, duration(spare))


def _facts(order: Order, live: LiveDrone, age_s: float, max_age_s: float) -> Facts:
    """Battery, height and distance, and how old they are if they are too old to dispatch by."""
    url = reverse("admin:fleet_drone_change", args=[live.drone.pk])
    link = format_html('<a class="wx-link" href="{}">{}</a>', url, live.drone.pk)
    name, tone = presentation.READINESS[live.readiness]
    facts: Facts = [("Drone", format_html("{} {}", link, badge(name, tone)))]
    sample = live.telemetry
    if sample is None:
        return [*facts, ("Telemetry", badge("None", Tone.BAD))]
    facts.append(("Battery", presentation.battery(live)))
    if sample.alt_m is not None:
        facts.append(("Height", f"{sample.alt_m:.0f} m"))
    if sample.lat is not None and sample.lng is not None:
        away_m = distance_m(sample.lat, sample.lng, order.dropoff_lat, order.dropoff_lng)
        facts.append(("To the drop point", f"{float(away_m) / 1000:.2f} km"))
    measured = moment(sample.measured_at, seconds=True)
    if age_s <= max_age_s:
        return [*facts, ("Measured", measured)]
    old = badge(f"Old: {_about(age_s)} ago. Not live", Tone.BAD)
    return [*facts, ("Measured", format_html("{} {}", measured, old))]


def _about(age_s: float) -> str:
    """In steps of 5 s, so that a page that nothing changes is not renewed each time."""
    return duration(timedelta(seconds=age_s // 5 * 5))
