"""Maintenance in the demo city: one drone is due soon, one is overdue, the others are new."""

from django.db import transaction

from fleet.airworthiness import counters
from fleet.airworthiness.maintenance import HOUR_S
from fleet.models import BatteryPack, Checklist, Drone, DroneKind, Hub, MaintenanceRule

INSPECTION = "50 h inspection"
# Enough others of each kind at each hub, so that the first delivery is as fast as without.
MIN_DRONES = 9
SERIAL = "WXTR3"
CHECKS = [
    "Propellers without cracks, nuts tight",
    "Battery locked, contacts clean",
    "Winch runs, hook closes",
    "Pad free of people and objects",
]


@transaction.atomic
def seed() -> None:
    """Adds rules, serials, a pack and a checklist to the city. Idempotent: what was flown, edited
    or recorded since is kept. The last two drones in service have flown most.
    """
    for kind in DroneKind.objects.all():
        MaintenanceRule.objects.get_or_create(
            kind=kind, name=INSPECTION, defaults={"every_hours": 50.0}
        )
    drones = list(Drone.objects.filter(active=True).order_by("pk"))
    for n, drone in enumerate(drones, start=1):
        Drone.objects.filter(pk=drone.pk, serial="").update(
            serial=f"{SERIAL}{n:03d}", registration=f"9G-D{n:03d}"
        )
    if len(drones) >= MIN_DRONES:
        for drone, hours in zip(drones[-2:], (46.5, 53.0), strict=True):
            if drone.flights == 0:
                seconds = round(hours * HOUR_S)
                counters.add(drone.pk, flights=seconds // 900, seconds=seconds, cycles=210)
    if drones:
        BatteryPack.objects.get_or_create(
            serial="PACK-001", defaults={"drone": drones[-1], "cycles": 212}
        )
    for hub in Hub.objects.all():
        Checklist.objects.get_or_create(hub=hub, name="Morning checks", defaults={"items": CHECKS})
