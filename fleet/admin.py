"""Console pages of kinds, hubs, areas and the policy."""

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import Script
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminSelectWidget

from fleet import policy, traffic
from fleet.airspace.areas import default_time_zone, intents_name_a_hub
from fleet.console import drone_admin, pilots, zone_admin  # noqa: F401 (they register pages)
from fleet.console.policy_form import FIELDSETS, LABELS, PolicyForm, changes_in_words
from fleet.feasibility.reasons import in_cm
from fleet.models import DroneKind, Hub, Policy, PolicyVersion, ServiceArea
from wingxtra import opening_hours
from wingxtra.console.admin import (
    ConsoleAdmin,
    ConsoleChangeList,
    ReadOnlyAdmin,
    badge,
    moment,
    said_by,
)
from wingxtra.console.registry import Tone
from wingxtra.console.widgets import PolygonField, PolygonInput, tiles
from wingxtra.opening_hours.form import READERS, HoursForm, in_lines, open_now


@admin.register(DroneKind)
class DroneKindAdmin(ConsoleAdmin):
    list_display = ("name", "payload", "battery", "cruise", "wind")
    when_empty = (
        "There are no kinds of drones yet. "
        "Add one here: it has the range, the payload and the limits of its drones."
    )

    @admin.display(description="Carries at most", ordering="max_payload_kg")
    def payload(self, kind: DroneKind) -> str:
        weight = f"{kind.max_payload_kg:g} kg"
        return f"{weight}, {in_cm(kind.max_size_cm)}" if kind.max_size_cm else weight

    @admin.display(description="Battery", ordering="battery_wh")
    def battery(self, kind: DroneKind) -> str:
        return f"{kind.battery_wh:g} Wh"

    @admin.display(description="Cruises at", ordering="cruise_speed_mps")
    def cruise(self, kind: DroneKind) -> str:
        return f"{kind.cruise_speed_mps:g} m/s"

    @admin.display(description="Flies in wind up to", ordering="max_wind_mps")
    def wind(self, kind: DroneKind) -> str:
        return f"{kind.max_wind_mps:g} m/s"


class HubForm(forms.ModelForm):
    class Meta:
        model = Hub
        fields = ("name", "service_area", "pads", "chargers", "launches_at_once", "lat", "lng")
        labels = {"lat": "Latitude", "lng": "Longitude"}

    class Media(PolygonInput.Media):
        js = [*PolygonInput.Media.js[:2], Script("console/point.js", defer=True)]


