"""Ops' actions on orders, through the console's pages."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from fleet.tests.factories import (
    DroneFactory,
    GeoZoneFactory,
    TelemetryFactory,
    show,
    square,
)
from orders import lifecycle
from orders.models import Order
from orders.states import CancelReason, EventType, Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import actions

pytestmark = pytest.mark.django_db


@pytest.fixture
def ama() -> User:
    return UserFactory(username="ama", ops=True)


@pytest.fixture
def browser(ama: User) -> Client:
    browser = Client()
    browser.force_login(ama)
    return browser


def act(browser: Client, name: str, *orders: Order, seen: Any = None, **data: Any) -> HttpResponse:
    """Open the action's page and submit its form, as in a browser."""
    url = actions._actions["orders.order", name].url(*(order.pk for order in orders))
    tokens = seen or page_of(browser, name, *orders)
    return browser.post(url, {**tokens, **data}, follow=True)


def page_of(browser: Client, name: str, *orders: Order) -> dict[str, str]:
    """The hidden fields of the action's page, with the state that the page showed."""
    url = actions._actions["orders.order", name].url(*(order.pk for order in orders))
    targets = browser.get(url).context["targets"]
    return {f"seen-{target.object.pk}": target.token for target in targets}


def now(order: Order) -> Order:
    return Order.objects.select_related("current_job").get(pk=order.pk)


def test_an_order_is_canceled_with_a_reason_and_the_operators_name(browser: Client) -> None:
    order = OrderFactory()
    answer = act(browser, "cancel", order, reason="CUSTOMER_REQUEST", note="Rang us.")
    assert "was canceled" in answer.content.decode()
    assert (now(order).status, now(order).cancel_note) == (Status.CANCELED, "Rang us.")
    event = order.events.get(type=EventType.CANCELED)
    # The note may name the customer; events are kept permanently.
    assert (event.actor, event.message) == ("user:ama", "The customer asked")
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("ama", str(order.pk))


def test_canceling_without_a_reason_changes_nothing(browser: Client) -> None:
    order = OrderFactory()
    answer = act(browser, "cancel", order, note="Why not")
    assert "This field is required" in answer.content.decode()
    assert now(order).status == Status.QUEUED


def test_the_best_drone_is_offered_first_and_assigned(browser: Client) -> None:
    near, far = DroneFactory(), DroneFactory()
    show(
        TelemetryFactory(drone_id=near.pk),
        TelemetryFactory(drone_id=far.pk, lat=5.63, lng=-0.21),
    )
    order = OrderFactory()
    url = actions._actions["orders.order", "assign"].url(order.pk)
    form = browser.get(url).context["form"]
    assert [candidate.drone_id for candidate in form.candidates] == [near.pk, far.pk]
    act(browser, "assign", order, drone_id=far.pk)
    assert now(order).assigned_drone_id == far.pk
    assert order.events.get(type=EventType.ASSIGNED).actor == "user:ama"


def test_a_grounded_drone_is_refused_with_its_reason(browser: Client) -> None:
    from fleet import registry

    drone = DroneFactory()
    show(TelemetryFactory(drone_id=drone.pk))
    registry.ground(drone.pk, by=SYSTEM, reason="Bent propeller.")
    order = OrderFactory()
    answer = act(browser, "assign", order, drone_id=drone.pk, override_reason="I want it.")
    assert "is grounded" in answer.content.decode()
    assert now(order).status == Status.QUEUED


def test_a_soft_limit_needs_a_written_reason(browser: Client) -> None:
    from fleet.tests.factories import seconds_ago

    drone = DroneFactory()
    show(TelemetryFactory(drone_id=drone.pk, measured_at=seconds_ago(30)))
    order = OrderFactory()
    answer = act(browser, "assign", order, drone_id=drone.pk)
    assert "Write why it may fly anyway" in answer.content.decode()
    assert now(order).status == Status.QUEUED
    act(browser, "assign", order, drone_id=drone.pk, override_reason="I see it on the pad.")
    assert now(order).assigned_drone_id == drone.pk
    assert now(order).current_job.override_reason == "I see it on the pad."


def test_an_assigned_order_is_reassigned_to_another_drone(browser: Client) -> None:
    first, second = DroneFactory(), DroneFactory()
    show(TelemetryFactory(drone_id=first.pk), TelemetryFactory(drone_id=second.pk))
    order = order_in(Status.ASSIGNED, drone=first)
    act(browser, "reassign", order, drone_id=second.pk)
    assert now(order).assigned_drone_id == second.pk
    assert order.jobs.count() == 2


def test_the_timeline_of_a_requeued_order_names_the_operator(browser: Client) -> None:
    order = order_in(Status.ASSIGNED)
    act(browser, "requeue", order, reason="The parcel is not packed.")
    assert now(order).status == Status.QUEUED
    event = order.events.get(type=EventType.REQUEUED)
    assert (event.actor, event.message) == ("user:ama", "The parcel is not packed.")


