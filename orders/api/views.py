"""Quotes, orders, their events, and jobs. Thin: read, call one function, answer."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.airspace import rulebook
from orders import quotes
from orders.api import placing
from orders.api.filters import SEARCHES, JobFilter, OrderFilter
from orders.api.reading import ShownOrder, newest, shown_to
from orders.api.serializers import (
    EventAnswer,
    JobAnswer,
    NewOrder,
    OrderAnswer,
    OrderChange,
    OrderInput,
    PlacedOrder,
    QuoteAnswer,
    order_json,
    stored,
)
from orders.changes import details, dropoff, tracking_link
from orders.models import DeliveryEvent, DeliveryJob, Order, OrderQuerySet
from orders.promises import memory
from orders.states import DropoffSource
from wingxtra.accounts.identity import STAFF_ROLES, Caller
from wingxtra.api.pagination import Envelope
from wingxtra.api.permissions import IsMerchantOrStaff, IsStaff
from wingxtra.api.renderers import json_answer
from wingxtra.api.schema import NAMES
from wingxtra.api.views import ApiView
from wingxtra.problems import FieldProblem, Invalid, NotFound
from wingxtra.redis_client import RoundTrip


class ChecksATrip(ApiView):
    """A POST is checked by the rulebook."""

    def add_to_round_trip(self, trip: RoundTrip, caller: Caller | None) -> None:
        if self.request.method == "POST":
            rulebook.VERSION.read_ahead(trip)
            if caller and caller.merchant_id:
                memory.read_ahead_outlook(caller.merchant_id, trip)


class Quotes(ChecksATrip):
    """Ask whether and when a trip can be flown, without an order. Valid for 15 minutes."""

    permission_classes = (IsMerchantOrStaff,)

    @extend_schema(request=OrderInput, responses=QuoteAnswer)
    def post(self, request: Request) -> Response:
        return _quoted(placing.quote(self.caller, request.data))


class OneQuote(ApiView):
    permission_classes = (IsMerchantOrStaff,)

    @extend_schema(responses=QuoteAnswer)
    def get(self, request: Request, quote_id: UUID) -> Response:
        """A quote as it was answered, for a day. See `expires_at`: it is valid for 15 minutes."""
        quote = quotes.find(quote_id, self.caller)
        if quote is None:
            raise NotFound("quote")
        return _quoted(quote)


def _quoted(quote: quotes.Quote) -> Response:
    return Response({"id": quote.id, "expires_at": quote.expires_at, **quote.answer})


# The members of a PATCH that are about the drop point.
DROP_POINT = {"dropoff_lat", "dropoff_lng", "dropoff_accuracy_m"}


# Counting a search checks each order that it counts.
MAX_COUNT_OF_A_SEARCH = 1_000
# A list with these parameters at most is read by statements that are compiled once.
WITHOUT_FILTERS = {"page", "page_size", "cursor", *SEARCHES}


class Orders(ChecksATrip, ListAPIView[Order]):
    """Orders, newest first. Names and numbers are masked here; the order itself shows them."""

    permission_classes = (IsMerchantOrStaff,)
    serializer_class = OrderAnswer
    filter_backends = (DjangoFilterBackend,)
    filterset_class = OrderFilter
    queryset = Order.objects.all()
    paginator: Envelope

    def get_queryset(self) -> OrderQuerySet:
        return Order.objects.visible_to(self.caller).select_related("current_job", "holder_hub")

    def get(  # type: ignore[override]
        self, request: Request, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        given = set(request.query_params)
        pages, searches = self.paginator, given & SEARCHES
        if any(request.query_params[name] for name in searches):
            pages.max_count = MAX_COUNT_OF_A_SEARCH
        if given <= WITHOUT_FILTERS and len(searches) < 2:
            text = "".join(request.query_params[name] for name in searches)
            orders = pages.rows_of(newest(self.caller, text), request)
        else:
            orders = pages.paginate_queryset(self.filter_queryset(self.get_queryset()), request)
        now = timezone.now()
        memory.attach(orders, now)
        items = [order_json(order, self.caller, now, in_full=False) for order in orders]
        return json_answer(pages.body(items))

    @extend_schema(
        request=NewOrder,
        responses={201: PlacedOrder},
        extensions={
            NAMES: {
                "order_id": "$response.body#/id",
                "tracking_id": "$response.body#/public_tracking_id",
            }
        },
    )
    def post(self, request: Request) -> HttpResponse:
        """Place an order. A refusal reports every problem at once, and nothing is written. OPS and
        ADMIN name the `merchant_id`. With pod_requirement OTP only this answer has the `otp_code`.
        """
        order = placing.place(self.caller, request.data)
        body = order_json(order, self.caller, timezone.now())
        if order.otp_code is not None:
            body["otp_code"] = order.otp_code
        return json_answer(body, status=201, headers={"Location": f"{request.path}/{order.pk}"})


class OneOrder(ApiView):
    permission_classes = (IsMerchantOrStaff,)

    def add_to_round_trip(self, trip: RoundTrip, caller: Caller | None) -> None:
        if self.request.method == "GET":
            memory.read_ahead_place(self.kwargs["order_id"], trip)

    @extend_schema(responses=OrderAnswer)
    def get(self, request: Request, order_id: UUID) -> HttpResponse:
        """One order."""
        order = shown_to(self.caller, order_id)
        memory.attach([order], timezone.now())
        return _answer(order, self.caller)

    @extend_schema(request=OrderChange, responses={200: OrderAnswer, 409: None})
    def patch(self, request: Request, order_id: UUID) -> HttpResponse:
        """Change the drop point until a drone is assigned, checked like a new order's; the rest
        until launch. A corrected phone number or e-mail address renews the tracking link, and the
        customer gets it at once.
        """
        order = _found(Order.objects.visible_to(self.caller), order_id)
        change = self.read(OrderChange)
        by = self.caller.actor
        given = {name: stored(name, change[name]) for name in details.DETAILS if name in change}
        with transaction.atomic():
            if drop := _new_drop(order, change, self.caller):
                order = dropoff.move_dropoff(order_id, drop, by=by).order
            if given:
                order = details.change_details(order_id, given, by=by).order
        return _answer(order, self.caller)


class TrackingLink(ApiView):
    permission_classes = (IsMerchantOrStaff,)

    @extend_schema(request=None, responses={200: OrderAnswer, 409: None})
    def post(self, request: Request, order_id: UUID) -> HttpResponse:
        """Renew the tracking link, when strangers have it. The former one is unknown at once, and
        the customer gets the new one while the delivery goes on.
        """
        _found(Order.objects.visible_to(self.caller), order_id)
        return _answer(tracking_link.renew(order_id, by=self.caller.actor), self.caller)


class OldestFirst(Envelope):
    oldest_first = True


class OrderEvents(ApiView, ListAPIView[DeliveryEvent]):
    """The timeline. Routed by dispatch.api.views, which adds ground control's POST."""

    permission_classes = (IsMerchantOrStaff,)
    serializer_class = EventAnswer
    pagination_class = OldestFirst
    queryset = DeliveryEvent.objects.all()

    def get_queryset(self) -> Any:
        orders = Order.objects.visible_to(self.caller)
        order = _found(orders.only("pk", "created_at"), self.kwargs["order_id"])
        return order.history()


