"""The loader's page: the orders of a hub, taps, double taps, scans and access."""

import re
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from fleet.models import Hub
from fleet.tests.factories import HubFactory
from orders import lifecycle
from orders.loading import access, board
from orders.models import DeliveryEvent, Order
from orders.states import CancelReason, EventType, HoldCode, Holder, Status
from orders.tests.factories import OrderFactory, order_in
from orders.tests.loading import (
    FAR,
    METRE_DEG,
    back_with_its_parcel,
    browser_of,
    drone_of,
    far_hub,
    loaded_by,
    loader_at,
    stored_at,
    tap,
)
from wingxtra.accounts.identity import SYSTEM, Role
from wingxtra.accounts.tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def hub() -> Hub:
    made: Hub = HubFactory(name="Ridge hub")
    return made


@pytest.fixture
def browser(hub: Hub) -> Client:
    return browser_of(loader_at(hub, username="kofi"))


def page_of(hub: Hub) -> str:
    return reverse("loading-hub", args=[hub.pk])


def scan_of(order: Order) -> str:
    return reverse("loading-scan", args=[order.pk])


def now(order: Order) -> Order:
    return Order.objects.get(pk=order.pk)


def events_of(order: Order) -> list[str]:
    return list(DeliveryEvent.objects.filter(order=order).values_list("type", flat=True))


def parts(hub: Hub) -> dict[str, list[Any]]:
    found = access.orders_at(hub).select_related(*access.RELATED)
    return {
        section.part.value: [row.order_id for row in section.rows]
        for section in board.compose(found, hub)
    }


# --- the orders of a hub -------------------------------------------------------------------------


def test_the_list_has_departures_stored_parcels_and_returns(hub: Hub) -> None:
    leaving = order_in(Status.ASSIGNED, drone=drone_of(hub))
    first = order_in(Status.MISSION_SUBMITTED, drone=drone_of(hub))
    aboard = loaded_by(drone_of(hub))
    fetched = order_in(Status.ASSIGNED, drone=drone_of(hub), **FAR)
    flying = loaded_by(drone_of(hub), Status.ENROUTE)
    back = back_with_its_parcel(drone_of(hub), **FAR)
    stored = stored_at(hub, **FAR)
    waiting = order_in(Status.QUEUED)

    found = parts(hub)

    assert found == {
        "expected": [back.pk],
        "leaving": [first.pk, aboard.pk, leaving.pk, fetched.pk],
        "lying": [stored.pk],
        "waiting": [waiting.pk],
        "flying": [flying.pk],
    }


def test_orders_in_every_status_can_be_sorted(hub: Hub) -> None:
    orders = [order_in(status, drone=drone_of(hub)) for status in Status]
    shown = [row for section in board.compose(orders, hub) for row in section.rows]
    assert {row.order_id for row in shown} == {order.pk for order in orders}


def test_orders_of_other_hubs_and_ended_orders_are_not_on_the_list(hub: Hub) -> None:
    elsewhere = far_hub()
    order_in(Status.QUEUED, **FAR)
    order_in(Status.ASSIGNED, drone=drone_of(elsewhere), **FAR)
    stored_at(elsewhere)
    back_with_its_parcel(drone_of(elsewhere), **FAR)
    order_in(Status.DELIVERED, drone=drone_of(hub))
    order_in(Status.CANCELED)
    OrderFactory(live_mode=False, test_scenario="delivered")

    assert parts(hub) == {}


@pytest.mark.parametrize(("away_m", "is_here"), [(149, True), (151, False)])
@pytest.mark.parametrize("name", ["pickup_lat", "pickup_lng"])
def test_a_pickup_within_150_m_is_the_hubs_own(
    hub: Hub, name: str, away_m: float, is_here: bool
) -> None:
    place = {"pickup_lat": hub.lat, "pickup_lng": hub.lng}
    # In Accra a degree of longitude is 0.5 % shorter than a degree of latitude.
    place[name] += away_m * METRE_DEG * (1.0048 if name == "pickup_lng" else 1)
    order_in(Status.QUEUED, **place)
    assert bool(parts(hub)) == is_here


def test_an_ended_order_stays_on_the_list_while_we_have_its_parcel(hub: Hub) -> None:
    stored = stored_at(hub)
    lifecycle.cancel(stored.pk, by=SYSTEM, reason=CancelReason.OTHER)

    answer = browser_of(loader_at(hub)).get(page_of(hub)).content.decode()

    assert parts(hub) == {"lying": [stored.pk]}
    assert "The order is over (canceled). Keep the parcel" in answer


