"""“What if” in the console: the list of questions, the form, and the page of an answer."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.paginator import InfinitePaginator

from dispatch import actors
from dispatch.models import WhatIf
from dispatch.whatif import presentation
from dispatch.whatif.form import WhatIfForm
from wingxtra.accounts.identity import ActorKind
from wingxtra.broker import enqueue
from wingxtra.console import actions
from wingxtra.console.admin import ReadOnlyAdmin, badge, moment
from wingxtra.console.lists.filters import DaysFilter


@admin.register(WhatIf)
class WhatIfAdmin(ReadOnlyAdmin):
    """`add_whatif` is needed to ask. All users of the console may read the answers."""

    list_display = ("when", "who", "of_day", "change", "state_now", "answer")
    list_filter = ("state", "service_area", ("asked_at", DaysFilter))
    list_before_template = "console/what_if_intro.html"
    sortable_by = ()
    paginator = InfinitePaginator
    show_full_result_count = False
    when_empty = (
        "No what-if question has been asked yet. "
        "Ask one, and a day is simulated with other rules or more drones."
    )

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        user: Any = request.user
        return bool(user.has_perm("dispatch.add_whatif"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[WhatIf]:
        return super().get_queryset(request).select_related("service_area", "hub", "kind")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.now_view)
        return [path("<uuid:what_if_id>/now/", view, name="what_if_now"), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {
            "title": "What if",
            "may_ask": self.has_add_permission(request),
            "has_add_permission": False,  # the introduction has a button of its own
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The form. `again=` is the id of an earlier question whose values are filled in."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        user: Any = request.user
        posted = request.POST if request.method == "POST" else None
        form = WhatIfForm(posted, again=self._earlier(request.GET.get("again", "")))
        if posted is not None and form.is_valid() and (asked := form.ask(user.actor)):
            enqueue(actors.compute_what_if, str(asked.pk))
            actions.log(user, asked, f"Asked: {'; '.join(presentation.changed(asked))}")
            return HttpResponseRedirect(actions.page_of(asked))
        context = {
            **self.admin_site.each_context(request),
            "title": "What if…",
            "opts": self.opts,
            "form": form,
            "back": reverse("admin:dispatch_whatif_changelist"),
        }
        return TemplateResponse(request, "console/what_if_form.html", context)

    def _earlier(self, pk: str) -> WhatIf | None:
        """Raises Http404 for an unknown id."""
        if not pk:
            return None
        try:
            return WhatIf.objects.get(pk=pk)
        except (WhatIf.DoesNotExist, ValidationError) as error:
            raise Http404("There is no such what-if.") from error

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = self.get_object(request, object_id)
        if asked is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        again = f"{reverse('admin:dispatch_whatif_add')}?again={asked.pk}"
        context = {
            **self.admin_site.each_context(request),
            **_results_context(asked),
            "title": f"What if: {asked.day:%d %B %Y} in {asked.service_area}",
            "opts": self.opts,
            "original": asked,
            "who": self.who(asked),
            "asked_at": moment(asked.asked_at),
            "again": again if self.has_add_permission(request) else "",
        }
        return TemplateResponse(request, "console/what_if.html", context)

    def now_view(self, request: HttpRequest, what_if_id: Any) -> HttpResponse:
        """The changing part of the page. The page polls it until the answer is there."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = self.get_object(request, str(what_if_id))
        if asked is None:
            raise Http404("There is no such what-if.")
        return TemplateResponse(request, "console/what_if_results.html", _results_context(asked))

    @admin.display(description="Asked")
    def when(self, asked: WhatIf) -> SafeString | str:
        return moment(asked.asked_at)

    @admin.display(description="By")
    def who(self, asked: WhatIf) -> str:
        return asked.actor.removeprefix(f"{ActorKind.USER.value}:")

    @admin.display(description="Day and area")
    def of_day(self, asked: WhatIf) -> str:
        return f"{asked.day:%d %b %Y}, {asked.service_area}"

    @admin.display(description="What changed")
    def change(self, asked: WhatIf) -> SafeString:
        lines = ((line,) for line in presentation.changed(asked))
        return format_html("<div>{}</div>", format_html_join("", "<div>{}</div>", lines))

    @admin.display(description="State")
    def state_now(self, asked: WhatIf) -> SafeString:
        running = asked.state == WhatIf.State.RUNNING
        text = f"{asked.progress_pct} %" if running else asked.get_state_display()
        return badge(text, presentation.STATE_TONE[asked.state])

    @admin.display(description="Answer")
    def answer(self, asked: WhatIf) -> str:
        return asked.problem or presentation.answer(asked) or "—"


def _results_context(asked: WhatIf) -> dict[str, Any]:
    return {
        "asked": asked,
        "changed": presentation.changed(asked),
        "headline": presentation.headline(asked),
        "tone": presentation.tone(asked),
        "groups": list(presentation.groups(asked.results)) if asked.results else [],
        "notes": presentation.notes(asked.results) if asked.results else [],
        "may_read_on": not asked.is_over,
    }
