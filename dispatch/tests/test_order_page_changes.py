"""What staff change and write on an order's page: details, notes, a closed attempt, a pause."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.db import DatabaseError, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from dispatch.tests.support import assigned
from fleet.models import ServiceArea
from fleet.policy import Policy
from orders import lifecycle
from orders.models import Note, Order
from orders.personal_data import notes, retention
from orders.states import CancelReason, EventType, Holder, Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import GCS, SYSTEM, Role
from wingxtra.accounts.models import ApiKey
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import actions
from wingxtra.problems import Conflict

pytestmark = pytest.mark.django_db


def browser_of(role: Role = Role.OPS) -> Client:
    browser = Client()
    browser.force_login(UserFactory(username=role.lower(), role=role, is_staff=True))
    return browser


@pytest.fixture
def browser() -> Client:
    return browser_of()


def page_of(browser: Client, order: Order) -> str:
    return browser.get(actions.page_of(order)).content.decode()


def act(browser: Client, name: str, target: Any, *, seen: str = "", **data: Any) -> HttpResponse:
    """Open the action's page and send its form, as in a browser: with what it shows."""
    url = actions.button(type(target), name, target.pk).url
    shown = browser.get(url).context
    written = {field.html_name: field.value() or "" for field in shown["form"]}
    hidden = {field.html_initial_name: field.value() or "" for field in shown["form"]}
    token = {f"seen-{target.pk}": seen or shown["targets"][0].token}
    return browser.post(url, {**hidden, **written, **token, **data}, follow=True)


def now(order: Order) -> Order:
    return Order.objects.select_related("current_job").get(pk=order.pk)


# --- details -------------------------------------------------------------------------------------


def test_a_corrected_phone_number_renews_the_link(browser: Client) -> None:
    order = OrderFactory(dropoff_instructions="Mind the dog")
    answer = act(browser, "details", order, customer_phone="+233 20 000 0001")
    after = now(order)
    assert "Its link is new" in answer.content.decode()
    assert (after.customer_phone, after.dropoff_instructions) == ("+233200000001", "Mind the dog")
    assert after.public_tracking_id != order.public_tracking_id
    event = order.events.get(type=EventType.DETAILS_CHANGED)
    assert (event.actor, event.payload["fields"]) == ("user:ops", ["customer_phone"])
    assert "233200000001" not in LogEntry.objects.get().change_message


def test_name_language_priority_and_instructions_are_corrected(browser: Client) -> None:
    order = OrderFactory()
    wanted = {
        "customer_name": "Efua Boateng",
        "customer_language": "fr",
        "priority": "MEDICAL",
        "dropoff_instructions": "Side gate,\r\nsecond bell",
    }
    act(browser, "details", order, **wanted)
    after = now(order)
    assert after.public_tracking_id == order.public_tracking_id
    assert (after.customer_name, after.customer_language) == ("Efua Boateng", "fr")
    assert (after.priority, after.deliver_by) == ("MEDICAL", order.deliver_by)
    assert after.dropoff_instructions == "Side gate,\nsecond bell"


def test_all_problems_of_the_details_are_beside_their_fields(browser: Client) -> None:
    order = OrderFactory()
    wrong = {"customer_phone": "12", "customer_email": "no", "customer_name": "Efua"}
    answer = act(browser, "details", order, **wrong)
    assert set(answer.context["form"].errors) == {"customer_phone", "customer_email"}
    assert now(order).customer_name == order.customer_name


def test_unchanged_details_write_no_event(browser: Client) -> None:
    order = OrderFactory()
    answer = act(browser, "details", order)
    assert "Nothing is changed here yet." in answer.content.decode()
    assert not order.events.filter(type=EventType.DETAILS_CHANGED).exists()


def test_details_that_changed_in_another_tab_are_not_overwritten(browser: Client) -> None:
    order = OrderFactory()
    lifecycle.assign(order.pk, None, by=SYSTEM, why="Test.")
    answer = act(browser, "details", order, seen="1", customer_name="Efua")
    assert "Changed since you opened this page; nothing was done." in answer.content.decode()
    assert now(order).customer_name == order.customer_name


def test_details_are_corrected_until_launch_only(browser: Client) -> None:
    assert "Correct the details…" in page_of(browser, OrderFactory())
    assert "Correct the details…" not in page_of(browser, order_in(Status.ENROUTE))


# --- an attempt is closed ------------------------------------------------------------------------


def test_an_attempt_in_flight_is_closed_with_its_parcel(browser: Client) -> None:
    order, _ = assigned()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    answer = act(browser, "close-attempt", order, found="unknown", mission="over", note="A crash.")
    assert "is closed, its parcel is not known" in answer.content.decode()
    assert (now(order).status, now(order).holder) == (Status.QUEUED, Holder.UNKNOWN)