def test_a_parcel_missing_after_a_flight_of_our_drone_is_on_the_list(hub: Hub) -> None:
    order = loaded_by(drone_of(hub), Status.ENROUTE, **FAR)
    lifecycle.sight_lost(order.pk, by=SYSTEM, why="Landed in a field.")
    lifecycle.requeue(order.pk, by=SYSTEM, why="Landed in a field.")

    assert parts(hub) == {"expected": [order.pk]}
    browser = browser_of(loader_at(hub))
    assert browser.post(page_of(hub), tap(now(order), "unloaded")).status_code == 303
    found = now(order)
    assert (found.holder, found.holder_hub, found.hold_code) == (Holder.HUB, hub, "")


def test_the_list_takes_the_same_statements_for_any_length(hub: Hub) -> None:
    browser = browser_of(loader_at(hub))

    def statements() -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            assert browser.get(page_of(hub)).status_code == 200
        return len(caught)

    def fill() -> None:
        order_in(Status.ASSIGNED, drone=drone_of(hub))
        loaded_by(drone_of(hub))
        back_with_its_parcel(drone_of(hub))
        stored_at(hub)
        order_in(Status.QUEUED)

    fill()
    statements()  # the first request stores the hub in the session
    few = statements()
    for _ in range(5):
        fill()
    assert statements() == few


def test_the_page_shows_no_customer_and_no_tracking_id(hub: Hub, browser: Client) -> None:
    order = order_in(Status.ASSIGNED, drone=drone_of(hub), customer_email="ama@example.com")
    for path in (page_of(hub), scan_of(order)):
        shown = browser.get(path).content.decode()
        for private in ("Ama", "Mensah", "233241234567", "example.com", "5.615", "0.175"):
            assert private not in shown, path
        assert order.public_tracking_id not in shown.replace("-", "")
        assert order.public_tracking_id[:4] in shown


# --- taps ----------------------------------------------------------------------------------------


def test_a_parcel_is_ready_is_loaded_and_comes_back(hub: Hub, browser: Client) -> None:
    drone = drone_of(hub)
    order = order_in(Status.ASSIGNED, drone=drone)

    browser.post(page_of(hub), tap(order, "ready"))
    assert now(order).parcel_ready_at is not None
    answer = browser.post(page_of(hub), tap(order, "loaded"), follow=True)
    assert f"{order.public_tracking_id[:4]}-{order.public_tracking_id[4:8]}: loaded." in (
        answer.content.decode()
    )
    assert (now(order).holder, now(order).holder_drone) == (Holder.DRONE, drone)
    browser.post(scan_of(order), tap(order, "unloaded"))

    assert (now(order).holder, now(order).holder_hub) == (Holder.HUB, hub)
    events = DeliveryEvent.objects.filter(order=order, actor_ref="kofi").order_by("id")
    assert [(event.type, event.actor_kind) for event in events] == [
        (EventType.PARCEL_READY, "user"),
        (EventType.PARCEL_LOADED, "user"),
        (EventType.PARCEL_UNLOADED, "user"),
        (EventType.REQUEUED, "user"),
    ]


@pytest.mark.parametrize("action", ["ready", "loaded", "unloaded"])
def test_a_double_tap_changes_nothing(hub: Hub, browser: Client, action: str) -> None:
    drone = drone_of(hub)
    order = loaded_by(drone) if action == "unloaded" else order_in(Status.ASSIGNED, drone=drone)
    assert browser.post(page_of(hub), tap(order, action)).status_code == 303
    once, events = now(order), events_of(order)

    assert browser.post(page_of(hub), tap(order, action)).status_code == 303

    assert events_of(order) == events
    assert now(order).holder_since == once.holder_since


def test_a_drone_that_came_back_with_its_parcel_frees_the_order(hub: Hub, browser: Client) -> None:
    order = back_with_its_parcel(drone_of(hub))
    assert order.hold_code == HoldCode.PARCEL_ABOARD
    assert "Take it off the drone, then tap." in browser.get(page_of(hub)).content.decode()

    browser.post(page_of(hub), tap(order, "unloaded"))

    assert now(order).hold_code == ""
    assert now(order).flown_from == (hub.lat, hub.lng)


