"""The fleet in the console: kinds, hubs, areas, zones and the policy (drones: drone_admin)."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString

from fleet import drone_admin, policy  # noqa: F401 (registers the drones' pages)
from fleet.models import DroneKind, Hub, NoFlyZone, Policy, PolicyVersion, ServiceArea
from fleet.policy_form import FIELDSETS, LABELS, PolicyForm
from wingxtra.console.admin import ConsoleAdmin, ReadOnlyAdmin, badge, moment
from wingxtra.console.registry import Tone
from wingxtra.console.widgets import PolygonInput


@admin.register(DroneKind)
class DroneKindAdmin(ConsoleAdmin):
    list_display = ("name", "max_payload_kg", "battery_wh", "cruise_speed_mps", "max_wind_mps")


@admin.register(Hub)
class HubAdmin(ConsoleAdmin):
    list_display = ("name", "service_area", "lat", "lng", "launches_at_once")
    list_select_related = ("service_area",)
    search_fields = ("name",)


class ServiceAreaForm(forms.ModelForm):
    class Meta:
        model = ServiceArea
        fields = ("name", "active", "polygon")
        widgets = {"polygon": PolygonInput}


@admin.register(ServiceArea)
class ServiceAreaAdmin(ConsoleAdmin):
    """Pausing an area is an action of its own, with a reason."""

    form = ServiceAreaForm
    list_display = ("name", "active", "dispatching")
    search_fields = ("name",)

    @admin.display(description="Dispatch")
    def dispatching(self, area: ServiceArea) -> SafeString:
        return badge("Paused", Tone.WARN) if area.dispatch_paused else badge("Running", Tone.GOOD)


class NoFlyZoneForm(forms.ModelForm):
    class Meta:
        model = NoFlyZone
        fields = ("name", "active", "starts_at", "ends_at", "polygon")
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
    list_display = ("name", "active", "starts", "ends")
    search_fields = ("name",)

    @admin.display(description="From", ordering="starts_at")
    def starts(self, zone: NoFlyZone) -> SafeString | str:
        return moment(zone.starts_at) if zone.starts_at else "Always"

    @admin.display(description="Until", ordering="ends_at")
    def ends(self, zone: NoFlyZone) -> SafeString | str:
        return moment(zone.ends_at) if zone.ends_at else "For ever"


@admin.register(Policy)
class PolicyAdmin(ConsoleAdmin):
    """The one row of rules, edited through `policy.change` only, which counts and remembers."""

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
    list_display = ("version", "changed_by", "when", "what")
    list_filter = ("changed_by",)
    fields = ("version", "changed_by", "changed_at", "what", "rules")

    @admin.display(description="When", ordering="changed_at")
    def when(self, version: PolicyVersion) -> SafeString | str:
        return moment(version.changed_at)

    @admin.display(description="What changed")
    def what(self, version: PolicyVersion) -> str:
        return (
            "; ".join(
                f"{LABELS.get(name, name)}: {before} → {after}"
                for name, (before, after) in version.changes.items()
            )
            or "The first version."
        )
