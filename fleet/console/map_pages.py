"""What the fleet puts on the live map: drones, areas, zones and hubs."""

from collections.abc import Iterator
from datetime import datetime

from django.urls import reverse

from fleet import presentation
from fleet.live import drone_status
from fleet.live.drone_status import LiveDrone
from fleet.models import Drone, Hub, NoFlyZone, ServiceArea
from wingxtra.console import registry as console
from wingxtra.console.registry import Feature, Layer, Tone


def drone_feature(seen: LiveDrone, now: datetime) -> Feature | None:
    """None while nobody knows where it is."""
    said = seen.telemetry
    if said is None or said.lat is None or said.lng is None:
        return None
    return Feature(
        id=f"drone-{seen.drone.pk}",
        look="drone",
        geometry={"type": "Point", "coordinates": [said.lng, said.lat]},
        label=seen.drone.pk,
        tone=presentation.READINESS[seen.readiness][1],
        facts=presentation.facts(seen, now),
        url=reverse("admin:fleet_drone_change", args=[seen.drone.pk]),
        heading_deg=said.heading_deg,
        is_alert=seen.is_silent or bool(seen.holds),
        area=str(seen.drone.hub.service_area_id),
        state=presentation.READINESS[seen.readiness][0],
    )


def drones(now: datetime) -> Iterator[Feature]:
    for seen in drone_status.look(list(Drone.objects.with_home().filter(active=True)), now):
        if feature := drone_feature(seen, now):
            yield feature


def hubs(now: datetime) -> Iterator[Feature]:
    for hub in Hub.objects.select_related("service_area"):
        yield Feature(
            id=f"hub-{hub.pk}",
            look="hub",
            geometry={"type": "Point", "coordinates": [hub.lng, hub.lat]},
            label=hub.name,
            facts=[("Service area", hub.service_area.name)],
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
    for zone in NoFlyZone.objects.relevant(now):
        waits = zone.starts_at is not None and zone.starts_at > now
        yield Feature(
            id=f"zone-{zone.pk}",
            look="zone",
            geometry=zone.polygon,
            label=zone.name,
            tone=Tone.WARN if waits else Tone.BAD,
            facts=[
                ("From", f"{zone.starts_at:%d %b %H:%M} UTC" if zone.starts_at else "always"),
                ("Until", f"{zone.ends_at:%d %b %H:%M} UTC" if zone.ends_at else "for ever"),
            ],
            url=reverse("admin:fleet_noflyzone_change", args=[zone.pk]),
        )


console.drone_tones.extend(presentation.READINESS.values())
console.layers.extend(
    [
        Layer("drones", "Drones", drones, "fleet.view_drone", group="Drones"),
        Layer("areas", "Areas", areas, "fleet.view_servicearea", is_static=True),
        Layer("zones", "No-fly zones", zones, "fleet.view_noflyzone", is_static=True),
        Layer("hubs", "Hubs", hubs, "fleet.view_hub", is_static=True),
    ]
)
