"""`/merchant/`: the list of orders and the story of one."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import CancelReason, EventType, PodRequirement, Scenario, Status
from orders.tests.factories import OrderFactory, multiply_orders, order_in
from pod import proofs
from tracking.merchant import words
from tracking.tests.deliveries import STROKES
from tracking.tests.test_merchant_access import client_of, user_of
from wingxtra.accounts.identity import CUSTOMER, GCS
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory

pytestmark = pytest.mark.django_db
LIST = "/merchant/"


@pytest.fixture
def merchant() -> Merchant:
    return MerchantFactory()


@pytest.fixture
def client(merchant: Merchant) -> Client:
    return client_of(user_of(merchant))


def page(client: Client, path: str, status: int = 200, **query: str) -> str:
    answer = client.get(path, query)
    assert answer.status_code == status
    return answer.content.decode()


def of(order: Order) -> str:
    return f"/merchant/{'' if order.live_mode else 'test/'}orders/{order.pk}/"


# --- the list ------------------------------------------------------------------------------------


def test_the_list_shows_own_orders_of_the_mode_newest_first(client, merchant):
    older = OrderFactory(merchant=merchant, external_id="SHOP-1")
    newer = OrderFactory(merchant=merchant, external_id="SHOP-2")
    test = OrderFactory(merchant=merchant, external_id="TRY-1", live_mode=False)
    other = OrderFactory(external_id="OTHER-1")
    live = page(client, LIST)
    assert 0 < live.index(of(newer)) < live.index(of(older))
    assert of(test) not in live
    assert other.external_id not in live
    assert "Ama Mensah" not in live, "names are masked in lists, as in the API"
    tests = page(client, "/merchant/test/")
    assert of(test) in tests
    assert of(newer) not in tests


@pytest.mark.parametrize(
    ("tab", "status"),
    [
        ("waiting", Status.QUEUED),
        ("waiting", Status.VALIDATED),
        ("under_way", Status.ASSIGNED),
        ("under_way", Status.DELIVERING),
        ("delivered", Status.DELIVERED),
        ("not_delivered", Status.CANCELED),
        ("not_delivered", Status.FAILED),
    ],
)
def test_tabs_narrow_by_state(client, merchant, tab, status):
    order = order_in(status, merchant=merchant)
    for one in ("", "waiting", "under_way", "delivered", "not_delivered"):
        assert (of(order) in page(client, LIST, tab=one)) == (one in ("", tab))


def test_the_search_is_the_search_of_the_api(client, merchant):
    ama = OrderFactory(merchant=merchant, customer_name="Ama Mensah", external_id="A-1")
    kofi = OrderFactory(
        merchant=merchant, customer_name="Kofi Boateng", customer_phone="+233209876543"
    )
    for text, found, not_found in (
        ("mensah ama", ama, kofi),
        ("020 987 6543", kofi, ama),
        (words.grouped(ama.public_tracking_id), ama, kofi),
        (str(kofi.pk), kofi, ama),
    ):
        content = page(client, LIST, q=text)
        assert of(found) in content
        assert of(not_found) not in content
    assert "Nothing matches “nothing like it”" in page(client, LIST, q="nothing like it")
    assert page(client, LIST, q="a\0b")


def test_an_empty_list_says_what_to_do(client):
    assert "Place one here, or let your shop place them" in page(client, LIST)
    assert "You have no test orders yet." in page(client, "/merchant/test/")
    assert "No order has been delivered yet." in page(client, LIST, tab="delivered")


def test_pages_follow_each_other_without_loss(client, merchant):
    OrderFactory(merchant=merchant)
    multiply_orders(59, COPIES)
    seen: list[str] = []
    path = LIST
    for rows in (25, 25, 10):
        answer = client.get(path)
        shown = [row["url"] for row in answer.context["rows"]]
        assert len(shown) == rows
        seen += shown
        path = answer.context["next_url"]
    assert path == ""
    assert len(set(seen)) == 60
    assert (
        client.get(LIST, {"after": "cut-off", "tab": "waiting"})["Location"]
        == "/merchant/?tab=waiting"
    )


COPIES = {
    "id": "gen_random_uuid()",
    "public_tracking_id": "lpad(n::text, 13, '0')",
    "external_id": "NULL",
    "created_at": "created_at - n * interval '1 second'",
}


def test_a_list_costs_the_same_statements_with_one_order_and_with_many(client, merchant):
    order = order_in(Status.ASSIGNED, merchant=merchant)
    with CaptureQueriesContext(
        connection,
    ) as one:
        assert of(order) in page(client, LIST)
    multiply_orders(20, COPIES)
    with CaptureQueriesContext(connection) as many:
        page(client, LIST, q="Ama")
    # Session, user, merchant, orders.
    assert (len(one), len(many)) == (4, 4)


# --- the story -----------------------------------------------------------------------------------


def test_the_story_tells_what_the_api_tells(client, merchant):
    drone = DroneFactory(drone_id="WX-SECRET-7")
    order = order_in(Status.ENROUTE, merchant=merchant, drone=drone, external_id="SHOP-7")
    lifecycle.loaded(order.pk, by=GCS)
    content = page(client, of(order))
    for told in (
        "SHOP-7",
        words.grouped(order.public_tracking_id),
        "On the way",
        "Aboard the drone",
        "Ama Mensah",
        "+233241234567",
        f"/track/{order.public_tracking_id}/",
        "Picked up",
        "Drone assigned",
    ):
        assert told in content, told
    assert "WX-SECRET-7" not in content
    assert "gcs" not in content


@pytest.mark.parametrize("status", Status)
def test_every_state_has_a_page_with_its_words(client, merchant, status):
    order = order_in(status, merchant=merchant)
    content = page(client, of(order))
    assert f">{words.STATES[status].text}</strong>" in content
    assert ("Cancel this order" in content) == (status in CAN_CANCEL)
    assert (">Reschedule</button>" in content) == (status in CAN_RESCHEDULE)


CAN_RESCHEDULE = {Status.VALIDATED, Status.QUEUED, Status.ASSIGNED}
CAN_CANCEL = CAN_RESCHEDULE | {Status.CREATED, Status.MISSION_SUBMITTED}


def test_the_proof_is_shown_behind_a_link_that_expires(client, merchant, settings):
    order = order_in(Status.DELIVERING, merchant=merchant, pod_requirement=PodRequirement.SIGNATURE)
    assert "There is none yet." in page(client, of(order))
    proofs.record(order.pk, proofs.Evidence.drawn_signature(STROKES), by=CUSTOMER)
    content = page(client, of(order))
    assert "Signature, received" in content
    link = content.partition('<img src="/api/v1/pod-images/')[2].partition('"')[0]
    assert Client().get(f"/api/v1/pod-images/{link}").status_code == 200
    assert Client().get(f"/api/v1/pod-images/{link[:-2]}").status_code == 404


def test_label_and_record_open_in_both_modes(client, merchant):
    for live in (True, False):
        order = OrderFactory(merchant=merchant, live_mode=live, external_id=f"X-{live}")
        assert f"Ref. X-{live}" in page(client, of(order) + "label.svg")
        assert f"X-{live}" in page(client, of(order) + "record")


def test_following_reloads_until_the_order_is_over(client, merchant):
    order = OrderFactory(merchant=merchant, live_mode=False, test_scenario=Scenario.DELIVERED)
    path = of(order)
    assert 'http-equiv="refresh"' not in page(client, path)
    followed = page(client, path, follow="")
    assert 'http-equiv="refresh" content="5"' in followed
    assert "Cancel this order" not in followed, "a reload would lose what is typed"
    lifecycle.cancel(order.pk, by=GCS, reason=CancelReason.OTHER)
    assert 'http-equiv="refresh"' not in page(client, path, follow="")


def test_the_story_costs_a_fixed_number_of_statements(client, merchant):
    order = order_in(Status.DELIVERING, merchant=merchant)
    with CaptureQueriesContext(connection) as taken:
        page(client, of(order))
    # Session, user, merchant, order, events, proof.
    assert len(taken) == 6


# --- changes -------------------------------------------------------------------------------------


def send(client: Client, order: Order, do: str, **form: Any) -> Any:
    return client.post(of(order), {"do": do, **form})


def test_cancel_takes_a_reason_and_a_note(client, merchant):
    order = OrderFactory(merchant=merchant)
    answer = send(client, order, "cancel", reason="CUSTOMER_REQUEST", note="Called us.")
    assert (answer.status_code, answer["Location"]) == (303, of(order))
    content = page(client, of(order))
    assert "The order was canceled." in content
    assert "The customer asked (Called us.)" in content
    order = Order.objects.get()
    assert (order.status, order.cancel_reason) == (Status.CANCELED, CancelReason.CUSTOMER_REQUEST)
    canceled = DeliveryEvent.objects.get(type=EventType.CANCELED)
    assert canceled.actor_kind == "user"


def test_a_refused_form_keeps_what_was_typed_and_says_why(client, merchant):
    order = OrderFactory(merchant=merchant)
    answer = send(client, order, "cancel", reason="BORED", note="Never mind.")
    assert answer.status_code == 400
    content = answer.content.decode()
    assert "is not a valid choice" in content
    assert 'value="Never mind."' in content
    assert send(client, order, "dance").status_code == 400
    assert Order.objects.get().status == Status.QUEUED


def test_it_is_too_late_to_cancel_a_flight(client, merchant):
    order = order_in(Status.ENROUTE, merchant=merchant)
    answer = send(client, order, "cancel", reason="OTHER")
    assert answer.status_code == 409
    assert "its drone is in the air" in answer.content.decode()
    assert Order.objects.get().status == Status.ENROUTE


def test_reschedule_takes_a_window_in_utc(client, merchant):
    DroneFactory()
    order = OrderFactory(merchant=merchant)
    start = (timezone.now() + timedelta(days=1)).replace(second=0, microsecond=0)
    answer = send(client, order, "reschedule", not_before=f"{start:%Y-%m-%dT%H:%M}")
    assert answer.status_code == 303
    order = Order.objects.get()
    assert (order.status, order.not_before) == (Status.VALIDATED, start)
    assert order.deliver_by > start
    assert "has a new time" in page(client, of(order))


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ({}, "Give a start, an end, or both."),
        ({"not_before": "tomorrow"}, "Must be a time"),
        ({"deliver_by": "2020-01-01T10:00"}, "The window is over already: “Deliver by” must lie"),
    ],
)
def test_a_window_that_does_not_work_is_named_at_its_field(client, merchant, window, said):
    DroneFactory()
    order = OrderFactory(merchant=merchant)
    answer = send(client, order, "reschedule", **window)
    assert answer.status_code == 400
    content = answer.content.decode()
    assert said in content
    for typed in window.values():
        assert f'value="{typed}"' in content
    assert Order.objects.get().deliver_by == order.deliver_by


def test_a_test_order_can_take_its_next_step_now(client, merchant):
    order = OrderFactory(merchant=merchant, live_mode=False, test_scenario=Scenario.DELIVERED)
    answer = client.post(of(order) + "?follow", {"do": "advance"})
    assert (answer.status_code, answer["Location"]) == (303, of(order) + "?follow")
    assert "took its next step" in page(client, of(order))
    assert Order.objects.get().status == Status.ASSIGNED
    for _ in range(20):
        client.post(of(order), {"do": "advance"})
    assert Order.objects.get().status == Status.DELIVERED
    assert send(client, order, "advance").status_code == 409
    live = OrderFactory(merchant=merchant)
    assert "Next step now" not in page(client, of(live))
    assert send(client, live, "advance").status_code == 409


def test_another_merchants_order_cannot_be_changed(client):
    order = OrderFactory()
    assert send(client, order, "cancel", reason="OTHER").status_code == 404
    assert Order.objects.get().status == Status.QUEUED
