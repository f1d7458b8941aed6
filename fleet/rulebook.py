"""Everything that feasibility needs besides the drones and their telemetry, read together.

Who plans or publishes reads it from the database (`load`). Placing and quoting, which happen often,
take it from their thread's memory (`current`) as long as a stamp in Redis stays the same; every
change of what is in the book renews the stamp.
"""

import threading
import time
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import redis
import structlog
from django.db import transaction
from django.db.models.signals import post_delete, post_save

from fleet import areas, feasibility, policy, registry, weather
from fleet.areas import NoFlyZone, ServiceArea
from fleet.geometry import Zones
from fleet.models import Drone, DroneKind, Hub, Policy
from fleet.policy import Rules
from fleet.tables import DroneTable
from wingxtra import redis_client

log = structlog.get_logger(__name__)

STAMP = "fleet:rulebook"
UNSETTLED = b"unsettled"
# A change may not get announced. No longer than this is a book believed without reading it again.
BELIEVED_S = 10.0
WRITTEN_IN_IT = (Policy, ServiceArea, NoFlyZone, Drone, DroneKind, Hub)


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules and the map as they were at one moment.

    areas: the active ones; an index of `area_shapes`, and an area in a table, is a place in it.
    zones: the no-fly zones that apply or will; an index of `zone_shapes` is a place in it.
    wind_mps: as `judge` takes it; None where nobody measures it, NaN where it is not known.
    best_drones: a drone of each kind in service at each hub, at its best (see `at_their_best`).
    """

    rules: Rules
    areas: list[ServiceArea]
    area_shapes: Zones
    zones: list[NoFlyZone]
    zone_shapes: Zones
    wind_mps: float | None
    best_drones: DroneTable


def load(at: datetime) -> Rulebook:
    """The rulebook as it is now; zones that are over at `at` are left out. Four statements."""
    served = list(ServiceArea.objects.filter(active=True))
    zones = list(NoFlyZone.objects.relevant(at))
    one_of_each = (
        Drone.objects.with_home()
        .filter(active=True)
        .order_by("hub_id", "kind_id", "drone_id")
        .distinct("hub_id", "kind_id")
    )
    at_home = registry.table_of(one_of_each, {area.pk: i for i, area in enumerate(served)})
    rules = policy.current()
    return Rulebook(
        rules=rules,
        areas=served,
        area_shapes=areas.areas_of(served),
        zones=zones,
        zone_shapes=areas.zones_of(zones),
        wind_mps=weather.wind_mps(rules, at),
        best_drones=feasibility.at_their_best(at_home),
    )


# --- kept in memory ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kept:
    book: Rulebook
    stamp: bytes
    read_at_s: float


class _Memory(threading.local):
    """Each thread's own: GEOS builds parts of its shapes when they are first asked, without a lock,
    and two threads that share one crash the process.
    """

    kept: _Kept | None = None


_memory = _Memory()


def current(at: datetime) -> Rulebook:
    """The rulebook as `load` gives it, by one look into Redis while nothing has changed; and one
    more for the wind, where somebody measures it.

    A zone that is over since it was read may still be in it, with its window.
    """
    stamp, kept = _stamp(), _memory.kept
    if kept and kept.stamp == stamp and time.monotonic() - kept.read_at_s < BELIEVED_S:
        wind_mps = weather.wind_mps(kept.book.rules, at)
        return kept.book if wind_mps is None else replace(kept.book, wind_mps=wind_mps)
    # The stamp is older than what is read now: a change meanwhile makes us read once more.
    book = load(at)
    _memory.kept = _Kept(book, stamp, time.monotonic()) if stamp else None
    return book


def announce_changes() -> None:
    """Announce whatever is saved or deleted of what is in the book."""
    for model in WRITTEN_IN_IT:
        for signal in (post_save, post_delete):
            signal.connect(changed, sender=model, dispatch_uid="rulebook")


def changed(**_signal: Any) -> None:
    """Something in the book was changed in this transaction: nobody goes by an older one.

    Until it is committed, whoever asks reads the database and keeps nothing, because this
    transaction sees what may never come true. If it never does, that ends by itself.
    """
    _set_stamp(UNSETTLED, for_s=BELIEVED_S)
    transaction.on_commit(lambda: _set_stamp(uuid.uuid4().bytes))


def _set_stamp(stamp: bytes, for_s: float | None = None) -> None:
    try:
        redis_client.client().set(STAMP, stamp, px=None if for_s is None else int(1000 * for_s))
    except redis.RedisError as error:
        log.warning("rulebook_not_announced", error=str(error), believed_s=BELIEVED_S)


def _stamp() -> bytes | None:
    """None while a change is not settled, or Redis is away: then nobody's memory is believed."""
    client = redis_client.client()
    try:
        stamp: Any = client.get(STAMP)
        if stamp is None:
            client.set(STAMP, uuid.uuid4().bytes, nx=True)
            stamp = client.get(STAMP)
    except redis.RedisError as error:
        log.warning("rulebook_without_redis", error=str(error))
        return None
    return None if stamp == UNSETTLED else stamp
