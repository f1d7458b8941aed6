"""Flights to the base in the console: buttons, attention lines, and the latest one of a drone."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from dispatch.console.presentation import said, words_of
from dispatch.missions.reposition import verbs
from dispatch.models import Clearance, Mission
from fleet.models import Drone, Hub
from wingxtra.accounts.models import User
from wingxtra.console import actions
from wingxtra.console import registry as console
from wingxtra.console.admin import moment, said_by
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, Section
from wingxtra.problems import Conflict

# A flight to a base in the same area, with its wait at ground control, takes less.
LONG = timedelta(minutes=30)
# A refusal is shown for this long, unless the drone is sent again or comes home.
SHOWN_FOR = timedelta(days=1)

State = Mission.State


def _send(drone: Drone, data: dict[str, Any], user: User) -> str:
    mission = verbs.send_to_base(drone.pk, by=user.actor)
    return f"{drone} is sent to {mission.return_to}."


def _surplus(hub: Hub) -> list[Drone]:
    elsewhere = Drone.objects.filter(hub=hub, active=True).exclude(base=F("hub"))
    return list(elsewhere.order_by("pk"))


def _send_surplus(hub: Hub, data: dict[str, Any], user: User) -> str:
    """Send each drone that can fly now; the answer names the others. Conflict when none can."""
    sent, refused = [], []
    for drone in _surplus(hub):
        try:
            verbs.send_to_base(drone.pk, by=user.actor)
            sent.append(drone.pk)
        except Conflict as problem:
            refused.append(f"{drone}: {problem.detail}")
    if not sent:
        raise Conflict("none_sent", " ".join(refused))
    told = f"Sent to their base: {', '.join(sent)}."
    return " ".join([told, *(f"Not sent: {text}" for text in refused)])


def _way_of(drone: Drone) -> Mission:
    mission = Mission.objects.errands().filter(drone=drone).first()
    if mission is None:
        raise Conflict("mission_over", f"{drone} is not on its way to its base.")
    return mission


def _call_back(drone: Drone, data: dict[str, Any], user: User) -> str:
    verbs.call_back(_way_of(drone).pk, by=user.actor, reason=data["reason"])
    return f"{drone} is called back: {data['reason']}"


def _confirm_over(drone: Drone, data: dict[str, Any], user: User) -> str:
    verbs.confirm_over(_way_of(drone).pk, by=user.actor, note=data["reason"])
    return f"{drone} does not fly to its base: {data['reason']}"


def _why_not_send(drone: Drone) -> str | None:
    if drone.hub_id == drone.base_id:
        return "It stands at its base."
    is_sent = Mission.objects.errands().filter(drone=drone).exists()
    return "It is on its way already." if is_sent else None


def _why_not_call_back(drone: Drone) -> str | None:
    is_sent = Mission.objects.errands().filter(drone=drone).exists()
    return None if is_sent else "It is not on its way to its base."


actions.register(
    actions.Action(
        model=Drone,
        name="send_to_base",
        label="Send to its base",
        permission="fleet.change_drone",
        carry_out=_send,
        why_not=_why_not_send,
        explanation="Ground control gets a mission without an order. The drone gets no order until "
        "it has landed. It needs the same charge, weather and free airspace as for an order.",
        icon="home",
    ),
    actions.Action(
        model=Drone,
        name="call_back",
        label="Call back",
        permission="fleet.change_drone",
        form=actions.ReasonForm,
        carry_out=_call_back,
        why_not=_why_not_call_back,
        explanation="Before launch the mission is withdrawn. In the air ground control is asked to "
        "abort it.",
        is_grave=True,
    ),
    actions.Action(
        model=Drone,
        name="way_home_over",
        label="It does not fly to its base",
        permission="fleet.change_drone",
        form=actions.ReasonForm,
        carry_out=_confirm_over,
        why_not=_why_not_call_back,
        explanation="You have looked in ground control and at the drone. It may get orders again.",
        is_grave=True,
    ),
    actions.Action(
        model=Hub,
        name="send_surplus_home",
        label="Send surplus home",
        permission="fleet.change_drone",
        carry_out=_send_surplus,
        why_not=lambda hub: None if _surplus(hub) else "Every drone here belongs here.",
        explanation="Sends each drone that stands here and belongs to another hub to its base, if "
        "it can fly there now.",
        icon="home",
    ),
)


# --- what needs attention ------------------------------------------------------------------------


def latest_ways_home(now: datetime) -> QuerySet[Mission]:
    """The latest flight to its base of each drone that is not there."""
    latest = Mission.objects.filter(
        kind=Mission.Kind.REPOSITION, created_at__gt=now - SHOWN_FOR, drone__active=True
    ).exclude(drone__hub=F("drone__base"))
    missions = latest.order_by("drone_id", "-created_at").distinct("drone_id")
    return missions.select_related("drone", "return_to", "clearance")


def ways_home(look: Look) -> Iterator[Attention]:
    """Refused flights to the base, and those that take too long."""
    for mission in look.rows(latest_ways_home):
        if mission.state == State.REJECTED:
            yield _refused(mission)
        elif _waits_for(mission):
            continue  # dispatch.console.clearances says so
        elif mission.over_at is None and mission.created_at < look.at - LONG:
            yield _long(mission)


def _waits_for(mission: Mission) -> str:
    """What the clearance service says against it; empty if it waits for no clearance."""
    clearance = getattr(mission, "clearance", None)
    if clearance is None or mission.state != State.PENDING or mission.recall_state:
        return ""
    is_clear = clearance.state in (Clearance.State.GRANTED, Clearance.State.ENDED)
    return "" if is_clear else clearance.answer or "It has not answered yet."


def _refused(mission: Mission) -> Attention:
    drone = mission.drone
    return Attention(
        key=f"way-home:{mission.pk}",
        level=14,
        text=f"Ground control refused to send {drone} to {mission.return_to}",
        detail=f"{words_of(mission.bridge_answer, 300)} Orders go on. Ground control must know "
        "missions of kind REPOSITION; else bring the drone back, or change its base.",
        url=reverse("admin:fleet_drone_change", args=[drone.pk]),
        since=mission.over_at,
        remedies=(_button(drone, "send_to_base"),),
        cause="way-home:refused",
        many="flights to the base were refused by ground control",
        about=f"drone:{drone.pk}",
    )


def _long(mission: Mission) -> Attention:
    drone = mission.drone
    state = (
        "Ground control has it." if mission.accepted_at else "It has not reached ground control."
    )
    return Attention(
        key=f"way-home:{mission.pk}",
        level=18,
        text=f"{drone} was sent to {mission.return_to} and has not landed there",
        detail=f"{state} {words_of(mission.bridge_answer)} It gets no order before it has.",
        url=reverse("admin:fleet_drone_change", args=[drone.pk]),
        since=mission.created_at,
        remedies=(_button(drone, "call_back"), _button(drone, "way_home_over")),
        cause="way-home:long",
        many="drones were sent to their base and have not landed there",
        about=f"drone:{drone.pk}",
    )


def _button(drone: Drone, name: str) -> console.Button:
    return actions.button(Drone, name, drone.pk, next=reverse("admin:index"))


console.add_attention(
    ways_home,
    checks="every drone that was sent to its base arrives there",
    reads=[latest_ways_home],
)


# --- on a drone's page ---------------------------------------------------------------------------


def way_home_of(drone: Drone, request: HttpRequest) -> Section:
    """Its latest flight to its base."""
    missions = Mission.objects.filter(kind=Mission.Kind.REPOSITION, drone=drone)
    mission = missions.select_related("return_to", "alternate", "clearance").first()
    return Section("Way to its base", "console/drone/way_home.html", {"facts": _facts(mission)})


def _facts(mission: Mission | None) -> list[tuple[str, Any]]:
    if mission is None:
        return []
    facts = [
        ("From, to", f"{mission.alternate}, {mission.return_to}"),
        ("Sent", moment(mission.created_at)),
        ("State", "Over" if mission.over_at else mission.get_state_display()),
        (
            "Ground control said",
            mission.said or said(mission.bridge_status, mission.bridge_answer).in_short,
        ),
    ]
    if why := _waits_for(mission):
        facts.append(("Waits for a clearance", why))
    if mission.recall_by:
        facts.append(("Called back by", f"{said_by(mission.recall_by)}: {mission.recall_reason}"))
    if mission.over_at:
        facts.append(("Over", moment(mission.over_at)))
        facts.append(("Because", mission.over_because))
    elif (flown := timezone.now() - mission.created_at) > LONG:
        facts.append(("Under way for", f"{flown.total_seconds() / 60:.0f} min"))
    return facts


console.add_section(Drone, 20, way_home_of)
