"""A file of geographical zones in any known format."""

from collections.abc import Callable
from typing import Any

import msgspec

from fleet.airspace.files import ed269, ed318, plain
from fleet.airspace.files.feature import Contents, Refusal, Unusable, Zone

MAX_BYTES = 20 * 1024 * 1024
MAX_FEATURES = 20_000
READERS: dict[str, Callable[[Any], list[Zone]]] = {
    "ED-269": ed269.zones_of,
    "ED-318": ed318.zones_of,
    "GeoJSON": plain.zones_of,
}


def read(content: bytes) -> Contents:
    """The file's zones and refusals. Raises Unusable if it is no such file."""
    if len(content) > MAX_BYTES:
        raise Unusable(
            f"The file has {len(content) / 2**20:.0f} MB; at most {MAX_BYTES / 2**20:.0f} MB are "
            "taken. Cut it to the region where you fly."
        )
    features, name = _features(content)
    zones: list[Zone] = []
    refused: list[Refusal] = []
    for number, feature in enumerate(features, start=1):
        try:
            zones += READERS[name](feature)
        except Unusable as problem:
            refused.append(Refusal(_identifier(feature, number), str(problem)))
    return Contents(name, tuple(zones), tuple(refused))


def _features(content: bytes) -> tuple[list[Any], str]:
    """The features and the name of the format."""
    try:
        data = msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unusable(f"The file is not JSON: {error}.") from error
    members = data if isinstance(data, dict) else {}
    if members.get("type") == "Feature":
        members = {"type": "FeatureCollection", "features": [data]}
    features = members.get("features", members.get("UASZoneList"))
    if not isinstance(features, list):
        raise Unusable("The file has no list of “features”: it is not ED-269, ED-318 or GeoJSON.")
    if not features:
        raise Unusable("The file has no features. To remove zones, switch them off in the list.")
    if len(features) > MAX_FEATURES:
        raise Unusable(f"The file has {len(features):,} features; {MAX_FEATURES:,} are allowed.")
    if members.get("type") != "FeatureCollection":
        return features, "ED-269"
    about = next((f.get("properties") for f in features if isinstance(f, dict)), None)
    if isinstance(about, dict) and ({"variant", "zoneAuthority"} & set(about)):
        ed318.check_collection(members)
        return features, "ED-318"
    return features, "GeoJSON"


def _identifier(feature: Any, number: int) -> str:
    """What the file calls the feature, or its number."""
    about = feature if isinstance(feature, dict) else {}
    inner = about.get("properties")
    for members in (about, inner if isinstance(inner, dict) else {}):
        for member in ("identifier", "name"):
            if isinstance(members.get(member), str) and members[member]:
                return str(members[member])[:100]
    return f"feature {number}"
