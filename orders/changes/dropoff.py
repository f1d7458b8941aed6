"""Moving the drop point: how far, by whom, and what is checked again."""

import math
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from fleet.airspace import rulebook
from fleet.feasibility.geometry import EARTH_RADIUS_M, distance_m
from fleet.feasibility.rules import Rules
from orders import lifecycle
from orders.models import Order
from orders.placement import accuracy_problems, check, refuse_unless
from orders.states import FROM_THE_CUSTOMER, WAITING, DropoffSource, EventType, Happened
from wingxtra.accounts.identity import Actor, ActorKind
from wingxtra.problems import FieldProblem, Invalid

M_PER_DEG = math.radians(1) * EARTH_RADIUS_M
# A pin that moves by less than this has not moved: no phone measures better.
MIN_MOVE_M = 0.5
# Each move is an event, a webhook and a new plan.
MAX_CUSTOMER_MOVES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A new drop point and how it was measured."""

    lat: float
    lng: float
    accuracy_m: float | None = None
    captured_at: datetime | None = None
    source: DropoffSource


def move_dropoff(order_id: UUID, drop: Drop, *, by: Actor, why: str = "") -> lifecycle.Done:
    """Move the drop point; checked like a new order's. A move below MIN_MOVE_M changes nothing.

    A customer may move it MAX_CUSTOMER_MOVES times, within the policy's radius around the given
    point; merchants and ops may give a new point. Raises Refused after that number of moves and
    once a drone is assigned, and Invalid when we cannot deliver there.
    """
    now = timezone.now()
    book = rulebook.current(now)

    def move(order: Order) -> Happened | None:
        refuse_unless(order, WAITING, "its drop point can be moved only until a drone is assigned")
        moved_m = float(distance_m(order.dropoff_lat, order.dropoff_lng, drop.lat, drop.lng))
        if moved_m < MIN_MOVE_M:
            return _update_accuracy(order, drop, book.rules)
        if drop.source in FROM_THE_CUSTOMER:
            _refuse_too_many_moves(order)
        too_far = _keep_given_point(order, drop, book.rules)
        order.dropoff_lat, order.dropoff_lng = drop.lat, drop.lng
        order.dropoff_accuracy_m = drop.accuracy_m
        order.dropoff_captured_at, order.dropoff_source = drop.captured_at, drop.source
        checked = check(order, book, now)
        # A window that has ended since is no problem of the new drop point.
        problems = [problem for problem in checked.problems if problem.code != "window_invalid"]
        problems += too_far
        if problems or checked.service_area is None:
            raise Invalid(problems)
        order.service_area = checked.service_area
        return Happened(
            EventType.DROPOFF_CHANGED,
            f"The drop point was moved by {moved_m:.0f} m{f': {why}' if why else '.'}",
            {"moved_m": round(moved_m), "source": drop.source},
        )

    return lifecycle.amend(order_id, by=by, happened=move)


def moved_m(order: Order) -> tuple[float, float]:
    """How far a customer has moved the drop point: metres to the north and to the east."""
    if order.given_lat is None or order.given_lng is None:
        return 0.0, 0.0
    per_lng = M_PER_DEG * math.cos(math.radians(order.given_lat))
    return (
        (order.dropoff_lat - order.given_lat) * M_PER_DEG,
        (order.dropoff_lng - order.given_lng) * per_lng,
    )


def beside_given_point(order: Order, *, north_m: float, east_m: float) -> tuple[float, float]:
    """(lat, lng) of the place this far from the given drop point: the inverse of `moved_m`."""
    lat = order.dropoff_lat if order.given_lat is None else order.given_lat
    lng = order.dropoff_lng if order.given_lng is None else order.given_lng
    per_lng = M_PER_DEG * math.cos(math.radians(lat))
    return lat + north_m / M_PER_DEG, lng + east_m / per_lng


def _refuse_too_many_moves(order: Order) -> None:
    moves = order.history().filter(type=EventType.DROPOFF_CHANGED, actor_kind=ActorKind.CUSTOMER)
    if moves.count() >= MAX_CUSTOMER_MOVES:
        raise lifecycle.Refused(
            order,
            f"The customer has moved the drop point {MAX_CUSTOMER_MOVES} times, the limit. The "
            "merchant and our staff can still move it.",
            code="moved_too_often",
        )


def _update_accuracy(order: Order, drop: Drop, rules: Rules) -> Happened | None:
    """The same place: merchants and ops may still change its accuracy.

    Raises Invalid when the accuracy is not good enough.
    """
    before = order.dropoff_accuracy_m
    if drop.accuracy_m in (None, before):
        return None
    order.dropoff_accuracy_m = drop.accuracy_m
    if problems := accuracy_problems(order, rules):
        raise Invalid(problems)
    if drop.source in FROM_THE_CUSTOMER:
        order.dropoff_accuracy_m = before
        return None
    message = f"The drop point is known to {drop.accuracy_m:.0f} m."
    return Happened(EventType.DETAILS_CHANGED, message, {"fields": ["dropoff_accuracy_m"]})


def _keep_given_point(order: Order, drop: Drop, rules: Rules) -> list[FieldProblem]:
    """Keep the given drop point when a customer moves it; returns a problem if that is too far.

    The distance counts from the given point, so that many small moves cannot exceed the radius.
    """
    if drop.source not in FROM_THE_CUSTOMER:
        order.given_lat = order.given_lng = None
        return []
    if order.given_lat is None or order.given_lng is None:
        order.given_lat, order.given_lng = order.dropoff_lat, order.dropoff_lng
    away_m = float(distance_m(order.given_lat, order.given_lng, drop.lat, drop.lng))
    most_m = rules.customer_dropoff_radius_m
    if away_m <= most_m:
        return []
    message = (
        f"This is {away_m:.0f} m from the given drop point; at most {most_m:.0f} m is allowed."
    )
    return [FieldProblem("dropoff_lat", "dropoff_too_far", message)]
