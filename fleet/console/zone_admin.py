"""Console pages of geographical zones, and of the files that they come from."""

from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.forms import Script
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from fleet.airspace import imports, schedule_text
from fleet.airspace.files.reading import MAX_BYTES
from fleet.airspace.schedule import InvalidSchedule, Json, moment_of
from fleet.airspace.zones import GeoZone, ZoneType
from fleet.models import ZoneImport
from wingxtra.accounts.models import User
from wingxtra.console import actions, registry, roles
from wingxtra.console.admin import ConsoleAdmin, ReadOnlyAdmin, badge, moment, said_by
from wingxtra.console.registry import Section, Tone
from wingxtra.console.widgets import PolygonField, PolygonInput
from wingxtra.problems import Invalid

roles.seen_by_all("fleet.view_zoneimport")

MAX_SHOWN = 100
DRAWN = ("name", "kind", "lower_m", "lower_datum", "upper_m", "upper_datum", "starts_at", "ends_at")


class GeoZoneForm(forms.ModelForm):
    hours = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "placeholder": "MON-FRI 08:00-17:30"}),
        help_text="When the zone is closed, a line per rule. SR is sunrise, SS sunset, BMCT and "
        "EECT begin and end of the civil twilight. Empty: at all times.",
    )

    class Meta:
        model = GeoZone
        fields = ("active", "allowed_until", "allowed_because", *DRAWN, "time_zone", "polygon")
        labels = {
            "allowed_until": "Our flights are allowed until (UTC)",
            "allowed_because": "By which authorisation",
            "lower_m": "From the height (m)",
            "lower_datum": "Measured",
            "upper_m": "Up to the height (m)",
            "upper_datum": "Measured",
            "starts_at": "From (UTC)",
            "ends_at": "Until (UTC)",
            "time_zone": "Clock of the hours",
            "polygon": "Outline",
        }
        help_texts = {
            "active": "Off: the zone is kept but does not apply.",
            "allowed_until": "Until then the zone does not stop our flights. Only for zones that "
            "require an authorisation or have a condition.",
            "allowed_because": "Who allowed it, and the number of the document.",
            "starts_at": "Empty: no start.",
            "ends_at": "Empty: no end.",
            "time_zone": "An IANA name like Africa/Accra.",
            "polygon": "",
        }
        widgets = {"polygon": PolygonInput}
        field_classes = {"polygon": PolygonField}

    class Media(PolygonInput.Media):
        js = [*PolygonInput.Media.js, Script("console/zone.js", defer=True)]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "hours" in self.fields:
            self.initial["hours"] = schedule_text.lines_of(self.instance.schedule)

    def clean_hours(self) -> str:
        text: str = self.cleaned_data["hours"]
        try:
            self.instance.schedule = schedule_text.rules_of(text)
        except InvalidSchedule as problem:
            raise forms.ValidationError(str(problem), code="schedule") from problem
        return text

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        kind = data.get("kind", self.instance.kind)
        starts_at, ends_at = data.get("starts_at"), data.get("ends_at")
        if starts_at and ends_at and starts_at >= ends_at:
            self.add_error("ends_at", "The end must come after the start.")
        lower_m, upper_m = data.get("lower_m"), data.get("upper_m")
        same_datum = data.get("lower_datum") == data.get("upper_datum")
        if same_datum and upper_m is not None and upper_m <= (lower_m or 0):
            self.add_error("upper_m", "The upper limit must be above the lower one.")
        until, because = data.get("allowed_until"), data.get("allowed_because")
        if bool(until) != bool(because):
            missing = "allowed_because" if until else "allowed_until"
            self.add_error(missing, "Give both: until when, and by which authorisation.")
        elif until and kind not in (ZoneType.REQ_AUTHORISATION, ZoneType.CONDITIONAL):
            kind_name = ZoneType(kind).label.lower()
            self.add_error("allowed_until", f"A zone of the type “{kind_name}” cannot be allowed.")
        return data


