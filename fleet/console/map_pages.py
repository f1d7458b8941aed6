"""The fleet's layers of the live map: drones, areas, zones and hubs."""

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from fleet import policy, presentation, traffic
from fleet.airspace import schedule_text
from fleet.live import drone_status, picture
from fleet.live.drone_status import LiveDrone
from fleet.models import Drone, DroneKind, GeoZone, Hub, ServiceArea
from wingxtra.console import registry
from wingxtra.console.registry import Feature, Layer, Source, Tone
from wingxtra.console.times import in_words
from wingxtra.database import together


def drone_feature(live: LiveDrone, now: datetime, *, with_facts: bool = True) -> Feature | None:
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
        facts=presentation.state_rows(live, now) if with_facts else [],
        url=_page_of(live.drone.pk),
        heading_deg=telemetry.heading_deg,
        is_alert=live.is_silent or bool(live.holds),
        area=str(live.drone.hub.service_area_id),
        state=presentation.READINESS[live.readiness][0],
    )


# The live map draws the same drones each second.
@lru_cache(10_000)
def _page_of(drone_id: str) -> str:
    return reverse("admin:fleet_drone_change", args=[drone_id])


def _one_or_all(rows: QuerySet[Any], prefix: str, only: str) -> QuerySet[Any]:
    return rows.filter(pk=only.removeprefix(prefix)) if only else rows


def _drones(now: datetime, only: str) -> registry.QuerySets:
    """Drones, and apart from them what `with_home` would read again for each drone."""
    found = _one_or_all(Drone.objects.filter(active=True), "drone-", only)
    return found, DroneKind.objects.all(), Hub.objects.all()


def drones(
    now: datetime, only: str, found: list[Drone], kinds: list[DroneKind], hubs: list[Hub]
) -> Iterator[Feature]:
    kind_of, hub_of = {kind.pk: kind for kind in kinds}, {hub.pk: hub for hub in hubs}
    for drone in found:
        drone.kind = kind_of[drone.kind_id]
        drone.hub, drone.base = hub_of[drone.hub_id], hub_of[drone.base_id]
    for live in drone_status.live_drones(found, now):
        if feature := drone_feature(live, now, with_facts=bool(only)):
            yield feature


def _hubs(now: datetime, only: str) -> registry.QuerySets:
    wanted = _one_or_all(Hub.objects.select_related("service_area"), "hub-", only)
    return wanted, *traffic.counts(now)


def hubs(now: datetime, only: str, found: list[Hub], *counts: Any) -> Iterator[Feature]:
    there = traffic.by_hub(*counts)
    for hub in found:
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


def _areas(now: datetime, only: str) -> registry.QuerySets:
    return (_one_or_all(ServiceArea.objects.filter(active=True), "area-", only),)


def areas(now: datetime, only: str, found: list[ServiceArea]) -> Iterator[Feature]:
    for area in found:
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


def _zones(now: datetime, only: str) -> registry.QuerySets:
    return (_one_or_all(GeoZone.objects.relevant(now), "zone-", only),)


def zones(now: datetime, only: str, found: list[GeoZone]) -> Iterator[Feature]:
    for zone in found:
        is_closed = zone.is_closed(now)
        yield Feature(
            id=f"zone-{zone.pk}",
            look="zone",
            geometry=zone.polygon,
            label=zone.name,
            tone=Tone.BAD if is_closed else Tone.WARN,
            facts=[
                ("Now", "closed" if is_closed else "open to our flights"),
                ("From", in_words(zone.starts_at) if zone.starts_at else "always"),
                ("Until", in_words(zone.ends_at) if zone.ends_at else "no end"),
                ("Hours", schedule_text.lines_of(zone.schedule) or "at all times"),
                ("Allowed until", in_words(zone.allowed_until) if zone.allowed_until else "—"),
            ],
            url=reverse("admin:fleet_geozone_change", args=[zone.pk]),
        )


def surroundings(area: ServiceArea, now: datetime) -> list[Feature]:
    """The area with all zones and hubs, for a map of its past. One statement."""
    closed, *hubs_and_counts = together.read(*_zones(now, ""), *_hubs(now, ""))
    return [*areas(now, "", [area]), *zones(now, "", closed), *hubs(now, "", *hubs_and_counts)]


def fleet_picture(now: datetime) -> Source:
    """Every position of a drone is from it. Raises RedisError."""
    latest = picture.read()
    return Source(
        "The fleet picture",
        latest.fetched_at if latest else None,
        policy.current().telemetry_max_age_s,
    )


registry.map_sources.append(fleet_picture)
registry.drone_tones.extend(presentation.READINESS.values())
registry.layers.extend(
    [
        Layer("drones", "Drones", _drones, drones, "fleet.view_drone", group="Drones"),
        Layer("areas", "Areas", _areas, areas, "fleet.view_servicearea"),
        Layer("zones", "No-fly zones", _zones, zones, "fleet.view_geozone"),
        Layer("hubs", "Hubs", _hubs, hubs, "fleet.view_hub"),
    ]
)
