"""`/merchant/orders/new/`: from a store, with address, instructions, size and own data."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders.models import Order, Store
from orders.tests.factories import OrderFactory, StoreFactory
from tracking.tests.test_merchant_new_order import LIVE, client, errors, merchant, quoted, typed

__all__ = ["client", "merchant"]  # fixtures
pytestmark = pytest.mark.django_db


def test_an_order_is_placed_from_a_store(client, merchant):
    assert "store_id" not in client.get(LIVE).context["form"].fields, "there is none"
    store = StoreFactory(merchant=merchant, name="Osu", lat=5.605, lng=-0.185)
    for other in (
        StoreFactory(merchant=merchant, live_mode=False),
        StoreFactory(merchant=merchant, active=False),
        StoreFactory(),
    ):
        assert str(other.pk) not in client.get(LIVE).content.decode()
    answer, form = quoted(client, store_id=str(store.pk))
    assert "We can deliver this in" in answer.content.decode()
    assert 'value="Ridge Pharmacy"' in answer.content.decode(), "what was typed stays"
    assert client.post(LIVE, form).status_code == 201
    order = Order.objects.get()
    assert (order.store, order.pickup_name, order.pickup_lat) == (store, "Osu", 5.605)
    chosen = f'<option value="{store.pk}" selected>Osu</option>'
    assert chosen in client.get(LIVE).content.decode(), "as in the last order"


def test_a_page_can_be_opened_for_a_store(client, merchant):
    first, second = (StoreFactory(merchant=merchant) for _ in range(2))
    OrderFactory(merchant=merchant, store=first)
    content = client.get(LIVE, {"store_id": str(second.pk)}).content.decode()
    assert f'<option value="{second.pk}" selected>' in content
    assert client.get(LIVE, {"store_id": "nonsense"}).status_code == 200


def test_a_problem_of_the_store_is_at_the_store(client, merchant):
    here, away = StoreFactory(merchant=merchant), StoreFactory(merchant=merchant, lat=6.9)
    answer, _ = quoted(client, store_id=str(away.pk), dropoff="nowhere")
    assert set(errors(answer)) == {"dropoff", "store_id"}
    placed = client.post(LIVE, typed(store_id=str(away.pk), place="yes", token="1"))
    assert "is in none of our service areas" in errors(placed)["store_id"][0]
    assert set(errors(placed)) == {"store_id"}
    Store.objects.filter(pk=here.pk).update(active=False)
    for gone in (here, StoreFactory()):
        refused, _ = quoted(client, store_id=str(gone.pk))
        assert list(errors(refused)) == ["store_id"]
    assert not Order.objects.exists()


def test_address_instructions_size_and_own_data_are_kept(client):
    _, form = quoted(
        client,
        dropoff_address="12 Ring Road",
        dropoff_instructions="Blue gate.\r\nCall first.",
        payload_size_cm="30 x 20,5 × 10 cm",
        metadata="shelf: B4\r\n\r\nbuyer: 17: a",
    )
    assert client.post(LIVE, form).status_code == 201
    order = Order.objects.get()
    assert order.dropoff_address == "12 Ring Road"
    assert order.dropoff_instructions == "Blue gate.\nCall first."
    assert order.payload_size_cm == [30, 20.5, 10]
    assert order.metadata == {"shelf": "B4", "buyer": "17: a"}


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("payload_size_cm", "30 x 20", "Give length, width and height in cm, like 30 x 20 x 10."),
        ("payload_size_cm", "30 x wide x 10", "Must be a number."),
        ("payload_size_cm", "30 x 0 x 10", "Must be more than 0 cm."),
        ("metadata", "shelf B4", "“shelf B4” is no line like “shelf: B4”."),
        ("metadata", "a: 1\na: 2", "“a” is there twice."),
        ("metadata", "a" * 41 + ": 1", "no more than 40 characters"),
        ("dropoff_address", "x" * 201, "no more than 200 characters"),
    ],
)
def test_a_text_that_cannot_be_read_is_named_at_its_field(client, field, text, said):
    for button in ("quote", "place"):
        answer = client.post(LIVE, {**typed(**{field: text}), button: "yes", "token": button})
        assert answer.status_code == 400
        assert set(errors(answer)) == {field}
        assert len(errors(answer)[field]) == 1
        assert said in errors(answer)[field][0]
        assert text in answer.content.decode()
    assert not Order.objects.exists()


def test_the_form_costs_the_same_statements_with_one_store_and_with_many(client, merchant):
    OrderFactory(merchant=merchant, store=StoreFactory(merchant=merchant))

    def statements() -> int:
        with CaptureQueriesContext(connection) as taken:
            assert client.get(LIVE).status_code == 200
        return len(taken)

    # Session, user, merchant; stores, last order; two for the map's areas and hubs.
    assert statements() == 7
    for _ in range(9):
        StoreFactory(merchant=merchant)
    assert statements() == 7
