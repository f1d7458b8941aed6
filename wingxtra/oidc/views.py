"""`/oidc/login` sends staff to the provider, `/oidc/callback` takes them back."""

from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from mozilla_django_oidc.views import (
    OIDCAuthenticationCallbackView,
    OIDCAuthenticationRequestView,
)

from wingxtra.console.entry.second_factor import SECOND_FACTOR
from wingxtra.middleware import page_policy
from wingxtra.oidc import provider
from wingxtra.oidc.backend import LoginRefused

log = structlog.get_logger(__name__)
ENDED = "The provider ended the login, or it took too long."
AWAY = "The provider does not answer as it should. Try again in a minute."


def _setting(name: str, *default: Any) -> Any:
    """The library's settings: ours, the provider's endpoints, or its defaults."""
    ours = {
        "OIDC_RP_CLIENT_ID": settings.OIDC_CLIENT_ID,
        "OIDC_RP_SCOPES": settings.OIDC_SCOPES,
        "OIDC_USE_PKCE": True,
    }
    if name == "OIDC_OP_AUTHORIZATION_ENDPOINT":
        return provider.endpoint("authorization_endpoint")
    return ours[name] if name in ours else getattr(settings, name, *default)


class _Login(OIDCAuthenticationRequestView):
    get_settings = staticmethod(_setting)


class _Callback(OIDCAuthenticationCallbackView):
    get_settings = staticmethod(_setting)

    def login_success(self) -> HttpResponse:
        """The library logs in, which may begin a new session: the mark is for this one."""
        has_second_factor = self.request.session.pop(SECOND_FACTOR, False)
        answer: HttpResponse = super().login_success()
        self.request.session[SECOND_FACTOR] = has_second_factor
        return answer

    def login_failure(self) -> HttpResponse:
        raise LoginRefused("ended", ENDED)


def _guarded(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Answers what is refused with a page that says why; 404 while OIDC is off."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        try:
            return view(request)
        except LoginRefused as refused:
            return _refused(request, refused.code, str(refused), 403)
        except SuspiciousOperation:
            return _refused(request, "ended", ENDED, 403)
        except provider.NotReached as away:
            log.warning("oidc_provider_away", why=str(away))
            return _refused(request, "away", AWAY, 503)

    def if_on(request: HttpRequest) -> HttpResponseBase:
        if not settings.OIDC_ISSUER:
            raise Http404("There is no login by a provider.")
        return page_policy.for_console(never_cache(answer))(request)

    return if_on


def _refused(request: HttpRequest, code: str, text: str, status: int) -> HttpResponse:
    log.info("oidc_login_refused", code=code)
    context = {**admin.site.each_context(request), "title": "No access", "text": text, "code": code}
    return TemplateResponse(request, "console/oidc_refused.html", context, status=status)


urlpatterns = [
    path("oidc/login", _guarded(_Login.as_view()), name="oidc-login"),
    path("oidc/callback", _guarded(_Callback.as_view()), name="oidc_authentication_callback"),
]
