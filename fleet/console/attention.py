"""What is wrong with the drones' telemetry, for the dashboard: one line for all drones each."""

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

MOST_NAMED = 5


def offline_drones(now: datetime) -> Iterator[Attention]:
    """Drones in service without telemetry, or with old telemetry only."""
    _young_picture(now)
    seen = drone_status.look(list(Drone.objects.with_home().filter(active=True)), now)
    offline = [one for one in seen if one.readiness == Readiness.OFFLINE]
    if not offline:
        return
    named = ", ".join(
        f"{one.drone} ({_since(one, now)})" for one in _longest_first(offline)[:MOST_NAMED]
    )
    yield Attention(
        key="offline",
        level=20 + _worse(len(offline)),
        text=f"{len(offline)} of {len(seen)} drones {_are(len(offline))} offline",
        detail=f"{_and_more(named, len(offline))}. They get no orders.",
        url=_drones(readiness=Readiness.OFFLINE, active__exact=1),
        since=min((one.telemetry.seen_at for one in offline if one.telemetry), default=None),
    )


def incomplete_telemetry(now: datetime) -> Iterator[Attention]:
    """Drones in service whose telemetry lacks a value that dispatch needs."""
    found = drone_status.completeness(_young_picture(now))
    if not found.gaps:
        return
    ruled_out = found.drones - found.able
    detail = f"{'; '.join(found.gaps.values())}. "
    detail += f"{ruled_out} can get no order. " if ruled_out else ""
    yield Attention(
        key="fields",
        level=22 + _worse(ruled_out) if ruled_out else 9,
        text="Telemetry lacks values that dispatch needs",
        detail=f"{detail}The drone's page quotes what is wrong.",
        url=_drones(lacks=next(iter(found.gaps)), active__exact=1),
    )


def _young_picture(now: datetime) -> Picture:
    """Raises NotChecked: an old picture is a trouble of its own, and says nothing of one drone."""
    seen = picture.read()
    if seen is None:
        raise NotChecked("there is no picture of the fleet")
    if seen.age_s(now) > policy.current().telemetry_max_age_s:
        raise NotChecked("the fleet picture is old")
    return seen


def _since(one: LiveDrone, now: datetime) -> str:
    if one.telemetry is None:
        return "its entry is not usable" if one.problems else "never heard"
    return f"heard {presentation.heard(one, now)}"


def _longest_first(offline: Sequence[LiveDrone]) -> list[LiveDrone]:
    """Those that were heard, the longest silent first, then those that never were."""
    return sorted(
        offline, key=lambda one: (one.telemetry is None, one.telemetry and one.telemetry.seen_at)
    )


def _and_more(named: str, count: int) -> str:
    return f"{named} and {count - MOST_NAMED} more" if count > MOST_NAMED else named


def _worse(count: int) -> int:
    """0 to 9: each doubling is worse, and brings an acknowledged line back."""
    return min(9, count.bit_length())


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _drones(**filters: object) -> str:
    return f"{reverse('admin:fleet_drone_changelist')}?{urlencode(filters)}"
