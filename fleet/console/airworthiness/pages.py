"""Console pages of rules, records, defects, packs, checklists and attestations."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget

from fleet.airworthiness import fitness
from fleet.airworthiness.maintenance import HOUR_S
from fleet.airworthiness.models import MAX_ITEMS, MAX_TEXT
from fleet.models import (
    Attestation,
    BatteryPack,
    Checklist,
    Defect,
    Drone,
    Maintenance,
    MaintenanceRule,
)
from wingxtra.console.admin import ConsoleAdmin, ReadOnlyAdmin, badge, moment, said_by
from wingxtra.console.lists.filters import DaysFilter, of_row
from wingxtra.console.registry import Tone


class FitnessFilter(admin.SimpleListFilter):
    """Drones in service by what stands against them."""

    title = "fitness"
    parameter_name = "fitness"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("overdue", "Maintenance overdue"),
            ("due_soon", "Maintenance due soon"),
            ("defects", "Grounded by a defect"),
            ("unattested", "Checks not attested"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Drone]) -> QuerySet[Drone]:
        wanted = self.value()
        if wanted not in dict(self.lookup_choices):
            return queryset
        found = fitness.of(timezone.now())
        return queryset.filter(pk__in=[pk for pk, one in found.items() if getattr(one, wanted)])


def _drone(drone_id: str | None) -> SafeString | str:
    if drone_id is None:
        return "—"
    url = reverse("admin:fleet_drone_change", args=[drone_id])
    return format_html('<a class="wx-link wx-whole" href="{}">{}</a>', url, drone_id)


@admin.register(MaintenanceRule)
class MaintenanceRuleAdmin(ConsoleAdmin):
    list_display = ("name", "kind", "interval_in_words", "margin", "active")
    list_filter = ("kind", "active")
    list_select_related = ("kind",)
    search_fields = ("name",)
    when_empty = (
        "There are no maintenance rules: "
        "no drone is ruled out by its hours. An administrator adds one for a kind of drone."
    )
    fields = (
        "kind",
        "name",
        "every_flights",
        "every_hours",
        "every_days",
        "due_soon_pct",
        "active",
    )

    @admin.display(description="Every")
    def interval_in_words(self, rule: MaintenanceRule) -> str:
        measures = [
            (rule.every_flights, "flights"),
            (rule.every_hours, "h"),
            (rule.every_days, "days"),
        ]
        return " or ".join(f"{every:g} {unit}" for every, unit in measures if every is not None)

    @admin.display(description="Due soon", ordering="due_soon_pct")
    def margin(self, rule: MaintenanceRule) -> str:
        return f"In the last {rule.due_soon_pct:g} %"


@admin.register(Maintenance)
class MaintenanceAdmin(ReadOnlyAdmin):
    """Recording is an action of the drone."""

    list_display = ("when", "about", "what", "done", "counters", "by")
    list_filter = (
        "rule__kind",
        of_row(
            "rule",
            lambda: MaintenanceRule.objects.select_related("kind").order_by("kind__name", "name"),
        ),
        ("done_at", DaysFilter),
    )
    list_select_related = ("rule",)
    search_fields = ("drone__drone_id", "done")
    when_empty = (
        "No maintenance is recorded yet. "
        "Record it on a drone’s page, or for several in the list of drones."
    )
    fields = ("about", "what", "done", "when", "counters", "by", "recorded_at")
    readonly_fields = fields

    @admin.display(description="Done at", ordering="done_at")
    def when(self, row: Maintenance) -> SafeString | str:
        return moment(row.done_at)

    @admin.display(description="Drone", ordering="drone")
    def about(self, row: Maintenance) -> SafeString | str:
        return _drone(row.drone_id)

    @admin.display(description="Rule", ordering="rule__name")
    def what(self, row: Maintenance) -> str:
        return row.rule.name

    @admin.display(description="At")
    def counters(self, row: Maintenance) -> str:
        return f"{row.flights:,} flights, {row.flight_seconds / HOUR_S:,.1f} h"

    @admin.display(description="Recorded by")
    def by(self, row: Maintenance) -> str:
        return said_by(row.recorded_by)


class StandingFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Not released"), ("no", "Released")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(released_at__isnull=self.value() == "yes")


@admin.register(Defect)
class DefectAdmin(ReadOnlyAdmin):
    """Reporting is an action of the drone, releasing one of the defect."""

    list_display = ("since", "about", "description", "severity", "state", "by", "done")
    hidden_on_tablets = ("by", "done")  # the page of the defect has them
    list_filter = (StandingFilter, "grounds", ("reported_at", DaysFilter))
    search_fields = ("drone__drone_id", "description")
    when_empty = "No defect was reported yet. Report one on the page of its drone."
    fields = ("about", "description", "severity", "since", "by", "state", "released", "done")
    readonly_fields = fields

    @admin.display(description="Reported", ordering="reported_at")
    def since(self, defect: Defect) -> SafeString | str:
        return moment(defect.reported_at)

    @admin.display(description="Drone", ordering="drone")
    def about(self, defect: Defect) -> SafeString | str:
        return _drone(defect.drone_id)

    @admin.display(description="Severity", ordering="grounds")
    def severity(self, defect: Defect) -> str:
        return "Grounds it" if defect.grounds else "May fly with it"

    @admin.display(description="Reported by")
    def by(self, defect: Defect) -> str:
        return said_by(defect.reported_by)

    @admin.display(description="State")
    def state(self, defect: Defect) -> SafeString:
        if defect.released_at is not None:
            return badge("Released", Tone.IDLE)
        return badge("Not released", Tone.BAD if defect.grounds else Tone.WARN)

    @admin.display(description="Released")
    def released(self, defect: Defect) -> SafeString | str:
        if defect.released_at is None:
            return "—"
        return format_html("{}, by {}", moment(defect.released_at), said_by(defect.released_by))


@admin.register(BatteryPack)
class BatteryPackAdmin(ConsoleAdmin):
    list_display = ("serial", "in_drone", "cycles", "note")
    when_empty = (
        "There are no battery packs: they are optional. Add one here, and the flights of its "
        "drone are counted as its cycles."
    )
    search_fields = ("serial", "drone__drone_id")
    autocomplete_fields = ("drone",)

    @admin.display(description="Drone", ordering="drone")
    def in_drone(self, pack: BatteryPack) -> SafeString | str:
        return _drone(pack.drone_id)


class ChecklistForm(forms.ModelForm):
    items = forms.CharField(
        label="Checks",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 6}),
        help_text=f"One to {MAX_ITEMS} checks, one a line.",
    )

    class Meta:
        model = Checklist
        fields = ("name", "hub", "kind", "items", "active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["items"] = "\n".join(self.instance.items or [])

    def clean_items(self) -> list[str]:
        lines = [line.strip() for line in self.cleaned_data["items"].splitlines()]
        items = [line for line in lines if line]
        if len(items) > MAX_ITEMS:
            raise forms.ValidationError(f"There are {len(items)} checks; at most {MAX_ITEMS}.")
        for item in items:
            if len(item) > MAX_TEXT:
                text = f"A check has {len(item)} characters; at most {MAX_TEXT}: {item[:40]}…"
                raise forms.ValidationError(text)
        return items


@admin.register(Checklist)
class ChecklistAdmin(ConsoleAdmin):
    form = ChecklistForm
    list_display = ("name", "of", "number", "active")
    list_filter = ("hub", "kind", "active")
    list_select_related = ("hub", "kind")
    search_fields = ("name",)
    when_empty = (
        "There are no checklists: drones fly without pre-flight checks. An administrator "
        "adds one for a hub or a kind of drone."
    )
    readonly_fields = ("checks",)

    def get_fields(self, request: HttpRequest, obj: Checklist | None = None) -> Any:
        editable = obj is None or self.has_change_permission(request, obj)
        return ("name", "hub", "kind", "items" if editable else "checks", "active")

    @admin.display(description="For")
    def of(self, checklist: Checklist) -> str:
        return f"Hub {checklist.hub}" if checklist.hub else f"Each {checklist.kind}"

    @admin.display(description="Checks")
    def number(self, checklist: Checklist) -> str:
        return str(len(checklist.items))

    @admin.display(description="Checks")
    def checks(self, checklist: Checklist) -> str:
        return "; ".join(checklist.items)


@admin.register(Attestation)
class AttestationAdmin(ReadOnlyAdmin):
    """Attesting is an action of the hub."""

    list_display = ("day", "hub", "checklist", "by", "when")
    list_filter = (
        "hub",
        of_row("checklist", lambda: Checklist.objects.order_by("name")),
        ("attested_at", DaysFilter),
    )
    list_select_related = ("hub", "checklist")
    when_empty = (
        "No checks were attested yet. Attest a checklist for the day on the page of its hub."
    )
    fields = ("day", "hub", "checklist", "checks", "by", "when")
    readonly_fields = fields

    @admin.display(description="Checks")
    def checks(self, row: Attestation) -> str:
        return "; ".join(row.items)

    @admin.display(description="Attested by")
    def by(self, row: Attestation) -> str:
        return said_by(row.attested_by)

    @admin.display(description="At", ordering="attested_at")
    def when(self, row: Attestation) -> SafeString | str:
        return moment(row.attested_at)