def test_a_tap_on_an_old_page_loads_no_other_drone(hub: Hub, browser: Client) -> None:
    order = order_in(Status.ASSIGNED, drone=drone_of(hub))
    lifecycle.reassign(order.pk, drone_of(hub).pk, by=SYSTEM, why="Nearer.")

    answer = browser.post(page_of(hub), tap(order, "loaded"))

    assert answer.status_code == 409
    assert "It has another drone by now" in answer.content.decode()
    assert now(order).holder == Holder.SENDER


def test_a_refusal_says_why_on_the_page(hub: Hub, browser: Client) -> None:
    order = order_in(Status.QUEUED)
    answer = browser.post(page_of(hub), tap(order, "loaded"))
    assert answer.status_code == 409
    assert "It has no drone to be loaded onto." in answer.content.decode()


@pytest.mark.parametrize("value", ["", "ready", "explode:1:2", "ready:x:", "ready:::"])
def test_an_invalid_tap_is_refused(hub: Hub, browser: Client, value: str) -> None:
    answer = browser.post(page_of(hub), {"tap": value})
    assert answer.status_code == 400
    assert "This was not understood." in answer.content.decode()


@pytest.mark.parametrize("path", ["/load/{hub}/", "/load/scan/{order}", "/load/leave/"])
def test_a_tap_needs_the_csrf_token(hub: Hub, path: str) -> None:
    order = order_in(Status.ASSIGNED, drone=drone_of(hub))
    browser = browser_of(loader_at(hub), enforce_csrf_checks=True)
    answer = browser.post(path.format(hub=hub.pk, order=order.pk), tap(order, "ready"))
    assert answer.status_code == 403
    assert now(order).parcel_ready_at is None


def test_only_parcels_at_the_hub_have_buttons_in_the_list(hub: Hub, browser: Client) -> None:
    """A parcel at another pickup has no buttons in the list, but has them after a scan."""
    order = order_in(Status.ASSIGNED, drone=drone_of(hub), **FAR)
    assert "Its parcel is at Ridge Pharmacy." in browser.get(page_of(hub)).content.decode()
    assert f"loaded:{order.pk}" not in browser.get(page_of(hub)).content.decode()
    assert f"loaded:{order.pk}" in browser.get(scan_of(order)).content.decode()


@pytest.mark.parametrize("holder", [Holder.UNKNOWN, Holder.RECIPIENT, Holder.LOST])
def test_a_parcel_without_a_known_place_shows_none(
    hub: Hub, browser: Client, holder: Holder
) -> None:
    order = order_in(Status.ENROUTE, drone=drone_of(hub))
    Order.objects.filter(pk=order.pk).update(holder=holder, holder_drone=None)
    assert "Its parcel is at" not in browser.get(scan_of(order)).content.decode()


# --- scans ---------------------------------------------------------------------------------------


def test_a_label_is_found_in_every_scanned_or_typed_form(hub: Hub, browser: Client) -> None:
    order = order_in(Status.QUEUED, public_tracking_id="7Q2K01XW4TZ1H")
    for code in (
        f"https://delivery.example/load/scan/{order.pk}",
        f"https://delivery.example/load/scan/{order.pk}/?x=1",
        str(order.pk),
        "7Q2K01XW4TZ1H",
        "7q2k-oixw-4tz1h",
        " 7Q2K-01XW ",
        "https://delivery.example/track/7Q2K01XW4TZ1H/",
    ):
        answer = browser.get(reverse("loading-find"), {"code": code})
        assert (answer.status_code, answer.headers["Location"]) == (302, scan_of(order)), code
    assert browser.get("/load/scan/7Q2K01XW4TZ1H").status_code == 200


@pytest.mark.parametrize("code", ["", "7Q2K", "%", "é", "x" * 300, str(UUID(int=7))])
def test_an_unknown_code_gets_a_404(browser: Client, code: str) -> None:
    answer = browser.get(reverse("loading-find"), {"code": code})
    assert answer.status_code == 404
    assert "We do not know this code" in answer.content.decode()


def test_a_scan_uses_the_hub_that_the_loader_opened_last(hub: Hub) -> None:
    second = far_hub(name="Second hub")
    browser = browser_of(loader_at(hub, second))
    order = back_with_its_parcel(drone_of(hub))
    shown = browser.get(scan_of(order)).content.decode()
    assert "Where are you?" in shown
    assert f"unloaded:{order.pk}" not in shown

    browser.get(page_of(second))
    browser.post(scan_of(order), tap(order, "unloaded"))

    assert now(order).holder_hub == second


