"""Which volume of a file is which zone of before. Pure.

A feature may have several volumes, and a file does not name them: their order may change. So a
volume is known by its geometry, and by the identifier alone when the feature has only one. Where
it is not clear, the volume is new, so that no zone stays off by mistake.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable

from fleet.airspace.zones import GeoZone

VALUES = (
    "name",
    "kind",
    "polygon",
    "lower_m",
    "lower_datum",
    "upper_m",
    "upper_datum",
    "schedule",
    "starts_at",
    "ends_at",
    "condition",
    "authority",
)
Pair = tuple[GeoZone, GeoZone]


def pairs_of(
    wanted: Iterable[GeoZone], present: Iterable[GeoZone]
) -> tuple[list[Pair], list[GeoZone], list[GeoZone]]:
    """Pairs of a wanted zone and the present row that it is; the wanted zones that are new, with a
    free number as `part`; and the present rows that are gone.
    """
    sides: defaultdict[str, tuple[list[GeoZone], list[GeoZone]]] = defaultdict(lambda: ([], []))
    for side, zones in enumerate((wanted, present)):
        for zone in zones:
            sides[zone.identifier][side].append(zone)
    paired: list[Pair] = []
    new: list[GeoZone] = []
    gone: list[GeoZone] = []
    for theirs, ours in sides.values():
        found, left, over = _pair(theirs, ours)
        taken = {row.part for _, row in found}
        free = (number for number in range(len(theirs) + len(ours)) if number not in taken)
        for zone in left:
            zone.part = next(free)
        paired, new, gone = paired + found, new + left, gone + over
    return paired, new, gone


def _pair(
    theirs: list[GeoZone], ours: list[GeoZone]
) -> tuple[list[Pair], list[GeoZone], list[GeoZone]]:
    if len(theirs) == len(ours) == 1:
        return [(theirs[0], ours[0])], [], []
    paired: list[Pair] = []
    for key in (_everything, _space, _outline):
        by_key = _grouped(ours, key)
        for same, group in _grouped(theirs, key).items():
            rows = by_key.get(same, [])
            # Of several that look alike, only those that are equal in all can be exchanged.
            if key is _everything or len(group) == len(rows) == 1:
                paired += zip(group, rows, strict=False)
        used = {id(zone) for pair in paired for zone in pair}
        theirs = [zone for zone in theirs if id(zone) not in used]
        ours = [zone for zone in ours if id(zone) not in used]
    return paired, theirs, ours


def _grouped(
    zones: list[GeoZone], key: Callable[[GeoZone], Hashable]
) -> dict[Hashable, list[GeoZone]]:
    groups: defaultdict[Hashable, list[GeoZone]] = defaultdict(list)
    for zone in zones:
        groups[key(zone)].append(zone)
    return groups


def _everything(zone: GeoZone) -> Hashable:
    return tuple(str(getattr(zone, name)) for name in VALUES)


def _space(zone: GeoZone) -> Hashable:
    heights = zone.lower_m, zone.lower_datum, zone.upper_m, zone.upper_datum
    return (_outline(zone), *heights)


def _outline(zone: GeoZone) -> Hashable:
    """The corners, the same for rings that start at another corner."""
    return frozenset((lng, lat) for ring in zone.polygon["coordinates"] for lng, lat, *_ in ring)
