"""All URLs. The apps are included by name, so that this package imports none of them."""

from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularSwaggerView

from wingxtra.api.schema.views import Description, MerchantDescription
from wingxtra.api.views import NothingHere
from wingxtra.middleware.page_policy import View, for_documentation
from wingxtra.observability import health
from wingxtra.observability.metrics_view import Metrics


def _docs(*, of: str) -> View:
    return for_documentation(SpectacularSwaggerView.as_view(url_name=of))


handler500 = "wingxtra.api.errors.server_error"

urlpatterns = [
    # Django tries them in order, so the busiest come first.
    path("", include("tracking.page.position")),
    path("api/v1/", include("dispatch.api.event_urls")),
    path("api/v1/", include("orders.api.urls")),
    path("api/v1/", include("tracking.urls")),
    path("health", health.health),
    path("ready", health.ready),
    path("ready/dispatch", health.ready_to_dispatch),
    path("metrics", Metrics.as_view()),
    path("api/schema", Description.as_view(), name="schema"),
    path("api/schema/merchant", MerchantDescription.as_view(), name="merchant-schema"),
    path("api/docs", _docs(of="schema"), name="docs"),
    path("api/docs/merchant", _docs(of="merchant-schema"), name="merchant-docs"),
    path("api/v1/", include("dispatch.api.urls")),
    path("api/v1/", include("pod.urls")),
    path("api/v1/", include("fleet.urls")),
    path("api/v1/", include("wingxtra.accounts.urls")),
    path("", include("wingxtra.guide.urls")),
    path("gcs/", include("dispatch.api.gcs_urls")),
    re_path(r"^(?:api|gcs)/", NothingHere.as_view()),
    path("admin/", admin.site.urls),
    path("", include("wingxtra.oidc.views")),
    path("", include("orders.loading.pages")),
    path("", include("tracking.merchant.urls")),
    path("", include("tracking.page.pages")),
    path("", include("tracking.messages.views")),
    path("", include("wingxtra.escalation.hooks")),
]
