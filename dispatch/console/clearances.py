"""Clearances to fly in the console: what waits for one, what has lost it, and which service."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse

from dispatch.console.attention import GRACE_PERIOD, missions, of_order
from dispatch.missions.clearance import port
from dispatch.models import Clearance, ClearanceQuerySet, Mission, MissionPart
from orders.console.attention import by_rank
from orders.states import Status
from wingxtra.console import actions
from wingxtra.console.admin import badge, duration
from wingxtra.console.attention.counting import each, worst
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, AttentionSource, Button, Tone
from wingxtra.sentences import sentence

State = Clearance.State
TONES = {
    State.ASKED: Tone.WARN,
    State.WAITING: Tone.WARN,
    State.GRANTED: Tone.GOOD,
    State.REFUSED: Tone.BAD,
    State.WITHDRAWN: Tone.BAD,
    State.ENDED: Tone.IDLE,
}


def _awaited(now: datetime) -> ClearanceQuerySet:
    return Clearance.objects.missing().filter(asked_at__lt=now - GRACE_PERIOD)


def parts_awaiting(now: datetime) -> QuerySet[MissionPart]:
    return _parts(_awaited(now))


def _parts(clearances: ClearanceQuerySet) -> QuerySet[MissionPart]:
    parts = MissionPart.objects.filter(mission__in=clearances.order_by().values("pk"))
    related = parts.select_related("mission__clearance", "job", "order")
    return related.order_by(by_rank("order__"), "mission__created_at")


def errands_awaiting(now: datetime) -> QuerySet[Clearance]:
    errands = _awaited(now).filter(mission__kind=Mission.Kind.REPOSITION)
    related = errands.select_related("mission__drone", "mission__return_to")
    return related.order_by("asked_at", "pk")


def awaited(look: Look) -> Iterator[Attention]:
    """Missions that have waited for a clearance for GRACE_PERIOD."""

    def item(part: MissionPart) -> Attention:
        clearance = part.mission.clearance
        return Attention(
            key=f"clearance:{part.mission_id}",
            level=15 + min(9, int((look.at - clearance.asked_at) / timedelta(minutes=5))),
            text=f"The flight of order {part.order} waits for a clearance",
            detail=f"{sentence(clearance.answer[:300])} It is asked for again automatically; the "
            "mission is not published before.",
            since=clearance.asked_at,
            remedies=actions.buttons(
                part.order, "submit", "requeue", "cancel", known={"submit": _may_submit(part)}
            ),
            cause=f"clearance:{clearance.code}",
            many="flights wait for a clearance",
            all_url=missions("state__exact=PENDING"),
            **of_order(part.order),
        )

    yield from each(look, parts_awaiting, item)
    yield from each(look, errands_awaiting, _awaited_by_an_errand)


def _may_submit(part: MissionPart) -> bool:
    """Its mission waits to be sent: the clearance is missing."""
    return part.order.status == Status.ASSIGNED and part.job_id == part.order.current_job_id


def _awaited_by_an_errand(clearance: Clearance) -> Attention:
    drone, base = clearance.mission.drone, clearance.mission.return_to
    return Attention(
        key=f"clearance:{clearance.pk}",
        level=15,
        text=f"{drone} waits for a clearance to fly to {base}",
        detail=f"{sentence(clearance.answer[:300])} It is asked for again automatically; the "
        "mission is not published before. The drone gets no order until then.",
        url=reverse("admin:fleet_drone_change", args=[drone.pk]),
        since=clearance.asked_at,
        remedies=_call_back(clearance.mission),
        cause=f"clearance:{clearance.code}",
        many="flights wait for a clearance",
        all_url=missions("state__exact=PENDING"),
        about=f"drone:{drone.pk}",
    )


def parts_lost(now: datetime) -> QuerySet[MissionPart]:
    return _parts(Clearance.objects.lost(now))


def errands_lost(now: datetime) -> QuerySet[Clearance]:
    errands = Clearance.objects.lost(now).filter(mission__kind=Mission.Kind.REPOSITION)
    return errands.select_related("mission__drone").order_by("pk")


def lost(look: Look) -> Iterator[Attention]:
    """Missions that may be in the air and whose clearance was withdrawn, or has ended."""

    def item(part: MissionPart) -> Attention:
        clearance = part.mission.clearance
        since = clearance.lost_at or clearance.ends_at or look.at
        how = "was withdrawn" if clearance.lost_at else f"ended {duration(look.at - since)} ago"
        return Attention(
            key=f"clearance-lost:{part.mission_id}",
            level=36,
            text=f"The clearance of {part.mission.drone_id} with order {part.order} {how}",
            detail=f"{sentence(clearance.answer[:300])} Ground control has the mission. Speak with "
            "the airspace service, or have the flight ended.".strip(),
            since=since,
            tone=Tone.BAD,
            remedies=actions.buttons(part.order, "abort", "requeue"),
            cause="clearance-lost",
            many="drones fly without their clearance",
            all_url=missions("live=yes"),
            **of_order(part.order),
        )

    yield from each(look, parts_lost, item)
    yield from each(look, errands_lost, _lost_on_an_errand)


def _lost_on_an_errand(clearance: Clearance) -> Attention:
    drone = clearance.mission.drone
    return Attention(
        key=f"clearance-lost:{clearance.pk}",
        level=36,
        text=f"The clearance of {drone} for its flight to its base is lost",
        detail=f"{sentence(clearance.answer[:300])} Ground control has the mission.".strip(),
        url=reverse("admin:fleet_drone_change", args=[drone.pk]),
        since=clearance.lost_at or clearance.ends_at,
        tone=Tone.BAD,
        remedies=_call_back(clearance.mission),
        cause="clearance-lost",
        many="drones fly without their clearance",
        all_url=missions("live=yes"),
        about=f"drone:{drone.pk}",
    )


def _call_back(mission: Mission) -> tuple[Button, ...]:
    is_sent = mission.kind == Mission.Kind.REPOSITION and mission.over_at is None
    return actions.buttons(mission.drone, "call_back", known={"call_back": is_sent})


def of_mission(mission: Mission) -> Any:
    """Its state and the service's words; a dash if none was asked for."""
    clearance = getattr(mission, "clearance", None)
    return clearance and {
        "state": badge(clearance.get_state_display(), TONES[State(clearance.state)]),
        "answer": clearance.answer,
        "starts_at": clearance.starts_at,
        "ends_at": clearance.ends_at,
    }


