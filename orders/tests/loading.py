"""Hubs with loaders, drones and parcels, for the tests of the loader's pages."""

from typing import Any

from django.test import Client

from fleet.feasibility.geometry import EARTH_RADIUS_M
from fleet.models import Drone, Hub
from fleet.tests.factories import ACCRA, DroneFactory, HubFactory
from orders import lifecycle
from orders.loading.access import Place
from orders.models import Loader, Order
from orders.states import JobStatus, Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import GCS, SYSTEM
from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import UserFactory

METRE_DEG = 360 / (2 * 3.141592653589793 * EARTH_RADIUS_M)
FAR = {"pickup_lat": ACCRA[0] + 2000 * METRE_DEG, "pickup_lng": ACCRA[1]}


def loader_at(*places: Place, **attributes: Any) -> User:
    user: User = UserFactory(loader=True, **attributes)
    for place in places:
        is_hub = isinstance(place, Hub)
        Loader.objects.create(user=user, **{"hub" if is_hub else "store": place})
    return user


def browser_of(user: User, **options: Any) -> Client:
    browser = Client(**options)
    browser.force_login(user)
    return browser


def far_hub(**attributes: Any) -> Hub:
    """A hub 5 km from the others."""
    hub: Hub = HubFactory(lat=ACCRA[0] - 5000 * METRE_DEG, **attributes)
    return hub


def drone_of(hub: Hub) -> Drone:
    drone: Drone = DroneFactory(hub=hub)
    return drone


def loaded_by(drone: Drone, status: Status = Status.MISSION_SUBMITTED, **attributes: Any) -> Order:
    order = order_in(status, drone=drone, **attributes)
    return lifecycle.loaded(order.pk, by=SYSTEM)


def back_with_its_parcel(drone: Drone, **attributes: Any) -> Order:
    """An order that is queued again, on hold: its flight is over and the parcel is aboard."""
    order = loaded_by(drone, Status.ENROUTE, **attributes)
    return lifecycle.requeue(order.pk, by=GCS, why="Wind.", job_ends=JobStatus.FAILED)


def stored_at(hub: Hub, **attributes: Any) -> Order:
    order = order_in(Status.QUEUED, **attributes)
    return lifecycle.unloaded(order.pk, hub.pk, by=SYSTEM)


def tap(order: Order, action: str) -> dict[str, str]:
    """The form data that a button of the page sends."""
    job = order.current_job
    return {"tap": f"{action}:{order.pk}:{job.pk if job else ''}"}
