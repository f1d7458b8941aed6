"""Occurrences in the console: the list, the page with notes and files, and the actions."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dispatch.models import Occurrence
from dispatch.occurrences import files, printed, verbs
from dispatch.occurrences.actions import ACTIONS, FileForm
from orders.models import Order
from wingxtra.accounts.models import User
from wingxtra.console import actions, roles
from wingxtra.console.admin import ReadOnlyAdmin, badge, moment, said_by
from wingxtra.console.lists.filters import DaysFilter
from wingxtra.console.registry import Section, Tone, add_section
from wingxtra.problems import Invalid, Problem

# Staff who may not see personal data see the list, and nothing that was written.
roles.seen_by_all("dispatch.view_occurrence")
roles.done_by_ops("dispatch.add_occurrence")
actions.register(*ACTIONS)

STATE_TONE = {
    Occurrence.State.OPEN: Tone.BAD,
    Occurrence.State.REPORTED: Tone.WARN,
    Occurrence.State.CLOSED: Tone.IDLE,
}


def _may_read(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("orders.view_personal_data"))


def _state(occurrence: Occurrence) -> SafeString:
    tone = STATE_TONE[Occurrence.State(occurrence.state)]
    return badge(occurrence.get_state_display(), tone)


# --- sections ------------------------------------------------------------------------------------


def words(occurrence: Occurrence, request: HttpRequest) -> Section | None:
    if not _may_read(request):
        return None
    context = {
        "occurrence": occurrence,
        "print_url": reverse("admin:dispatch_occurrence_print", args=[occurrence.pk]),
        "order_url": reverse("admin:orders_order_change", args=[occurrence.order_id]),
    }
    return Section("What happened", "console/occurrence/words.html", context)


def attached(occurrence: Occurrence, request: HttpRequest) -> Section | None:
    if not _may_read(request):
        return None
    rows = [
        {
            "name": kept.name,
            "size": kept.size_bytes,
            "at": moment(kept.at),
            "by": said_by(kept.by),
            "url": kept.file
            and reverse("admin:dispatch_occurrence_download", args=[occurrence.pk, kept.pk]),
        }
        for kept in occurrence.files.all()
    ]
    may_attach = occurrence.released_at is None and request.user.has_perm("dispatch.add_occurrence")
    url = reverse("admin:dispatch_occurrence_attach", args=[occurrence.pk]) if may_attach else ""
    return Section("Files", "console/occurrence/files.html", {"rows": rows, "attach_url": url})


def notes(occurrence: Occurrence, request: HttpRequest) -> Section | None:
    if not _may_read(request):
        return None
    rows = [
        {
            "state": note.get_state_display(),
            "at": moment(note.at),
            "by": said_by(note.by),
            "text": note.text,
        }
        for note in occurrence.notes.all()
    ]
    return Section("Notes", "console/occurrence/notes.html", {"rows": rows}) if rows else None


def _of_order(order: Order) -> tuple[QuerySet[Occurrence]]:
    return (order.flight_occurrences.select_related("job").defer("text"),)


def of_order(order: Order, request: HttpRequest, found: list[Occurrence]) -> Section | None:
    if not request.user.has_perm("dispatch.view_occurrence"):
        return None
    rows = [
        {
            "what": str(occurrence),
            "state": _state(occurrence),
            "drone": occurrence.job.drone_id,
            "url": actions.page_of(occurrence),
        }
        for occurrence in found
    ]
    if not rows:
        return None
    return Section("Occurrences", "console/order/occurrences.html", {"rows": rows})


for place, source in enumerate((words, attached, notes), start=1):
    add_section(Occurrence, 10 * place, source)
add_section(Order, 55, of_order, _of_order)


# --- pages ---------------------------------------------------------------------------------------


class HeldFilter(admin.SimpleListFilter):
    title = "data"
    parameter_name = "held"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Held"), ("no", "Released")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Occurrence]
    ) -> QuerySet[Occurrence]:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(released_at__isnull=self.value() == "yes")


@admin.register(Occurrence)
class OccurrenceAdmin(ReadOnlyAdmin):
    list_display = ("happened", "category", "hurt", "drone", "order", "standing", "data")
    list_filter = ("state", HeldFilter, "category", "injury", ("happened_at", DaysFilter))
    list_select_related = ("order", "job")
    search_fields = ("order__public_tracking_id", "job__drone__drone_id")
    search_help_text = "Order or drone"
    ordering = ("-created_at", "-id")
    fields = ("happened", "category", "hurt", "drone", "order_link", "standing", "written", "data")
    readonly_fields = ("happened", "hurt", "drone", "order_link", "standing", "written", "data")
    when_empty = "No occurrence was reported. Report one on the page of its order."

    def get_fields(self, request: HttpRequest, obj: Occurrence | None = None) -> list[str]:
        """Who wrote it is for those who may read it."""
        return [name for name in self.fields or () if name != "written" or _may_read(request)]

    def get_urls(self) -> list[Any]:
        pages = [
            ("<uuid:pk>/print/", self.print_view, "print"),
            ("<uuid:pk>/file/", self.attach_view, "attach"),
            ("<uuid:pk>/file/<int:file_id>/", self.download_view, "download"),
        ]
        own = [
            path(where, self.admin_site.admin_view(view), name=f"dispatch_occurrence_{name}")
            for where, view, name in pages
        ]
        return [*own, *super().get_urls()]

    def print_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        return printed.page(self._readable(request, pk))

    def download_view(self, request: HttpRequest, pk: Any, file_id: int) -> FileResponse:
        kept = self._readable(request, pk).files.filter(pk=file_id).exclude(file="").first()
        if kept is None:
            raise Http404
        try:
            content = kept.file.open("rb")
        except FileNotFoundError as error:
            raise Http404("The file is not in the storage any more.") from error
        answer = FileResponse(
            content, as_attachment=True, filename=kept.name, content_type=kept.content_type
        )
        for name, value in files.SAFE_HEADERS.items():
            answer[name] = value
        return answer

    def attach_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        occurrence = self._readable(request, pk)
        user: Any = request.user
        if not user.has_perm("dispatch.add_occurrence"):
            raise PermissionDenied
        form = FileForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid() and _attach(occurrence, form, user):
            return HttpResponseRedirect(actions.page_of(occurrence))
        context = {
            **admin.site.each_context(request),
            "title": f"Attach a file: {occurrence}",
            "form": form,
            "back": actions.page_of(occurrence),
        }
        return TemplateResponse(request, "console/occurrence/attach.html", context)

    def _readable(self, request: HttpRequest, pk: Any) -> Occurrence:
        """Raises PermissionDenied for those who may not see personal data, and Http404."""
        if not (self.has_view_permission(request) and _may_read(request)):
            raise PermissionDenied
        rows = Occurrence.objects.select_related("order", "job__drone__kind", "job__drone__hub")
        return get_object_or_404(rows, pk=pk)

    @admin.display(description="When", ordering="happened_at")
    def happened(self, occurrence: Occurrence) -> SafeString | str:
        return moment(occurrence.happened_at)

    @admin.display(description="A person was hurt", ordering="injury")
    def hurt(self, occurrence: Occurrence) -> SafeString | str:
        return badge("Yes", Tone.BAD) if occurrence.injury else "No"

    @admin.display(description="Drone", ordering="job__drone")
    def drone(self, occurrence: Occurrence) -> str:
        return occurrence.job.drone_id or "—"

    @admin.display(description="Order", ordering="order")
    def order_link(self, occurrence: Occurrence) -> SafeString:
        url = reverse("admin:orders_order_change", args=[occurrence.order_id])
        return format_html('<a class="wx-link" href="{}">{}</a>', url, occurrence.order)

    @admin.display(description="State", ordering="state")
    def standing(self, occurrence: Occurrence) -> SafeString:
        return _state(occurrence)

    @admin.display(description="Written")
    def written(self, occurrence: Occurrence) -> SafeString:
        at, by = moment(occurrence.created_at), said_by(occurrence.written_by)
        return format_html("{}, {}", at, by)

    @admin.display(description="Its data", ordering="released_at")
    def data(self, occurrence: Occurrence) -> SafeString | str:
        if occurrence.released_at is None:
            return badge("Held", Tone.BUSY)
        return format_html("Released {}", moment(occurrence.released_at))


def _attach(occurrence: Occurrence, form: FileForm, user: User) -> bool:
    """False with the errors in the form when the file is refused."""
    file = form.cleaned_data["file"]
    try:
        attachment = files.read(file.name, file.read(files.MAX_BYTES), file.size)
        verbs.attach(occurrence.pk, attachment, by=user.actor)
    except Invalid as refused:
        for error in refused.errors:
            form.add_error(error.field, error.message)
        return False
    except Problem as problem:
        form.add_error("file", problem.detail)
        return False
    actions.log(user, occurrence, f"Attached {attachment.name}")
    return True
