"""Pilots and their shifts in the console: lists, forms, and who is on duty in an area."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Prefetch, QuerySet
from django.forms.utils import from_current_timezone
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.widgets import INPUT_CLASSES

from fleet.airworthiness import pilots
from fleet.airworthiness.pilots import Pilot, Shift
from fleet.models import ServiceArea
from wingxtra.console import registry as console
from wingxtra.console import roles
from wingxtra.console.admin import ConsoleAdmin, badge
from wingxtra.console.lists.filters import of_row
from wingxtra.console.registry import Section, Tone
from wingxtra.console.widgets import MomentInput
from wingxtra.problems import Conflict

# The names of pilots are data of our staff, not of customers.
roles.seen_by_all("fleet.view_pilot", "fleet.view_shift")


@admin.register(Pilot)
class PilotAdmin(ConsoleAdmin):
    """ADMIN adds and changes pilots; they are switched off and never deleted."""

    list_display = ("name", "remote_pilot_id", "active", "duty")
    when_empty = (
        "There are no pilots yet: they matter in service areas that require a responsible "
        "one. An administrator adds them here."
    )
    list_filter = ("active",)
    search_fields = ("name", "remote_pilot_id")
    fields = ("name", "remote_pilot_id", "user", "active")

    def has_delete_permission(self, request: HttpRequest, obj: Pilot | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pilot]:
        """With the shift under way as `on_duty`: the database allows one at a time."""
        under_way = Shift.objects.on_duty(timezone.now()).select_related("service_area")
        pilots: QuerySet[Pilot] = super().get_queryset(request)
        return pilots.prefetch_related(Prefetch("shifts", under_way, to_attr="on_duty"))

    @admin.display(description="Now")
    def duty(self, pilot: Pilot) -> SafeString | str:
        for shift in getattr(pilot, "on_duty", ()):
            return badge(f"On duty in {shift.service_area}", Tone.GOOD)
        return "Off duty"


def _moment_input() -> MomentInput:
    """As wide and framed as the fields of unfold."""
    return MomentInput({"class": " ".join(INPUT_CLASSES)})


class ShiftForm(forms.ModelForm):
    """The times are by the clock of the area."""

    starts_at = forms.DateTimeField(
        label="From", widget=_moment_input(), help_text="By the clock of the service area."
    )
    ends_at = forms.DateTimeField(
        label="Until", widget=_moment_input(), help_text="By the clock of the service area."
    )

    class Meta:
        model = Shift
        fields = ("pilot", "service_area", "starts_at", "ends_at", "at_once")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stored: dict[str, datetime] = {}
        if self.instance.pk:
            zone = self.instance.service_area.zone
            for name in ("starts_at", "ends_at"):
                self.stored[name] = getattr(self.instance, name)
                self.initial[name] = self.stored[name].astimezone(zone).replace(tzinfo=None)
        elif "pilot" in self.fields:
            choices: Any = self.fields["pilot"]
            choices.queryset = Pilot.objects.filter(active=True)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        area = data.get("service_area")
        for name in ("starts_at", "ends_at"):
            if area and data.get(name):
                try:
                    data[name] = self._instant(name, data[name].replace(tzinfo=None), area)
                except ValidationError:
                    text = (
                        f"In {area.time_zone} the clocks are changed at that time: it does not "
                        "exist, or exists twice. Choose a time an hour earlier or later."
                    )
                    self.add_error(name, ValidationError(text, code="clock_change"))
        return data

    def _instant(self, name: str, local: datetime, area: ServiceArea) -> datetime:
        # The browser shows minutes: an unchanged time comes back without its seconds.
        if name in self.stored and local == self.initial[name].replace(second=0, microsecond=0):
            return self.stored[name]
        with timezone.override(area.zone):
            return from_current_timezone(local)

    def _post_clean(self) -> None:
        """Django has put the values into the instance; check them as the verb does."""
        super()._post_clean()  # type: ignore[misc]
        if not self.errors and self.instance.pk:
            try:
                pilots.refuse_change(self.instance, timezone.now())
            except Conflict as refusal:
                self.add_error(None, ValidationError(refusal.detail, code=refusal.code))


class DutyFilter(admin.SimpleListFilter):
    title = "time"
    parameter_name = "duty"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("now", "Under way"), ("later", "Later"), ("over", "Over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.now()
        if self.value() == "now":
            return queryset.filter(starts_at__lte=now, ends_at__gt=now)
        if self.value() == "later":
            return queryset.filter(starts_at__gt=now)
        return queryset.filter(ends_at__lte=now) if self.value() == "over" else queryset


@admin.register(Shift)
class ShiftAdmin(ConsoleAdmin):
    """ADMIN plans shifts. One that has begun is kept; OPS hands over and ends it."""

    form = ShiftForm
    list_display = ("pilot", "service_area", "when", "at_once", "state")
    list_filter = (
        DutyFilter,
        "service_area",
        of_row("pilot", lambda: Pilot.objects.order_by("name")),
    )
    list_select_related = ("pilot", "service_area")
    search_fields = ("pilot__name",)
    when_empty = (
        "There are no shifts yet: they matter in service areas that require a responsible "
        "pilot. An administrator plans them here."
    )

    def get_fields(self, request: HttpRequest, obj: Shift | None = None) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            return ShiftForm.Meta.fields
        return ("pilot", "service_area", "when", "at_once")

    def get_readonly_fields(self, request: HttpRequest, obj: Shift | None = None) -> Any:
        return ("when",)

    def has_change_permission(self, request: HttpRequest, obj: Shift | None = None) -> bool:
        is_over = obj is not None and obj.ends_at <= timezone.now()
        return super().has_change_permission(request, obj) and not is_over

    def has_delete_permission(self, request: HttpRequest, obj: Shift | None = None) -> bool:
        begun = obj is not None and obj.starts_at <= timezone.now()
        return super().has_delete_permission(request, obj) and not begun

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except Conflict as refusal:  # another person was faster than this form
            messages.error(request, refusal.detail)
            return HttpResponseRedirect(request.path)

    def save_model(self, request: HttpRequest, obj: Shift, form: Any, change: bool) -> None:
        user: Any = request.user
        pilots.save_shift(obj, by=user.actor)

    @admin.display(description="When", ordering="starts_at")
    def when(self, shift: Shift) -> str:
        return shift.times

    @admin.display(description="Now")
    def state(self, shift: Shift) -> SafeString:
        now = timezone.now()
        if shift.ends_at <= now:
            return badge("Over", Tone.IDLE)
        if shift.starts_at > now:
            return badge("Later", Tone.BUSY)
        return badge("On duty", Tone.GOOD)


# --- on the page of an area ----------------------------------------------------------------------


def on_duty(area: ServiceArea, request: HttpRequest) -> Section | None:
    """Who is on duty now with how many drones, and the next shift."""
    now = timezone.now()
    shifts = pilots.on_duty_in(area, now)
    later = Shift.objects.next_in([area.pk], now).select_related("pilot", "service_area").first()
    if not (area.pilots_required or shifts or later):
        return None
    context = {
        "required": area.pilots_required,
        "pilots": [_row(shift, pilots.supervised(shift.pilot_id, now)) for shift in shifts],
        "next": later and {"text": str(later), "url": _page(later)},
    }
    return Section("Pilots on duty", "console/area/pilots.html", context)


def _row(shift: Shift, drones: list[str]) -> dict[str, Any]:
    tone = Tone.GOOD if len(drones) < shift.at_once else Tone.WARN
    return {
        "name": shift.pilot.name,
        "url": _page(shift),
        "load": badge(f"{len(drones)} of {shift.at_once}", tone),
        "drones": ", ".join(drones),
        "times": shift.times,
    }


def _page(shift: Shift) -> str:
    return reverse("admin:fleet_shift_change", args=[shift.pk])


console.add_section(ServiceArea, 10, on_duty)
