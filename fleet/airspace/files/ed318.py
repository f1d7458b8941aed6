"""ED-318: GeoJSON with layers. Members and values as in EUROCAE's schema of version 2.

https://github.com/UASGeoZones/ED-318
"""

from typing import Any, Literal

import msgspec

from fleet.airspace.files.feature import Unusable, Zone, checked, circle, metres

ZoneType = Literal["USPACE", "PROHIBITED", "REQ_AUTHORIZATION", "CONDITIONAL", "NO_RESTRICTION"]
Reason = Literal[
    "AIR_TRAFFIC",
    "SENSITIVE",
    "PRIVACY",
    "POPULATION",
    "NATURE",
    "NOISE",
    "EMERGENCY",
    "DAR",
    "OTHER",
]
Datum = Literal["AGL", "AMSL", "WGS84"]
SunEvent = Literal["BMCT", "SR", "SS", "EECT"]
Day = Literal["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN", "ANY"]
# In U-space airspace a flight needs an authorisation of the U-space service provider.
KINDS = {"USPACE": "REQ_AUTHORISATION", "REQ_AUTHORIZATION": "REQ_AUTHORISATION"}


class Text(msgspec.Struct):
    lang: str
    text: str = ""


class Authority(msgspec.Struct):
    name: list[Text] = []
    service: list[Text] = []


class DailyPeriod(msgspec.Struct, forbid_unknown_fields=True):
    day: list[Day]
    startTime: str = ""
    startEvent: SunEvent | None = None
    endTime: str = ""
    endEvent: SunEvent | None = None


class Period(msgspec.Struct, forbid_unknown_fields=True):
    startDateTime: str | None = None
    endDateTime: str | None = None
    schedule: list[DailyPeriod] = []


class Properties(msgspec.Struct, forbid_unknown_fields=True):
    identifier: str
    country: str
    type: ZoneType
    variant: Literal["COMMON", "CUSTOMIZED"]
    zoneAuthority: list[Authority]
    name: list[Text] = []
    restrictionConditions: str = ""
    region: int | None = None
    reason: list[Reason] = []
    otherReasonInfo: list[Text] = []
    regulationExemption: Literal["YES", "NO"] | None = None
    message: list[Text] = []
    limitedApplicability: list[Period] = []
    dataSource: dict[str, Any] = {}
    extendedProperties: dict[str, Any] = {}


class Layer(msgspec.Struct):
    upper: float | None = None
    upperReference: Datum = "AGL"
    lower: float | None = None
    lowerReference: Datum = "AGL"
    uom: Literal["m", "ft"] = "m"


class Extent(msgspec.Struct):
    subType: Literal["Circle"]
    radius: float


class Geometry(msgspec.Struct):
    type: str
    coordinates: list[Any] = []
    geometries: list["Geometry"] = []
    layer: Layer | None = None
    extent: Extent | None = None


class Feature(msgspec.Struct):
    type: Literal["Feature"]
    geometry: Geometry
    properties: Properties


class Metadata(msgspec.Struct):
    validFrom: str | None = None
    validTo: str | None = None
    issued: str | None = None


def check_collection(data: dict[str, Any]) -> None:
    """Raises Unusable if the file as a whole does not follow the schema."""
    try:
        msgspec.convert(data.get("metadata", {}), Metadata)
    except msgspec.ValidationError as error:
        raise Unusable(f"Its metadata do not follow ED-318: {error}.") from error


def zones_of(data: Any) -> list[Zone]:
    """The volumes of one feature. Raises Unusable."""
    try:
        feature = msgspec.convert(data, Feature)
    except msgspec.ValidationError as error:
        raise Unusable(f"It does not follow ED-318: {error}.") from error
    about = feature.properties
    rules, starts_at, ends_at = hours_of(about.limitedApplicability)
    authorities = [in_english(authority.name) for authority in about.zoneAuthority]
    return [
        checked(
            Zone(
                about.identifier,
                in_english(about.name) or about.identifier,
                KINDS.get(about.type, about.type),
                polygon,
                **limits_of(layer),
                schedule=rules,
                starts_at=starts_at,
                ends_at=ends_at,
                condition=about.restrictionConditions or in_english(about.message),
                authority=", ".join(filter(None, authorities)),
            )
        )
        for polygon, layer in volumes_of(feature.geometry)
    ]


def volumes_of(geometry: Geometry) -> list[tuple[dict[str, Any], Layer]]:
    """Polygons with their layer. Raises Unusable."""
    layer = geometry.layer or Layer()
    match geometry.type:
        case "Polygon":
            return [({"type": "Polygon", "coordinates": geometry.coordinates}, layer)]
        case "MultiPolygon":
            return [
                ({"type": "Polygon", "coordinates": rings}, layer) for rings in geometry.coordinates
            ]
        case "Point" if geometry.extent and len(geometry.coordinates) >= 2:
            lng, lat = geometry.coordinates[:2]
            if not isinstance(lng, int | float) or not isinstance(lat, int | float):
                raise Unusable("The centre of its circle is not [longitude, latitude] in numbers.")
            return [(circle(lng, lat, geometry.extent.radius), layer)]
        case "GeometryCollection" if geometry.geometries:
            return [volume for part in geometry.geometries for volume in volumes_of(part)]
    raise Unusable(f"Its geometry is of the type {geometry.type!r}, which is no area.")


def limits_of(layer: Layer) -> dict[str, Any]:
    return {
        "lower_m": None if layer.lower is None else metres(layer.lower, layer.uom),
        "lower_datum": layer.lowerReference,
        "upper_m": None if layer.upper is None else metres(layer.upper, layer.uom),
        "upper_datum": layer.upperReference,
    }


def hours_of(periods: list[Period]) -> tuple[tuple[dict[str, Any], ...], str | None, str | None]:
    """The rules of all periods, and start and end if there is one period without hours."""
    if len(periods) == 1 and not periods[0].schedule:
        return (), periods[0].startDateTime, periods[0].endDateTime
    rules = tuple(rule for period in periods for rule in rules_of(period))
    return rules, None, None


def rules_of(period: Period) -> list[dict[str, Any]]:
    whole = {"starts_at": period.startDateTime, "ends_at": period.endDateTime}
    if not period.schedule:
        return [{"days": ["ANY"], "from": "00:00Z", "until": "24:00Z", **whole}]
    return [
        {
            "days": daily.day,
            "from": daily.startEvent or daily.startTime or "00:00Z",
            "until": daily.endEvent or daily.endTime or "24:00Z",
            **whole,
        }
        for daily in period.schedule
    ]


def in_english(texts: list[Text]) -> str:
    """The English text, or the first one."""
    english = [text.text for text in texts if text.lang.lower().startswith("en") and text.text]
    return next(iter(english or [text.text for text in texts if text.text]), "")