@admin.register(GeoZone)
class GeoZoneAdmin(ConsoleAdmin):
    """What comes from a file is changed by the next file only; staff switch it off or allow it.

    Saving leads to the zone's page, which lists the flights that it cuts.
    """

    form = GeoZoneForm
    form_has_map = True
    change_form_after_template = "console/zone_flights.html"
    list_display = ("name", "kind", "heights", "now", "starts", "ends", "origin")
    list_filter = ("active", "kind", "source")
    when_empty = (
        "There are no geographical zones: drones may fly everywhere in the service areas. "
        "Draw one here, or check a file of zones."
    )
    search_fields = ("name", "identifier")

    def response_post_save_add(self, request: HttpRequest, obj: GeoZone) -> HttpResponse:
        return HttpResponseRedirect(actions.page_of(obj))

    def response_post_save_change(self, request: HttpRequest, obj: GeoZone) -> HttpResponse:
        return HttpResponseRedirect(actions.page_of(obj))

    def get_readonly_fields(self, request: HttpRequest, obj: GeoZone | None = None) -> Any:
        if obj is None or not obj.source:
            return ()
        return (*DRAWN, "weekly", "condition", "authority", "origin", "polygon")

    def get_fields(self, request: HttpRequest, obj: GeoZone | None = None) -> Any:
        decided_here = ("active", "allowed_until", "allowed_because")
        if obj is None or not obj.source:
            return (*DRAWN, "hours", "time_zone", *decided_here, "polygon")
        return (*decided_here, *self.get_readonly_fields(request, obj))

    def save_model(self, request: HttpRequest, obj: GeoZone, form: Any, change: bool) -> None:
        user: Any = request.user
        if {"allowed_until", "allowed_because"} & set(form.changed_data):
            obj.allowed_by = str(user.actor) if obj.allowed_until else ""
        super().save_model(request, obj, form, change)

    @admin.display(description="Now", ordering="active")
    def now(self, zone: GeoZone) -> SafeString:
        now = timezone.now()
        if not zone.active:
            return badge("Off", Tone.IDLE)
        if zone.kind == ZoneType.NO_RESTRICTION:
            return badge("Open to us", Tone.GOOD)
        if zone.ends_at and zone.ends_at <= now:
            return badge("Expired", Tone.IDLE)
        if zone.allowed_until and zone.allowed_until > now:
            return badge(format_html("Allowed until {}", moment(zone.allowed_until)), Tone.GOOD)
        if zone.is_closed(now):
            return badge("Closed", Tone.BAD)
        return badge("Upcoming" if zone.windows(now) else "Expired", Tone.WARN)

    @admin.display(description="Heights", ordering="lower_m")
    def heights(self, zone: GeoZone) -> str:
        return zone.heights

    @admin.display(description="Hours")
    def weekly(self, zone: GeoZone) -> str:
        lines = [self._rule(rule, ZoneInfo(zone.time_zone)) for rule in zone.schedule]
        return "\n".join(lines) or "At all times"

    def _rule(self, rule: Json, zone: ZoneInfo) -> str:
        """“MON,TUE 08:00-17:30, from 1 Mar 2026 00:00 CET”: the hours, and from when until when."""
        line = schedule_text.lines_of([rule])
        for word, name in (("from", "starts_at"), ("until", "ends_at")):
            if at := moment_of(rule.get(name)):
                local = at.astimezone(zone)
                line += f", {word} {local.day} {local:%b %Y %H:%M %Z}"
        return line

    @admin.display(description="Source", ordering="source")
    def origin(self, zone: GeoZone) -> str:
        return f"{zone.source}, {zone.identifier}" if zone.source else "Drawn here"

    @admin.display(description="From", ordering="starts_at")
    def starts(self, zone: GeoZone) -> SafeString | str:
        return moment(zone.starts_at) if zone.starts_at else "Always"

    @admin.display(description="Until", ordering="ends_at")
    def ends(self, zone: GeoZone) -> SafeString | str:
        return moment(zone.ends_at) if zone.ends_at else "For ever"


