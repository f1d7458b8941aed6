from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fleet.live import picture
from fleet.live.client import FleetUnavailable
from fleet.live.quality import completeness
from fleet.live.telemetry import Telemetry
from fleet.models import Drone


class Command(BaseCommand):
    help = "Poll the Fleet API once, store the fleet picture, and list missing values."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            decoded = picture.refresh()
        except FleetUnavailable as problem:
            raise CommandError(f"{problem.detail} ({problem.code})") from problem
        received = {sample.drone_id for sample in decoded.telemetry}
        registered = set(Drone.objects.filter(active=True).values_list("drone_id", flat=True))
        self.stdout.write(
            f"{len(received)} drones at {decoded.server_time:%Y-%m-%d %H:%M:%S} UTC, "
            f"including {len(received & registered)} of the {len(registered)} in service."
        )
        for drone_id in sorted(registered - received):
            self.stdout.write(f"  {drone_id} is not in the answer.")
        for drone, reason in decoded.skipped:
            self.stderr.write(f"  {drone} was skipped: {reason}")
        for sample in decoded.telemetry:
            for reason in sample.refused.values():
                self.stderr.write(f"  {sample.drone_id}: {reason}. The value is ignored.")
        self._list_missing([s for s in decoded.telemetry if s.drone_id in registered])

    def _list_missing(self, samples: list[Telemetry]) -> None:
        found = completeness(samples)
        self.stdout.write("Values that dispatch needs from each drone (docs/connect.md):")
        for need, lacking in found.lacking.items():
            state = f"missing in {lacking} of {found.drones}" if lacking else "complete"
            vital = ", required for orders" if need.rules_out else ""
            self.stdout.write(f"  {need.label} ({need.unit}{vital}): {state}")
