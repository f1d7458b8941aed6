"""The fleet's layers of the live map: drones, areas, zones and hubs."""

from collections.abc import Iterator
from datetime import datetime

from django.urls import reverse

from fleet import policy, presentation, traffic
from fleet.live import drone_status, picture
from fleet.live.drone_status import LiveDrone
from fleet.models import Drone, GeoZone, Hub, ServiceArea
from wingxtra.console import registry as console
from wingxtra.console.registry import Feature, Layer, Source, Tone


def drone_feature(live: LiveDrone, now: datetime) -> Feature | None:
    """None if its position is unknown."""
    telemetry = live.telemetry
    if telemetry is None or telemetry.lat is None or telemetry.lng is None:
        return None
    return Feature(
        id=f"drone-{live.drone.pk}",
        look="drone",
        geometry={"type": "Point", "coordinates": [telemetry.lng, telemetry.lat]},
        label=live.drone.pk,
        tone=presentation.READINESS[live.readiness][1],
        facts=presentation.state_rows(live, now),
        url=reverse("admin:fleet_drone_change", args=[live.drone.pk]),
        heading_deg=telemetry.heading_deg,
        is_alert=live.is_silent or bool(live.holds),
        area=str(live.drone.hub.service_area_id),
        state=presentation.READINESS[live.readiness][0],
    )


def drones(now: datetime, only: str = "") -> Iterator[Feature]:
    wanted = Drone.objects.with_home().filter(active=True)
    if only:
        wanted = wanted.filter(pk=only.removeprefix("drone-"))
    for live in drone_status.live_drones(list(wanted), now):
        if feature := drone_feature(live, now):
            yield feature


def hubs(now: datetime, only: str = "") -> Iterator[Feature]:
    there = traffic.now_at_each(now)
    wanted = Hub.objects.select_related("service_area")
    for hub in wanted.filter(pk=only.removeprefix("hub-")) if only else wanted:
        seen = there.get(hub.pk, traffic.NONE)
        yield Feature(
            id=f"hub-{hub.pk}",
            look="hub",
            geometry={"type": "Point", "coordinates": [hub.lng, hub.lat]},
            label=hub.name,
            facts=[("Service area", hub.service_area.name), *presentation.hub_rows(hub, seen)],
            mark=str(seen.standing),
            is_alert=seen.is_over(hub),
            url=reverse("admin:fleet_hub_change", args=[hub.pk]),
            area=str(hub.service_area_id),
        )


def areas(now: datetime, only: str = "") -> Iterator[Feature]:
    wanted = ServiceArea.objects.filter(active=True)
    for area in wanted.filter(pk=only.removeprefix("area-")) if only else wanted:
        yield Feature(
            id=f"area-{area.pk}",
            look="area",
            geometry=area.polygon,
            label=area.name,
            tone=Tone.WARN if area.dispatch_paused else Tone.BUSY,
            facts=[("Dispatch", "paused" if area.dispatch_paused else "running")],
            url=reverse("admin:fleet_servicearea_change", args=[area.pk]),
            area=str(area.pk),
        )


def zones(now: datetime, only: str = "") -> Iterator[Feature]:
    wanted = GeoZone.objects.relevant(now)
    for zone in wanted.filter(pk=only.removeprefix("zone-")) if only else wanted:
        is_upcoming = zone.starts_at is not None and zone.starts_at > now
        yield Feature(
            id=f"zone-{zone.pk}",
            look="zone",
            geometry=zone.polygon,
            label=zone.name,
            tone=Tone.WARN if is_upcoming else Tone.BAD,
            facts=[
                ("From", f"{zone.starts_at:%d %b %H:%M} UTC" if zone.starts_at else "always"),
                ("Until", f"{zone.ends_at:%d %b %H:%M} UTC" if zone.ends_at else "no end"),
            ],
            url=reverse("admin:fleet_geozone_change", args=[zone.pk]),
        )


def fleet_picture(now: datetime) -> Source:
    """Every position of a drone is from it. Raises RedisError."""
    latest = picture.read()
    return Source(
        "The fleet picture",
        latest.fetched_at if latest else None,
        policy.current().telemetry_max_age_s,
    )


console.map_sources.append(fleet_picture)
console.drone_tones.extend(presentation.READINESS.values())
console.layers.extend(
    [
        Layer("drones", "Drones", drones, "fleet.view_drone", group="Drones"),
        Layer("areas", "Areas", areas, "fleet.view_servicearea"),
        Layer("zones", "No-fly zones", zones, "fleet.view_geozone"),
        Layer("hubs", "Hubs", hubs, "fleet.view_hub"),
    ]
)
