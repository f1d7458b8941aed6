"""Attention items about drones and their telemetry."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from fleet import policy, presentation, work
from fleet.live import drone_status, picture
from fleet.live.drone_status import LiveDrone, Readiness
from fleet.live.picture import Picture
from fleet.models import Drone
from wingxtra.console.admin import duration
from wingxtra.console.registry import Attention, Button, NotChecked, Tone


def old_picture(now: datetime) -> Iterator[Attention]:
    if not settings.FLEET_API_URL:
        yield Attention(
            key="no-fleet-api",
            level=40,
            text="No Fleet API is configured",
            detail="There is no telemetry: set FLEET_API_URL.",
            tone=Tone.BAD,
        )
        return
    latest = picture.read()
    max_age_s = policy.current().telemetry_max_age_s
    if latest is None or latest.age_s(now) > max_age_s:
        age = (
            "There has never been one" if latest is None else f"It is {latest.age_s(now):.0f} s old"
        )
        yield Attention(
            key="picture",
            level=39,
            text="The fleet picture is old, so nothing is dispatched",
            detail=f"{age}; at most {max_age_s:.0f} s are allowed. Check the Fleet API and the "
            "worker.",
            since=latest.fetched_at if latest else None,
            tone=Tone.BAD,
        )


def drones_in_the_air(now: datetime) -> Iterator[Attention]:
    """Drones in trouble on a flight without an order, such as the way home: silent, or with less
    charge than the policy's reserve. Those with an order are watched by dispatch.
    """
    latest, rules = _fresh_picture(now), policy.current()
    flying = [drone_id for drone_id, seen in latest.telemetry.items() if seen.armed]
    with_order = work.active_jobs(flying)
    drones = Drone.objects.filter(active=True, pk__in=set(flying) - set(with_order))
    for drone in drones.order_by("pk"):
        seen = latest.telemetry[drone.pk]
        silent_s = (now - seen.seen_at).total_seconds()
        if silent_s > rules.link_lost_after_s:
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
        elif seen.battery_pct is not None and seen.battery_pct < rules.reserve_pct:
            yield _attention(
                drone,
                key=f"low-battery:{drone.pk}",
                level=32,
                text=f"{drone} has {seen.battery_pct:.0f} % charge in the air, without an order",
                detail=f"The policy keeps {rules.reserve_pct:g} % for the landing. Look in ground "
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


def offline_drones(now: datetime) -> Iterator[Attention]:
    """Drones in service without telemetry, or with old telemetry only."""
    _fresh_picture(now)
    live = drone_status.live_drones(list(Drone.objects.with_home().filter(active=True)), now)
    for one in live:
        if one.readiness != Readiness.OFFLINE:
            continue
        yield Attention(
            key=f"offline:{one.drone}",
            level=20,
            text=f"{one.drone} is offline: {_since(one, now)}",
            detail="It gets no orders.",
            url=reverse("admin:fleet_drone_change", args=[one.drone.pk]),
            since=one.telemetry.seen_at if one.telemetry else None,
            cause="offline",
            many=f"of {len(live)} drones are offline",
            all_url=_drones(readiness=Readiness.OFFLINE, active__exact=1),
            about=f"drone:{one.drone}",
        )


def incomplete_telemetry(now: datetime) -> Iterator[Attention]:
    """Drones in service whose telemetry lacks a value that dispatch needs."""
    found = drone_status.completeness(_fresh_picture(now))
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


def unknown_drones(now: datetime) -> Iterator[Attention]:
    """Unregistered drones that send telemetry."""
    latest = picture.read()
    if latest is None:
        raise NotChecked("there is no picture of the fleet")
    sending = set(latest.telemetry)
    registered = set(Drone.objects.filter(pk__in=sending).values_list("pk", flat=True))
    for drone_id in sorted(sending - registered):
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


def _fresh_picture(now: datetime) -> Picture:
    """Raises NotChecked if the picture is stale: `old_picture` reports that, for all drones."""
    latest = picture.read()
    if latest is None:
        raise NotChecked("there is no picture of the fleet")
    if latest.age_s(now) > policy.current().telemetry_max_age_s:
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
