from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fleet import picture
from fleet.client import FleetUnavailable
from fleet.models import Drone


class Command(BaseCommand):
    help = "Ask the Fleet API once, keep what it says as the live picture, and say what it was."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            decoded = picture.renew()
        except FleetUnavailable as problem:
            raise CommandError(f"{problem.detail} ({problem.code})") from problem
        heard = {sample.drone_id for sample in decoded.telemetry}
        registered = set(Drone.objects.filter(active=True).values_list("drone_id", flat=True))
        self.stdout.write(
            f"{len(heard)} drones at {decoded.server_time:%Y-%m-%d %H:%M:%S} UTC, "
            f"{len(heard & registered)} of our {len(registered)} in service among them."
        )
        for drone_id in sorted(registered - heard):
            self.stdout.write(f"  {drone_id} is not in the answer.")
        for drone, reason in decoded.skipped:
            self.stderr.write(f"  {drone} was skipped: {reason}")
