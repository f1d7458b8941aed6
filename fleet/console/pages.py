"""The fleet's actions, switches, attention lines, numbers and sections in the console."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from fleet import pauses, presentation, registry
from fleet.console import attention, holds, paused, shared, wind
from fleet.console.map_pages import drone_feature
from fleet.console.shared import DRONES, LIVE_READS
from fleet.feasibility.rules import Rules
from fleet.live import drone_status
from fleet.live.drone_status import Readiness
from fleet.models import Drone, Policy, ServiceArea
from wingxtra.accounts.models import User
from wingxtra.console import actions, roles
from wingxtra.console import registry as console
from wingxtra.console.look import Look
from wingxtra.console.registry import (
    Button,
    Number,
    Piece,
    Section,
    Switch,
    Tone,
)
from wingxtra.console.widgets import tiles

roles.seen_by_all(
    "fleet.view_drone",
    "fleet.view_dronehold",
    "fleet.view_dronekind",
    "fleet.view_hub",
    "fleet.view_servicearea",
    "fleet.view_geozone",
    "fleet.view_pausechange",
)
roles.done_by_ops(
    "fleet.add_drone",
    "fleet.change_drone",
    "fleet.add_hub",
    "fleet.change_hub",
    "fleet.add_servicearea",
    "fleet.change_servicearea",
    "fleet.add_geozone",
    "fleet.change_geozone",
    "fleet.delete_geozone",
)


# --- actions -------------------------------------------------------------------------------------


def _ground(drone: Drone, data: dict[str, Any], user: User) -> str:
    registry.ground(drone.pk, by=user.actor, reason=data["reason"])
    return f"{drone} is grounded: {data['reason']}"


def _unground(drone: Drone, data: dict[str, Any], user: User) -> str:
    registry.unground(drone.pk, by=user.actor)
    return f"{drone} may fly again: {data['reason']}"


def _set_area_paused(area: ServiceArea, paused: bool, reason: str, user: User) -> str:
    pauses.set_area(area, paused=paused, by=user.actor, reason=reason)
    return f"Dispatch in {area} {'is paused' if paused else 'is resumed'}: {reason}"


def _set_all_paused(paused: bool, reason: str, user: User) -> str:
    pauses.set_everywhere(paused=paused, by=user.actor, reason=reason)
    return f"Dispatch {'is paused everywhere' if paused else 'is resumed'}: {reason}"


actions.register(
    actions.Action(
        model=Drone,
        name="ground",
        label="Ground",
        permission="fleet.change_drone",
        form=actions.ReasonForm,
        carry_out=_ground,
        why_not=lambda drone: (
            f"Grounded already: {drone.grounded_reason}" if drone.is_grounded else None
        ),
        explanation="It gets no new orders. A flight under way continues.",
        is_grave=True,
    ),
    actions.Action(
        model=Drone,
        name="unground",
        label="Release",
        permission="fleet.change_drone",
        form=actions.ReasonForm,
        carry_out=_unground,
        why_not=lambda drone: None if drone.is_grounded else "It is not grounded.",
    ),
    actions.Action(
        model=ServiceArea,
        name="pause",
        label="Pause dispatch",
        permission="fleet.change_servicearea",
        form=actions.ReasonForm,
        carry_out=lambda area, data, user: _set_area_paused(area, True, data["reason"], user),
        why_not=lambda area: "It is paused already." if area.dispatch_paused else None,
        explanation="No automatic dispatch in this area. You can still assign by hand.",
        is_grave=True,
    ),
    actions.Action(
        model=ServiceArea,
        name="resume",
        label="Resume dispatch",
        permission="fleet.change_servicearea",
        form=actions.ReasonForm,
        carry_out=lambda area, data, user: _set_area_paused(area, False, data["reason"], user),
        why_not=lambda area: None if area.dispatch_paused else "It is not paused.",
    ),
    # OPS may pause and resume but cannot see or edit the other rules.
    actions.Action(
        model=Policy,
        name="pause",
        label="Pause dispatch everywhere",
        permission="fleet.change_servicearea",
        form=actions.ReasonForm,
        carry_out=lambda _, data, user: _set_all_paused(True, data["reason"], user),
        why_not=lambda rules: "It is paused already." if rules.dispatch_paused else None,
        explanation="No automatic dispatch anywhere. You can still assign by hand.",
        is_grave=True,
    ),
    actions.Action(
        model=Policy,
        name="resume",
        label="Resume dispatch everywhere",
        permission="fleet.change_servicearea",
        form=actions.ReasonForm,
        carry_out=lambda _, data, user: _set_all_paused(False, data["reason"], user),
        why_not=lambda rules: None if rules.dispatch_paused else "It is not paused.",
        explanation="Areas that are paused on their own stay paused.",
    ),
)


def _described(drone: Drone) -> str:
    grounded = f"grounded: {drone.grounded_reason}" if drone.is_grounded else ""
    return " · ".join(filter(None, [str(drone.kind), str(drone.hub), grounded]))


actions.describe(Drone, _described, "kind", "hub")


PAUSE = "fleet.change_servicearea"


def switch_of_everything(rules: Rules, *, next: str, more: tuple[Button, ...] = ()) -> Switch:
    """Pauses or resumes all automatic dispatch, then redirects to `next`."""
    if rules.dispatch_paused:
        resume = actions.button(Policy, "resume", 1, next=next)
        return Switch(
            "Dispatch is paused everywhere",
            Tone.WARN,
            (resume, *more),
            "Orders wait until it is resumed or they are assigned by hand.",
            icon="pause_circle",
        )
    pause = actions.button(Policy, "pause", 1, next=next)
    text = "Dispatch runs automatically"
    return Switch(text, Tone.GOOD, (pause, *more), "Waiting orders get drones automatically.")


def switch_of_area(
    area: ServiceArea, rules: Rules, *, next: str, more: tuple[Button, ...] = ()
) -> Switch:
    """Pauses or resumes automatic dispatch in one area."""
    if rules.dispatch_paused:
        text = f"{area}: paused, as dispatch is paused everywhere"
        return Switch(text, Tone.IDLE, more, icon="pause_circle")
    if area.dispatch_paused:
        resume = actions.button(ServiceArea, "resume", area.pk, next=next)
        text = f"Dispatch is paused in {area}"
        return Switch(text, Tone.WARN, (resume, *more), icon="pause_circle")
    pause = actions.button(ServiceArea, "pause", area.pk, next=next)
    return Switch(f"Dispatch runs in {area}", Tone.GOOD, (pause, *more))


def dispatch_switches(look: Look) -> Iterator[Switch]:
    """The switch of all dispatch, and one per paused area."""
    here, rules = reverse("admin:index"), look.once(shared.rules)
    # Areas are paused on the page of dispatch runs; the URL name avoids an import of dispatch.
    one = Button("One area…", reverse("admin:dispatch_dispatchrun_changelist"), PAUSE)
    yield switch_of_everything(rules, next=here, more=(one,))
    if not rules.dispatch_paused:
        for area in look.rows(paused.paused_areas):
            yield switch_of_area(area, rules, next=here)


console.switch_sources.append(Piece(dispatch_switches, (paused.paused_areas,)))


# --- what needs attention ------------------------------------------------------------------------

for source, reads, checks in [
    (
        paused.paused_dispatch,
        (pauses.newest, paused.paused_areas),
        "dispatch is paused nowhere",
    ),
    (attention.old_picture, (), "the fleet picture is fresh"),
    (wind.unknown_wind, DRONES, "the wind is known if it is measured"),
    (wind.too_much_wind, DRONES, "the wind is within the policy's limit at every hub"),
    (attention.unknown_drones, DRONES, "no drone without registration sends telemetry"),
    (attention.drones_in_the_air, DRONES, "no drone without an order is in trouble in the air"),
    (attention.offline_drones, LIVE_READS, "no drone in service is offline"),
    (holds.drones_on_hold, (shared.holds,), "no drone in service is on hold"),
    (
        attention.incomplete_telemetry,
        DRONES,
        "no drone's telemetry lacks a value that dispatch needs",
    ),
]:
    console.add_attention(source, checks=checks, reads=reads)


# --- the numbers ---------------------------------------------------------------------------------


def drones_by_readiness(look: Look) -> Iterator[Number]:
    live = look.once(shared.live)
    counts = Counter(one.readiness for one in live)
    url = reverse("admin:fleet_drone_changelist")
    for readiness in Readiness:
        label, tone = presentation.READINESS[readiness]
        count = counts[readiness]
        yield Number(
            f"Drones: {label.lower()}",
            str(count),
            f"of {len(live)}",
            tone if count else Tone.IDLE,
            f"{url}?readiness={readiness}&active__exact=1",
        )


console.number_sources.append(Piece(drones_by_readiness, LIVE_READS))


# --- on a drone's page ---------------------------------------------------------------------------


def now_of(drone: Drone, request: HttpRequest) -> Section:
    now = timezone.now()
    live = drone_status.live_drones(list(Drone.objects.with_home().filter(pk=drone.pk)), now)[0]
    feature = drone_feature(live, now)
    context = {
        "facts": presentation.state_rows(live, now),
        "features": [asdict(feature)] if feature else [],
        "drone": drone.pk,
        "tiles": tiles(),
    }
    return Section("Now", "console/drone/status.html", context)


console.add_section(Drone, 10, now_of)
console.add_section(Drone, 30, holds.holds_of)
