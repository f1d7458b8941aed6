"""Attention lines of the dashboard about telemetry. Each line covers all drones."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from urllib.parse import urlencode

from django.urls import reverse

from fleet import policy, presentation
from fleet.live import drone_status, picture
from fleet.live.drone_status import LiveDrone, Readiness
from fleet.live.picture import Picture
from fleet.models import Drone
from wingxtra.console.registry import Attention, NotChecked

MAX_NAMED = 5


def offline_drones(now: datetime) -> Iterator[Attention]:
    """Drones in service without telemetry, or with old telemetry only."""
    _fresh_picture(now)
    live = drone_status.live_drones(list(Drone.objects.with_home().filter(active=True)), now)
    offline = [one for one in live if one.readiness == Readiness.OFFLINE]
    if not offline:
        return
    named = ", ".join(
        f"{one.drone} ({_since(one, now)})" for one in _longest_first(offline)[:MAX_NAMED]
    )
    yield Attention(
        key="offline",
        level=20 + _worse(len(offline)),
        text=f"{len(offline)} of {len(live)} drones {_are(len(offline))} offline",
        detail=f"{_and_more(named, len(offline))}. They get no orders.",
        url=_drones(readiness=Readiness.OFFLINE, active__exact=1),
        since=min((one.telemetry.seen_at for one in offline if one.telemetry), default=None),
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


def _longest_first(offline: Sequence[LiveDrone]) -> list[LiveDrone]:
    """The longest silent first; drones that never sent telemetry last."""
    return sorted(
        offline, key=lambda one: (one.telemetry is None, one.telemetry and one.telemetry.seen_at)
    )


def _and_more(named: str, count: int) -> str:
    return f"{named} and {count - MAX_NAMED} more" if count > MAX_NAMED else named


def _worse(count: int) -> int:
    """0 to 9. Each doubling raises the level, which shows an acknowledged line again."""
    return min(9, count.bit_length())


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _drones(**filters: object) -> str:
    return f"{reverse('admin:fleet_drone_changelist')}?{urlencode(filters)}"
