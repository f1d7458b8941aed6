"""Staff place an order for a merchant in the console, or order again."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from fleet.tests.factories import DroneFactory, ServiceAreaFactory
from orders.models import Order
from orders.states import DropoffSource, EventType, Status
from orders.tests.factories import OrderFactory, StoreFactory, order_in
from wingxtra import redis_client
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory

pytestmark = pytest.mark.django_db
TRIP = {
    "pickup": "5.6037, -0.1870",
    "dropoff": "5.6150, -0.1750",
    "payload_type": "PARCEL",
    "payload_weight_kg": "0.8",
    "priority": "URGENT",
    "pod_requirement": "NONE",
    "customer_name": "Ama Mensah",
    "customer_phone": "+233 24 123 4567",
}


@pytest.fixture(autouse=True)
def fleet() -> None:
    ServiceAreaFactory()
    DroneFactory()


def browser_of(role: Role = Role.OPS) -> Client:
    browser = Client()
    browser.force_login(UserFactory(username=role.lower(), role=role, is_staff=True))
    return browser


def address(**query: Any) -> str:
    return reverse("admin:orders_order_new", query=query)


def send(browser: Client, url: str, token: str = "", **data: str) -> HttpResponse:
    """Open the form and send it, as in a browser."""
    token = token or browser.get(url).context["token"]
    return browser.post(url, {"token": token, **data})


def placed(browser: Client, url: str, **data: str) -> Order:
    """A quote, then the order."""
    quoted = send(browser, url, quote="yes", **data)
    quote_id = str(quoted.context["quote"].id)
    token = quoted.context["token"]
    answer = send(browser, url, token=token, place="yes", quote_id=quote_id, **data)
    assert answer.status_code == 302, answer.context and answer.context["form"].errors
    return Order.objects.get(pk=answer["Location"].split("/")[-3])


def test_the_merchant_is_found_by_a_part_of_its_name() -> None:
    browser = browser_of()
    akoma, switched_off = MerchantFactory(name="Akoma Pharmacy"), MerchantFactory(active=False)
    MerchantFactory(name="Zongo Books")
    page = browser.get(address(q="pharm akoma")).content.decode()
    assert f"?merchant={akoma.pk}" in page
    assert "Zongo" not in page
    assert browser.get(address(merchant=switched_off.pk)).status_code == 404


def test_a_quote_is_shown_before_anything_is_placed() -> None:
    browser, merchant = browser_of(), MerchantFactory()
    page = send(browser, address(merchant=merchant.pk), quote="yes", **TRIP).content.decode()
    assert "min to the door" in page
    assert Order.objects.count() == 0


def test_an_order_is_placed_like_one_of_the_api() -> None:
    browser, merchant = browser_of(), MerchantFactory()
    order = placed(browser, address(merchant=merchant.pk), **TRIP)
    assert (order.merchant, order.status, order.priority) == (merchant, Status.QUEUED, "URGENT")
    assert (order.customer_phone, order.dropoff_source) == ("+233241234567", DropoffSource.OPS)
    assert order.quote_id is not None
    assert order.events.get(type=EventType.CREATED).actor == "user:ops"
    assert LogEntry.objects.get().object_id == str(order.pk)


def test_an_order_from_a_store_has_its_pickup() -> None:
    store = StoreFactory()
    data = {**TRIP, "store_id": str(store.pk), "pickup": ""}
    order = placed(browser_of(), address(merchant=store.merchant.pk), **data)
    assert (order.store, order.pickup_lat) == (store, store.lat)


def test_a_second_click_places_no_second_order() -> None:
    browser, merchant = browser_of(), MerchantFactory()
    url = address(merchant=merchant.pk)
    token = browser.get(url).context["token"]
    first = send(browser, url, token=token, place="yes", **TRIP)
    again = send(browser, url, token=token, place="yes", **TRIP)
    assert (first.status_code, again.status_code) == (302, 302)
    assert first["Location"] == again["Location"]
    assert Order.objects.count() == 1
    other = send(browser, url, token=token, place="yes", **{**TRIP, "priority": "NORMAL"})
    assert "was sent before" in other.content.decode()


@pytest.mark.parametrize("button", ["quote", "place"])
def test_every_problem_is_beside_its_field(button: str) -> None:
    browser, merchant = browser_of(), MerchantFactory()
    wrong = {
        **TRIP,
        "pickup": "by the church",
        "dropoff": "48.1, 11.5",
        "payload_weight_kg": "heavy",
        "customer_phone": "12",
        "customer_email": "not one",
        "payload_size_cm": "big",
    }
    answer = send(browser, address(merchant=merchant.pk), **{button: "yes"}, **wrong)
    assert set(answer.context["form"].errors) == {
        "pickup",
        "dropoff",
        "payload_weight_kg",
        "customer_phone",
        "customer_email",
        "payload_size_cm",
    }
    assert 'value="by the church"' in answer.content.decode()
    assert Order.objects.count() == 0


def test_a_quote_for_another_trip_places_nothing() -> None:
    browser, merchant = browser_of(), MerchantFactory()
    url = address(merchant=merchant.pk)
    quoted = send(browser, url, quote="yes", **TRIP)
    changed = {**TRIP, "payload_weight_kg": "1.2", "quote_id": str(quoted.context["quote"].id)}
    answer = send(browser, url, token=quoted.context["token"], place="yes", **changed)
    assert "The quote was for another" in answer.content.decode()
    assert Order.objects.count() == 0


def test_without_redis_nothing_is_placed_and_the_form_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(question: Any) -> None:
        raise redis_client.Away

    browser, merchant = browser_of(), MerchantFactory()
    token = browser.get(address(merchant=merchant.pk)).context["token"]
    monkeypatch.setattr(redis_client, "ask", away)
    url = address(merchant=merchant.pk)
    answer = send(browser, url, token=token, quote="yes", **TRIP)
    assert answer.status_code == 503
    assert "nothing was placed" in answer.content.decode()


# --- order again ---------------------------------------------------------------------------------


def test_an_order_is_placed_again_with_a_new_promise() -> None:
    browser = browser_of()
    order = order_in(
        Status.FAILED,
        dropoff_instructions="Mind the dog",
        metadata={"shelf": "B4"},
        payload_size_cm=[30, 20, 12.5],
        priority="MEDICAL",
        external_id="shop-17",
    )
    page = browser.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()
    url = address(again=order.pk)
    assert url in page
    form = browser.get(url).context["form"]
    copy = placed(browser, url, **{name: str(value) for name, value in form.initial.items()})
    same = ("merchant", "customer_name", "customer_phone", "dropoff_lat", "dropoff_instructions")
    for name in (*same, "payload_size_cm", "metadata", "priority", "pickup_name"):
        assert getattr(copy, name) == getattr(order, name), name
    assert (copy.status, copy.external_id) == (Status.QUEUED, None)
    assert copy.deliver_by != order.deliver_by
    assert copy.public_tracking_id != order.public_tracking_id


def test_data_that_does_not_fit_into_lines_is_said_to_be_left_out() -> None:
    order = OrderFactory(metadata={"a: b": "c"})
    answer = browser_of().get(address(again=order.pk))
    assert "is not copied" in answer.content.decode()
    assert answer.context["form"].initial["metadata"] == ""


def test_an_order_without_its_personal_data_is_not_copied() -> None:
    from django.utils import timezone

    order = OrderFactory()
    Order.objects.filter(pk=order.pk).update(forgotten_at=timezone.now())
    assert browser_of().get(address(again=order.pk)).status_code == 404


# --- who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.READONLY, Role.LOADER])
def test_others_may_not(role: Role) -> None:
    browser, order = browser_of(role), OrderFactory()
    for url in (address(), address(merchant=order.merchant.pk), address(again=order.pk)):
        assert browser.get(url).status_code in (302, 403)
        assert browser.post(url, TRIP).status_code in (302, 403)


@pytest.mark.parametrize("query", [{"merchant": "x"}, {"merchant": uuid4()}, {"again": "x"}])
def test_unknown_ones_are_a_404(query: dict[str, Any]) -> None:
    assert browser_of().get(address(**query)).status_code == 404


def test_the_search_takes_few_statements_for_any_number() -> None:
    Merchant.objects.bulk_create(Merchant(name=f"Shop {n}") for n in range(100))
    browser = browser_of()
    with CaptureQueriesContext(connection) as taken:
        page = browser.get(address(q="shop")).content.decode()
    assert len(taken) <= 8
    assert "The first 20." in page