class HubChangeList(ConsoleChangeList):
    """Counts the drones of the page's hubs once and sets them as `hub.traffic`."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        hubs, there = list(self.result_list), traffic.now_at_each(timezone.now())
        for hub in hubs:
            hub.traffic = there.get(hub.pk, traffic.NONE)
        self.result_list = hubs


@admin.register(Hub)
class HubAdmin(ConsoleAdmin):
    """Hubs, placed on a map, with the drones that are there."""

    form = HubForm
    form_has_map = True
    change_form_after_template = "console/point_map.html"
    list_display = (
        "name",
        "service_area",
        "standing",
        "coming",
        "surplus",
        "away",
        "charges",
        "launches",
    )
    when_empty = (
        "There are no hubs yet: "
        "places where drones stand and charge. Add one here, inside a service area."
    )
    list_select_related = ("service_area",)
    search_fields = ("name",)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        return super().render_change_form(request, {**context, "tiles": tiles()}, *args, **kwargs)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ConsoleChangeList]:
        return HubChangeList

    @admin.display(description="Stand here")
    def standing(self, hub: Any) -> SafeString | str:
        text = f"{hub.traffic.pads_text(hub)} pads" if hub.pads else str(hub.traffic.standing)
        return badge(text, Tone.BAD) if hub.traffic.is_over(hub) else text

    @admin.display(description="Coming")
    def coming(self, hub: Any) -> str:
        return str(hub.traffic.coming or "—")

    @admin.display(description="Surplus")
    def surplus(self, hub: Any) -> SafeString | str:
        return badge(str(hub.traffic.surplus), Tone.WARN) if hub.traffic.surplus else "—"

    @admin.display(description="Away")
    def away(self, hub: Any) -> str:
        return str(hub.traffic.away or "—")

    @admin.display(description="Chargers", ordering="chargers")
    def charges(self, hub: Hub) -> str:
        return "Any number" if hub.chargers is None else f"{hub.chargers}"

    @admin.display(description="Launches", ordering="launches_at_once")
    def launches(self, hub: Hub) -> str:
        return "Any number" if hub.launches_at_once is None else f"{hub.launches_at_once}"


WEEKLY_HELP = (
    "A line per weekday or range of them: outside them no order is accepted for now, and no drone "
    "flies. Empty: at all times, but for the exceptions."
)


def _time_zones() -> list[tuple[str, str]]:
    return [(name, name.replace("_", " ")) for name in sorted(available_timezones())]


class ServiceAreaForm(HoursForm):
    time_zone = forms.ChoiceField(
        choices=_time_zones,
        initial=default_time_zone,
        widget=UnfoldAdminSelectWidget,
        help_text="Customers read times in it, and the operating hours are in it.",
    )

    class Meta:
        model = ServiceArea
        fields = (
            "name",
            "active",
            "network",
            "preflight_required",
            "pilots_required",
            "time_zone",
            "polygon",
        )
        labels = {
            "polygon": "Outline",
            "network": "Any hub receives drones",
            "pilots_required": "Responsible pilots",
        }
        help_texts = {"polygon": ""}
        widgets = {"polygon": PolygonInput}
        field_classes = {"polygon": PolygonField}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["weekly"].label = "Operating hours"
        self.fields["weekly"].help_text = WEEKLY_HELP

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        hours = self.written_hours(data)
        if len(hours) < len(READERS):
            return data
        self.instance.hours = hours if any(hours.values()) else None
        zone = data.get("time_zone")
        if zone and self.instance.hours:
            for member, message in opening_hours.problems({**hours, "timezone": zone}):
                self.add_error(member.split(".")[0], message)
        return data

    def clean_network(self) -> bool:
        wanted: bool = self.cleaned_data["network"]
        if wanted and not self.instance.network and not intents_name_a_hub():
            raise forms.ValidationError(
                "Ground control is not told where to land: the mission intent of version 1 has no "
                "place for it. Set GCS_INTENT_VERSION=2 first, if ground control knows version 2.",
                code="needs_intent_version_2",
            )
        return wanted


@admin.register(ServiceArea)
class ServiceAreaAdmin(ConsoleAdmin):
    """Pausing an area is a separate action with a reason."""

    form = ServiceAreaForm
    list_display = ("name", "active", "dispatching", "now", "landing", "time_zone")
    when_empty = (
        "There are no service areas yet: "
        "orders are accepted inside of one only. Draw the first one here."
    )
    search_fields = ("name",)
    readonly_fields = ("operating",)

    def get_readonly_fields(self, request: HttpRequest, obj: ServiceArea | None = None) -> Any:
        # Whether checks and pilots are asked for are rules, and ADMIN sets those.
        ruled = {
            "preflight_required": "fleet.change_checklist",
            "pilots_required": "fleet.add_shift",
        }
        fixed = (name for name, needed in ruled.items() if not request.user.has_perm(needed))
        return ("operating", *fixed)

    def get_fields(self, request: HttpRequest, obj: ServiceArea | None = None) -> Any:
        editable = obj is None or self.has_change_permission(request, obj)
        hours = ("weekly", "exceptions") if editable else ("operating",)
        *fields, polygon = ServiceAreaForm.Meta.fields
        return (*fields, *hours, polygon)

    @admin.display(description="Operating hours")
    def operating(self, area: ServiceArea) -> SafeString | str:
        return in_lines(area.hours, area.time_zone)

    @admin.display(description="Now")
    def now(self, area: ServiceArea) -> SafeString:
        return open_now(area.opening_hours, timezone.now())

    @admin.display(description="Drones land at", ordering="network")
    def landing(self, area: ServiceArea) -> SafeString | str:
        if area.network and not area.uses_network:
            return badge("Their base: GCS_INTENT_VERSION is 1", Tone.WARN)
        return "The best hub" if area.network else "Their base"

    @admin.display(description="Dispatch")
    def dispatching(self, area: ServiceArea) -> SafeString:
        return badge("Paused", Tone.WARN) if area.dispatch_paused else badge("Running", Tone.GOOD)


@admin.register(Policy)
class PolicyAdmin(ConsoleAdmin):
    """The single policy row. Saves through `policy.change`, which writes the history."""

    form = PolicyForm
    fieldsets = FIELDSETS

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(reverse("admin:fleet_policy_change", args=[1]))

    def save_model(self, request: HttpRequest, obj: Policy, form: Any, change: bool) -> None:
        user: Any = request.user
        changes = {name: form.cleaned_data[name] for name in form.changed_data if name in LABELS}
        obj.__dict__.update(policy.change(by=user.actor, **changes).__dict__)


class ChangedByFilter(admin.SimpleListFilter):
    title = "changed by"
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        known = PolicyVersion.objects.order_by("changed_by").values_list("changed_by", flat=True)
        return [(actor, said_by(actor)) for actor in known.distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(changed_by=self.value()) if self.value() else queryset


@admin.register(PolicyVersion)
class PolicyVersionAdmin(ReadOnlyAdmin):
    list_display = ("version", "by", "when", "what")
    when_empty = "The policy was not changed yet. Each change is kept here, with its author."
    list_filter = (ChangedByFilter,)
    readonly_fields = ("by",)
    fields = ("version", "by", "changed_at", "what", "rules")

    @admin.display(description="When", ordering="changed_at")
    def when(self, version: PolicyVersion) -> SafeString | str:
        return moment(version.changed_at)

    @admin.display(description="Changed by", ordering="changed_by")
    def by(self, version: PolicyVersion) -> str:
        return said_by(version.changed_by)

    @admin.display(description="What changed")
    def what(self, version: PolicyVersion) -> str:
        return "; ".join(changes_in_words(version.changes)) or "The first version."