class ZoneFileForm(forms.Form):
    source = forms.CharField(
        max_length=60,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Who publishes the file, like “FOCA”. A later file of the same source replaces "
        "its zones.",
    )
    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget(),
        help_text=f"ED-269, ED-318 or GeoJSON, up to {MAX_BYTES // 2**20} MB. Nothing changes yet: "
        "the next page shows what the file would change.",
    )


@admin.register(ZoneImport)
class ZoneImportAdmin(ReadOnlyAdmin):
    list_display = ("file_name", "source", "format", "checked", "used", "result")
    list_filter = ("source",)
    when_empty = (
        "No file of zones was checked yet. "
        "An administrator checks one here, sees what it would change, and puts it into use."
    )
    fields = ("source", "file_name", "format", "sha256", "checked", "used", "result")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        user: Any = request.user
        return bool(user.has_perm("fleet.add_zoneimport"))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        user: Any = request.user
        form = ZoneFileForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            try:
                one = imports.check(
                    file.read(MAX_BYTES + 1),
                    file_name=file.name,
                    source=form.cleaned_data["source"],
                    by=user.actor,
                )
            except Invalid as refused:
                for error in refused.errors:
                    form.add_error(error.field, error.message)
            else:
                url = reverse("admin:fleet_zoneimport_change", args=[one.pk])
                return HttpResponseRedirect(url)
        context = {
            **admin.site.each_context(request),
            "title": "Check a file of zones",
            "form": form,
            "back": reverse("admin:fleet_zoneimport_changelist"),
        }
        return TemplateResponse(request, "console/zone_file.html", context)

    @admin.display(description="Checked", ordering="checked_at")
    def checked(self, one: ZoneImport) -> SafeString:
        return format_html("{} by {}", moment(one.checked_at), said_by(one.checked_by))

    @admin.display(description="Put into use", ordering="used_at")
    def used(self, one: ZoneImport) -> SafeString:
        if one.used_at is None:
            return badge("Not in use", Tone.WARN)
        return format_html("{} by {}", moment(one.used_at), said_by(one.used_by))


def _changes(one: ZoneImport, request: HttpRequest) -> Section | None:
    """What the file would change, while it is not in use."""
    if one.used_at is not None:
        return None
    found = imports.changes_of(one)
    lines = [
        *(
            ("New", f"{zone}, {zone.get_kind_display().lower()}, {zone.heights}")
            for zone in found.new
        ),
        *(("Changed", f"{zone}: {', '.join(names)}") for zone, names in found.changed),
        *(("Gone", str(zone)) for zone in found.gone),
    ]
    return _section("What it changes", str(found), lines)


def _refused(one: ZoneImport, request: HttpRequest) -> Section | None:
    lines = [(refusal["identifier"], refusal["why"]) for refusal in one.refused]
    some = "1 feature" if len(lines) == 1 else f"{len(lines)} features"
    count = f"{some} cannot be taken" if lines else "Every feature can be taken"
    return _section("Refused", f"{count}.", lines)


def _section(title: str, text: str, lines: list[tuple[str, str]]) -> Section:
    more = len(lines) - MAX_SHOWN
    context = {"text": text, "lines": lines[:MAX_SHOWN], "more": max(0, more)}
    return Section(title, "console/zone_file_lines.html", context)


registry.add_section(ZoneImport, 1, _changes)
registry.add_section(ZoneImport, 2, _refused)


def _put_into_use(one: ZoneImport, data: dict[str, Any], user: User) -> str:
    return f"In use now: {imports.put_into_use(one.pk, by=user.actor)}."


actions.register(
    actions.Action(
        model=ZoneImport,
        name="put_into_use",
        label="Put into use",
        permission="fleet.add_zoneimport",
        carry_out=_put_into_use,
        why_not=lambda one: "It was put into use before." if one.used_at else None,
        explanation="The zones of this source are replaced by those of the file. Waiting orders "
        "and flights are judged by them within 5 seconds.",
        icon="publish",
        in_bulk=False,
    )
)