class Jobs(ApiView, ListAPIView[DeliveryJob]):
    """Jobs, newest first: one for each attempt to deliver an order."""

    permission_classes = (IsStaff,)
    serializer_class = JobAnswer
    filter_backends = (DjangoFilterBackend,)
    filterset_class = JobFilter
    queryset = DeliveryJob.objects.all()


class OneJob(ApiView):
    """One job."""

    permission_classes = (IsStaff,)

    @extend_schema(responses=JobAnswer)
    def get(self, request: Request, job_id: UUID) -> Response:
        job = DeliveryJob.objects.filter(pk=job_id).first()
        if job is None:
            raise NotFound("job")
        return Response(JobAnswer(job).data)


def _found(orders: OrderQuerySet, order_id: UUID) -> Order:
    order = orders.filter(pk=order_id).first()
    if order is None:
        raise NotFound
    return order


def _answer(order: Order | ShownOrder, to: Caller) -> HttpResponse:
    return json_answer(order_json(order, to, timezone.now()))


def _new_drop(order: Order, change: dict[str, Any], caller: Caller) -> dropoff.Drop | None:
    """The drop point of a PATCH; coordinates that it does not name stay.

    The accuracy belongs to one measurement, so it is not kept from the old point.
    """
    if not DROP_POINT & set(change):
        return None
    missing = {"dropoff_lat", "dropoff_lng"} - set(change)
    if len(missing) == 1:
        message = "Give dropoff_lat and dropoff_lng together."
        raise Invalid([FieldProblem(missing.pop(), "required", message)])
    return dropoff.Drop(
        lat=change.get("dropoff_lat", order.dropoff_lat),
        lng=change.get("dropoff_lng", order.dropoff_lng),
        accuracy_m=change.get("dropoff_accuracy_m"),
        source=DropoffSource.OPS if caller.role in STAFF_ROLES else DropoffSource.MERCHANT,
    )
