"""Bulk actions in the console: their list, and a page with form, progress and a result per row."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from wingxtra.broker import enqueue
from wingxtra.console import actions, actors
from wingxtra.console.actions import Action
from wingxtra.console.admin import ReadOnlyAdmin, badge, moment
from wingxtra.console.bulk import choosing
from wingxtra.console.models import BulkAction, BulkRow
from wingxtra.console.registry import Tone

ROWS_ON_A_PAGE = 100
TONE = {
    BulkRow.State.WAITING: Tone.IDLE,
    BulkRow.State.STARTED: Tone.BUSY,
    BulkRow.State.DONE: Tone.GOOD,
    BulkRow.State.REFUSED: Tone.BAD,
    BulkRow.State.UNKNOWN: Tone.WARN,
}


def _action(bulk: BulkAction) -> Action:
    """Raises Http404 for one that this version does not have any more."""
    action = actions.named(bulk.label, bulk.name)
    if action is None:
        raise Http404("There is no such action any more.")
    return action


@admin.register(BulkAction)
class BulkActionAdmin(ReadOnlyAdmin):
    list_display = ("when", "what", "by", "objects", "state_now")
    list_select_related = ("by",)
    sortable_by = ()
    when_empty = (
        "No action on more than 200 objects was started in the last 30 days. "
        "Select that many in a list, and choose an action."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[BulkAction]:
        return super().get_queryset(request).annotate(chosen=Count("rows"))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.now_view)
        return [path("<uuid:bulk_id>/now/", view, name="bulk_now"), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        bulk = self._found(request, object_id)
        action = _action(bulk)
        may = request.user.has_perm(action.permission)
        posted = request.POST if request.method == "POST" else None
        form = choosing.form_of(bulk, action, posted)
        if posted is not None:
            if not may:
                raise PermissionDenied
            if self._is_carried_out(request, bulk, form):
                return HttpResponseRedirect(request.path)
        now = reverse("admin:bulk_now", args=[bulk.pk])
        context = {
            **self.admin_site.each_context(request),
            **_progress(request, bulk),
            "title": f"{action.label}: {bulk.rows.count():,} {_plural(action)}",
            "opts": self.opts,
            "original": bulk,
            "action": action,
            "plural": _plural(action),
            "form": form,
            "may_confirm": may and request.user == bulk.by and bulk.state == bulk.State.CHOSEN,
            "may_stop": may and bulk.state == bulk.State.RUNNING and not bulk.stop,
            "chosen_at": moment(bulk.chosen_at),
            "now_url": f"{now}?{request.GET.urlencode()}",
            "back": reverse(f"admin:{bulk.label.replace('.', '_')}_changelist"),
        }
        return TemplateResponse(request, "console/bulk_action.html", context)

    def _is_carried_out(self, request: HttpRequest, bulk: BulkAction, form: Any) -> bool:
        """Whether the posted request is done; if not, the form has its errors."""
        if "stop" in request.POST:
            choosing.stop(bulk)
            actions.log(request.user, bulk, "Stopped")
            return True
        if request.user != bulk.by:
            raise PermissionDenied
        if not form.is_valid():
            return False
        if choosing.confirm(bulk, form, request.POST):
            actions.log(request.user, bulk, f"{_action(bulk).label}: {bulk.rows.count()} objects")
            enqueue(actors.work_on_bulk_action, str(bulk.pk))
        return True

    def now_view(self, request: HttpRequest, bulk_id: Any) -> HttpResponse:
        """The changing part of the page, which polls it until the end."""
        context = _progress(request, self._found(request, str(bulk_id)))
        return TemplateResponse(request, "console/bulk_action_now.html", context)

    def _found(self, request: HttpRequest, pk: str) -> BulkAction:
        if not self.has_view_permission(request):
            raise PermissionDenied
        bulk = self.get_object(request, pk)
        if bulk is None:
            raise Http404("There is no such bulk action.")
        return bulk

    @admin.display(description="Chosen")
    def when(self, bulk: BulkAction) -> SafeString | str:
        return moment(bulk.chosen_at)

    @admin.display(description="Action")
    def what(self, bulk: BulkAction) -> str:
        action = actions.named(bulk.label, bulk.name)
        return action.label if action else bulk.name

    @admin.display(description="Objects")
    def objects(self, bulk: Any) -> str:
        return f"{bulk.chosen:,}"

    @admin.display(description="State")
    def state_now(self, bulk: BulkAction) -> SafeString:
        return badge(bulk.get_state_display(), Tone.IDLE if bulk.is_over else Tone.BUSY)


def _plural(action: Action) -> str:
    return str(action.model._meta.verbose_name_plural)


def _progress(request: HttpRequest, bulk: BulkAction) -> dict[str, Any]:
    """`state=` shows only the rows in that state; `page=` counts from 1."""
    counts = dict(bulk.rows.order_by().values_list("state").annotate(Count("pk")))
    only = request.GET.get("state", "")
    rows = bulk.rows.order_by("position")
    if only in BulkRow.State.values:
        rows = rows.filter(state=only)
    page = Paginator(rows, ROWS_ON_A_PAGE).get_page(request.GET.get("page"))
    total = sum(counts.values())
    over = total - counts.get(BulkRow.State.WAITING, 0) - counts.get(BulkRow.State.STARTED, 0)
    return {
        "bulk": bulk,
        "total": total,
        "over": over,
        "counts": [
            (state, state.label, TONE[state], counts[state])
            for state in BulkRow.State
            if state in counts
        ],
        "only": only,
        "page": page,
        "rows": [
            (
                row,
                reverse(f"admin:{bulk.label.replace('.', '_')}_change", args=[row.object_id]),
                badge(row.get_state_display(), TONE[BulkRow.State(row.state)]),
            )
            for row in page
        ],
        "goes_on": bulk.state == bulk.State.RUNNING,
    }
