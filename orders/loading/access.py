"""Who may load which orders: what belongs to a hub, and what a caller may therefore touch."""

import math
import uuid
from typing import Any
from uuid import UUID

from django.db.models import F, FloatField, Q, QuerySet, Value
from django.db.models.functions import Power
from django.db.models.lookups import LessThanOrEqual

from fleet.feasibility.geometry import EARTH_RADIUS_M
from fleet.models import Drone, Hub
from orders import tracking_ids
from orders.models import DeliveryJob, Order, OrderQuerySet
from orders.states import TERMINAL, Holder, Status
from wingxtra.accounts.identity import STAFF_ROLES, Caller, Role
from wingxtra.accounts.models import User
from wingxtra.problems import NotFound

# A pickup so near to a hub is the hub's own.
NEAR_M = 150
METRE_DEG = math.degrees(1 / EARTH_RADIUS_M)  # of latitude
OPEN = [status for status in Status if status not in TERMINAL]


def hubs_of(caller: Caller) -> QuerySet[Hub]:
    """Where the caller may load: everywhere for OPS and ADMIN, a loader at its own hubs."""
    if caller.role in STAFF_ROLES:
        return Hub.objects.all()
    if caller.role == Role.LOADER and isinstance(caller, User):
        return Hub.objects.filter(loaders__user=caller)
    return Hub.objects.none()


def orders_at(*hubs: Hub) -> OrderQuerySet:
    """The orders that belong to these hubs.

    Those whose drone lives there or that are picked up within NEAR_M of one, while they are open;
    and whatever becomes of the order, those whose parcel lies there, is aboard a drone that lives
    there, or was lost from sight by one.

    Ids are asked for first: each arm of the OR is then answered by an index of its own.
    """
    ids = [hub.pk for hub in hubs]
    drones = list(Drone.objects.filter(hub__in=ids).values_list("pk", flat=True))
    jobs = DeliveryJob.objects.filter(drone__in=drones)
    under_way = list(jobs.active().values_list("pk", flat=True))
    astray = jobs.filter(order__holder=Holder.UNKNOWN)
    belongs = (
        Q(holder_hub__in=ids)
        | Q(holder_drone__in=drones)
        | Q(current_job__in=under_way)
        | Q(pk__in=list(astray.values_list("order", flat=True)))
    )
    for hub in hubs:
        belongs |= Q(status__in=OPEN) & ~Q(holder=Holder.HUB) & Q(_picked_up_near(hub))
    return Order.objects.live().filter(belongs)


def loadable_by(caller: Caller) -> OrderQuerySet:
    """What the caller may say *ready*, *loaded* and *came back* of."""
    if caller.role in STAFF_ROLES:
        return Order.objects.live()
    hubs = list(hubs_of(caller))
    return orders_at(*hubs) if hubs else Order.objects.none()


def may_load(caller: Caller, order: Order) -> bool:
    """OPS and ADMIN any order, a LOADER those of its place, all others none."""
    if caller.role in STAFF_ROLES:
        return True
    return loadable_by(caller).filter(pk=order.pk).exists()


def order_to_handle(caller: Caller, order_id: UUID) -> Order:
    """A merchant's own order, one of a loader's place, any for staff. Raises NotFound."""
    is_loader = caller.role == Role.LOADER
    orders = loadable_by(caller) if is_loader else Order.objects.visible_to(caller)
    return _first(orders.filter(pk=order_id))


def order_named(caller: Caller, text: str) -> Order:
    """The order of a label that was scanned or typed, if the caller may load it.

    `text`: the address in the QR code, an order's id, a tracking id, or its first eight letters.
    Raises NotFound.
    """
    name = text.strip().partition("?")[0].rstrip("/").rpartition("/")[2]
    return _first(loadable_by(caller).filter(_called(name)).order_by("-created_at"))


def _called(name: str) -> Q:
    try:
        return Q(pk=uuid.UUID(name))
    except ValueError:
        plain = tracking_ids.plain(name) or ""
    if len(plain) == tracking_ids.SHORT_LENGTH:
        return Q(public_tracking_id__startswith=plain)
    return Q(public_tracking_id=plain)


def _first(orders: OrderQuerySet) -> Order:
    order = orders.select_related(*SHOWN).first()
    if order is None:
        raise NotFound
    return order


# What `board` reads of an order besides its own columns.
SHOWN = ("current_job__drone__hub", "holder_drone__hub", "holder_hub")


def _picked_up_near(hub: Hub) -> Any:
    """On a plane, which over so short a distance is right to the millimetre."""
    north = Power((F("pickup_lat") - Value(hub.lat)) / Value(METRE_DEG), 2)
    lng_deg = METRE_DEG / max(math.cos(math.radians(hub.lat)), 1e-9)
    east = Power((F("pickup_lng") - Value(hub.lng)) / Value(lng_deg), 2)
    square: Any = north + east
    square.output_field = FloatField()
    return LessThanOrEqual(square, NEAR_M**2)
