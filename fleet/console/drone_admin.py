"""Console pages of drones, with their live state."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from fleet import presentation
from fleet.console.airworthiness.pages import FitnessFilter
from fleet.live import drone_status, picture
from fleet.live.drone_status import Readiness
from fleet.live.quality import NEEDS
from fleet.models import Drone, DroneKind, Hub, ServiceArea
from wingxtra.console.admin import ConsoleAdmin, ConsoleChangeList, badge, said_by
from wingxtra.console.lists.filters import of_row
from wingxtra.console.registry import Tone


class LiveChangeList(ConsoleChangeList):
    """Reads the live state of the page's drones once and sets it as `drone.live`."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        drones = list(self.result_list)
        states = drone_status.live_drones(drones, timezone.now())
        for drone, live in zip(drones, states, strict=True):
            drone.live = live
        self.result_list = drones


class ReadinessFilter(admin.SimpleListFilter):
    title = "readiness"
    parameter_name = "readiness"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(one.value, presentation.READINESS[one][0]) for one in Readiness]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Drone]) -> QuerySet[Drone]:
        if self.value() is None:
            return queryset
        live = drone_status.live_drones(list(Drone.objects.with_home()), timezone.now())
        wanted = [one.drone.pk for one in live if one.readiness == self.value()]
        return queryset.filter(pk__in=wanted)


class LackingFilter(admin.SimpleListFilter):
    title = "missing in telemetry"
    parameter_name = "lacks"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(need.name, need.label) for need in NEEDS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Drone]) -> QuerySet[Drone]:
        need = next((need for need in NEEDS if need.name == self.value()), None)
        if need is None:
            return queryset
        latest = picture.read()
        samples = latest.telemetry.values() if latest else []
        return queryset.filter(pk__in=[s.drone_id for s in samples if not need.is_given(s)])


class ElsewhereFilter(admin.SimpleListFilter):
    title = "place"
    parameter_name = "elsewhere"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Away from its base"), ("no", "At its base")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Drone]) -> QuerySet[Drone]:
        at_base = Q(hub=F("base"))
        chosen = {"yes": ~at_base, "no": at_base}.get(self.value() or "", Q())
        return queryset.filter(chosen)


def _hubs() -> QuerySet[Hub]:
    return Hub.objects.only("name").order_by("name")


PLACE = ("drone_id", "kind", "hub", "base")
AIRCRAFT = ("active", "retired", "serial", "registration")
GROUNDED = ("grounded_reason", "grounded_by_whom", "grounded_at")


class DroneForm(forms.ModelForm):
    class Meta:
        model = Drone
        fields = (*PLACE, *AIRCRAFT)
        labels = {"hub": "Stands at", "base": "Base"}
        help_texts = {"hub": "Its hub. Telemetry that shows it at another hub changes this."}

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        hub, base = data.get("hub"), data.get("base")
        if hub and base and hub.service_area_id != base.service_area_id:
            self.add_error("base", f"{base} is in another service area than {hub}.")
        return data


@admin.register(Drone)
class DroneAdmin(ConsoleAdmin):
    list_display = (
        "drone_id",
        "readiness",
        "why",
        "battery",
        "last_telemetry",
        "kind",
        "stands",
        "belongs",
        "active",
    )
    when_empty = (
        "No drone is registered yet. "
        "Register one here, or from the dashboard when it sends telemetry."
    )
    list_filter = (
        ReadinessFilter,
        FitnessFilter,
        LackingFilter,
        ElsewhereFilter,
        of_row("hub", _hubs, name="stands at"),
        of_row("base", _hubs),
        of_row("kind", lambda: DroneKind.objects.only("name").order_by("name")),
        "active",
        of_row("hub__service_area", lambda: ServiceArea.objects.only("name").order_by("name")),
    )
    list_select_related = ("kind", "hub", "base")
    form = DroneForm
    list_before_template = "console/telemetry_bar.html"
    search_fields = ("drone_id", "serial", "registration")
    readonly_fields = GROUNDED

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ConsoleChangeList]:
        return LiveChangeList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        gaps = drone_status.completeness(picture.read()).gaps
        return super().changelist_view(request, {**(extra_context or {}), "telemetry_gaps": gaps})

    def get_readonly_fields(
        self, request: HttpRequest, obj: Drone | None = None
    ) -> tuple[str, ...]:
        return self.readonly_fields if obj is None else ("drone_id", *self.readonly_fields)

    def get_fields(self, request: HttpRequest, obj: Drone | None = None) -> tuple[str, ...]:
        grounded = GROUNDED if obj and obj.is_grounded else ()
        return (*PLACE, *AIRCRAFT, *grounded)

    def has_delete_permission(self, request: HttpRequest, obj: Drone | None = None) -> bool:
        return False  # its jobs are kept; `active` takes it out of service

    @admin.display(description="Now")
    def readiness(self, drone: Any) -> SafeString:
        return badge(*presentation.READINESS[drone.live.readiness])

    @admin.display(description="Because")
    def why(self, drone: Any) -> str:
        if drone.live.readiness in (Readiness.READY, Readiness.BUSY):
            soon = "; ".join(drone.live.fitness.due_soon)
            return f"{soon[:1].upper()}{soon[1:]}" or "—"
        return drone.grounded_reason or " ".join(r.message for r in drone.live.reasons[:2])

    @admin.display(description="Grounded by")
    def grounded_by_whom(self, drone: Drone) -> str:
        return said_by(drone.grounded_by)

    @admin.display(description="Stands at", ordering="hub")
    def stands(self, drone: Drone) -> str:
        return drone.hub.name

    @admin.display(description="Base", ordering="base")
    def belongs(self, drone: Drone) -> SafeString | str:
        elsewhere = drone.base_id != drone.hub_id
        return badge(drone.base.name, Tone.WARN) if elsewhere else drone.base.name

    @admin.display(description="Battery")
    def battery(self, drone: Any) -> str:
        return presentation.battery(drone.live)

    @admin.display(description="Last telemetry")
    def last_telemetry(self, drone: Any) -> str:
        return presentation.last_telemetry(drone.live, timezone.now())
