"""What is on the live map, with versions, so that a page asks only for what has changed. Pure.

A snapshot is shared by all pages. Each feature has the version at which it last changed, and the
one at which it last moved. A page sends the version that it has, and gets the features above it,
so the server keeps nothing about a page.
"""

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from wingxtra.console.registry import Feature, Source

# Of this many versions the snapshot remembers what went; a page that has an older one gets all.
KEPT_VERSIONS = 600
MAX_DIGITS = 15  # of a version, as a page sends it
# About one metre.
DEGREE_UNITS = 100_000

# Facts are asked for when a person opens a feature; they change with every second.
_MEMBERS = [one.name for one in fields(Feature) if one.name not in ("facts", "geometry")]


class Place(Struct, frozen=True, array_like=True):
    """Where a point is, in DEGREE_UNITS, and its heading in whole degrees."""

    lng: int
    lat: int
    heading_deg: int | None


class Entry(Struct):
    """A feature. `n` names it in updates; `body` is its JSON without the place of a point."""

    n: int
    layer: str
    body: msgspec.Raw
    place: Place | None
    changed: int
    moved: int


class Gone(Struct, frozen=True):
    n: int
    layer: str
    version: int


class SourceAt(Struct, frozen=True):
    """See `registry.Source`."""

    name: str
    at: datetime | None
    stale_after_s: float


class Snapshot(Struct):
    """The map at one moment, by our clock. `epoch` differs after Redis has lost the map."""

    epoch: str
    version: int
    at: datetime
    next_n: int
    entries: dict[str, Entry]
    gone: list[Gone]
    sources: list[SourceAt]
    left_out: dict[str, str] = {}  # layer -> what of it is not shown, in words

    @property
    def name(self) -> str:
        """The version as pages send it."""
        return f"{self.epoch}.{self.version}"

    def age_s(self, now: datetime) -> float:
        return (now - self.at).total_seconds()


def empty(epoch: str, at: datetime) -> Snapshot:
    return Snapshot(epoch, 0, at, 1, {}, [], [])


def merged(
    before: Snapshot,
    features: Iterable[tuple[str, Feature]],
    sources: Iterable[Source],
    at: datetime,
    left_out: dict[str, str] | None = None,
) -> Snapshot:
    """The next snapshot. features: (layer, feature) for all that is on the map at `at`. left_out:
    see `Snapshot`.

    The version grows by one if anything has changed.
    """
    version, next_n, entries = before.version + 1, before.next_n, {}
    for layer, feature in features:
        body, place = _encoded(feature)
        key = f"{layer}/{feature.id}"
        known = before.entries.get(key)
        if known is None:
            entries[key] = Entry(next_n, layer, body, place, version, version)
            next_n += 1
            continue
        has_changed, has_moved = bytes(known.body) != bytes(body), known.place != place
        entries[key] = Entry(
            known.n,
            layer,
            body,
            place,
            version if has_changed else known.changed,
            version if has_moved else known.moved,
        )
    left = [
        Gone(one.n, one.layer, version) for key, one in before.entries.items() if key not in entries
    ]
    is_same = not left and all(version not in (one.changed, one.moved) for one in entries.values())
    kept = [one for one in before.gone if one.version > version - KEPT_VERSIONS]
    return Snapshot(
        epoch=before.epoch,
        version=before.version if is_same else version,
        at=at,
        next_n=next_n,
        entries=entries,
        gone=kept + left,
        sources=[SourceAt(one.name, one.at, one.stale_after_s) for one in sources],
        left_out=left_out or {},
    )


def _encoded(feature: Feature) -> tuple[msgspec.Raw, Place | None]:
    body = {name: getattr(feature, name) for name in _MEMBERS}
    place = None
    if feature.geometry["type"] == "Point":
        lng, lat = feature.geometry["coordinates"]
        heading = body.pop("heading_deg")
        place = Place(
            round(lng * DEGREE_UNITS),
            round(lat * DEGREE_UNITS),
            None if heading is None else round(heading) % 360,
        )
    else:
        body["geometry"] = feature.geometry
    return msgspec.Raw(msgspec.json.encode(body)), place


def since(snapshot: Snapshot, known: str) -> int | None:
    """The version in `known`, as a page sent it; None if that page needs everything."""
    epoch, _, number = known.rpartition(".")
    is_number = number.isascii() and number.isdecimal() and len(number) <= MAX_DIGITS
    if epoch != snapshot.epoch or not is_number:
        return None
    version = int(number)
    is_remembered = snapshot.version - KEPT_VERSIONS <= version <= snapshot.version
    return version if is_remembered else None


def difference(snapshot: Snapshot, version: int | None, layers: set[str]) -> dict[str, Any]:
    """What a page with `version` does not know (None: everything), of these layers.

    layers: name -> the features that are new or look different, with `n` and `place`. moves:
    [n, lng, lat, heading] of features that only moved. gone: the `n` of features that went.
    """
    after = -1 if version is None else version
    news: dict[str, list[Any]] = {name: [] for name in layers} if version is None else {}
    moves = []
    for one in snapshot.entries.values():
        if one.layer not in layers:
            continue
        if one.changed > after:
            feature = {"n": one.n, "place": one.place, "is": one.body}
            news.setdefault(one.layer, []).append(feature)
        elif one.moved > after and one.place is not None:
            moves.append([one.n, one.place.lng, one.place.lat, one.place.heading_deg])
    gone = [one.n for one in snapshot.gone if one.version > after and one.layer in layers]
    return {
        "is_full": version is None,
        "layers": news,
        "moves": moves,
        "gone": [] if version is None else gone,
    }
