"""Missions under way whose landing is in doubt: a hub was moved, or a flight to the base is no
longer as planned.
"""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Prefetch
from django.urls import reverse

from dispatch.missions.intent import lands_at
from dispatch.missions.reposition import watching
from dispatch.models import Discrepancy, Mission, MissionPart
from fleet.feasibility.geometry import distance_m
from fleet.models import Drone
from wingxtra.console import actions
from wingxtra.console import registry as console
from wingxtra.console.registry import Attention, Button, Tone

# Pads are a few metres apart. A smaller correction moves none.
MOVED_M = 5.0


def moved_hubs(now: datetime) -> Iterator[Attention]:
    """Missions that ground control has with the former place of a hub. One that was never sent
    gets the new place.
    """
    parts = Prefetch("parts", MissionPart.objects.select_related("order__current_job"))
    sent = Mission.objects.filter(live=True, over_at__isnull=True, return_to__isnull=False)
    for mission in sent.select_related("return_to", "drone").prefetch_related(parts):
        told, hub = lands_at(mission.body), mission.return_to
        if told is None or hub is None:
            continue
        away_m = float(distance_m(*told, hub.lat, hub.lng))
        if away_m > MOVED_M:
            yield Attention(
                key=f"moved-hub:{mission.pk}",
                level=31,
                text=f"{mission.drone_id} lands {away_m:.0f} m away from {hub}, which was moved",
                detail=f"Ground control has the former place, {told[0]:.5f}, {told[1]:.5f}. End "
                "the mission, correct it in ground control, or keep the former place clear.",
                url=reverse("admin:dispatch_mission_change", args=[mission.pk]),
                since=mission.created_at,
                tone=Tone.BAD,
                remedies=_remedies(mission),
            )


def flights_to_the_base(now: datetime) -> Iterator[Attention]:
    """A zone, a wind or a charge that speaks against one."""
    for mission, outlook in watching.outlooks(now):
        for concern, reason in outlook.against.items():
            yield Attention(
                key=f"way-home:{concern}:{mission.pk}",
                level=30,
                text=f"{Discrepancy.Code(concern).label}: {mission.drone_id} on its way to "
                f"{mission.return_to}",
                detail=reason.message,
                url=reverse("admin:fleet_drone_change", args=[mission.drone_id]),
                since=mission.created_at,
                tone=Tone.BAD,
                remedies=_remedies(mission),
            )


def _remedies(mission: Mission) -> tuple[Button, ...]:
    for part in mission.parts.all():
        return actions.buttons(part.order, "requeue", "abort")
    home = reverse("admin:index")
    names = ("call_back", "way_home_over")
    return tuple(actions.button(Drone, name, mission.drone_id, next=home) for name in names)


console.add_attention(moved_hubs, checks="no hub was moved under a mission that lands there")
console.add_attention(
    flights_to_the_base, checks="nothing speaks against a flight to a base that is under way"
)
