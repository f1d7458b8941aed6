"""The hours of the places of an order: its store and its service area. Pure.

A store's hours count for the pickup, while the parcel is with its sender. An area's operating hours
count for the whole flight; test orders do not fly, so they are taken at any time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fleet.models import ServiceArea
from orders.models import Order, Store, WaitingOrder
from orders.states import Holder
from orders.timing.window import Soonest
from wingxtra.opening_hours import OpeningHours, first_common_opening
from wingxtra.problems import FieldProblem


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A place with hours. is_area: its hours count for the flight, not for the pickup. Two of them
    are the same only as the same object.
    """

    name: str
    hours: OpeningHours
    is_area: bool


def places(order: Order, area: ServiceArea | None) -> list[Place]:
    """The places whose hours the order depends on; those that are always open are left out."""
    store = _of_store(order.store) if order.store and order.holder == Holder.SENDER else None
    found = store, _of_area(area) if area and order.live_mode else None
    return [place for place in found if place]


def places_of(
    orders: Iterable[Order | WaitingOrder], areas: Iterable[ServiceArea], *, as_placed: bool = False
) -> list[list[Place]]:
    """The places of each order. Orders share the object of a place that they share. One statement,
    or none if no parcel is at a store. as_placed: as if each parcel were still with its sender.
    """
    orders = list(orders)
    waits = {o.pk for o in orders if as_placed or o.holder == Holder.SENDER}
    at_stores = {o.store_id for o in orders if o.store_id and o.pk in waits}
    stores = Store.objects.filter(pk__in=at_stores, hours__isnull=False) if at_stores else ()
    of_stores: dict[UUID | None, Place | None] = {one.pk: _of_store(one) for one in stores}
    of_areas = {area.pk: _of_area(area) for area in areas}
    found = []
    for order in orders:
        store = of_stores.get(order.store_id) if order.pk in waits else None
        area = of_areas.get(order.service_area_id) if order.live_mode else None
        found.append([place for place in (store, area) if place])
    return found


def _of_store(store: Store) -> Place | None:
    hours = store.opening_hours
    return Place(store.name, hours, is_area=False) if hours else None


def _of_area(area: ServiceArea) -> Place | None:
    hours = area.opening_hours
    return Place(f"The service area {area.name}", hours, is_area=True) if hours else None


def opens_at(found: list[Place], at: datetime) -> datetime | None:
    """The first moment from `at` on at which all of them are open; None: not within a year."""
    return first_common_opening([place.hours for place in found], at)


def closed(found: list[Place], at: datetime, soonest: Soonest | None) -> list[FieldProblem]:
    """A problem for each place that is closed at `at`, the time of the pickup, or closes before
    any drone can be done there.
    """
    shut = [(place, message) for place in found if (message := _closed(place, at, soonest))]
    if not shut:
        return []
    closings = [place.hours.next_closing(at) or at for place, _ in shut]
    until = opens_at(found, max(closings))
    return [FieldProblem("not_before", "closed", message, until=until) for _, message in shut]


def _closed(place: Place, at: datetime, soonest: Soonest | None) -> str:
    """What speaks against a pickup at `at`, for people; empty if nothing does."""
    hours, zone = place.hours, place.hours.zone.key
    if not hours.is_open(at):
        return f"{place.name} is closed on {hours.said(at)} ({zone}). {opening(hours, at)}"
    if soonest is None:
        return ""
    done_at = soonest.home_at if place.is_area else soonest.loaded_at
    closes_at = hours.next_closing(at, done_at - at) if done_at > at else None
    if closes_at is None or closes_at >= done_at:
        return ""
    what = "home again" if place.is_area else "loaded"
    return (
        f"{place.name} closes on {hours.said(closes_at)} ({zone}), and a drone is {what} at "
        f"{done_at.astimezone(hours.zone):%H:%M} at the soonest. {opening(hours, closes_at)}"
    )


def opening(hours: OpeningHours, at: datetime) -> str:
    """“It opens on Monday 30 November at 08:00.”"""
    opens = hours.next_opening(at)
    return f"It opens on {hours.said(opens)}." if opens else "It does not open within a year."
