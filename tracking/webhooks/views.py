"""`/api/v1/webhooks` and their deliveries: for merchants (their own) and administrators."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from tracking import actors
from tracking.models import WebhookDelivery, WebhookEndpoint
from tracking.webhooks import endpoints
from tracking.webhooks.serializers import (
    Delivery,
    ReplayedSince,
    ReplaySince,
    Webhook,
    WebhookChange,
    WebhookInput,
    WebhookWithSecret,
)
from wingxtra.api.permissions import IsMerchantOrAdmin, merchant_for
from wingxtra.api.schema import NAMES
from wingxtra.api.views import ApiView
from wingxtra.broker import enqueue
from wingxtra.problems import NotFound


class WebhookFilter(filters.FilterSet):
    merchant_id = filters.UUIDFilter()

    class Meta:
        model = WebhookEndpoint
        fields: list[str] = []


class DeliveryFilter(filters.FilterSet):
    order_id = filters.UUIDFilter()

    class Meta:
        model = WebhookDelivery
        fields = ["state", "type"]


class WebhookView(ApiView):
    permission_classes = (IsMerchantOrAdmin,)

    def endpoint(self, webhook_id: UUID) -> WebhookEndpoint:
        endpoint = WebhookEndpoint.objects.visible_to(self.caller).filter(pk=webhook_id).first()
        if endpoint is None:
            raise NotFound("webhook")
        return endpoint

    def delivery(self, delivery_id: UUID) -> WebhookDelivery:
        endpoints = WebhookEndpoint.objects.visible_to(self.caller)
        deliveries = WebhookDelivery.objects.select_related("endpoint")
        delivery = deliveries.filter(pk=delivery_id, endpoint__in=endpoints).first()
        if delivery is None:
            raise NotFound("webhook delivery")
        return delivery


class Webhooks(WebhookView, ListAPIView[WebhookEndpoint]):
    """Webhooks: the URLs that get events, newest first."""

    queryset = WebhookEndpoint.objects.all()
    serializer_class = Webhook
    filter_backends = (filters.DjangoFilterBackend,)
    filterset_class = WebhookFilter

    def get_queryset(self) -> QuerySet[WebhookEndpoint]:
        return WebhookEndpoint.objects.visible_to(self.caller)

    @extend_schema(
        request=WebhookInput,
        responses={201: WebhookWithSecret},
        extensions={NAMES: {"webhook_id": "$response.body#/id"}},
    )
    def post(self, request: Request) -> Response:
        """Add a webhook. Only this answer has its secret. A webhook added with a test key gets the
        events of test orders only; any other webhook gets none of them.
        """
        wanted = self.read(WebhookInput)
        merchant_id = merchant_for(self.caller, wanted.pop("merchant_id", None), "webhook")
        endpoint, secret = endpoints.create(merchant_id, live_mode=self.caller.live_mode, **wanted)
        at = {"Location": f"{request.path}/{endpoint.pk}"}
        return Response(_with(endpoint, secret), status=201, headers=at)


class OneWebhook(WebhookView):
    @extend_schema(responses=Webhook)
    def get(self, request: Request, webhook_id: UUID) -> Response:
        """One webhook."""
        return Response(Webhook(self.endpoint(webhook_id)).data)

    @extend_schema(request=WebhookChange, responses=Webhook)
    def patch(self, request: Request, webhook_id: UUID) -> Response:
        """Change a webhook. `enabled` switches it off and on, also after we switched it off."""
        endpoint = self.endpoint(webhook_id)
        return Response(Webhook(endpoints.change(endpoint.pk, self.read(WebhookChange))).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, webhook_id: UUID) -> Response:
        """Delete a webhook, with its deliveries."""
        endpoints.remove(self.endpoint(webhook_id).pk)
        return Response(status=204)


class RotateSecret(WebhookView):
    @extend_schema(request=None, responses=WebhookWithSecret)
    def post(self, request: Request, webhook_id: UUID) -> Response:
        """Give a webhook a new secret. Only this answer has it. For a day both secrets sign."""
        return Response(_with(*endpoints.rotate_secret(self.endpoint(webhook_id).pk)))


class SendTest(WebhookView):
    @extend_schema(
        request=None,
        responses={202: Delivery},
        extensions={NAMES: {"delivery_id": "$response.body#/id"}},
    )
    def post(self, request: Request, webhook_id: UUID) -> Response:
        """Send a test event. `GET /webhook-deliveries/{id}` shows the result."""
        return _sent(endpoints.make_test(self.endpoint(webhook_id)))


class ReplayFailed(WebhookView):
    @extend_schema(request=ReplaySince, responses={202: ReplayedSince})
    def post(self, request: Request, webhook_id: UUID) -> Response:
        """Send again what failed since then: the oldest first, each event once."""
        endpoint = self.endpoint(webhook_id)
        replayed = endpoints.replay_failed(endpoint.pk, self.read(ReplaySince)["since"])
        enqueue(actors.sweep_webhooks)
        return Response({"webhook_id": endpoint.pk, "replayed": replayed}, status=202)


class Deliveries(WebhookView, ListAPIView[WebhookDelivery]):
    """What was sent to one webhook, newest first, with every try."""

    queryset = WebhookDelivery.objects.all()
    serializer_class = Delivery
    filter_backends = (filters.DjangoFilterBackend,)
    filterset_class = DeliveryFilter

    def get_queryset(self) -> QuerySet[WebhookDelivery]:
        endpoint = self.endpoint(self.kwargs["webhook_id"])
        return WebhookDelivery.objects.filter(endpoint=endpoint).defer("body")


class OneDelivery(WebhookView):
    @extend_schema(responses=Delivery)
    def get(self, request: Request, delivery_id: UUID) -> Response:
        """One delivery of a webhook, with every try."""
        return Response(Delivery(self.delivery(delivery_id)).data)


class Replay(WebhookView):
    @extend_schema(request=None, responses={202: Delivery})
    def post(self, request: Request, delivery_id: UUID) -> Response:
        """Send a delivery again, or now if it is waiting."""
        return _sent(endpoints.replay(self.delivery(delivery_id)))


def _sent(delivery: WebhookDelivery) -> Response:
    enqueue(actors.send_webhook, str(delivery.pk))
    return Response(Delivery(delivery).data, status=202)


def _with(endpoint: WebhookEndpoint, secret: str) -> dict[str, Any]:
    return {**Webhook(endpoint).data, "secret": secret}
