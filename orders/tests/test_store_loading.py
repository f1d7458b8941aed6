"""The loading page of a store: the orders that are picked up there, and nothing else."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from fleet.models import Hub
from fleet.tests.factories import HubFactory
from orders import lifecycle
from orders.loading import access, board
from orders.models import Order, Store
from orders.states import Holder, Status
from orders.tests.factories import OrderFactory, StoreFactory, order_in
from orders.tests.loading import (
    FAR,
    back_with_its_parcel,
    browser_of,
    drone_of,
    far_hub,
    loaded_by,
    loader_at,
    stored_at,
    tap,
)
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import UserFactory, api_client

pytestmark = pytest.mark.django_db


@pytest.fixture
def hub() -> Hub:
    """5 km from the store."""
    return far_hub()


@pytest.fixture
def store(hub: Hub) -> Store:
    made: Store = StoreFactory(name="Ridge Pharmacy")
    return made


@pytest.fixture
def esi(store: Store) -> User:
    return loader_at(store)


@pytest.fixture
def browser(esi: User) -> Client:
    return browser_of(esi)


def page_of(place: access.Place) -> str:
    name = "loading-hub" if isinstance(place, Hub) else "loading-store"
    return reverse(name, args=[place.pk])


def parts(store: Store) -> dict[str, list[object]]:
    found = access.orders_at(store).select_related(*access.RELATED)
    return {
        section.part.value: [row.order_id for row in section.rows]
        for section in board.compose(found, store)
    }


def now(order: Order) -> Order:
    return Order.objects.get(pk=order.pk)


# --- the list ------------------------------------------------------------------------------------


def test_the_list_has_what_is_picked_up_there(hub: Hub, store: Store) -> None:
    waiting = order_in(Status.QUEUED, store=store)
    leaving = order_in(Status.ASSIGNED, drone=drone_of(hub), store=store)
    aboard = loaded_by(drone_of(hub), store=store)
    flying = loaded_by(drone_of(hub), Status.ENROUTE, store=store)
    assert parts(store) == {
        "leaving": [aboard.pk, leaving.pk],
        "waiting": [waiting.pk],
        "flying": [flying.pk],
    }


def test_the_list_has_nothing_else(hub: Hub, store: Store) -> None:
    order_in(Status.QUEUED)  # picked up at the same place, but from no store
    order_in(Status.QUEUED, store=StoreFactory())
    order_in(Status.DELIVERED, drone=drone_of(hub), store=store)
    order_in(Status.CANCELED, store=store)
    stored_at(hub, store=store)
    back_with_its_parcel(drone_of(hub), store=store)
    lost = loaded_by(drone_of(hub), Status.ENROUTE, store=store)
    lifecycle.sight_lost(lost.pk, by=UserFactory(ops=True).actor, why="Silent.")
    OrderFactory(live_mode=False, test_scenario="delivered", store=store)
    assert parts(store) == {}


def test_the_page_names_store_drone_and_its_hub(hub: Hub, store: Store, browser: Client) -> None:
    order = order_in(Status.ASSIGNED, drone=drone_of(hub), store=store)
    page = browser.get(page_of(store)).content.decode()
    assert "<h1>Ridge Pharmacy</h1>" in page
    assert order.current_job is not None
    assert str(order.current_job.drone_id) in page
    assert hub.name in page
    assert order.customer_name not in page
    assert browser.get("/load/").headers["Location"] == page_of(store)


def test_the_list_takes_the_same_statements_for_any_length(
    hub: Hub, store: Store, browser: Client
) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as sent:
            assert browser.get(page_of(store)).status_code == 200
        return len(sent)

    order_in(Status.ASSIGNED, drone=drone_of(hub), store=store)
    statements()  # the first request stores the place in the session
    few = statements()
    for _ in range(4):
        order_in(Status.ASSIGNED, drone=drone_of(hub), store=store)
    assert statements() == few


# --- taps ----------------------------------------------------------------------------------------


def test_ready_and_loaded_are_tapped_at_the_store(hub: Hub, store: Store, browser: Client) -> None:
    order = order_in(Status.ASSIGNED, drone=drone_of(hub), store=store)
    for action in ("ready", "loaded"):
        assert f"{action}:{order.pk}" in browser.get(page_of(store)).content.decode()
        assert browser.post(page_of(store), tap(order, action)).status_code == 303
    assert now(order).parcel_ready_at is not None
    assert now(order).holder == Holder.DRONE
    assert order.events.get(type="PARCEL_LOADED").message == "Loaded at Ridge Pharmacy."


def test_no_parcel_comes_back_to_a_store(hub: Hub, store: Store, browser: Client) -> None:
    order = loaded_by(drone_of(hub), Status.ENROUTE, store=store)
    scanned = reverse("loading-scan", args=[order.pk])
    for path in (page_of(store), scanned):
        assert f"unloaded:{order.pk}" not in browser.get(path).content.decode()
        answer = browser.post(path, tap(order, "unloaded"))
        assert answer.status_code == 400
        assert "not understood" in answer.content.decode()
    assert now(order).holder == Holder.DRONE


def test_a_label_is_scanned_at_the_store(hub: Hub, store: Store, browser: Client) -> None:
    order = order_in(Status.ASSIGNED, drone=drone_of(hub), store=store)
    scanned = reverse("loading-scan", args=[order.pk])
    page = browser.get(scanned).content.decode()
    assert "To the list of Ridge Pharmacy" in page
    assert page_of(store) in page
    assert browser.post(scanned, tap(order, "loaded")).status_code == 303
    assert now(order).holder == Holder.DRONE


# --- access --------------------------------------------------------------------------------------


def test_a_stores_loader_sees_no_other_place(hub: Hub, store: Store, browser: Client) -> None:
    other = StoreFactory()
    theirs = order_in(Status.ASSIGNED, drone=drone_of(hub), store=other)
    for place in (other, hub):
        assert browser.get(page_of(place)).status_code == 404
    for path in (page_of(other), page_of(store), reverse("loading-scan", args=[theirs.pk])):
        assert browser.post(path, tap(theirs, "ready")).status_code == 404
    assert now(theirs).parcel_ready_at is None
    assert browser_of(loader_at(hub)).get(page_of(store)).status_code == 404


def test_a_stores_loader_reports_by_api_for_its_store_only(
    hub: Hub, store: Store, esi: User
) -> None:
    client = api_client(esi)
    mine = order_in(Status.ASSIGNED, drone=drone_of(hub), store=store)
    theirs = order_in(Status.ASSIGNED, drone=drone_of(hub), store=StoreFactory(), **FAR)
    for order, status in ((mine, 200), (theirs, 404)):
        assert client.post(f"/api/v1/orders/{order.pk}/ready").status_code == status
        assert client.get(f"/api/v1/orders/{order.pk}/label").status_code == status
    unloaded = {"holder": "HUB", "place": hub.name}
    refused = client.post(f"/api/v1/orders/{mine.pk}/custody", unloaded)
    assert refused.json()["errors"][0]["code"] == "not_yours"


def test_a_loader_with_hub_and_store_chooses(store: Store) -> None:
    near = HubFactory()
    browser = browser_of(loader_at(near, store))
    page = browser.get("/load/").content.decode()
    assert page_of(near) in page
    assert page_of(store) in page
    order = order_in(Status.ASSIGNED, drone=drone_of(near), store=store)
    browser.get(page_of(store))
    scanned = browser.get(reverse("loading-scan", args=[order.pk])).content.decode()
    assert "To the list of Ridge Pharmacy" in scanned


@pytest.mark.parametrize("role", Role)
def test_which_roles_open_the_page_of_a_store(store: Store, role: Role) -> None:
    merchant = store.merchant if role == Role.MERCHANT else None
    browser = browser_of(UserFactory(role=role, merchant=merchant, is_staff=True))
    status = {Role.OPS: 200, Role.ADMIN: 200, Role.LOADER: 404}.get(role, 403)
    assert browser.get(page_of(store)).status_code == status


def test_staff_choose_among_hubs(hub: Hub, store: Store) -> None:
    HubFactory()
    page = browser_of(UserFactory(ops=True, is_staff=True)).get("/load/").content.decode()
    assert hub.name in page
    assert store.name not in page
