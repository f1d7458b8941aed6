"""Access of loaders: which orders belong to a hub or a store, and which ones a caller may load."""

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
from orders.models import DeliveryJob, Order, OrderQuerySet, Store
from orders.states import TERMINAL, WITH_A_JOB, Holder, Status
from wingxtra.accounts.identity import STAFF_ROLES, Caller, Role
from wingxtra.accounts.models import User
from wingxtra.problems import NotFound

# A pickup within this distance of a hub belongs to the hub.
NEAR_M = 150
METRE_DEG = math.degrees(1 / EARTH_RADIUS_M)  # one metre in degrees of latitude
OPEN = [status for status in Status if status not in TERMINAL]
# Where a loader works.
Place = Hub | Store


def hubs_of(caller: Caller) -> QuerySet[Hub]:
    """The hubs where the caller may load: all for OPS and ADMIN, its own for a LOADER."""
    if caller.role in STAFF_ROLES:
        return Hub.objects.all()
    if caller.role == Role.LOADER and isinstance(caller, User):
        return Hub.objects.filter(loaders__user=caller)
    return Hub.objects.none()


def stores_of(caller: Caller) -> QuerySet[Store]:
    """The stores where the caller may load: all for OPS and ADMIN, its own for a LOADER."""
    if caller.role in STAFF_ROLES:
        return Store.objects.filter(live_mode=True)
    if caller.role == Role.LOADER and isinstance(caller, User):
        return Store.objects.filter(loaders__user=caller)
    return Store.objects.none()


def place_of(caller: Caller, key: str) -> Place | None:
    """The hub or store with this id, if the caller may load there."""
    if key.isdecimal():
        return hubs_of(caller).filter(pk=key).first()
    return stores_of(caller).filter(pk=key).first()


def orders_at(*places: Place) -> OrderQuerySet:
    """The live orders that belong to these hubs and stores."""
    hubs = [place for place in places if isinstance(place, Hub)]
    stores = [place for place in places if isinstance(place, Store)]
    belongs = _of_hubs(hubs) if hubs else Q(pk__in=[])
    if stores:
        belongs |= _of_stores(stores)
    return Order.objects.live().filter(belongs)


def _of_stores(stores: list[Store]) -> Q:
    """Open orders that are picked up there, until their parcel is delivered or missing."""
    is_on_its_way = Q(holder=Holder.DRONE, status__in=WITH_A_JOB)
    return Q(store__in=stores, status__in=OPEN) & (Q(holder=Holder.SENDER) | is_on_its_way)


def _of_hubs(hubs: list[Hub]) -> Q:
    """Open orders whose drone is based at a hub, or whose pickup is within NEAR_M of it; open or
    not, orders whose parcel is at a hub, is aboard one of its drones, or is missing after a flight
    of one of its drones.

    The ids are read first, so that each arm of the OR uses its own index.
    """
    ids = [hub.pk for hub in hubs]
    drones = list(Drone.objects.filter(hub__in=ids).values_list("pk", flat=True))
    jobs = DeliveryJob.objects.filter(drone__in=drones)
    active_jobs = list(jobs.active().values_list("pk", flat=True))
    missing = jobs.filter(order__holder=Holder.UNKNOWN)
    belongs = (
        Q(holder_hub__in=ids)
        | Q(holder_drone__in=drones)
        | Q(current_job__in=active_jobs)
        | Q(pk__in=list(missing.values_list("order", flat=True)))
    )
    for hub in hubs:
        belongs |= Q(status__in=OPEN) & ~Q(holder=Holder.HUB) & Q(_picked_up_near(hub))
    return belongs


def loadable_by(caller: Caller) -> OrderQuerySet:
    """The orders that the caller may mark *ready*, *loaded* and *came back*."""
    if caller.role in STAFF_ROLES:
        return Order.objects.live()
    return orders_at(*hubs_of(caller), *stores_of(caller))


def may_load(caller: Caller, order: Order) -> bool:
    """OPS and ADMIN: any order. LOADER: the orders of its places. Other roles: none."""
    if caller.role in STAFF_ROLES:
        return True
    return loadable_by(caller).filter(pk=order.pk).exists()


def order_to_handle(caller: Caller, order_id: UUID) -> Order:
    """A merchant's own order, one of a loader's places, any order for staff. Raises NotFound."""
    is_loader = caller.role == Role.LOADER
    orders = loadable_by(caller) if is_loader else Order.objects.visible_to(caller)
    return _first_or_404(orders.filter(pk=order_id))


def order_named(caller: Caller, text: str) -> Order:
    """The order of a label that was scanned or typed, if the caller may load it.

    `text`: the address in the QR code, an order's id, a tracking id, or its first eight letters.
    Raises NotFound.
    """
    name = text.strip().partition("?")[0].rstrip("/").rpartition("/")[2]
    return _first_or_404(loadable_by(caller).filter(_named(name)).order_by("-created_at"))


def _named(name: str) -> Q:
    try:
        return Q(pk=uuid.UUID(name))
    except ValueError:
        tracking_id = tracking_ids.normalized(name) or ""
    if len(tracking_id) == tracking_ids.SHORT_LENGTH:
        # The label keeps its short id when the tracking id changes.
        is_first_id = Q(public_tracking_id__startswith=tracking_id, label_id="")
        return is_first_id | Q(label_id=tracking_id)
    return Q(public_tracking_id=tracking_id)


def _first_or_404(orders: OrderQuerySet) -> Order:
    order = orders.select_related(*RELATED).first()
    if order is None:
        raise NotFound
    return order


# The relations that `board` reads.
RELATED = ("current_job__drone__hub", "holder_drone__hub", "holder_hub")


def _picked_up_near(hub: Hub) -> Any:
    """Distance on a plane: exact to a millimetre within NEAR_M."""
    north = Power((F("pickup_lat") - Value(hub.lat)) / Value(METRE_DEG), 2)
    lng_deg = METRE_DEG / max(math.cos(math.radians(hub.lat)), 1e-9)
    east = Power((F("pickup_lng") - Value(hub.lng)) / Value(lng_deg), 2)
    square: Any = north + east
    square.output_field = FloatField()
    return LessThanOrEqual(square, NEAR_M**2)
