"""The fleet's layers of the live map: drones, areas, zones and hubs."""

from collections.abc import Iterator
from datetime import datetime

from django.urls import reverse

from fleet import presentation, traffic
from fleet.live import drone_status
from fleet.live.drone_status import LiveDrone
from fleet.models import Drone, GeoZone, Hub, ServiceArea
from wingxtra.console import registry as console
from wingxtra.console.registry import Feature, Layer, Tone


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


def drones(now: datetime) -> Iterator[Feature]:
    for live in drone_status.live_drones(list(Drone.objects.with_home().filter(active=True)), now):
        if feature := drone_feature(live, now):
            yield feature


def hubs(now: datetime) -> Iterator[Feature]:
    there = traffic.now_at_each(now)
    for hub in Hub.objects.select_related("service_area"):
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


def areas(now: datetime) -> Iterator[Feature]:
    for area in ServiceArea.objects.filter(active=True):
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


def zones(now: datetime) -> Iterator[Feature]:
    for zone in GeoZone.objects.relevant(now):
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


console.drone_tones.extend(presentation.READINESS.values())
console.layers.extend(
    [
        Layer("drones", "Drones", drones, "fleet.view_drone", group="Drones"),
        Layer("areas", "Areas", areas, "fleet.view_servicearea", is_static=True),
        Layer("zones", "No-fly zones", zones, "fleet.view_geozone", is_static=True),
        Layer("hubs", "Hubs", hubs, "fleet.view_hub"),
    ]
)
