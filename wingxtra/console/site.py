"""The admin site as an ops console: dashboard, live map and action pages."""

from functools import update_wrapper
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.templatetags.static import static
from django.urls import URLPattern, path, reverse
from django.utils.functional import SimpleLazyObject
from django.utils.http import urlencode
from unfold.sites import UnfoldAdminSite

from wingxtra.accounts.identity import Role
from wingxtra.console import past
from wingxtra.console.entry import lost_forms
from wingxtra.console.roles import CONSOLE_ROLES
from wingxtra.middleware import page_policy


class ConsoleSite(UnfoldAdminSite):
    index_title = "Now"
    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        """Staff with a console role. A merchant's user never has access, even if `is_staff`."""
        from wingxtra.console.entry import second_factor

        return self._is_staff(request.user) and not second_factor.is_missing(request)

    def get_app_list(self, request: HttpRequest, app_label: Any = None) -> list[Any]:
        """Composed when it is used: each page gets it, few show it, and it costs 7 ms."""
        compose = super().get_app_list
        return cast("list[Any]", SimpleLazyObject(lambda: compose(request, app_label)))

    def get_sidebar_list(self, request: HttpRequest) -> list[Any]:
        return super().get_sidebar_list(request) if request.user.is_authenticated else []

    def _is_staff(self, user: Any) -> bool:
        return bool(user.is_active and user.is_staff and Role(user.role) in CONSOLE_ROLES)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            _refuse_nul(request)
            if request.method == "POST" and not request.user.is_authenticated:
                return lost_forms.session_ended(request)
            response = page_policy.for_console(guarded)(request, *args, **kwargs)
            past.remember_writing(request, response)
            return response

        if getattr(view, "__name__", "") == "changelist_view":  # of each model
            view = past.from_replica(view)
        guarded = super().admin_view(view, cacheable)
        return update_wrapper(answer, view)

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponseBase:
        """After the password, asks for the second factor if the session still needs it.

        Roles with a home page outside the console log in here too, and are redirected to it.
        """
        from wingxtra.console import registry
        from wingxtra.console.entry import second_factor

        user: Any = request.user
        home = registry.home_pages.get(user.role) if user.is_authenticated else None
        if (home or self._is_staff(user)) and second_factor.is_missing(request):
            return page_policy.for_console(second_factor.ask)(request)
        if home and request.method == "GET":
            return HttpResponseRedirect(reverse(home))
        way_on = urlencode({"next": request.GET["next"]}) if "next" in request.GET else ""
        choice = {
            "oidc_url": f"{reverse('oidc-login')}?{way_on}",
            "oidc_name": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
            "staff_passwords": settings.STAFF_PASSWORD_LOGIN,
        }
        return page_policy.for_console(super().login)(request, choice | (extra_context or {}))

    def extra_urls(self) -> list[URLPattern]:
        from wingxtra.console import actions, palette, registry, watches
        from wingxtra.console.attention import pages as attention
        from wingxtra.console.lists import saved_filters
        from wingxtra.console.livemap import pages as livemap

        # Not below /admin/<app>/<model>/, where the model's own URL patterns would match first.
        return [
            path("do/<str:label>/<slug:name>/", self.admin_view(actions.act), name="act"),
            path("changes/<str:label>/", self.admin_view(watches.changes), name="changes"),
            path("now/", self.admin_view(attention.now), name="now"),
            path("now/line/", self.admin_view(attention.line), name="attention-line"),
            path("now/seen/", self.admin_view(attention.acknowledge), name="acknowledge"),
            path("find/", self.admin_view(palette.find), name="find"),
            path("find/data/", self.admin_view(palette.find_data), name="find-data"),
            path(
                "saved-filters/<int:pk>/delete/",
                self.admin_view(saved_filters.delete),
                name="delete-filter",
            ),
            path("map/", self.admin_view(livemap.live_map), name="map"),
            path("map/data/", self.admin_view(livemap.map_data), name="map-data"),
            path("map/feature/", self.admin_view(livemap.map_feature), name="map-feature"),
            *(path(p.route, self.admin_view(p.view), name=p.name) for p in registry.pages),
        ]

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        from wingxtra.console import views

        return views.dashboard(request, extra_context)


def _refuse_nul(request: HttpRequest) -> None:
    """PostgreSQL's text type has no NUL, so no stored value could match."""
    if "\0" in request.path:
        raise Http404("There is no such page.")
    query = request.META.get("QUERY_STRING", "")
    if "%00" in query or "\0" in query:
        raise SuspiciousOperation("The address has a NUL.")


def environment(request: HttpRequest) -> list[str] | None:
    """A label beside the user's name outside production; None in production."""
    return None if settings.IS_PRODUCTION else [settings.ENVIRONMENT.capitalize(), "info"]


def style_sheet(request: HttpRequest) -> str:
    return static("console/console.css")


def poll_script(request: HttpRequest) -> str:
    return static("console/poll.js")


def keys_script(request: HttpRequest) -> str:
    return static("console/keys.js")


def favicon(request: HttpRequest) -> str:
    return static("console/favicon.svg")
