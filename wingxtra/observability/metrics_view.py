"""`GET /metrics`: for OPS, ADMIN, and callers with METRICS_TOKEN."""

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpResponse
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_LATEST
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from wingxtra.accounts.authentication import CHALLENGE, ApiKeyAuthentication, JwtAuthentication
from wingxtra.accounts.identity import SYSTEM, Actor, Role
from wingxtra.api.permissions import IsStaff
from wingxtra.api.views import ApiView
from wingxtra.database import replica
from wingxtra.observability import metrics


@dataclass(frozen=True, slots=True)
class Scraper:
    """The caller with the token. Only the metrics view accepts it."""

    pk: str = "metrics"
    role: str = Role.OPS
    merchant_id: None = None
    actor: Actor = SYSTEM
    live_mode: bool = True
    is_authenticated: bool = True


class MetricsToken(BaseAuthentication):
    """Needs neither database nor Redis: metrics are needed most when one of them is down."""

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE

    def authenticate(self, request: Request) -> tuple[Scraper, None] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        expected = settings.METRICS_TOKEN
        if not expected or scheme.lower() != "bearer":
            return None
        return (Scraper(), None) if constant_time_compare(token.strip(), expected) else None


class Metrics(ApiView):
    authentication_classes = (MetricsToken, ApiKeyAuthentication, JwtAuthentication)
    permission_classes = (IsStaff,)
    schema = None  # Prometheus' text, not ours

    def get(self, request: Request) -> HttpResponse:
        with replica.reading():
            text = metrics.exposition()
        return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)
