"""Runs with their decisions, and missions with the bridge's answers. Read only."""

import json
from math import isclose
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.paginator import InfinitePaginator

from dispatch.console import (  # noqa: F401 (they register pages)
    clearances,
    doubts_page,
    pages,
    records_page,
)
from dispatch.console.presentation import INTENT_TONE, OUTCOME_TONE, not_identified, said
from dispatch.models import DispatchDecision, DispatchRun, Mission
from dispatch.occurrences import console as occurrences_admin  # noqa: F401 (register their pages)
from dispatch.whatif import console as whatif_admin  # noqa: F401 (register their pages)
from wingxtra.console.admin import ReadOnlyAdmin, badge, moment, said_by
from wingxtra.console.lists.filters import DaysFilter
from wingxtra.console.registry import Tone

MAX_DECISIONS = 100


class DecisionInline(TabularInline):
    model = DispatchDecision
    fields = ("order_link", "result", "drone", "why", "others")
    readonly_fields = fields
    extra = 0
    per_page = MAX_DECISIONS
    can_delete = False
    show_change_link = False
    verbose_name_plural = "decisions"
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("order", "drone")

    @admin.display(description="Order")
    def order_link(self, decision: DispatchDecision) -> SafeString:
        url = reverse("admin:orders_order_change", args=[decision.order_id])
        return format_html('<a class="wx-link" href="{}">{}</a>', url, decision.order)

    @admin.display(description="Outcome")
    def result(self, decision: DispatchDecision) -> SafeString:
        return badge(decision.get_outcome_display(), OUTCOME_TONE[decision.outcome])

    @admin.display(description="Next best")
    def others(self, decision: DispatchDecision) -> str:
        return (
            ", ".join(
                f"{other['drone_id']} ({other['delivery_s'] / 60:.0f} min)"
                for other in decision.runners_up
            )
            or "—"
        )


@admin.register(DispatchRun)
class DispatchRunAdmin(ReadOnlyAdmin):
    list_display = ("when", "by_what", "where", "got", "kind", "remark")
    list_filter = ("trigger", "dry_run", "service_area", ("started_at", DaysFilter))
    list_select_related = ("service_area",)
    ordering = ("-started_at", "-id")
    fields = (
        "began",
        "by_what",
        "where",
        "kind",
        "got",
        "looked_at",
        "policy_version",
        "optimum",
        "remark",
    )
    readonly_fields = ("began", "by_what", "where", "kind", "got", "looked_at", "optimum", "remark")
    inlines = (DecisionInline,)
    paginator = InfinitePaginator
    show_full_result_count = False
    list_before_template = "console/dispatch_bar.html"
    when_empty = "No run has looked at any order yet. Runs start by themselves when orders wait."

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        switches = pages.switches(request.user)
        return super().changelist_view(request, {**(extra_context or {}), "switches": switches})

    @admin.display(description="When", ordering="started_at")
    def when(self, run: DispatchRun) -> SafeString | str:
        return moment(run.started_at, seconds=True)

    @admin.display(description="Started by")
    def by_what(self, run: DispatchRun) -> str:
        who = said_by(run.actor)
        by_itself = run.trigger == DispatchRun.Trigger.SCHEDULE
        return "Schedule" if by_itself else f"{who} ({run.get_trigger_display().lower()})"

    @admin.display(description="Where", ordering="service_area")
    def where(self, run: DispatchRun) -> str:
        return str(run.service_area or "Everywhere")

    @admin.display(description="Note")
    def remark(self, run: DispatchRun) -> str:
        return run.note or "—"

    @admin.display(description="Orders assigned", ordering="assigned")
    def got(self, run: DispatchRun) -> SafeString:
        tone = Tone.GOOD if run.assigned == run.orders_considered else Tone.WARN
        return badge(f"{run.assigned} of {run.orders_considered}", tone)

    @admin.display(description="Kind")
    def kind(self, run: DispatchRun) -> SafeString | str:
        return badge("Dry run", Tone.IDLE) if run.dry_run else "Run"

    @admin.display(description="When")
    def began(self, run: DispatchRun) -> SafeString:
        took = f"took {run.duration_ms} ms"
        return format_html("{}, {}", moment(run.started_at, seconds=True), took)

    @admin.display(description="Looked at")
    def looked_at(self, run: DispatchRun) -> SafeString:
        return format_html(
            "{} orders and {} drones, as they were at {}",
            run.orders_considered,
            run.drones_considered,
            moment(run.picture_at, seconds=True),
        )

    @admin.display(description="How good the plan is")
    def optimum(self, run: DispatchRun) -> str:
        if run.value is None or run.bound is None:
            return "—"
        if isclose(run.value, run.bound, rel_tol=1e-6):
            return f"Its cost is {run.value:.1f}, and no plan costs less."
        return f"Its cost is {run.value:.1f}; no plan costs less than {run.bound:.1f}."


