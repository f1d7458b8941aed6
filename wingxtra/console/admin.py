"""Shared pieces of the apps' admin pages, and the history of what staff did."""

from datetime import timedelta
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import IS_POPUP_VAR
from django.db.models import Model, QuerySet
from django.forms import Media, Script
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from wingxtra.accounts.identity import said_by as said_by
from wingxtra.console import actions, registry
from wingxtra.console.bulk import choosing
from wingxtra.console.lists.change_list import ConsoleChangeList
from wingxtra.console.lists.filters import DaysFilter
from wingxtra.console.registry import Tone
from wingxtra.console.times import moment as moment

SCRIPTS = (
    "vendor/jquery/jquery.min.js",
    "jquery.init.js",
    "core.js",
    "admin/RelatedObjectLookups.js",
    "actions.js",
)


def badge(text: str, tone: Tone) -> SafeString:
    return format_html('<span class="wx-badge wx-{}">{}</span>', tone, text)


def duration(span: timedelta) -> str:
    """“45 s”, “12 min”, “3 h 05 min”, “4 d 2 h”: two units at most."""
    seconds = round(span.total_seconds())
    if seconds < 90:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02} min"
    return f"{hours // 24} d {hours % 24} h"


NONE_LEFT = "Nothing was done: none of what you selected is in this list any more."
# Instead of Django's, which needs jQuery and does not see rows that came later.
LIST_MEDIA = Media(js=[cast(str, Script("console/list.js", defer=True))])


class ConsoleAdmin(ModelAdmin):
    """A list and a page whose actions are those of `wingxtra.console.actions`."""

    list_filter_submit = False
    warn_unsaved_form = True
    compressed_fields = True
    change_form_outer_before_template = "console/object_page.html"
    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER  # facets count rows for each choice of each filter
    hidden_on_tablets: tuple[str, ...] = ()  # columns that the list does without there
    form_has_map = False  # the form loads the code of maps itself
    when_empty = ""  # the sentence for an empty list; empty for the general one

    @property
    def media(self) -> forms.Media:
        """Without the scripts of fields that fill themselves in from others: no form has one."""
        return forms.Media(js=[f"admin/js/{script}" for script in SCRIPTS])

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        offered = [a for a in actions.of_model(self.model, request.user) if a.in_bulk]
        return {a.name: (_to_page_of(a), a.name, f"{a.label}…") for a in offered}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ConsoleChangeList

    @admin.display(
        description=mark_safe('<input type="checkbox" id="action-toggle" aria-label="Select all">')
    )
    def action_checkbox(self, instance: Model) -> SafeString:
        return format_html(
            '<input type="checkbox" class="action-select" name="_selected_action" value="{}"'
            ' aria-label="Select {}">',
            instance.pk,
            instance,
        )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"title": capfirst(self.opts.verbose_name_plural), **(extra_context or {})}
        if IS_POPUP_VAR not in request.GET:
            context["media"] = LIST_MEDIA
        response = super().changelist_view(request, context)
        shown = getattr(response, "context_data", None) or {}
        if "cl" in shown and shown["cl"].problem:
            response.status_code = 400
        return response

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        instance = self.get_object(request, object_id)
        may_see = instance is not None and self.has_view_permission(request, instance)
        context = {
            "offered": actions.possible(instance, request.user) if may_see else [],
            "sections": registry.sections_of(instance, request) if may_see else [],
            "form_has_map": self.form_has_map,
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)


class ReadOnlyAdmin(ConsoleAdmin):
    """Rows that are not edited by hand: they change through actions and verbs only."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def _to_page_of(action: actions.Action) -> Any:
    most = choosing.MAX_CHOSEN if action.in_background else actions.MAX_TARGETS

    def go(
        modeladmin: ModelAdmin, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponseRedirect | None:
        pks = list(queryset.values_list("pk", flat=True)[: most + 1])
        if len(pks) > most:
            text = f"“{action.label}” takes at most {most:,} at a time: filter the list further."
            modeladmin.message_user(request, text, level="ERROR")
            return None
        if not pks:
            modeladmin.message_user(request, NONE_LEFT, level="ERROR")
            return None
        if len(pks) > actions.MAX_TARGETS:
            chosen = choosing.choose(action, pks, request.user)
            return HttpResponseRedirect(actions.page_of(chosen))
        return HttpResponseRedirect(action.url(*pks))

    return go


@admin.register(LogEntry)
class HistoryAdmin(ReadOnlyAdmin):
    """The actions of staff in the console, newest first."""

    list_display = ("when", "user", "what", "about", "change")
    list_filter = (
        ("user", admin.RelatedOnlyFieldListFilter),
        ("content_type", admin.RelatedOnlyFieldListFilter),
        ("action_time", DaysFilter),
    )
    search_fields = ("object_repr", "change_message")
    list_select_related = ("user", "content_type")
    search_help_text = "Name of the object, or what was done"
    when_empty = (
        "No action was taken in the console yet. "
        "Each action of staff is kept here, with its author."
    )
    ordering = ("-action_time", "-id")
    list_display_links = None

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": "History", **(extra_context or {})})

    @admin.display(description="When", ordering="action_time")
    def when(self, entry: LogEntry) -> SafeString | str:
        return moment(entry.action_time, seconds=True)

    @admin.display(description="Kind")
    def what(self, entry: LogEntry) -> str:
        return str(entry.content_type.name).capitalize() if entry.content_type else ""

    @admin.display(description="Object", ordering="object_repr")
    def about(self, entry: LogEntry) -> SafeString | str:
        url = entry.get_admin_url()
        if url is None:
            return entry.object_repr
        return format_html('<a class="wx-link" href="{}">{}</a>', url, entry.object_repr)

    @admin.display(description="What was done")
    def change(self, entry: LogEntry) -> str:
        return str(entry.get_change_message())
