"""The API of the GCS's Delivery page: few calls, camelCase, and six statuses.

That page cannot be changed. It unwraps `items`, ignores the response of a POST and loads again, and
shows an error's body unchanged, so errors are plain text. The views call the verbs of the API and
the console.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from dispatch.missions import before_launch
from dispatch.planning import manual_assignment
from fleet.live import picture
from orders.models import DeliveryJob, Order
from orders.states import IN_FLIGHT, MISSION_STEPS, WAITING, CancelReason, Status, steps_between
from wingxtra.api.errors import answer_for
from wingxtra.api.permissions import IsStaff
from wingxtra.api.serializers import StrictSerializer, Text
from wingxtra.api.views import ApiView
from wingxtra.problems import FieldProblem, Invalid, NotFound

# The page has no pagination: older orders are found by search.
MAX_ORDERS = 200
MAX_JOBS = 500

STATUSES: dict[str, tuple[Status, ...]] = {
    "pending": WAITING,
    "assigned": (Status.ASSIGNED, Status.MISSION_SUBMITTED),
    "in_transit": IN_FLIGHT,
    "delivered": (Status.DELIVERED,),
    "canceled": (Status.CANCELED,),
    "failed": (Status.FAILED, Status.ABORTED),
}
GCS_STATUS = {ours: theirs for theirs, statuses in STATUSES.items() for ours in statuses}


class GcsView(ApiView):
    permission_classes = (IsStaff,)
    schema = None  # left out of OpenAPI: only that page uses it
    query_parameters = None  # that page cannot be changed

    def get_exception_handler(self) -> Any:
        return _as_text


def _as_text(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """REST framework's exception handler for a client that shows the body to its operator."""
    answer = answer_for(error)
    return HttpResponse(
        answer.as_text,
        status=answer.status,
        content_type="text/plain; charset=utf-8",
        headers=answer.headers,
    )


class Chosen(StrictSerializer):
    droneId = Text(max_length=64)


class Orders(GcsView):
    """The newest orders that match the search."""

    def get(self, request: Request) -> Response:
        orders = Order.objects.live().select_related("current_job")
        if wanted := [name for name in request.query_params.getlist("status") if name]:
            orders = orders.filter(status__in=_statuses(wanted))
        if text := request.query_params.get("search", "").strip():
            orders = orders.matching(text)
        return Response({"items": [_order(order) for order in orders[:MAX_ORDERS]]})


class OneOrder(GcsView):
    def get(self, request: Request, order_id: str) -> Response:
        order = _found(order_id)
        events = [
            {"type": event.type, "timestamp": event.occurred_at, "description": event.message}
            for event in order.history()
        ]
        return Response({**_order(order), "events": events})


class Assign(GcsView):
    def post(self, request: Request, order_id: str) -> Response:
        drone_id = self.read(Chosen)["droneId"]
        manual_assignment.assign(_uuid(order_id), drone_id, by=self.caller.actor)
        return Response(_order(_found(order_id)))


class Reassign(GcsView):
    one_transaction = False  # ground control may have to be asked first

    def post(self, request: Request, order_id: str) -> Response:
        drone_id = self.read(Chosen)["droneId"]
        before_launch.reassign(_uuid(order_id), drone_id, by=self.caller.actor)
        return Response(_order(_found(order_id)))


class Cancel(GcsView):
    """The page sends no body: it has no field for a reason."""

    one_transaction = False

    def post(self, request: Request, order_id: str) -> Response:
        before_launch.cancel(
            _uuid(order_id),
            by=self.caller.actor,
            reason=CancelReason.OTHER,
            note="On the GCS's Delivery page.",
        )
        return Response(_order(_found(order_id)))


class ActiveJobs(GcsView):
    def get(self, request: Request) -> Response:
        jobs = DeliveryJob.objects.active().filter(order__live_mode=True).select_related("order")
        return Response({"items": [_job(job) for job in jobs[:MAX_JOBS]]})


class TrackingPreview(GcsView):
    """The position of the order's drone; nulls if it is unknown or there is no drone."""

    def get(self, request: Request) -> Response:
        order_id = request.query_params.get("orderId", "").strip()
        if not order_id:
            raise Invalid([FieldProblem("orderId", "required", "Name the order: ?orderId=…")])
        order = _found(order_id)
        drone_id = order.assigned_drone_id
        seen = picture.read() if drone_id and not order.is_terminal else None
        place = seen.telemetry.get(drone_id) if seen and drone_id else None
        return Response(
            {
                "status": GCS_STATUS[Status(order.status)],
                "droneId": drone_id,
                "lat": place and place.lat,
                "lng": place and place.lng,
            }
        )


# --- responses -----------------------------------------------------------------------------------


def _order(order: Order) -> dict[str, Any]:
    job = order.current_job
    return {
        "id": order.pk,
        "status": GCS_STATUS[Status(order.status)],
        "assignedDroneId": order.assigned_drone_id,
        "eta": _moment(job.eta_at) if job else None,
    }


def _job(job: DeliveryJob) -> dict[str, Any]:
    """Progress is how many of the mission's steps are done, in percent."""
    done = steps_between(Status.ASSIGNED, Status(job.order.status))
    return {
        "id": job.pk,
        "orderId": job.order_id,
        "droneId": job.drone_id,
        "status": GCS_STATUS[Status(job.order.status)],
        "progress": round(100 * len(done) / len(MISSION_STEPS)),
    }


def _moment(at: datetime | None) -> str | None:
    """The page shows the value unchanged, so it is a formatted time."""
    if at is None:
        return None
    return at.astimezone(timezone.get_default_timezone()).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- requests ------------------------------------------------------------------------------------


def _statuses(names: list[str]) -> list[Status]:
    if unknown := [name for name in names if name not in STATUSES]:
        message = f"“{unknown[0]}” is not one of {', '.join(STATUSES)}."
        raise Invalid([FieldProblem("status", "invalid_choice", message)])
    return [status for name in names for status in STATUSES[name]]


def _uuid(order_id: str) -> UUID:
    try:
        return UUID(order_id)
    except ValueError:
        raise NotFound from None


def _found(order_id: str) -> Order:
    orders = Order.objects.select_related("current_job")
    order = orders.filter(pk=_uuid(order_id)).first()
    if order is None:
        raise NotFound
    return order
