"""Missions under way whose landing is in doubt: a hub was moved, or a flight to the base is no
longer as planned.
"""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import F, FloatField, QuerySet
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast
from django.urls import reverse

from dispatch.missions.intent import lands_at
from dispatch.missions.reposition import watching
from dispatch.models import Discrepancy, Mission, MissionPart
from fleet.console.shared import latest_picture
from fleet.feasibility.geometry import distance_m
from fleet.models import Drone
from wingxtra.console import actions
from wingxtra.console import registry as console
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, Button, Tone

# Pads are a few metres apart. A smaller correction moves none.
MOVED_M = 5.0


def sent_elsewhere(now: datetime) -> QuerySet[Mission]:
    """Missions that ground control has, and whose body names another place than their hub's."""
    told = KeyTransform("return_to", "body")
    lat, lng = (Cast(KeyTextTransform(axis, told), FloatField()) for axis in ("lat", "lng"))
    sent = Mission.objects.filter(live=True, over_at__isnull=True, return_to__isnull=False)
    return (
        sent.alias(told_lat=lat, told_lng=lng)
        .exclude(told_lat__isnull=True)
        .exclude(told_lat=F("return_to__lat"), told_lng=F("return_to__lng"))
        .select_related("return_to")
    )


def parts_sent_elsewhere(now: datetime) -> QuerySet[MissionPart]:
    missions = sent_elsewhere(now).order_by().values("pk")
    return MissionPart.objects.filter(mission__in=missions).select_related("order").order_by("pk")


def moved_hubs(look: Look) -> Iterator[Attention]:
    """Missions that ground control has with the former place of a hub. One that was never sent
    gets the new place.
    """
    order_of = {part.mission_id: part.order for part in look.rows(parts_sent_elsewhere)}
    for mission in look.rows(sent_elsewhere):
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
                remedies=actions.buttons(order_of[mission.pk], "requeue", "abort")
                if mission.pk in order_of
                else _without_order(mission),
            )


def flights_to_the_base(look: Look) -> Iterator[Attention]:
    """A zone, a wind or a charge that speaks against one."""
    if not (missions := look.rows(watching.under_way)):
        return
    for mission, outlook in watching.outlooks(missions, look.once(latest_picture), look.at):
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
                remedies=_without_order(mission),
            )


def _without_order(mission: Mission) -> tuple[Button, ...]:
    home = reverse("admin:index")
    names = ("call_back", "way_home_over")
    return tuple(actions.button(Drone, name, mission.drone_id, next=home) for name in names)


console.add_attention(
    moved_hubs,
    checks="no hub was moved under a mission that lands there",
    reads=[sent_elsewhere, parts_sent_elsewhere],
)
console.add_attention(
    flights_to_the_base,
    checks="nothing speaks against a flight to a base that is under way",
    reads=[watching.under_way],
)
