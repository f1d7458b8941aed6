"""Flight records as CSV, JSON lines or GeoJSON, in parts: memory does not grow with their number.

Records are read in pages by time and id, each page in a statement of its own. A cursor that stays
open would be cut off by the limit of a statement's time, and a slow download would keep a
transaction open. PostgreSQL writes the JSON.
"""

import csv
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from django.db.models import CharField, DateTimeField, F, Func, Q, QuerySet, TextField, Value
from django.db.models.fields.json import KeyTransform
from django.http import StreamingHttpResponse
from django.utils import timezone

from dispatch.models import FlightRecord
from orders.files.cells import harmless

ROWS_AT_ONCE = 1000
COLUMNS = (
    "id",
    "order_id",
    "job_id",
    "mission_id",
    "drone_id",
    "kind",
    "serial",
    "registration",
    "operator_id",
    "service_area_id",
    "hub",
    "pilot",
    "activity",
    "took_off_at",
    "took_off_lat",
    "took_off_lng",
    "ended_at",
    "landed_at",
    "landed_lat",
    "landed_lng",
    "landed_place",
    "pickup_lat",
    "pickup_lng",
    "drop_lat",
    "drop_lng",
    "planned_m",
    "distance_m",
    "duration_s",
    "flights_total",
    "seconds_total",
    "battery_before_pct",
    "battery_after_pct",
    "energy_wh",
    "outcome",
    "reason_code",
    "airspace_version",
)
LISTS = ("preflight", "defects", "packs", "conformance", "events", "missing")
Records = QuerySet[FlightRecord]
BOM = "\ufeff"  # without it, spreadsheets do not read UTF-8


# --- in pages ------------------------------------------------------------------------------------


def _pages(records: Records, columns: list[Any]) -> Iterator[list[tuple[Any, ...]]]:
    """Oldest first; each row is (ended_at, id, *columns)."""
    after = Q()
    while True:
        rows = list(
            records.filter(after)
            .order_by("ended_at", "id")
            .values_list("ended_at", "pk", *columns)[:ROWS_AT_ONCE]
        )
        if rows:
            yield rows
        if len(rows) < ROWS_AT_ONCE:
            return
        at, pk = rows[-1][:2]
        # The first condition is for the index.
        after = Q(ended_at__gte=at) & (Q(ended_at__gt=at) | Q(pk__gt=pk))


# --- what PostgreSQL writes -----------------------------------------------------------------------


class _Json(Func):
    """Django's JSONObject makes jsonb, which takes about twice the time and loses the order."""

    output_field = TextField()
    template = "%(function)s(%(expressions)s)::text"


def _object(**members: Any) -> _Json:
    return _Json(*_named(**members), function="json_build_object")


def _named(**members: Any) -> list[Any]:
    return [part for name, value in members.items() for part in (Value(name), value)]


class _Nested(_Json):
    template = "%(function)s(%(expressions)s)"


class _Geometry(_Nested):
    """The track as a MultiLineString; null for a record without one."""

    template = (
        "CASE WHEN track IS NOT NULL THEN json_build_object("
        "'type', 'MultiLineString', 'coordinates', %(expressions)s) END"
    )


def _members() -> dict[str, Any]:
    return {**{name: _member(name) for name in COLUMNS}, **{name: F(name) for name in LISTS}}


def _member(name: str) -> Any:
    if not isinstance(FlightRecord._meta.get_field(name), DateTimeField):
        return F(name)
    pattern = Value('YYYY-MM-DD"T"HH24:MI:SS"Z"')
    return Func(F(name), pattern, function="to_char", output_field=CharField())


# --- CSV -----------------------------------------------------------------------------------------


class _Line:
    """What `csv.writer` writes to: `write` returns the line."""

    def write(self, line: str) -> str:
        return line


def csv_lines(records: Records) -> Iterator[str]:
    """Without track. No cell is a formula. Packs and codes of `missing` are separated by spaces."""
    writer: Any = csv.writer(_Line())
    inside = KeyTransform("inside", "conformance")
    cells = [_member(name) for name in COLUMNS] + [inside, F("missing"), F("packs")]
    array = _Json(*cells, function="json_build_array")
    decode = msgspec.json.Decoder(list[Any]).decode  # a tenth of the time of 40 values of a row
    yield BOM + writer.writerow([*COLUMNS, "conformance_inside", "missing", "packs"])
    for page in _pages(records, [array]):
        yield "".join([writer.writerow(map(_cell, decode(row[2]))) for row in page])


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return harmless(" ".join(value)) if isinstance(value, list) else value


# --- JSON ----------------------------------------------------------------------------------------


def json_lines(records: Records) -> Iterator[str]:
    """A JSON object on each line, with track, conformance and events."""
    for page in _pages(records, [_object(**_members(), track=F("track"))]):
        yield "".join([f"{row[2]}\n" for row in page])


def geojson_lines(records: Records) -> Iterator[str]:
    """A FeatureCollection: each record with its track as a MultiLineString, null without one. Times
    and altitudes of the positions are properties.
    """
    of_points = {f"track_{name}": KeyTransform(name, "track") for name in ("at", "alt_m")}
    feature = _object(
        type=Value("Feature"),
        id=F("id"),
        geometry=_Geometry(KeyTransform("coordinates", "track")),
        properties=_Nested(*_named(**_members(), **of_points), function="json_build_object"),
    )
    separator = ""
    yield '{"type": "FeatureCollection", "features": ['
    for page in _pages(records, [feature]):
        yield separator + "\n" + ",\n".join([row[2] for row in page])
        separator = ","
    yield "\n]}\n"


# --- as an answer --------------------------------------------------------------------------------

Lines = Callable[[Records], Iterator[str]]
# Format to media type and writer.
FORMATS: dict[str, tuple[str, Lines]] = {
    "csv": ("text/csv; charset=utf-8", csv_lines),
    "jsonl": ("application/x-ndjson", json_lines),
    "geojson": ("application/geo+json", geojson_lines),
}


def download(records: Records, fmt: str) -> StreamingHttpResponse:
    """The records as a file of one of FORMATS, sent while they are read."""
    media_type, lines = FORMATS[fmt]
    answer = StreamingHttpResponse(lines(records), content_type=media_type)
    name = f"flight-records-{timezone.now():%Y-%m-%d}.{fmt}"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
