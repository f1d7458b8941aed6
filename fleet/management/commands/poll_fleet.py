from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fleet.live import picture
from fleet.live.client import FleetUnavailable
from fleet.live.quality import completeness
from fleet.live.telemetry import Telemetry
from fleet.models import Drone


class Command(BaseCommand):
    help = "Ask the Fleet API once, keep what it says as the live picture, say what it lacks."

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
        for sample in decoded.telemetry:
            for reason in sample.refused.values():
                self.stderr.write(f"  {sample.drone_id}: {reason}. It is not used.")
        self._say_what_is_missing([s for s in decoded.telemetry if s.drone_id in registered])

    def _say_what_is_missing(self, samples: list[Telemetry]) -> None:
        found = completeness(samples)
        self.stdout.write("What dispatch needs of each drone (docs/connect.md):")
        for need, lacking in found.lacking.items():
            state = f"missing in {lacking} of {found.drones}" if lacking else "there"
            vital = ", no order without it" if need.rules_out else ""
            self.stdout.write(f"  {need.words} ({need.unit}{vital}): {state}")
