"""`/api/v1/recurring-orders`: for merchants (their own) and administrators."""

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from orders.models import RecurringOrder
from orders.recurring import verbs
from orders.recurring.models import RecurringOrderQuerySet
from orders.recurring.serializers import (
    OneDay,
    RecurringAnswer,
    RecurringChange,
    RecurringInput,
    with_days,
)
from wingxtra.api.permissions import IsMerchantOrAdmin, merchant_for
from wingxtra.api.schema import NAMES
from wingxtra.api.views import ApiView
from wingxtra.problems import NotFound


class RecurringFilter(filters.FilterSet):
    merchant_id = filters.UUIDFilter()
    paused = extend_schema_field(OpenApiTypes.BOOL)(
        filters.ChoiceFilter(
            choices=[("true", "Paused"), ("false", "Not paused")],
            method="being_paused",
            label="true: only paused ones. false: only those that place orders.",
        )
    )

    class Meta:
        model = RecurringOrder
        fields: list[str] = []

    def being_paused(
        self, rows: RecurringOrderQuerySet, _name: str, wanted: str
    ) -> RecurringOrderQuerySet:
        return rows.filter(paused=wanted == "true")


class RecurringView(ApiView):
    permission_classes = (IsMerchantOrAdmin,)

    def recurring(self, recurring_id: UUID) -> RecurringOrder:
        found = RecurringOrder.objects.visible_to(self.caller).filter(pk=recurring_id).first()
        if found is None:
            raise NotFound("recurring order")
        return found

    def written(self, kind: type[RecurringInput] | type[RecurringChange]) -> dict[str, Any]:
        """The values of the body, with the order as it was sent."""
        values = self.read(kind)
        if "order" in values:
            sent: Any = self.request.data
            values["order"] = sent["order"]
        return values


def _answer(row: RecurringOrder, **options: Any) -> Response:
    with_days([row], timezone.now())
    return Response(RecurringAnswer(row).data, **options)


class RecurringOrders(RecurringView, ListAPIView[RecurringOrder]):
    """Recurring orders: templates that place orders ahead, newest first."""

    queryset = RecurringOrder.objects.all()
    serializer_class = RecurringAnswer
    filter_backends = (filters.DjangoFilterBackend,)
    filterset_class = RecurringFilter

    def get_queryset(self) -> QuerySet[RecurringOrder]:
        return RecurringOrder.objects.visible_to(self.caller)

    def paginate_queryset(self, queryset: Any) -> Any:
        return with_days(super().paginate_queryset(queryset) or [], timezone.now())

    @extend_schema(
        request=RecurringInput,
        responses={201: RecurringAnswer},
        extensions={NAMES: {"recurring_id": "$response.body#/id"}},
    )
    def post(self, request: Request) -> Response:
        """Add a recurring order. With a test key it places test orders. ADMIN names the
        `merchant_id`.
        """
        wanted = self.written(RecurringInput)
        merchant_id = merchant_for(self.caller, wanted.pop("merchant_id", None), "recurring order")
        made = verbs.create(merchant_id, wanted, live_mode=self.caller.live_mode)
        return _answer(made, status=201, headers={"Location": f"{request.path}/{made.pk}"})


class OneRecurringOrder(RecurringView):
    @extend_schema(responses=RecurringAnswer)
    def get(self, request: Request, recurring_id: UUID) -> Response:
        """One recurring order."""
        return _answer(self.recurring(recurring_id))

    @extend_schema(request=RecurringChange, responses={200: RecurringAnswer})
    def patch(self, request: Request, recurring_id: UUID) -> Response:
        """Change a recurring order. Orders that are placed stay as they are. With a later
        `from_on` it ends on the day before, and the answer is a new one that goes on.
        """
        row, asked = self.recurring(recurring_id), self.written(RecurringChange)
        return _answer(verbs.change_as_asked(row.pk, asked))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, recurring_id: UUID) -> Response:
        """Delete a recurring order. Orders that are placed stay."""
        verbs.remove(self.recurring(recurring_id).pk)
        return Response(status=204)


class _OfOneDay(RecurringView):
    verb: Callable[[UUID, date], Any]

    def decide(self, recurring_id: UUID) -> Response:
        row = self.recurring(recurring_id)
        type(self).verb(row.pk, self.read(OneDay)["on"])
        return _answer(row)


class Skip(_OfOneDay):
    verb = staticmethod(verbs.skip)

    @extend_schema(request=OneDay, responses={200: RecurringAnswer, 409: None})
    def post(self, request: Request, recurring_id: UUID) -> Response:
        """Place no order for one day. An order that is placed already is canceled as an order."""
        return self.decide(recurring_id)


class Unskip(_OfOneDay):
    verb = staticmethod(verbs.unskip)

    @extend_schema(request=OneDay, responses={200: RecurringAnswer})
    def post(self, request: Request, recurring_id: UUID) -> Response:
        """Place the order of a skipped day after all."""
        return self.decide(recurring_id)