def test_a_parcel_in_the_air_is_unloaded_by_its_label_after_a_confirmation(
    hub: Hub, browser: Client
) -> None:
    order = loaded_by(drone_of(hub), Status.ENROUTE)
    assert f"unloaded:{order.pk}" not in browser.get(page_of(hub)).content.decode()
    shown = browser.get(scan_of(order)).content.decode()
    assert "As far as we know it is in the air." in shown

    browser.post(scan_of(order), tap(order, "unloaded"))

    assert (now(order).status, now(order).holder_hub) == (Status.QUEUED, hub)


# --- access --------------------------------------------------------------------------------------


def test_a_loader_sees_only_its_own_hub(hub: Hub, browser: Client) -> None:
    elsewhere = far_hub()
    order = stored_at(elsewhere)

    assert browser.get(page_of(elsewhere)).status_code == 404
    assert browser.get(scan_of(order)).status_code == 404
    for path in (page_of(elsewhere), page_of(hub), scan_of(order)):
        assert browser.post(path, tap(order, "ready")).status_code == 404
    assert now(order).parcel_ready_at is None
    assert browser.get("/load/").headers["Location"] == page_of(hub)


def test_a_loader_without_a_hub_sees_nothing(hub: Hub) -> None:
    browser = browser_of(loader_at())
    order = stored_at(hub)
    assert "You have no place yet." in browser.get("/load/").content.decode()
    assert browser.get(page_of(hub)).status_code == 404
    assert browser.get(scan_of(order)).status_code == 404


def test_a_former_loader_has_no_access_through_its_old_hub(hub: Hub) -> None:
    former = loader_at(hub)
    former.role = Role.READONLY
    former.save()
    assert browser_of(former).get(page_of(hub)).status_code == 403
    assert not access.hubs_of(former).exists()


@pytest.mark.parametrize("role", Role)
def test_which_roles_open_the_page_of_a_hub(hub: Hub, role: Role) -> None:
    order = order_in(Status.ASSIGNED, drone=drone_of(hub))
    merchant = order.merchant if role == Role.MERCHANT else None
    user = UserFactory(role=role, merchant=merchant, is_staff=True)
    may = role in (Role.OPS, Role.ADMIN)
    browser = browser_of(user)
    for path in (page_of(hub), scan_of(order)):
        refused = 404 if role == Role.LOADER else 403
        assert browser.get(path).status_code == (200 if may else refused)
        answer = browser.post(path, tap(order, "ready"))
        assert answer.status_code == (303 if may else refused)
    assert access.may_load(user, order) == may
    assert (now(order).parcel_ready_at is not None) == may


def test_a_loader_may_load_the_orders_of_its_hub(hub: Hub) -> None:
    user = loader_at(hub)
    assert access.may_load(user, order_in(Status.QUEUED))
    assert not access.may_load(user, order_in(Status.QUEUED, **FAR))


def test_an_anonymous_visitor_logs_in_and_returns_to_the_page(hub: Hub) -> None:
    answer = Client().get(page_of(hub))
    assert answer.headers["Location"] == f"/admin/login/?next={page_of(hub)}"


def test_pages_are_not_cached(hub: Hub, browser: Client) -> None:
    for path in (page_of(hub), "/load/"):
        assert "no-store" in browser.get(path).headers["Cache-Control"]


def test_every_button_on_the_page_works(hub: Hub, browser: Client) -> None:
    order_in(Status.ASSIGNED, drone=drone_of(hub))
    back_with_its_parcel(drone_of(hub))
    stored_at(hub)
    order_in(Status.QUEUED)
    values = re.findall(r'name="tap" value="([^"]+)"', browser.get(page_of(hub)).content.decode())
    assert len(values) == 5  # ready and loaded, came back, ready, ready
    for value in values:
        assert browser.post(page_of(hub), {"tap": value}).status_code == 303


def test_scheduled_orders_come_after_what_can_leave_now(hub: Hub) -> None:
    later = order_in(Status.VALIDATED)
    soon = order_in(Status.QUEUED)
    urgent = order_in(Status.QUEUED, priority="MEDICAL")
    assert parts(hub)["waiting"] == [urgent.pk, soon.pk, later.pk]


def test_the_page_requires_the_second_factor_if_configured(hub: Hub, settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = True
    browser = browser_of(loader_at(hub))
    answer = browser.get(page_of(hub), follow=True)
    assert "authenticator app" in answer.content.decode()
    order = order_in(Status.ASSIGNED, drone=drone_of(hub))
    assert browser.post(page_of(hub), tap(order, "ready")).status_code == 302
    assert now(order).parcel_ready_at is None