def test_a_rescheduled_order_waits_for_its_new_time(browser: Client) -> None:
    order = OrderFactory()
    start = (timezone.now() + timedelta(days=30)).replace(second=0, microsecond=0)
    end = start + timedelta(hours=1)
    DroneFactory()
    window = {"not_before": f"{start:%Y-%m-%dT%H:%M}", "deliver_by": f"{end:%Y-%m-%dT%H:%M}"}
    act(browser, "reschedule", order, **window, reason="Closed today.")
    assert now(order).status == Status.VALIDATED
    assert now(order).deliver_by == end
    assert "Closed today." in order.events.get(type=EventType.RESCHEDULED).message


def test_a_new_window_is_checked_like_a_new_orders(browser: Client) -> None:
    order = OrderFactory()
    DroneFactory()
    GeoZoneFactory(name="Airport", polygon=square(order.dropoff_lat, order.dropoff_lng, 500))
    end = timezone.now() + timedelta(days=1)
    answer = act(
        browser, "reschedule", order, not_before="", deliver_by=f"{end:%Y-%m-%dT%H:%M}", reason="x"
    )
    assert "in the no-fly zone “Airport”" in answer.content.decode()
    assert order.events.filter(type=EventType.RESCHEDULED).count() == 0


@pytest.mark.parametrize(
    ("not_before", "deliver_by"),
    [("", "2001-01-01T10:00"), ("2035-01-01T11:00", "2035-01-01T10:00")],
)
def test_an_impossible_window_is_refused(browser: Client, not_before: str, deliver_by: str) -> None:
    order = OrderFactory()
    act(browser, "reschedule", order, not_before=not_before, deliver_by=deliver_by, reason="x")
    assert order.events.filter(type=EventType.RESCHEDULED).count() == 0


def test_an_abort_is_requested_in_flight_only(browser: Client) -> None:
    flying, waiting = order_in(Status.ENROUTE), OrderFactory()
    act(browser, "abort", flying, reason="People below.")
    act(browser, "abort", waiting, reason="People below.")
    assert flying.events.get(type=EventType.ABORT_REQUESTED).actor == "user:ama"
    assert now(flying).status == Status.ENROUTE
    assert now(waiting).status == Status.QUEUED


def test_orders_are_dispatched_together_with_a_result_for_each(browser: Client) -> None:
    drone = DroneFactory()
    show(TelemetryFactory(drone_id=drone.pk))
    first, second = OrderFactory(), OrderFactory()
    page = act(browser, "dispatch", first, second).content.decode()
    assert "1 of 2 done" in page
    statuses = sorted([now(first).status, now(second).status])
    assert statuses == [Status.ASSIGNED, Status.QUEUED]


def test_a_bulk_action_shows_the_result_of_each_order(browser: Client) -> None:
    waiting, done = OrderFactory(), order_in(Status.DELIVERED)
    page = act(browser, "cancel", waiting, done, reason="WEATHER").content.decode()
    assert "1 of 2 done" in page
    assert "It cannot be canceled any more." in page
    assert now(waiting).status == Status.CANCELED
    assert now(done).status == Status.DELIVERED


def test_the_second_of_two_operators_sees_what_changed(browser: Client) -> None:
    order = OrderFactory()
    seen = page_of(browser, "cancel", order)
    kofi = UserFactory(username="kofi", ops=True)
    lifecycle.assign(order.pk, DroneFactory().pk, by=kofi.actor, why="It is close.")
    page = act(browser, "cancel", order, seen=seen, reason="OTHER").content.decode()
    assert "Changed since you opened this page" in page
    assert "kofi" in page
    assert "It is close." in page
    assert now(order).status == Status.ASSIGNED
    # The page shows the present state now; submitting it again is accepted.
    act(browser, "cancel", order, reason="OTHER")
    assert now(order).status == Status.CANCELED


def test_a_form_without_the_seen_state_changes_nothing(browser: Client) -> None:
    order = OrderFactory()
    act(browser, "cancel", order, seen={"nothing": ""}, reason="OTHER")
    assert now(order).status == Status.QUEUED


@pytest.mark.parametrize("query", ["", "?id=nonsense", "?id=00000000-0000-0000-0000-000000000000"])
def test_an_action_without_an_object_is_404(browser: Client, query: str) -> None:
    url = actions._actions["orders.order", "cancel"].url().split("?")[0]
    assert browser.get(url + query).status_code == 404


def test_an_action_does_not_redirect_to_another_site(browser: Client) -> None:
    order = OrderFactory()
    url = actions._actions["orders.order", "cancel"].url(order.pk) + "&next=https://evil.example/"
    data = {**page_of(browser, "cancel", order), "reason": CancelReason.OTHER}
    assert browser.post(url, data)["Location"].startswith("/admin/")


def test_the_drop_point_is_moved_and_checked_like_a_new_one(browser: Client) -> None:
    DroneFactory()
    order = OrderFactory()
    act(browser, "move-drop", order, dropoff_lat=5.61, dropoff_lng=-0.18, reason="Side gate.")
    assert (now(order).dropoff_lat, now(order).dropoff_source) == (5.61, "OPS")
    event = order.events.last()
    assert (event.type, event.message) == (
        EventType.DROPOFF_CHANGED,
        "The drop point was moved by 784 m: Side gate.",
    )
    answer = act(browser, "move-drop", order, dropoff_lat=9.0, dropoff_lng=9.0, reason="Far.")
    assert "outside" in answer.content.decode()
    assert now(order).dropoff_lat == 5.61