def in_use() -> str:
    """The sentence above the list of missions."""
    service = port.service()
    if service is None:
        return "Flights are published without a clearance service: the setting CLEARANCE is none."
    text = f"{service.name} at {settings.CLEARANCE_URL} clears each flight before it is published."
    if settings.CLEARANCE_GROUND_M:
        return f"{text} Heights are sent above the WGS 84 ellipsoid."
    return f"{text} Heights are sent above ground, without CLEARANCE_GROUND_M."


def off_corridor(now: datetime) -> QuerySet[Clearance]:
    return Clearance.objects.nonconforming().select_related("mission__drone").order_by("pk")


def parts_off_corridor(now: datetime) -> QuerySet[MissionPart]:
    parts = MissionPart.objects.filter(
        mission__in=Clearance.objects.nonconforming().order_by().values("pk")
    )
    return parts.select_related("order").order_by("-pk")


def nonconforming(look: Look) -> Iterator[Attention]:
    """Missions in the air outside of the corridor that was declared."""
    part_of = {part.mission_id: part for part in look.rows(parts_off_corridor)}

    def item(clearance: Clearance) -> Attention:
        mission = clearance.mission
        part = part_of.get(mission.pk)
        where: dict[str, Any] = {
            "url": reverse("admin:fleet_drone_change", args=[mission.drone_id]),
            "about": f"drone:{mission.drone_id}",
        }
        return Attention(
            key=f"off-corridor:{mission.pk}",
            level=33,
            text=f"{mission.drone} is outside of its declared corridor",
            detail=f"{_told(clearance)} Look in ground control where it flies.",
            since=clearance.flown_since,
            tone=Tone.BAD,
            remedies=actions.buttons(part.order, "abort") if part else _call_back(mission),
            cause="off-corridor",
            many="drones are outside of their declared corridors",
            all_url=missions("live=yes"),
            **(of_order(part.order) if part else where),
        )

    return each(look, off_corridor, item)


def _told(clearance: Clearance) -> str:
    if clearance.told_as != Clearance.Flown.NONCONFORMING or clearance.told_at is None:
        return "The service has not been told yet."
    return f"The service was told at {clearance.told_at:%H:%M:%S} UTC."


SOURCES = (
    AttentionSource(
        awaited, "no flight waits for a clearance", worst(parts_awaiting, errands_awaiting)
    ),
    AttentionSource(lost, "no drone flies without its clearance", worst(parts_lost, errands_lost)),
    AttentionSource(
        nonconforming,
        "no drone is seen outside of its declared corridor",
        (*worst(off_corridor), parts_off_corridor),
    ),
)
ORDERS: tuple[Callable[[datetime], QuerySet[Any]], ...] = (
    lambda now: parts_awaiting(now).values("order"),
    lambda now: parts_lost(now).values("order"),
)