class LiveFilter(admin.SimpleListFilter):
    title = "known to be over"
    parameter_name = "live"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "No: it may be flown"), ("no", "Yes")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Mission]) -> QuerySet[Mission]:
        if self.value() == "yes":
            return queryset.filter(Q(live=True) | Q(parts__live=True)).distinct()
        return queryset.filter(over_at__isnull=False) if self.value() == "no" else queryset


@admin.register(Mission)
class MissionAdmin(ReadOnlyAdmin):
    """The intent as sent, its outcome, and the source of its end."""

    list_display = ("flown_for", "drone", "standing", "tries", "answer", "made")
    when_empty = "There are no missions yet. One is made when an order gets its drone."
    list_filter = (LiveFilter, "state", "recall_state", "kind", ("created_at", DaysFilter))
    search_fields = ("id", "parts__order__public_tracking_id", "drone__drone_id")
    ordering = ("-created_at",)
    list_before_template = "console/clearance_bar.html"
    fields = (
        "id",
        "flown_for",
        "drone",
        "pilot_name",
        "kind",
        "return_to",
        "alternate",
        "state",
        "tries",
        "next_try_at",
        "accepted_at",
        "clearance_state",
        "not_identified",
        "answered",
        "recall_state",
        "recalled",
        "recall_reason",
        "recall_asked_at",
        "recall_refused_at",
        "said",
        "said_at",
        "over_at",
        "over_said_by",
        "over_because",
        "as_sent",
    )
    readonly_fields = (
        *("flown_for", "clearance_state", "not_identified"),
        *("answered", "recalled", "over_said_by", "as_sent"),
    )
    paginator = InfinitePaginator
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("parts__order")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        bar = {"clearance": clearances.in_use()}
        return super().changelist_view(request, {**bar, **(extra_context or {})})

    @admin.display(description="Clearance")
    def clearance_state(self, intent: Mission) -> SafeString | str:
        found = clearances.of_mission(intent)
        return format_html("{} {}", found["state"], found["answer"]) if found else "—"

    @admin.display(description="Missing in the intent")
    def not_identified(self, intent: Mission) -> str:
        return not_identified(intent.body)

    @admin.display(description="Order")
    def flown_for(self, intent: Mission) -> str:
        orders = ", ".join(str(part.order) for part in intent.parts.all())
        return orders or intent.get_kind_display()

    @admin.display(description="State", ordering="state")
    def standing(self, intent: Mission) -> SafeString:
        return badge(intent.get_state_display(), INTENT_TONE[intent.state])

    @admin.display(description="Ground control said")
    def answer(self, intent: Mission) -> str:
        return said(intent.bridge_status, intent.bridge_answer).in_short

    @admin.display(description="Ground control said")
    def answered(self, intent: Mission) -> SafeString:
        found = said(intent.bridge_status, intent.bridge_answer)
        return render_to_string("console/order/said.html", {"said": found})

    @admin.display(description="Made", ordering="created_at")
    def made(self, intent: Mission) -> SafeString | str:
        return moment(intent.created_at)

    @admin.display(description="Recalled by")
    def recalled(self, intent: Mission) -> str:
        if not intent.recall_by:
            return "—"
        how = "abort" if intent.recall_mode == "abort" else "withdrawal"
        return f"{said_by(intent.recall_by)} ({how})"

    @admin.display(description="End reported by")
    def over_said_by(self, intent: Mission) -> str:
        return said_by(intent.over_by) or "—"

    @admin.display(description="As sent")
    def as_sent(self, intent: Mission) -> SafeString:
        return format_html(
            '<pre class="wx-code" tabindex="0">{}</pre>', json.dumps(intent.body, indent=2)
        )
