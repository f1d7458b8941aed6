"""Flight records in the console: the list with its downloads, and the page of one. Read only."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from unfold.paginator import InfinitePaginator

from dispatch.missions.records import afterwards, exports
from dispatch.missions.records.afterwards import Afterwards
from dispatch.models import FlightRecord, Missing
from orders.models import Order
from orders.states import EventType, JobStatus, ReasonCode
from wingxtra.console import past, roles
from wingxtra.console.admin import ReadOnlyAdmin, badge, duration, moment
from wingxtra.console.lists.filters import DaysFilter
from wingxtra.console.registry import Feature, Section, Tone, add_section
from wingxtra.console.widgets import tiles

roles.seen_by_all("dispatch.view_flightrecord")

OUTCOME_TONE: dict[str, Tone] = {
    JobStatus.COMPLETED: Tone.GOOD,
    JobStatus.FAILED: Tone.BAD,
    JobStatus.ABORTED: Tone.WARN,
    JobStatus.CANCELED: Tone.IDLE,
}
LABELS = {"csv": "CSV", "jsonl": "JSON", "geojson": "GeoJSON"}


def outcome(record: FlightRecord) -> SafeString:
    return badge(record.get_outcome_display(), OUTCOME_TONE[record.outcome])


# --- the sections of its page --------------------------------------------------------------------


def log(record: FlightRecord, request: HttpRequest) -> Section:
    """The items of the guidance, each with what is known and what is not."""
    return Section("Log", "console/record/log.html", {"items": _items(record)})


def _items(record: FlightRecord) -> list[dict[str, Any]]:
    hours, after = record.seconds_total / 3600, afterwards.of(record)
    lines: dict[str, tuple[str, list[str]]] = {
        "a": ("Drone", [record.drone_id, record.kind, record.serial, record.registration]),
        "b": ("Take-off and landing", _ends(record)),
        "c": ("Duration", [_duration(record)]),
        "d": ("Totals of the drone", [f"{record.flights_total} flights, {hours:.1f} h in the air"]),
        "e": ("Pilot in command", [record.pilot]),
        "f": ("Activity", [record.get_activity_display(), record.operator_id]),
        "g": ("Incidents", _incidents(record)),
        "h": ("Pre-flight inspection", [one["checklist"] for one in record.preflight]),
        "i": ("Site assessment", []),
        "j": ("Defects", _defects(record, after)),
        "k": ("Repairs and changes", _repairs(after)),
        "l": ("Certified equipment", []),
    }
    return [
        {
            "letter": letter,
            "name": name,
            "lines": [line for line in known if line],
            "missing": _names(record, letter),
        }
        for letter, (name, known) in lines.items()
    ]


def _names(record: FlightRecord, letter: str) -> list[str]:
    labels = (Missing(code).label for code in record.missing)
    return [label[3:4].lower() + label[4:] for label in labels if label.startswith(f"{letter}. ")]


def _ends(record: FlightRecord) -> list[str]:
    place = record.landed_place or "away from every hub"
    ends = [(record.took_off_at, record.hub), (record.landed_at, place)]
    return [f"{at:%Y-%m-%d %H:%M:%S} UTC, {where}" for at, where in ends if at]


def _duration(record: FlightRecord) -> str:
    if record.duration_s is None:
        return ""
    text = duration(timedelta(seconds=record.duration_s))
    return text if record.landed_at else f"{text} until the job ended"


def _defects(record: FlightRecord, after: Afterwards) -> list[str]:
    """Those that stood when it ended, and those found before the next flight, with the repair."""
    stood = [f"Not released: {one['what']}" for one in record.defects]
    found = [
        f"Found after the flight, {one.reported_at:%Y-%m-%d %H:%M} UTC: {one.description}"
        for one in after.defects
    ]
    return stood + found or ["None"]


def _repairs(after: Afterwards) -> list[str]:
    """What was done after the flight about its defects, and the maintenance before the next one."""
    released = [(one.released_at, one.done) for one in after.defects if one.released_at]
    done = [(one.done_at, f"{one.rule.name}: {one.done}") for one in after.maintenance]
    return [f"{at:%Y-%m-%d %H:%M} UTC: {what}" for at, what in sorted(released + done)]


# What an investigation asks for first.
INCIDENTS = (
    EventType.ABORT_REQUESTED,
    EventType.LINK_LOST,
    EventType.CONTRADICTION,
    EventType.PARCEL_UNKNOWN,
    EventType.PARCEL_LOST,
    EventType.FAILED,
    EventType.ABORTED,
)


def _incidents(record: FlightRecord) -> list[str]:
    found = [one for one in record.events if one["type"] in INCIDENTS]
    return [f"{_clock(one['at'])} {EventType(one['type']).label}" for one in found] or ["None seen"]


def _clock(at: str) -> str:
    return f"{datetime.fromisoformat(at):%H:%M:%S}"


def flight(record: FlightRecord, request: HttpRequest) -> Section:
    reason = ReasonCode(record.reason_code).label if record.reason_code else ""
    facts = [
        ("Outcome", outcome(record)),
        ("Reason", reason),
        ("Planned", _km(record.planned_m)),
        ("Flown until the job ended", _km(record.distance_m)),
        ("Battery", _battery(record)),
        ("Battery packs", ", ".join(record.packs)),
        ("Inside the planned corridor", _inside(record)),
        ("Airspace version", record.airspace_version),
        ("Not known", ", ".join(_others(record))),
    ]
    context = {
        "facts": [(name, value) for name, value in facts if value],
        "excursions": _excursions(record),
        "events": [
            {"at": _clock(one["at"]), "label": EventType(one["type"]).label}
            for one in record.events
        ],
    }
    return Section("Flight", "console/record/flight.html", context)


def _km(metres: float | None) -> str:
    return "" if metres is None else f"{metres / 1000:.2f} km"


def _battery(record: FlightRecord) -> str:
    before, after = record.battery_before_pct, record.battery_after_pct
    if before is None or after is None or record.energy_wh is None:
        return ""
    return f"{before:.0f} % to {after:.0f} %, {record.energy_wh:.0f} Wh"


def _inside(record: FlightRecord) -> str:
    found = record.conformance
    if found is None:
        return ""
    seen = duration(timedelta(seconds=found["seen_s"]))
    return f"{found['inside']:.1%} of {seen}, {found['width_m']:.0f} m to each side"


def _excursions(record: FlightRecord) -> list[str]:
    found = record.conformance["excursions"] if record.conformance else []
    return [
        f"{datetime.fromtimestamp(one['from'], UTC):%H:%M:%S} UTC, for "
        f"{one['until'] - one['from']:.0f} s, up to {one['farthest_m']:.0f} m away"
        for one in found
    ]


def _others(record: FlightRecord) -> list[str]:
    labels = (Missing(code).label for code in record.missing)
    return [label.lower() for label in labels if label[1] != "."]


def where(record: FlightRecord, request: HttpRequest) -> Section | None:
    """Each leg of the track is a line of its own: between them it was not seen."""
    if record.track is None:
        return None
    lines = record.track["coordinates"]
    features = [
        Feature(f"leg-{number}", "line", _line(line), f"Flown, part {number + 1}", Tone.GOOD)
        for number, line in enumerate(lines)
    ]
    if record.pickup_lat is not None:
        pickup = {"type": "Point", "coordinates": [record.pickup_lng, record.pickup_lat]}
        features.append(Feature("pickup", "pickup", pickup, "Pickup, rounded"))
    context = {"features": [asdict(one) for one in features], "tiles": tiles(), "drone": None}
    return Section("Track", "console/order/where.html", context)


def _line(positions: list[list[float]]) -> dict[str, Any]:
    return {"type": "LineString", "coordinates": positions}


def _of_order(order: Order) -> tuple[QuerySet[FlightRecord]]:
    return (order.flight_records.defer("track", "events").order_by("ended_at"),)


def of_order(order: Order, request: HttpRequest, records: list[FlightRecord]) -> Section | None:
    rows = [
        {
            "record": record,
            "outcome": outcome(record),
            "at": moment(record.ended_at),
            "url": reverse("admin:dispatch_flightrecord_change", args=[record.pk]),
        }
        for record in records
    ]
    return (
        Section("Flight records", "console/record/of_order.html", {"rows": rows}) if rows else None
    )


add_section(FlightRecord, 10, where)
add_section(FlightRecord, 20, log)
add_section(FlightRecord, 30, flight)
add_section(Order, 62, of_order, _of_order)


# --- the list ------------------------------------------------------------------------------------


@admin.register(FlightRecord)
class FlightRecordAdmin(ReadOnlyAdmin):
    list_display = ("ended", "drone_id", "hub", "result", "lasted", "flown", "inside", "gaps")
    list_filter = ("outcome", "service_area", ("ended_at", DaysFilter))
    search_fields = ("=drone__drone_id", "=order__id")
    search_help_text = "A drone's id or an order's id, in full."
    ordering = ("-ended_at", "-id")
    fields = ("drone", "order", "mission", "service_area", "hub", "written_at")
    paginator = InfinitePaginator
    show_full_result_count = False
    list_before_template = "console/record/exports.html"
    when_empty = "No drone has flown yet. A record is written at the end of each flight."

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("track", "events", "preflight", "defects")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        query = request.GET.urlencode()
        links = [
            {
                "label": LABELS[fmt],
                "url": reverse("admin:dispatch_flightrecord_export", args=[fmt]) + f"?{query}",
            }
            for fmt in exports.FORMATS
        ]
        return super().changelist_view(request, {**(extra_context or {}), "export_links": links})

    def get_urls(self) -> list[URLPattern]:
        export = self.admin_site.admin_view(past.from_replica(self.export))
        name = "dispatch_flightrecord_export"
        return [path("export/<slug:fmt>", export, name=name), *super().get_urls()]

    def export(self, request: HttpRequest, fmt: str) -> HttpResponseBase:
        """The list as its filters show it, all pages, oldest first, as a file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if fmt not in exports.FORMATS:
            raise Http404
        try:
            listed: Any = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseRedirect(reverse("admin:dispatch_flightrecord_changelist"))
        return exports.download(listed.defer(None), fmt)

    @admin.display(description="Ended", ordering="ended_at")
    def ended(self, record: FlightRecord) -> SafeString | str:
        return moment(record.ended_at)

    @admin.display(description="Outcome")
    def result(self, record: FlightRecord) -> SafeString:
        return outcome(record)

    @admin.display(description="Duration")
    def lasted(self, record: FlightRecord) -> str:
        return _duration(record) or "—"

    @admin.display(description="Flown")
    def flown(self, record: FlightRecord) -> str:
        return _km(record.distance_m) or "—"

    @admin.display(description="In the corridor")
    def inside(self, record: FlightRecord) -> str:
        return f"{record.conformance['inside']:.0%}" if record.conformance else "—"

    @admin.display(description="Not known")
    def gaps(self, record: FlightRecord) -> str:
        return f"{len(record.missing)} items"
