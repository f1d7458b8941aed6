"""`/merchant/stores/`: the merchant's stores."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from fleet.models import ServiceArea
from fleet.tests.factories import ServiceAreaFactory
from orders.models import Store
from orders.tests.factories import OrderFactory, StoreFactory
from tracking.merchant import stores
from tracking.tests.test_merchant_access import client_of, user_of
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory

pytestmark = pytest.mark.django_db
LIST, NEW = "/merchant/stores/", "/merchant/stores/new/"
HOURS = {
    "timezone": "Africa/Accra",
    "weekly": [{"weekday": "MONDAY", "opens": "08:00", "closes": "20:00"}],
    "exceptions": [{"date": "2026-12-25", "intervals": []}],
}


@pytest.fixture(autouse=True)
def area() -> ServiceArea:
    area: ServiceArea = ServiceAreaFactory(time_zone="Africa/Accra")
    return area


@pytest.fixture
def merchant() -> Merchant:
    return MerchantFactory()


@pytest.fixture
def client(merchant: Merchant) -> Client:
    return client_of(user_of(merchant))


def of(store: Store) -> str:
    return f"/merchant/{'' if store.live_mode else 'test/'}stores/{store.pk}/"


def page(client: Client, path: str, **query: str) -> str:
    answer = client.get(path, query)
    assert answer.status_code == 200
    return answer.content.decode()


def typed(**changed: str) -> dict[str, str]:
    form = {
        "name": "Ridge",
        "place": "5.6037, -0.1870",
        "instructions": "Ring at\r\nthe side door.",
        "weekly": "Mon-Tue 08:00-12:00, 14:00-20:00",
        "exceptions": "2026-12-25 closed",
        "timezone": "Africa/Accra",
    }
    return {**form, **changed}


def errors(answer: Any) -> dict[str, list[str]]:
    return {name: list(found) for name, found in answer.context["form"].errors.items()}


def test_an_empty_list_says_what_a_store_is(client):
    assert "There are no stores yet. A store is a place" in page(client, LIST)
    assert "There are no test stores yet." in page(client, "/merchant/test/stores/")


def test_the_list_shows_own_stores_of_the_mode(client, merchant):
    mine = StoreFactory(merchant=merchant, hours=HOURS)
    closed = StoreFactory(merchant=merchant, active=False)
    test = StoreFactory(merchant=merchant, live_mode=False)
    other = StoreFactory()
    content = page(client, LIST)
    assert "Monday 08:00-20:00" in content
    assert "Takes no orders" in content
    assert of(mine) in content
    assert of(closed) in content
    assert of(test) not in content
    assert of(other) not in content
    assert of(test) in page(client, "/merchant/test/stores/")


def test_a_store_is_added_as_by_the_api(client, merchant):
    assert 'value="Africa/Accra"' in page(client, NEW), "the time zone of the area"
    for path, live in ((NEW, True), ("/merchant/test/stores/new/", False)):
        answer = client.post(path, typed())
        store = Store.objects.get(live_mode=live)
        assert (answer.status_code, answer["Location"]) == (303, of(store))
        assert (store.merchant, store.name, store.lat) == (merchant, "Ridge", 5.6037)
        assert store.instructions == "Ring at\nthe side door."
        assert [entry["weekday"] for entry in store.hours["weekly"]] == ["MONDAY"] * 2 + [
            "TUESDAY"
        ] * 2
        assert store.hours["exceptions"] == HOURS["exceptions"]
        assert "The store “Ridge” is added." in page(client, of(store))


def test_a_store_without_hours_is_always_open(client):
    client.post(NEW, typed(weekly="", exceptions=""))
    store = Store.objects.get()
    assert store.hours is None
    content = page(client, of(store))
    assert ">Open</strong>" in content
    assert 'value="Africa/Accra"' in content


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("name", "", "This field may not be blank."),
        ("place", "Ridge", "Give latitude and longitude, like 5.60370, -0.18700."),
        ("place", "", "required"),
        ("place", "95, -0.17", "Must be between -90 and 90 degrees."),
        ("place", "6.9, -0.17", "6.90000, -0.17000 is in none of our service areas."),
        ("instructions", "x" * 301, "300"),
        ("weekly", "Someday 08:00-20:00", "“Someday 08:00-20:00” is no line like"),
        ("weekly", "Mon 08:00-08:00", "It opens and closes at the same time"),
        ("exceptions", "2026-02-30 closed", "“2026-02-30 closed” is no line like"),
        ("exceptions", "2026-12-25 closed\n2026-12-25 closed", "is there twice"),
        ("timezone", "Accra", "“Accra” is no IANA time zone"),
        ("timezone", "", "Opening hours need their time zone."),
    ],
)
def test_a_problem_is_at_its_field_and_nothing_is_lost(client, merchant, field, text, said):
    store = StoreFactory(merchant=merchant, name="Former")
    for path in (NEW, of(store)):
        wrong = typed(**{field: text})
        answer = client.post(path, {**wrong, "do": "change"})
        assert answer.status_code == 400
        assert set(errors(answer)) == {field}
        assert said in errors(answer)[field][0]
        assert len(errors(answer)[field]) == 1
        content = answer.content.decode()
        assert f'value="{wrong["name"]}"' in content or not wrong["name"]
        assert "Ring at\r\nthe side door." in content or field == "instructions"
        assert wrong["weekly"] in content
        assert wrong["exceptions"] in content
    assert Store.objects.get().name == "Former"


def test_problems_of_several_fields_are_named_together(client):
    answer = client.post(NEW, typed(name="", place="Ridge", weekly="always"))
    assert set(errors(answer)) == {"name", "place", "weekly"}


def test_a_name_that_is_taken_is_a_409_at_the_name(client, merchant):
    StoreFactory(merchant=merchant, name="ridge")
    answer = client.post(NEW, typed())
    assert answer.status_code == 409
    assert "is called “ridge” already" in errors(answer)["name"][0]
    other = StoreFactory(merchant=merchant, name="Osu")
    assert client.post(of(other), typed(do="change")).status_code == 409


def test_a_store_is_changed(client, merchant):
    store = StoreFactory(merchant=merchant, hours=HOURS, instructions="Ring.")
    content = page(client, of(store))
    for shown in ("Monday 08:00-20:00", "2026-12-25 closed", "Ring.", "5.603700, -0.187000"):
        assert shown in content
    answer = client.post(of(store), typed(do="change", instructions="", exceptions=""))
    assert answer["Location"] == of(store)
    changed = Store.objects.get()
    assert (changed.name, changed.instructions) == ("Ridge", "")
    assert changed.hours["exceptions"] == []
    client.post(of(store), typed(do="change", weekly="", exceptions=""))
    assert Store.objects.get().hours is None
    assert client.post(of(store), {"do": "dance"}).status_code == 400


def test_a_store_is_closed_and_opened_again(client, merchant):
    store = StoreFactory(merchant=merchant)
    assert "order from here" in page(client, of(store))
    client.post(of(store), {"do": "close"})
    assert Store.objects.get().active is False
    content = page(client, of(store))
    assert "is closed and takes no more orders." in content
    assert "order from here" not in content
    client.post(of(store), {"do": "open"})
    assert Store.objects.get().active is True


def test_a_store_that_is_not_served_any_more_says_why_it_stays_closed(client, merchant):
    store = StoreFactory(merchant=merchant, active=False, lat=6.9)
    answer = client.post(of(store), {"do": "open"})
    assert answer.status_code == 400
    assert "is in none of our service areas" in answer.content.decode()
    assert Store.objects.get().active is False


def test_a_store_with_orders_is_closed_and_one_without_is_removed(client, merchant):
    used, unused = (StoreFactory(merchant=merchant, name=name) for name in ("Used", "Unused"))
    OrderFactory(merchant=merchant, store=used)
    assert "It has orders, so it stays" in page(client, of(used) + "remove/")
    assert "It has no orders." in page(client, of(unused) + "remove/")
    assert Store.objects.count() == 2
    for store, said in ((used, "“Used” is closed."), (unused, "“Unused” is removed.")):
        answer = client.post(of(store) + "remove/")
        assert (answer.status_code, answer["Location"]) == (303, LIST)
        assert said in page(client, LIST)
    assert [(store.name, store.active) for store in Store.objects.all()] == [("Used", False)]


def test_a_store_leads_to_its_orders(client, merchant):
    store = StoreFactory(merchant=merchant, name="Ridge")
    here = OrderFactory(merchant=merchant, store=store, pickup_name="Ridge", external_id="HERE-1")
    OrderFactory(merchant=merchant, external_id="THERE-1")
    path = f"/merchant/?store_id={store.pk}"
    assert f'href="{path}"' in page(client, LIST)
    assert f'href="{path}"' in page(client, of(store))
    content = page(client, path)
    assert "HERE-1" in content
    assert "THERE-1" not in content
    assert f"/merchant/?tab=waiting&amp;store_id={store.pk}" in content
    assert f"export.csv?store_id={store.pk}" in content
    assert f'<a href="/merchant/stores/{store.pk}/">Ridge</a>' in page(
        client, f"/merchant/orders/{here.pk}/"
    )
    empty = StoreFactory(merchant=merchant)
    assert "no orders of this store yet" in page(client, f"/merchant/?store_id={empty.pk}")


@pytest.mark.parametrize("store_id", ["", "one", None])
def test_orders_of_another_merchants_store_are_a_404(client, store_id):
    wanted = store_id if store_id is not None else str(StoreFactory().pk)
    answer = client.get("/merchant/", {"store_id": wanted})
    assert answer.status_code == (404 if wanted else 200)


def test_pages_follow_each_other(client, merchant, monkeypatch):
    monkeypatch.setattr(stores, "ROWS", 2)
    for _ in range(3):
        StoreFactory(merchant=merchant)
    first = client.get(LIST).context
    assert [len(first["rows"]), first["first_url"]] == [2, ""]
    second = client.get(first["next_url"]).context
    assert [len(second["rows"]), second["next_url"], second["first_url"]] == [1, "", LIST]
    assert client.get(LIST, {"after": "cut-off"})["Location"] == LIST


def test_the_pages_cost_a_fixed_number_of_statements(client, merchant):
    store = StoreFactory(merchant=merchant, hours=HOURS)

    def statements(path: str) -> int:
        with CaptureQueriesContext(connection) as taken:
            page(client, path)
        return len(taken)

    # Session, user, merchant; the stores; two for the areas and hubs; whether there are orders.
    expected = {LIST: 4, NEW: 5, of(store): 6, of(store) + "remove/": 5}
    assert {path: statements(path) for path in expected} == expected
    for _ in range(9):
        StoreFactory(merchant=merchant, hours=HOURS)
    assert statements(LIST) == 4
