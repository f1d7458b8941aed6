"""Plain GeoJSON: Polygon and MultiPolygon features. What they do not say counts as strictest."""

from typing import Any, Literal

import msgspec

from fleet.airspace.files.feature import Unusable, Zone, checked

Kind = Literal["PROHIBITED", "REQ_AUTHORISATION", "CONDITIONAL", "NO_RESTRICTION"]
Datum = Literal["AGL", "AMSL", "WGS84"]


class Properties(msgspec.Struct):
    name: str
    identifier: str = ""
    kind: Kind = "PROHIBITED"
    lower_m: float | None = None
    lower_datum: Datum = "AGL"
    upper_m: float | None = None
    upper_datum: Datum = "AGL"
    starts_at: str | None = None
    ends_at: str | None = None


class Feature(msgspec.Struct):
    type: Literal["Feature"]
    geometry: dict[str, Any]
    properties: Properties


def zones_of(data: Any) -> list[Zone]:
    """The polygons of one feature. Raises Unusable."""
    try:
        feature = msgspec.convert(data, Feature)
    except msgspec.ValidationError as error:
        raise Unusable(f"It is no GeoJSON feature with a name: {error}.") from error
    about, kind = feature.properties, feature.geometry.get("type")
    coordinates = feature.geometry.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon") or not isinstance(coordinates, list):
        raise Unusable(f"Its geometry is of the type {kind!r}, which is no area.")
    return [
        checked(
            Zone(
                about.identifier or about.name,
                about.name,
                about.kind,
                {"type": "Polygon", "coordinates": rings},
                about.lower_m,
                about.lower_datum,
                about.upper_m,
                about.upper_datum,
                starts_at=about.starts_at,
                ends_at=about.ends_at,
            )
        )
        for rings in ([coordinates] if kind == "Polygon" else coordinates)
    ]