@pytest.mark.parametrize("wrong", [{"note": " "}, {"found": "hub"}, {"mission": "x"}])
def test_a_form_with_a_gap_closes_nothing(browser: Client, wrong: dict[str, str]) -> None:
    order = order_in(Status.ENROUTE)
    data = {"found": "unknown", "mission": "over", "note": "A crash.", **wrong}
    answer = act(browser, "close-attempt", order, **data)
    assert answer.context["form"].errors
    assert now(order).status == Status.ENROUTE


def test_an_outcome_can_be_corrected_from_the_page(browser: Client) -> None:
    assert "Correct the outcome…" in page_of(browser, order_in(Status.FAILED))
    assert "Correct the outcome…" not in page_of(browser, OrderFactory())


# --- notes ---------------------------------------------------------------------------------------


def write(browser: Client, order: Order, text: str, note_id: Any = None) -> HttpResponse:
    url = reverse("admin:orders_order_note", args=[order.pk])
    return browser.post(url, {"id": note_id or uuid4(), "text": text}, follow=True)


def test_a_note_shows_its_author_and_time(browser: Client) -> None:
    order = OrderFactory()
    page = write(browser, order, "Kofi rang: the gate is locked.").content.decode()
    assert "Kofi rang: the gate is locked." in page
    note = Note.objects.get()
    assert (note.author, note.order) == ("ops", order)
    assert "Kofi rang" in browser.get(reverse("order-record", args=[order.pk])).content.decode()


def test_a_second_click_writes_no_second_note(browser: Client) -> None:
    order, note_id = OrderFactory(), uuid4()
    for _ in range(2):
        write(browser, order, "Kofi rang.", note_id)
    write(browser, OrderFactory(), "Elsewhere.", note_id)
    assert [note.text for note in Note.objects.all()] == ["Kofi rang."]


@pytest.mark.parametrize("text", ["", "  ", "x" * 1001, "a\0b"])
def test_a_note_that_cannot_be_kept_is_refused(browser: Client, text: str) -> None:
    page = write(browser, OrderFactory(), text).content.decode()
    assert "The note was not written." in page
    assert not Note.objects.exists()


def test_a_note_is_no_change_that_stops_a_form(browser: Client) -> None:
    order = OrderFactory()
    url = actions.button(Order, "cancel", order.pk).url
    token = browser.get(url).context["targets"][0].token
    write(browser, order, "Kofi rang.")
    browser.post(url, {f"seen-{order.pk}": token, "reason": CancelReason.OTHER})
    assert now(order).status == Status.CANCELED


def test_a_note_is_not_changed(browser: Client) -> None:
    write(browser, OrderFactory(), "Kofi rang.")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Note.objects.update(text="Efua rang.")


def test_retention_deletes_notes_and_takes_no_more(browser: Client) -> None:
    order = order_in(Status.CANCELED)
    write(browser, order, "Kofi rang.")
    retention.forget(order.pk)
    assert not Note.objects.exists()
    with pytest.raises(Conflict, match="was removed"):
        notes.add(order.pk, uuid4(), "Kofi rang.", by=UserFactory())
    assert "Add the note" not in page_of(browser, order)


def test_readers_and_merchants_do_not_see_notes() -> None:
    order = OrderFactory()
    notes.add(order.pk, uuid4(), "Kofi rang.", by=UserFactory())
    reader = browser_of(Role.READONLY)
    assert "Kofi rang." not in page_of(reader, order)
    assert reader.get(reverse("order-record", args=[order.pk])).status_code == 403
    assert write(reader, order, "I too.").status_code == 403
    _, key = ApiKey.issue(name="shop", role=Role.MERCHANT, merchant=order.merchant)
    shop = Client(headers={"Authorization": f"Bearer {key}"})
    assert "Kofi rang." not in shop.get(f"/api/v1/orders/{order.pk}/record").content.decode()


# --- a pause -------------------------------------------------------------------------------------


def test_a_queued_order_says_who_paused_dispatch_and_why(browser: Client) -> None:
    order = OrderFactory()
    assert "Dispatch is paused" not in page_of(browser, order)
    act(browser, "pause", ServiceArea.objects.get(), reason="A storm over Ridge.")
    page = page_of(browser, order)
    assert "A storm over Ridge." in page
    assert "By ops, " in page
    assert "Resume dispatch…" in page
    act(browser, "pause", Policy.objects.get(), reason="All of it.")
    page = page_of(browser, order)
    assert "Dispatch is paused everywhere." in page
    assert "All of it." in page
    assert "Dispatch is paused" not in page_of(browser, order_in(Status.CANCELED))
    assert "Resume dispatch" not in page_of(browser_of(Role.READONLY), order)


def test_a_pause_from_before_pauses_were_kept_says_so(browser: Client) -> None:
    order = OrderFactory()
    ServiceArea.objects.update(dispatch_paused=True)
    assert "By whom was not kept." in page_of(browser, order)
