"""Writes the demo city to the database: hubs, drones, areas, merchants, users and API keys."""

import secrets
from dataclasses import asdict, dataclass
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone

from fleet import policy
from fleet.airspace import rulebook
from fleet.airspace.areas import intents_name_a_hub
from fleet.airworthiness.pilots import MOST_AT_ONCE
from fleet.demo import city
from fleet.models import Drone, DroneKind, GeoZone, Hub, Pilot, ServiceArea, Shift
from fleet.simulator.flight import Handling
from wingxtra.accounts.identity import SYSTEM, Role
from wingxtra.accounts.models import ApiKey, Merchant, User

KEY_NAME = "demo"
SHIFT_SO_FAR, SHIFT = timedelta(days=2), timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The demo's password and API keys. New at every start; they cannot be read again."""

    password: str
    gcs_key: str
    ops_key: str
    shop_keys: dict[str, str]


@transaction.atomic
def seed(drone_count: int) -> Credentials:
    """Creates or updates the demo city; idempotent except for new credentials.

    Raises PermissionDenied outside the environments demo and test.
    """
    if settings.ENVIRONMENT not in ("demo", "test"):
        raise PermissionDenied(
            f"The demo city has users with a printed password; ENVIRONMENT is "
            f"{settings.ENVIRONMENT!r} and must be 'demo' or 'test'."
        )
    _seed_policy()
    _seed_fleet(drone_count)
    merchants = [
        Merchant.objects.update_or_create(
            name=shop.name, defaults={"support_contact": shop.support_contact}
        )[0]
        for shop in city.SHOPS
    ]
    return _seed_people(merchants)


def _seed_policy() -> None:
    """Sets the handling times of the simulator, for correct ETAs. Later edits are kept."""
    if policy.current().version > 1:
        return
    crew = Handling()
    policy.change(
        by=SYSTEM,
        launch_time_s=2 * crew.preflight_s,
        load_time_s=crew.load_s,
        delivery_time_s=crew.drop_s,
    )


def _seed_fleet(drone_count: int) -> None:
    area, _ = ServiceArea.objects.update_or_create(
        name=city.AREA_NAME,
        defaults={
            "polygon": city.AREA_POLYGON,
            "time_zone": city.AREA_TIME_ZONE,
            "network": intents_name_a_hub(),
            # One pilot can supervise all of them: no order waits for a pilot.
            "pilots_required": drone_count <= MOST_AT_ONCE,
        },
    )
    GeoZone.objects.update_or_create(
        name=city.AIRPORT_NAME, defaults={"polygon": city.AIRPORT_POLYGON}
    )
    kinds = {}
    for kind in city.KINDS:
        physics = {k: v for k, v in asdict(kind).items() if k not in ("name", "charge_w")}
        physics["payload_types"] = list(kind.payload_types)
        kinds[kind.name], _ = DroneKind.objects.update_or_create(name=kind.name, defaults=physics)
    hubs = {
        hub.name: Hub.objects.update_or_create(
            name=hub.name, defaults={"lat": hub.lat, "lng": hub.lng, "service_area": area}
        )[0]
        for hub in city.HUBS
    }
    wanted = city.drones(drone_count)
    for drone in wanted:
        Drone.objects.update_or_create(
            drone_id=drone.drone_id,
            defaults={"kind": kinds[drone.kind.name], "hub": hubs[drone.hub.name], "active": True},
        )
    # A previous demo may have had more drones.
    Drone.objects.exclude(pk__in=[drone.drone_id for drone in wanted]).update(active=False)
    if area.pilots_required:
        _seed_pilot(area, drone_count)
    rulebook.VERSION.bump()


def _seed_pilot(area: ServiceArea, drone_count: int) -> None:
    """One pilot on duty for the days that a demo may run, and since before yesterday: a what-if may
    ask about that day.
    """
    now = timezone.now()
    pilot, _ = Pilot.objects.get_or_create(
        name=city.PILOT_NAME, defaults={"remote_pilot_id": city.REMOTE_PILOT_ID}
    )
    ended = pilot.shifts.filter(ends_at__lte=now).values_list("ends_at", flat=True)
    shift = Shift.objects.on_duty(now).filter(pilot=pilot).first() or Shift(
        pilot=pilot, starts_at=max([now - SHIFT_SO_FAR, *ended])
    )
    planned = pilot.shifts.filter(starts_at__gt=now).values_list("starts_at", flat=True)
    shift.service_area, shift.at_once = area, drone_count
    shift.ends_at = min([now + SHIFT, *planned])
    shift.save()


def _seed_people(merchants: list[Merchant]) -> Credentials:
    password = secrets.token_urlsafe(9)
    people: list[tuple[str, Role, Merchant | None]] = [
        ("admin", Role.ADMIN, None),
        ("ops", Role.OPS, None),
        ("merchant", Role.MERCHANT, merchants[0]),
    ]
    for name, role, merchant in people:
        user, _ = User.objects.get_or_create(
            username=name, defaults={"role": role, "merchant": merchant}
        )
        user.role, user.merchant = role, merchant
        user.is_staff = role != Role.MERCHANT
        user.set_password(password)
        user.save()
    for former in ApiKey.objects.filter(name__startswith=KEY_NAME, revoked_at__isnull=True):
        former.revoked_at = timezone.now()
        former.save(update_fields=["revoked_at"])
    shop_keys = {
        merchant.name: ApiKey.issue(
            name=f"{KEY_NAME}: {merchant.name}", role=Role.MERCHANT, merchant=merchant
        )[1]
        for merchant in merchants
    }
    return Credentials(
        password=password,
        gcs_key=ApiKey.issue(name=f"{KEY_NAME}: ground control", role=Role.OPS)[1],
        ops_key=ApiKey.issue(name=f"{KEY_NAME}: operator", role=Role.OPS)[1],
        shop_keys=shop_keys,
    )
