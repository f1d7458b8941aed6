"""Customers' cases in the console: the list, the page with the evidence beside it, the answer."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders import presentation
from orders.console import tabs
from orders.console.attention import about
from orders.models import Order
from pod import cases
from pod.evidence import embedded
from pod.models import Case
from wingxtra.console import actions, registry, roles
from wingxtra.console.admin import ReadOnlyAdmin, badge, moment, said_by
from wingxtra.console.attention.counting import each, worst
from wingxtra.console.lists.filters import DaysFilter
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, Button, Section, Tone, add_section
from wingxtra.console.times import in_words

roles.seen_by_all("pod.view_case")


class CloseForm(actions.ActionForm):
    outcome = forms.ChoiceField(choices=Case.Outcome.choices)
    answer = forms.CharField(
        label="Words for the customer",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Shown on the tracking page. Removed with the customer's personal data.",
    )


def _close(case: Case, data: dict[str, Any], user: Any) -> str:
    outcome = Case.Outcome(data["outcome"])
    cases.close(case.pk, outcome, answer=data["answer"], by=user.actor)
    return f"Answered: {outcome.label.lower()}. The customer reads it on the tracking page."


actions.register(
    actions.Action(
        model=Case,
        name="answer",
        label="Answer",
        permission="orders.change_order",
        form=CloseForm,
        carry_out=_close,
        why_not=lambda case: "It is answered already." if case.closed_at else None,
        explanation="Closes the case. The customer reads your words; the merchant gets the outcome "
        "by webhook. This does not change the order: “Correct the outcome” does.",
        is_answer=True,
        in_bulk=False,
    )
)


def what_was_said(case: Case, request: HttpRequest) -> Section | None:
    """None for those who may not see personal data."""
    if not request.user.has_perm("orders.view_personal_data"):
        return None
    picture, is_missing = embedded(case.photo)
    context = {
        "case": case,
        "picture": picture,
        "picture_is_missing": is_missing,
        "order_url": reverse("admin:orders_order_change", args=[case.order_id]),
        "remedies": [b for b in _remedies(case) if request.user.has_perm(b.permission)],
    }
    return Section("What the customer says", "console/case.html", context)


def _cases_of(order: Order) -> tuple[QuerySet[Case]]:
    return (order.cases.order_by("opened_at"),)


def cases_of(order: Order, request: HttpRequest, cases: list[Case]) -> Section | None:
    rows = [
        {
            "label": case.get_kind_display(),
            "opened": moment(case.opened_at),
            "state": _state(case),
            "url": reverse("admin:pod_case_change", args=[case.pk]),
        }
        for case in cases
    ]
    if not rows:
        return None
    return Section("Problems of the customer", "console/order/cases.html", {"rows": rows})


def _state(case: Case) -> SafeString:
    if case.closed_at is None:
        return badge("Open", Tone.BAD)
    return badge(case.get_outcome_display(), Tone.IDLE)


def _remedies(case: Case) -> tuple[Button, ...]:
    """What changes the order, if the customer is right."""
    if case.closed_at is not None or case.kind != Case.Kind.NOT_HERE:
        return ()
    return actions.buttons(case.order, "correct")


def waiting(now: datetime) -> QuerySet[Case]:
    cases_of_customers = Case.objects.open().filter(order__live_mode=True)
    return cases_of_customers.select_related("order__holder_drone", "order__holder_hub").order_by(
        "opened_at"
    )


def open_cases(look: Look) -> Iterator[Attention]:
    def item(case: Case) -> Attention:
        order = case.order
        proof = order.get_proof_method_display().lower() if order.proof_method else "none"
        return Attention(
            key=f"case:{case.pk}",
            level=13 + min(9, int((look.at - case.opened_at).total_seconds() // 7200)),
            text=f"The customer of order {order} says: {case.get_kind_display().lower()}",
            detail=f"Proof of delivery: {proof}. The parcel, as the order says: "
            f"{presentation.parcel_place(order)}. The case's page has track, proof and custody.",
            url=reverse("admin:pod_case_change", args=[case.pk]),
            since=case.opened_at,
            remedies=(actions.button(Case, "answer", case.pk), *_remedies(case)),
            cause="case",
            many="customers wait for an answer about a problem",
            all_url=f"{reverse('admin:pod_case_changelist')}?state=open",
            about=about(order),
        )

    return each(look, waiting, item)


class OpenFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Open"), ("answered", "Answered")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Case]) -> QuerySet[Case]:
        if self.value() is None:
            return queryset
        return queryset.filter(closed_at__isnull=self.value() == "open")


@admin.register(Case)
class CaseAdmin(ReadOnlyAdmin):
    list_display = ("kind", "order", "state", "opened", "closed")
    list_filter = (OpenFilter, "kind", ("opened_at", DaysFilter))
    list_select_related = ("order",)
    search_fields = ("order__public_tracking_id",)
    ordering = ("-opened_at", "-id")
    fields = ("order_link", "kind", "opened", "state", "closed", "by")
    readonly_fields = ("order_link", "opened", "state", "closed", "by")
    when_empty = (
        "No customer has reported a problem. "
        "Customers do that on the tracking page, after the delivery."
    )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """With the sections of its order beside it: track, proof, custody, timeline."""
        case = self.get_object(request, object_id)
        context: dict[str, Any] = {}
        if case is not None and self.has_view_permission(request, case):
            own = registry.sections_of(case, request)
            context = {"sections": [*own, *registry.sections_of(case.order, request)]}
        return super().change_view(
            request, object_id, form_url, {**context, **(extra_context or {})}
        )

    @admin.display(description="Order", ordering="order")
    def order_link(self, case: Case) -> SafeString:
        url = reverse("admin:orders_order_change", args=[case.order_id])
        return format_html('<a class="wx-link" href="{}">{}</a>', url, case.order)

    @admin.display(description="Opened", ordering="opened_at")
    def opened(self, case: Case) -> SafeString | str:
        return moment(case.opened_at)

    @admin.display(description="State")
    def state(self, case: Case) -> SafeString:
        return _state(case)

    @admin.display(description="Answered", ordering="closed_at")
    def closed(self, case: Case) -> SafeString | str:
        return moment(case.closed_at)

    @admin.display(description="By")
    def by(self, case: Case) -> str:
        return said_by(case.closed_by) if case.closed_by else "—"


actions.describe(Case, lambda case: f"Opened {in_words(case.opened_at)}")
add_section(Case, 10, what_was_said)
add_section(Order, 72, cases_of, _cases_of)
tabs.needs_attention(lambda now: waiting(now).values("order"))
registry.add_attention(
    open_cases,
    checks="no customer waits for an answer about a problem",
    reads=worst(waiting),
)
