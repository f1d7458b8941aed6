"""The map's snapshot in Redis, which all pages and processes share.

The first page that asks for one older than RENEW_AFTER_S renews it. So the costs of the map do not
grow with the number of open pages.
"""

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
import redis

from wingxtra import redis_client
from wingxtra.console import registry
from wingxtra.console.livemap import snapshot
from wingxtra.console.livemap.snapshot import Snapshot
from wingxtra.console.registry import Feature, Layer
from wingxtra.database import together

KEY = "console:map"
RENEWED_BY_ONE = "console:map:renewed"
RENEW_AFTER_S = 1.0
# With an older snapshot a page does not wait for the process that renews it: that may have died.
TOO_OLD_S = 4.0


def current(now: datetime) -> Snapshot:
    """At most TOO_OLD_S old. Raises Away: without Redis no position is known."""
    stored = _read()
    if stored is not None and 0 <= stored.age_s(now) < RENEW_AFTER_S:
        return stored
    if stored is not None and 0 <= stored.age_s(now) < TOO_OLD_S and not _is_first():
        return stored
    before = stored or snapshot.empty(uuid.uuid4().hex[:8], now)
    features, left_out = features_of([one for one in registry.layers if not one.is_static], now)
    fresh = snapshot.merged(before, features, _sources(now), now, left_out)
    if write(fresh, replaces=stored):
        return fresh
    return _read() or fresh


def features_of(
    layers: Sequence[Layer], now: datetime
) -> tuple[list[tuple[str, Feature]], dict[str, str]]:
    """(layer, feature) of all features of these layers, and by layer what is left out."""
    rows = together.read_groups([layer.reads(now, "") for layer in layers])
    features, left_out = [], {}
    for layer, found in zip(layers, rows, strict=True):
        features += [(layer.name, feature) for feature in layer.features(now, "", *found)]
        if text := layer.left_out(*found):
            left_out[layer.name] = text
    return features, left_out


def _sources(now: datetime) -> Iterator[registry.Source]:
    for source in registry.map_sources:
        yield source(now)


def write(fresh: Snapshot, *, replaces: Snapshot | None) -> bool:
    """False if another process has stored one in between: two with one version would differ.

    The stored moment decides, because the version stays the same while nothing changes.
    """
    stamp = _stamp(replaces) if replaces else ""
    done: Any = redis_client.ask(
        lambda client: client.eval(
            _WRITE_IF_SAME, 1, KEY, stamp, _stamp(fresh), msgspec.json.encode(fresh)
        )
    )
    return bool(done)


def _stamp(one: Snapshot) -> str:
    return f"{one.name}@{one.at.isoformat()}"


_WRITE_IF_SAME = """
if (redis.call('HGET', KEYS[1], 'stamp') or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'stamp', ARGV[2], 'map', ARGV[3])
return 1
"""


def _read() -> Snapshot | None:
    stored: Any = redis_client.ask(lambda client: client.hget(KEY, "map"))
    return msgspec.json.decode(stored, type=Snapshot) if stored else None


def _is_first() -> bool:
    """Whether this process renews it; the others go on with the one that is there."""

    def ask(client: redis.Redis) -> Any:
        return client.set(RENEWED_BY_ONE, 1, nx=True, px=int(1000 * RENEW_AFTER_S))

    return bool(redis_client.ask(ask))
