"""Factories of a small fleet in Accra and its telemetry."""

from datetime import UTC, datetime, timedelta
from typing import Any

import factory

from fleet.feasibility.geometry import EARTH_RADIUS_M
from fleet.feasibility.rules import PayloadType
from fleet.live import picture
from fleet.live.telemetry import Decoded, Telemetry
from fleet.models import Drone, DroneKind, GeoZone, Hub, Pilot, ServiceArea, Shift

ACCRA = (5.6037, -0.1870)
METRE_DEG = 360 / (
    2 * 3.141592653589793 * EARTH_RADIUS_M
)  # of latitude; nearly the same for longitude near the equator


def square(lat: float, lng: float, side_m: float) -> dict[str, Any]:
    """A GeoJSON Polygon around a point near the equator."""
    half = side_m / 2 * METRE_DEG
    west, east, south, north = lng - half, lng + half, lat - half, lat + half
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


class ServiceAreaFactory(factory.django.DjangoModelFactory):
    """20 km by 20 km around Accra."""

    class Meta:
        model = ServiceArea

    # Sorting by name gives the order of creation; other factories use the first area.
    name = factory.Sequence(lambda n: f"Accra {n:05}")
    polygon = factory.LazyFunction(lambda: square(*ACCRA, side_m=20_000))


class GeoZoneFactory(factory.django.DjangoModelFactory):
    """1 km by 1 km, 5 km north of the centre, away from the trips of tests."""

    class Meta:
        model = GeoZone

    name = factory.Sequence(lambda n: f"No-fly zone {n}")
    polygon = factory.LazyFunction(lambda: square(ACCRA[0] + 5000 * METRE_DEG, ACCRA[1], 1000))


class HubFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Hub

    name = factory.Sequence(lambda n: f"Hub {n}")
    lat, lng = ACCRA
    service_area = factory.LazyFunction(lambda: ServiceArea.objects.first() or ServiceAreaFactory())


class DroneKindFactory(factory.django.DjangoModelFactory):
    """A hexacopter that carries 2.5 kg for about 20 km."""

    class Meta:
        model = DroneKind

    name = factory.Sequence(lambda n: f"Courier {n}")
    max_payload_kg = 2.5
    payload_types = factory.LazyFunction(
        lambda: [PayloadType.PARCEL, PayloadType.FOOD, PayloadType.MEDICINE]
    )
    empty_mass_kg = 6.0
    battery_wh = 620.0
    hover_power_w = 820.0
    cruise_power_w = 700.0
    cruise_speed_mps = 16.0
    climb_speed_mps = 4.0
    descent_speed_mps = 3.0
    max_wind_mps = 12.0


class DroneFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Drone

    drone_id = factory.Sequence(lambda n: f"WX-DRN-{n:03d}")
    kind = factory.LazyFunction(lambda: DroneKind.objects.first() or DroneKindFactory())
    hub = factory.LazyFunction(lambda: Hub.objects.first() or HubFactory())


class PilotFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Pilot

    name = factory.Sequence(lambda n: f"Pilot {n:03d}")


class ShiftFactory(factory.django.DjangoModelFactory):
    """On duty from an hour ago for eight hours, with four drones at once."""

    class Meta:
        model = Shift

    pilot = factory.SubFactory(PilotFactory)
    service_area = factory.LazyFunction(lambda: ServiceArea.objects.first() or ServiceAreaFactory())
    starts_at = factory.LazyFunction(lambda: datetime.now(UTC) - timedelta(hours=1))
    ends_at = factory.LazyAttribute(lambda shift: shift.starts_at + timedelta(hours=8))
    at_once = 4


class TelemetryFactory(factory.Factory):
    """A charged drone in Accra, ready, with fresh telemetry."""

    class Meta:
        model = Telemetry

    drone_id = factory.Sequence(lambda n: f"WX-DRN-{n:03d}")
    measured_at = factory.LazyFunction(lambda: datetime.now(UTC))
    seen_at = factory.SelfAttribute("measured_at")
    lat, lng = ACCRA
    alt_m = 0.0
    heading_deg = 0.0
    speed_mps = 0.0
    armed = False
    mode = "GUIDED"
    battery_pct = 95.0
    voltage_v = 22.1
    rssi_dbm = -62.0


def show(*telemetry: Telemetry, fetched_at: datetime | None = None) -> picture.Picture:
    """Stores this telemetry as a poll at `fetched_at` (default: now) would, and reads it again."""
    fetched_at = fetched_at or datetime.now(UTC)
    if not picture.write(Decoded(fetched_at, list(telemetry), []), fetched_at):
        raise ValueError(f"the stored picture is newer than {fetched_at}")
    stored = picture.read()
    assert stored is not None
    return stored


def seconds_ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)
