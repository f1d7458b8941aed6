"""Attention items about drones and their telemetry."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from fleet import presentation
from fleet.console.shared import active_jobs, drones, in_service, latest_picture, live, rules
from fleet.live import quality
from fleet.live.drone_status import LiveDrone, Readiness
from fleet.live.picture import Picture
from fleet.models import Drone
from wingxtra.console.admin import duration
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, Button, NotChecked, Tone


def old_picture(look: Look) -> Iterator[Attention]:
    if not settings.FLEET_API_URL:
        yield Attention(
            key="no-fleet-api",
            level=40,
            text="No Fleet API is configured",
            detail="There is no telemetry: set FLEET_API_URL.",
            tone=Tone.BAD,
        )
        return
    latest, max_age_s = look.once(latest_picture), look.once(rules).telemetry_max_age_s
    if latest is None or latest.age_s(look.at) > max_age_s:
        age = f"It is {latest.age_s(look.at):.0f} s old" if latest else "There has never been one"
        yield Attention(
            key="picture",
            level=39,
            text="The fleet picture is old, so nothing is dispatched",
            detail=f"{age}; at most {max_age_s:.0f} s are allowed. Check the Fleet API and the "
            "worker.",
            since=latest.fetched_at if latest else None,
            tone=Tone.BAD,
        )


def drones_in_the_air(look: Look) -> Iterator[Attention]:
    """Drones in trouble on a flight without an order, such as the way home: silent, or with less
    charge than the policy's reserve. Those with an order are watched by dispatch.
    """
    latest, limits = _fresh_picture(look), look.once(rules)
    with_order = look.once(active_jobs)
    for drone in look.once(in_service):
        seen = latest.telemetry.get(drone.pk)
        if seen is None or not seen.armed or drone.pk in with_order:
            continue
        silent_s = (look.at - seen.seen_at).total_seconds()
        if silent_s > limits.link_lost_after_s:
            yield _attention(
                drone,
                key=f"silent-drone:{drone.pk}",
                level=34,
                text=f"{drone} fell silent in the air, without an order",
                detail=f"Its last telemetry is {duration(timedelta(seconds=silent_s))} old, with "
                "motors on. Look in ground control, then at the place. A drone that is away for "
                "repair: take it out of service.",
                since=seen.seen_at,
                cause="silent-drone",
                many="drones without an order fell silent in the air",
            )
        elif seen.battery_pct is not None and seen.battery_pct < limits.reserve_pct:
            yield _attention(
                drone,
                key=f"low-battery:{drone.pk}",
                level=32,
                text=f"{drone} has {seen.battery_pct:.0f} % charge in the air, without an order",
                detail=f"The policy keeps {limits.reserve_pct:g} % for the landing. Look in ground "
                "control whether it lands.",
                cause="low-battery",
                many="drones without an order are low on charge in the air",
            )


def _attention(drone: Drone, **item: Any) -> Attention:
    return Attention(
        **item,
        url=reverse("admin:fleet_drone_change", args=[drone.pk]),
        tone=Tone.BAD,
        all_url=reverse("admin:fleet_drone_changelist"),
        about=f"drone:{drone.pk}",
    )


def offline_drones(look: Look) -> Iterator[Attention]:
    """Drones in service without telemetry, or with old telemetry only."""
    _fresh_picture(look)
    drones_now = look.once(live)
    for one in drones_now:
        if one.readiness != Readiness.OFFLINE:
            continue
        yield Attention(
            key=f"offline:{one.drone}",
            level=20,
            text=f"{one.drone} is offline: {_since(one, look.at)}",
            detail="It gets no orders.",
            url=reverse("admin:fleet_drone_change", args=[one.drone.pk]),
            since=one.telemetry.seen_at if one.telemetry else None,
            cause="offline",
            many=f"of {len(drones_now)} drones are offline",
            all_url=_drones(readiness=Readiness.OFFLINE, active__exact=1),
            about=f"drone:{one.drone}",
        )


def incomplete_telemetry(look: Look) -> Iterator[Attention]:
    """Drones in service whose telemetry lacks a value that dispatch needs."""
    sent = _fresh_picture(look).telemetry
    registered = look.once(in_service)
    found = quality.completeness([sent[drone.pk] for drone in registered if drone.pk in sent])
    if not found.gaps:
        return
    ruled_out = found.drones - found.able
    detail = f"{'; '.join(found.gaps.values())}. "
    detail += f"{ruled_out} cannot get orders. " if ruled_out else ""
    yield Attention(
        key="fields",
        level=22 + _worse(ruled_out) if ruled_out else 9,
        text="Telemetry lacks values that dispatch needs",
        detail=f"{detail}The drone's page shows the errors.",
        url=_drones(lacks=next(iter(found.gaps)), active__exact=1),
    )


def unknown_drones(look: Look) -> Iterator[Attention]:
    """Unregistered drones that send telemetry."""
    latest = look.once(latest_picture)
    if latest is None:
        raise NotChecked("there is no picture of the fleet")
    registered = {drone.pk for drone in look.rows(drones)}
    for drone_id in sorted(latest.telemetry.keys() - registered):
        url = f"{reverse('admin:fleet_drone_add')}?drone_id={drone_id}"
        yield Attention(
            key=f"unknown:{drone_id}",
            level=2,
            text=f"{drone_id} sends telemetry and is not registered",
            detail="It gets no orders until it is registered.",
            remedies=(Button("Register…", url, "fleet.add_drone"),),
            cause="unknown",
            many="drones send telemetry and are not registered",
            all_url=reverse("admin:fleet_drone_changelist"),
        )


def _fresh_picture(look: Look) -> Picture:
    """Raises NotChecked if the picture is stale: `old_picture` reports that, for all drones."""
    latest = look.once(latest_picture)
    if latest is None:
        raise NotChecked("there is no picture of the fleet")
    if latest.age_s(look.at) > look.once(rules).telemetry_max_age_s:
        raise NotChecked("the fleet picture is old")
    return latest


def _since(one: LiveDrone, now: datetime) -> str:
    if one.telemetry is None:
        return "its entry is unusable" if one.problems else "no telemetry yet"
    return f"last telemetry {presentation.last_telemetry(one, now)}"


def _worse(count: int) -> int:
    """0 to 9. Each doubling raises the level, which shows an acknowledged line again."""
    return min(9, count.bit_length())


def _drones(**filters: object) -> str:
    return f"{reverse('admin:fleet_drone_changelist')}?{urlencode(filters)}"
