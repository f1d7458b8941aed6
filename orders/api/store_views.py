"""`/api/v1/stores`: for merchants (their own) and administrators. Thin: read, call one verb."""

from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from orders import stores
from orders.api.store_serializers import StoreAnswer, StoreChange, StoreInput
from orders.models import Store
from orders.models.store import StoreQuerySet
from wingxtra.api.permissions import IsMerchantOrAdmin, merchant_for
from wingxtra.api.schema import NAMES
from wingxtra.api.views import ApiView
from wingxtra.problems import NotFound


class StoreFilter(filters.FilterSet):
    merchant_id = filters.UUIDFilter()
    active = extend_schema_field(OpenApiTypes.BOOL)(
        filters.ChoiceFilter(
            choices=[("true", "Open"), ("false", "Closed")],
            method="being_active",
            label="true: only stores that take orders. false: only closed ones.",
        )
    )

    class Meta:
        model = Store
        fields: list[str] = []

    def being_active(self, stores: StoreQuerySet, _name: str, wanted: str) -> StoreQuerySet:
        return stores.filter(active=wanted == "true")


class StoreView(ApiView):
    permission_classes = (IsMerchantOrAdmin,)

    def store(self, store_id: UUID) -> Store:
        store = Store.objects.visible_to(self.caller).filter(pk=store_id).first()
        if store is None:
            raise NotFound("store")
        return store


class Stores(StoreView, ListAPIView[Store]):
    """Stores: the merchant's pickup places, newest first."""

    queryset = Store.objects.all()
    serializer_class = StoreAnswer
    filter_backends = (filters.DjangoFilterBackend,)
    filterset_class = StoreFilter

    def get_queryset(self) -> QuerySet[Store]:
        return Store.objects.visible_to(self.caller)

    @extend_schema(
        request=StoreInput,
        responses={201: StoreAnswer, 409: None},
        extensions={NAMES: {"store_id": "$response.body#/id"}},
    )
    def post(self, request: Request) -> Response:
        """Add a store. One that is added with a test key is for test orders, any other for live
        ones. ADMIN names the `merchant_id`.
        """
        wanted = self.read(StoreInput)
        merchant_id = merchant_for(self.caller, wanted.pop("merchant_id", None), "store")
        store = stores.create(merchant_id, wanted, live_mode=self.caller.live_mode)
        at = {"Location": f"{request.path}/{store.pk}"}
        return Response(StoreAnswer(store).data, status=201, headers=at)


class OneStore(StoreView):
    @extend_schema(responses=StoreAnswer)
    def get(self, request: Request, store_id: UUID) -> Response:
        """One store."""
        return Response(StoreAnswer(self.store(store_id)).data)

    @extend_schema(request=StoreChange, responses={200: StoreAnswer, 409: None})
    def patch(self, request: Request, store_id: UUID) -> Response:
        """Change a store. Orders keep the pickup that they have. `active` false closes it: it takes
        no more orders until it is true again.
        """
        store = self.store(store_id)
        changed = stores.change(store.pk, self.read(StoreChange))
        return Response(StoreAnswer(changed).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, store_id: UUID) -> Response:
        """Delete a store. One that orders name stays, closed: `active` is false."""
        stores.remove(self.store(store_id).pk)
        return Response(status=204)
