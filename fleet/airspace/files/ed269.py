"""ED-269, chapter 8: features with a list of volumes. Files in use differ in small things: limits
as text, one condition as text, `dailyPeriod` or `schedule`.
"""

from typing import Any, Literal

import msgspec

from fleet.airspace.files import ed318
from fleet.airspace.files.feature import Unusable, Zone, checked, circle, metres

Datum = Literal["AGL", "AMSL", "WGS84"]
Restriction = Literal["PROHIBITED", "REQ_AUTHORISATION", "CONDITIONAL", "NO_RESTRICTION"]


class Projection(msgspec.Struct):
    type: Literal["Polygon", "Circle"]
    coordinates: list[Any] = []
    center: list[float] = []
    radius: float = 0.0


class Volume(msgspec.Struct):
    horizontalProjection: Projection
    lowerVerticalReference: Datum
    upperVerticalReference: Datum
    uomDimensions: Literal["M", "FT"] = "M"
    lowerLimit: float | str | None = None
    upperLimit: float | str | None = None


class DailyPeriod(msgspec.Struct):
    day: list[ed318.Day] | None = None
    startTime: str | None = None
    startEvent: ed318.SunEvent | None = None
    endTime: str | None = None
    endEvent: ed318.SunEvent | None = None


class Period(msgspec.Struct):
    permanent: Literal["YES", "NO"] = "NO"
    startDateTime: str | None = None
    endDateTime: str | None = None
    schedule: list[DailyPeriod] | None = None
    dailyPeriod: list[DailyPeriod] | None = None


class Authority(msgspec.Struct):
    name: str | None = None


class Feature(msgspec.Struct):
    identifier: str
    restriction: Restriction
    geometry: list[Volume]
    applicability: list[Period]
    zoneAuthority: list[Authority]
    country: str = ""
    name: str | None = None
    restrictionConditions: str | list[str] | None = None
    message: str | None = None


def zones_of(data: Any) -> list[Zone]:
    """The volumes of one feature. Raises Unusable."""
    try:
        feature = msgspec.convert(data, Feature)
    except msgspec.ValidationError as error:
        raise Unusable(f"It does not follow ED-269: {error}.") from error
    if not feature.geometry:
        raise Unusable("It has no geometry.")
    conditions = feature.restrictionConditions or ""
    said = conditions if isinstance(conditions, str) else "; ".join(conditions)
    rules, starts_at, ends_at = ed318.hours_of([_as_ed318(one) for one in feature.applicability])
    return [
        checked(
            Zone(
                feature.identifier,
                feature.name or feature.identifier,
                feature.restriction,
                _polygon(volume.horizontalProjection),
                _limit(volume.lowerLimit, volume.uomDimensions),
                volume.lowerVerticalReference,
                _limit(volume.upperLimit, volume.uomDimensions),
                volume.upperVerticalReference,
                rules,
                starts_at,
                ends_at,
                said or feature.message or "",
                ", ".join(one.name for one in feature.zoneAuthority if one.name),
            )
        )
        for volume in feature.geometry
    ]


def _as_ed318(period: Period) -> ed318.Period:
    daily = [
        ed318.DailyPeriod(
            one.day or ["ANY"], one.startTime or "", one.startEvent, one.endTime or "", one.endEvent
        )
        for one in period.schedule or period.dailyPeriod or []
        if one.day or one.startTime or one.startEvent or one.endTime or one.endEvent
    ]
    if period.permanent == "YES":
        return ed318.Period(schedule=daily)
    return ed318.Period(period.startDateTime, period.endDateTime, daily)


def _polygon(projection: Projection) -> dict[str, Any]:
    if projection.type == "Polygon":
        return {"type": "Polygon", "coordinates": projection.coordinates}
    if len(projection.center) < 2:
        raise Unusable("The centre of its circle is not [longitude, latitude].")
    lng, lat = projection.center[:2]
    return circle(lng, lat, projection.radius)


def _limit(value: float | str | None, unit: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        return metres(float(value), unit)
    except ValueError as error:
        raise Unusable(f"The limit {value!r} is no number.") from error
