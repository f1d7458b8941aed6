"""What the fleet puts into the console: grounding, pausing, numbers, and what is wrong with it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from math import isnan
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from fleet import policy, presentation, registry
from fleet.airspace import rulebook
from fleet.console import attention, holds
from fleet.console.map_pages import drone_feature
from fleet.live import drone_status, picture, weather
from fleet.live.drone_status import Readiness
from fleet.models import Drone, Policy, ServiceArea
from wingxtra.accounts.models import User
from wingxtra.console import actions, roles
from wingxtra.console import registry as console
from wingxtra.console.registry import (
    Attention,
    Button,
    NotChecked,
    Number,
    Section,
    Switch,
    Tone,
)
from wingxtra.console.widgets import tiles
from wingxtra.problems import Conflict

roles.seen_by_all(
    "fleet.view_drone",
    "fleet.view_dronehold",
    "fleet.view_dronekind",
    "fleet.view_hub",
    "fleet.view_servicearea",
    "fleet.view_noflyzone",
)
roles.done_by_ops(
    "fleet.add_drone",
    "fleet.change_drone",
    "fleet.add_hub",
    "fleet.change_hub",
    "fleet.add_servicearea",
    "fleet.change_servicearea",
    "fleet.add_noflyzone",
    "fleet.change_noflyzone",
    "fleet.delete_noflyzone",
)


# --- actions -------------------------------------------------------------------------------------


def _ground(drone: Drone, data: dict[str, Any], user: User) -> str:
    registry.ground(drone.pk, by=user.actor, reason=data["reason"])
    return f"{drone} is grounded: {data['reason']}"


def _unground(drone: Drone, data: dict[str, Any], user: User) -> str:
    registry.unground(drone.pk, by=user.actor)
    return f"{drone} may fly again: {data['reason']}"


def _set_area_paused(area: ServiceArea, paused: bool, reason: str) -> str:
    if (
        not ServiceArea.objects.filter(pk=area.pk)
        .exclude(dispatch_paused=paused)
        .update(dispatch_paused=paused)
    ):
        raise Conflict("nothing_to_do", f"Somebody did this to {area} a moment ago.")
    rulebook.VERSION.bump()
    return f"Dispatch in {area} {'is paused' if paused else 'goes on'}: {reason}"


def _set_all_paused(paused: bool, reason: str, user: User) -> str:
    policy.change(by=user.actor, dispatch_paused=paused)
    return f"Dispatch {'is paused everywhere' if paused else 'goes on'}: {reason}"


for action in [
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
        explanation="It gets no new order. A flight under way goes on.",
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
        carry_out=lambda area, data, user: _set_area_paused(area, True, data["reason"]),
        why_not=lambda area: "It is paused already." if area.dispatch_paused else None,
        explanation="No automatic dispatch in this area. Assigning by hand goes on.",
        is_grave=True,
    ),
    actions.Action(
        model=ServiceArea,
        name="resume",
        label="Resume dispatch",
        permission="fleet.change_servicearea",
        form=actions.ReasonForm,
        carry_out=lambda area, data, user: _set_area_paused(area, False, data["reason"]),
        why_not=lambda area: None if area.dispatch_paused else "It is not paused.",
    ),
    # OPS may pause and resume, and still not see or edit the other rules.
    actions.Action(
        model=Policy,
        name="pause",
        label="Pause dispatch everywhere",
        permission="fleet.change_servicearea",
        form=actions.ReasonForm,
        carry_out=lambda _, data, user: _set_all_paused(True, data["reason"], user),
        why_not=lambda rules: "It is paused already." if rules.dispatch_paused else None,
        explanation="No automatic dispatch anywhere. Assigning by hand goes on.",
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
]:
    actions.register(action)


def _described(drone: Drone) -> str:
    grounded = f"grounded: {drone.grounded_reason}" if drone.is_grounded else ""
    return " · ".join(filter(None, [str(drone.kind), str(drone.hub), grounded]))


actions.describe(Drone, _described, "kind", "hub")


PAUSE = "fleet.change_servicearea"


def switch_of_everything(*, next: str, more: tuple[Button, ...] = ()) -> Switch:
    """Pauses or resumes all automatic dispatch, and leads to `next` then."""
    if policy.current().dispatch_paused:
        resume = actions.button(Policy, "resume", 1, next=next)
        return Switch(
            "Dispatch is paused everywhere",
            Tone.WARN,
            (resume, *more),
            "Orders wait until it is resumed or they are assigned by hand.",
            icon="pause_circle",
        )
    pause = actions.button(Policy, "pause", 1, next=next)
    text = "Dispatch runs by itself"
    return Switch(text, Tone.GOOD, (pause, *more), "Waiting orders get drones without you.")


def switch_of_area(area: ServiceArea, *, next: str, more: tuple[Button, ...] = ()) -> Switch:
    """Pauses or resumes automatic dispatch in one area."""
    if policy.current().dispatch_paused:
        return Switch(f"{area} waits, as everything does", Tone.IDLE, more, icon="pause_circle")
    if area.dispatch_paused:
        resume = actions.button(ServiceArea, "resume", area.pk, next=next)
        text = f"Dispatch is paused in {area}"
        return Switch(text, Tone.WARN, (resume, *more), icon="pause_circle")
    pause = actions.button(ServiceArea, "pause", area.pk, next=next)
    return Switch(f"Dispatch runs in {area}", Tone.GOOD, (pause, *more))


def dispatch_switches(now: datetime) -> Iterator[Switch]:
    """Everything, and each area that is paused on its own."""
    here = reverse("admin:index")
    # Single areas are paused where their runs are, by a name that fleet need not import.
    one = Button("One area…", reverse("admin:dispatch_dispatchrun_changelist"), PAUSE)
    yield switch_of_everything(next=here, more=(one,))
    if not policy.current().dispatch_paused:
        for area in ServiceArea.objects.filter(active=True, dispatch_paused=True):
            yield switch_of_area(area, next=here)


console.switch_sources.append(dispatch_switches)


# --- what needs attention ------------------------------------------------------------------------


def paused_dispatch(now: datetime) -> Iterator[Attention]:
    if policy.current().dispatch_paused:
        yield Attention(
            key="paused",
            level=38,
            text="Dispatch is paused everywhere",
            detail="Orders wait until it is resumed or they are assigned by hand.",
            remedies=(actions.button(Policy, "resume", 1, next=reverse("admin:index")),),
        )
    for area in ServiceArea.objects.filter(active=True, dispatch_paused=True):
        yield Attention(
            key=f"paused:{area.pk}",
            level=30,
            text=f"Dispatch is paused in {area}",
            url=reverse("admin:fleet_servicearea_change", args=[area.pk]),
            remedies=(actions.button(ServiceArea, "resume", area.pk, next=reverse("admin:index")),),
        )


def old_picture(now: datetime) -> Iterator[Attention]:
    if not settings.FLEET_API_URL:
        yield Attention(
            key="no-fleet-api",
            level=40,
            text="No Fleet API is configured",
            detail="Nothing is known of the drones: set FLEET_API_URL.",
            tone=Tone.BAD,
        )
        return
    seen = picture.read()
    max_age_s = policy.current().telemetry_max_age_s
    if seen is None or seen.age_s(now) > max_age_s:
        age = "There has never been one" if seen is None else f"It is {seen.age_s(now):.0f} s old"
        yield Attention(
            key="picture",
            level=39,
            text="The fleet picture is old, so nothing is dispatched",
            detail=f"{age}; allowed are {max_age_s:.0f} s. The Fleet API or the worker is away.",
            since=seen.fetched_at if seen else None,
            tone=Tone.BAD,
        )


def unknown_wind(now: datetime) -> Iterator[Attention]:
    rules = policy.current()
    wind_mps = weather.wind_mps(rules, now)
    if wind_mps is None or not isnan(wind_mps):
        return
    reading = weather.last()
    yield Attention(
        key="weather",
        level=37,
        text="Nobody knows the wind, so nothing is dispatched",
        detail="The weather source is silent or wrong; readings count for "
        f"{rules.weather_max_age_s / 60:.0f} min. Put it right, or take WEATHER_SOURCE away.",
        since=reading.measured_at if reading else None,
        tone=Tone.BAD,
    )


def unknown_drones(now: datetime) -> Iterator[Attention]:
    """Drones that telemetry shows and the registry does not know."""
    seen = picture.read()
    if seen is None:
        raise NotChecked("there is no picture of the fleet")
    heard = set(seen.telemetry)
    known = set(Drone.objects.filter(pk__in=heard).values_list("pk", flat=True))
    for drone_id in sorted(heard - known)[:MOST_UNKNOWN]:
        yield Attention(
            key=f"unknown:{drone_id}",
            level=2,
            text=f"{drone_id} sends telemetry and is not registered",
            detail="It gets no orders until it is.",
            remedies=(
                Button(
                    "Register…",
                    f"{reverse('admin:fleet_drone_add')}?drone_id={drone_id}",
                    "fleet.add_drone",
                ),
            ),
        )


MOST_UNKNOWN = 5
for look, checks in [
    (paused_dispatch, "dispatch is paused nowhere"),
    (old_picture, "the fleet picture is young"),
    (unknown_wind, "the wind is known where it is measured"),
    (unknown_drones, "no drone without registration sends telemetry"),
    (attention.offline_drones, "no drone in service is offline"),
    (holds.drones_on_hold, "no drone in service is on hold"),
    (attention.incomplete_telemetry, "no drone's telemetry lacks a value that dispatch needs"),
]:
    console.add_attention(look, checks=checks)


# --- the numbers ---------------------------------------------------------------------------------


def drones_by_readiness(now: datetime) -> Iterator[Number]:
    seen = drone_status.look(list(Drone.objects.with_home().filter(active=True)), now)
    counts = Counter(one.readiness for one in seen)
    url = reverse("admin:fleet_drone_changelist")
    for readiness in Readiness:
        label, tone = presentation.READINESS[readiness]
        count = counts[readiness]
        yield Number(
            f"Drones: {label.lower()}",
            str(count),
            f"of {len(seen)}",
            tone if count else Tone.IDLE,
            f"{url}?readiness={readiness}&active__exact=1",
        )


console.number_sources.append(drones_by_readiness)


# --- on a drone's page ---------------------------------------------------------------------------


def now_of(drone: Drone, request: HttpRequest) -> Section:
    now = timezone.now()
    seen = drone_status.look(list(Drone.objects.with_home().filter(pk=drone.pk)), now)[0]
    feature = drone_feature(seen, now)
    context = {
        "facts": presentation.facts(seen, now),
        "features": [asdict(feature)] if feature else [],
        "drone": drone.pk,
        "tiles": tiles(),
    }
    return Section("Now", "console/drone/status.html", context)


console.add_section(Drone, 10, now_of)
console.add_section(Drone, 30, holds.holds_of)
