"""Stores: create, change and remove them, and whether an order can be picked up there.

`values` of the verbs are by the names of Store's columns; `hours` has the form that
`wingxtra.opening_hours` describes.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from fleet.airspace import rulebook
from orders.models import Order, Store
from orders.unit_of_work import STORE_UNKNOWN
from wingxtra import opening_hours
from wingxtra.problems import Conflict, FieldProblem, Invalid, NotFound

# The pickup of an order as its store has it.
PICKUP = {"pickup_lat": "lat", "pickup_lng": "lng", "pickup_name": "name"}

# --- verbs ---------------------------------------------------------------------------------------


def create(merchant_id: UUID, values: Mapping[str, Any], *, live_mode: bool = True) -> Store:
    """A new store. Raises Invalid with every problem, and Conflict for a name that is taken."""
    store = Store(merchant_id=merchant_id, live_mode=live_mode, **values)
    save(store)
    return store


def change(store_id: UUID, values: Mapping[str, Any]) -> Store:
    """Change a store. With `active` False it takes no more orders, with True it does again.

    Orders keep the pickup that they have. Raises NotFound, and what `create` raises.
    """
    with transaction.atomic():
        store = _locked(store_id)
        for name, value in values.items():
            setattr(store, name, value)
        save(store)
    return store


def remove(store_id: UUID) -> None:
    """Delete a store; close it if orders name it. Raises NotFound."""
    with transaction.atomic():
        # An order that is being placed has locked its store against this.
        store = _locked(store_id)
        if Order.objects.filter(store=store).exists():
            store.active = False
            store.save(update_fields=["active"])
        else:
            store.delete()


def _locked(store_id: UUID) -> Store:
    store = Store.objects.select_for_update().filter(pk=store_id).first()
    if store is None:
        raise NotFound("store")
    return store


def save(store: Store) -> None:
    """Write a store that is new or was changed. Raises what `create` raises."""
    if found := problems(store):
        raise Invalid(found)
    try:
        with transaction.atomic():
            store.save()
    except IntegrityError as error:
        # Asked after the write and not before: only the unique index decides between two at once.
        if duplicate := duplicate_of(store):
            raise duplicate from error
        raise


def problems(store: Store) -> list[FieldProblem]:
    """What is wrong with the values of a store that is not written yet."""
    return [*_outside(store), *_bad_hours(store)]


def duplicate_of(store: Store) -> Conflict | None:
    """A Conflict naming the merchant's store that has this name already, if any."""
    same = Store.objects.filter(
        merchant_id=store.merchant_id, live_mode=store.live_mode, name__iexact=store.name
    )
    first = same.exclude(pk=store.pk).first()
    if first is None:
        return None
    detail = f"Store {first.pk} is called “{first.name}” already."
    return Conflict("duplicate_store_name", detail, store_id=str(first.pk))


def _outside(store: Store) -> list[FieldProblem]:
    book = rulebook.current(timezone.now())
    if book.area_shapes.contains(store.lat, store.lng)[1].size:
        return []
    message = f"{store.lat:.5f}, {store.lng:.5f} is in none of our service areas."
    return [FieldProblem("lat", "outside_service_area", message)]


def _bad_hours(store: Store) -> list[FieldProblem]:
    found = opening_hours.problems(store.hours) if store.hours else []
    return [FieldProblem(f"hours.{member}", "hours_invalid", message) for member, message in found]


# --- orders --------------------------------------------------------------------------------------


def set_pickup(order: Order, store_id: UUID, merchant_id: UUID | None) -> list[FieldProblem]:
    """Let an unsaved order be picked up at this store; returns the problem if it cannot be.

    The store must be one of the order's mode and of this merchant; None: of any.
    """
    store = Store.objects.filter(pk=store_id, live_mode=order.live_mode).first()
    if store is None or merchant_id not in (None, store.merchant_id):
        return [STORE_UNKNOWN]
    order.store = store
    for name, of_store in PICKUP.items():
        setattr(order, name, getattr(store, of_store))
    if store.active:
        return []
    message = f"{store} is switched off and takes no orders."
    return [FieldProblem("store_id", "store_inactive", message)]
