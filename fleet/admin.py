"""Console pages of kinds, hubs, areas, zones and the policy. Drones are in `drone_admin`."""

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.forms import Script
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminSelectWidget

from fleet import policy
from fleet.airspace.areas import default_time_zone, intents_name_a_hub
from fleet.console import drone_admin  # noqa: F401 (registers the drones' pages)
from fleet.console.policy_form import FIELDSETS, LABELS, PolicyForm, changes_in_words
from fleet.feasibility.reasons import in_cm
from fleet.models import DroneKind, Hub, NoFlyZone, Policy, PolicyVersion, ServiceArea
from wingxtra.console.admin import ConsoleAdmin, ReadOnlyAdmin, badge, moment
from wingxtra.console.registry import Tone
from wingxtra.console.widgets import PolygonInput, tiles


@admin.register(DroneKind)
class DroneKindAdmin(ConsoleAdmin):
    list_display = ("name", "payload", "battery", "cruise", "wind")

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
        fields = ("name", "service_area", "launches_at_once", "lat", "lng")
        labels = {"lat": "Latitude", "lng": "Longitude"}

    class Media(PolygonInput.Media):
        js = [*PolygonInput.Media.js[:2], Script("console/point.js", defer=True)]


@admin.register(Hub)
class HubAdmin(ConsoleAdmin):
    """Hubs, placed on a map."""

    form = HubForm
    change_form_after_template = "console/point_map.html"
    list_display = ("name", "service_area", "position", "launches")
    list_select_related = ("service_area",)
    search_fields = ("name",)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        return super().render_change_form(request, {**context, "tiles": tiles()}, *args, **kwargs)

    @admin.display(description="Position")
    def position(self, hub: Hub) -> str:
        return f"{hub.lat:.5f}, {hub.lng:.5f}"

    @admin.display(description="Launches at once", ordering="launches_at_once")
    def launches(self, hub: Hub) -> str:
        return "Any number" if hub.launches_at_once is None else f"{hub.launches_at_once}"


def _time_zones() -> list[tuple[str, str]]:
    return [(name, name.replace("_", " ")) for name in sorted(available_timezones())]


class ServiceAreaForm(forms.ModelForm):
    time_zone = forms.ChoiceField(
        choices=_time_zones,
        initial=default_time_zone,
        widget=UnfoldAdminSelectWidget,
        help_text="Customers read times in it.",
    )

    class Meta:
        model = ServiceArea
        fields = ("name", "active", "network", "time_zone", "polygon")
        labels = {"polygon": "Outline", "network": "Any hub receives drones"}
        help_texts = {"polygon": ""}
        widgets = {"polygon": PolygonInput}

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
    list_display = ("name", "active", "dispatching", "landing", "time_zone")
    search_fields = ("name",)

    @admin.display(description="Drones land at", ordering="network")
    def landing(self, area: ServiceArea) -> SafeString | str:
        if area.network and not area.uses_network:
            return badge("Their base: GCS_INTENT_VERSION is 1", Tone.WARN)
        return "The best hub" if area.network else "Their base"

    @admin.display(description="Dispatch")
    def dispatching(self, area: ServiceArea) -> SafeString:
        return badge("Paused", Tone.WARN) if area.dispatch_paused else badge("Running", Tone.GOOD)


class NoFlyZoneForm(forms.ModelForm):
    class Meta:
        model = NoFlyZone
        fields = ("name", "active", "starts_at", "ends_at", "polygon")
        labels = {"starts_at": "From (UTC)", "ends_at": "Until (UTC)", "polygon": "Outline"}
        help_texts = {
            "active": "Off: the zone is kept but does not apply.",
            "starts_at": "Empty: no start.",
            "ends_at": "Empty: no end.",
            "polygon": "",
        }
        widgets = {"polygon": PolygonInput}

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        starts_at, ends_at = data.get("starts_at"), data.get("ends_at")
        if starts_at and ends_at and starts_at >= ends_at:
            self.add_error("ends_at", "The end must come after the start.")
        return data


@admin.register(NoFlyZone)
class NoFlyZoneAdmin(ConsoleAdmin):
    form = NoFlyZoneForm
    list_display = ("name", "now", "starts", "ends")
    list_filter = ("active",)
    when_empty = "No no-fly zones: drones may fly everywhere in the service areas."
    search_fields = ("name",)

    @admin.display(description="Now", ordering="active")
    def now(self, zone: NoFlyZone) -> SafeString:
        now = timezone.now()
        if not zone.active:
            return badge("Off", Tone.IDLE)
        if zone.ends_at and zone.ends_at <= now:
            return badge("Expired", Tone.IDLE)
        if zone.starts_at and zone.starts_at > now:
            return badge("Upcoming", Tone.WARN)
        return badge("Closed", Tone.BAD)

    @admin.display(description="From", ordering="starts_at")
    def starts(self, zone: NoFlyZone) -> SafeString | str:
        return moment(zone.starts_at) if zone.starts_at else "Always"

    @admin.display(description="Until", ordering="ends_at")
    def ends(self, zone: NoFlyZone) -> SafeString | str:
        return moment(zone.ends_at) if zone.ends_at else "For ever"


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


@admin.register(PolicyVersion)
class PolicyVersionAdmin(ReadOnlyAdmin):
    list_display = ("version", "by", "when", "what")
    list_filter = ("changed_by",)
    fields = ("version", "changed_by", "changed_at", "what", "rules")

    @admin.display(description="When", ordering="changed_at")
    def when(self, version: PolicyVersion) -> SafeString | str:
        return moment(version.changed_at)

    @admin.display(description="Changed by", ordering="changed_by")
    def by(self, version: PolicyVersion) -> str:
        return version.changed_by.removeprefix("user:")

    @admin.display(description="What changed")
    def what(self, version: PolicyVersion) -> str:
        return "; ".join(changes_in_words(version.changes)) or "The first version."
