"""The console's list of orders: filters, order, counts, renewal, weight, saved filters."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fleet.feasibility.rules import Priority
from fleet.tests.factories import DroneFactory
from orders.console import tabs
from orders.models import Order
from orders.states import Status
from orders.tests.factories import OrderFactory, StoreFactory, multiply_orders, order_in
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console.lists import saved_filters
from wingxtra.console.models import SavedFilter

pytestmark = pytest.mark.django_db
LIST, EXPORT = "/admin/orders/order/", "/admin/orders/order/export.csv"
SAVE = "/admin/orders/order/save-filter/"
MAX_PAGE_BYTES = 120_000


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def ama() -> User:
    user: User = UserFactory(username="ama", ops=True)
    return user


@pytest.fixture
def browser(ama: User) -> Client:
    return client_of(ama)


def listed(browser: Client, query: str = "") -> list[str]:
    """Tracking ids in the order of the list."""
    answer = browser.get(f"{LIST}?{query}")
    assert answer.status_code == 200
    return re.findall(r'<th><a href="[^"]*">(\w+)', answer.content.decode())


def exported(browser: Client, query: str) -> set[str]:
    answer: Any = browser.get(f"{EXPORT}?{query}")
    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()[1:]
    return {line.split(",")[1] for line in lines}


# --- filters -------------------------------------------------------------------------------------


def test_each_filter_narrows_the_list_and_the_file(browser: Client) -> None:
    drone = DroneFactory(drone_id="WX-DRN-007")
    store = StoreFactory()
    orders = {
        "drone=wx-drn-007": order_in(Status.ENROUTE, drone=drone),
        f"store__id__exact={store.pk}": OrderFactory(store=store, merchant=store.merchant),
        "holder__exact=RECIPIENT": order_in(Status.DELIVERED),
        "reason=OTHER": order_in(Status.FAILED),
        "priority__exact=MEDICAL": OrderFactory(priority=Priority.MEDICAL),
        "promise=late": OrderFactory(deliver_by=timezone.now() - timedelta(hours=1)),
    }
    reason = orders["reason=OTHER"].reason_code
    for query, order in orders.items():
        narrowed = query.replace("OTHER", reason)
        assert listed(browser, narrowed) == [order.public_tracking_id], narrowed
        assert exported(browser, narrowed) == {order.public_tracking_id}, narrowed
    both = f"holder__exact=RECIPIENT&reason={reason}"
    assert listed(browser, both) == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("tab=urgent", "“tab” does not know “urgent”"),
        ("status__exact=FLYING", "“status” does not know “FLYING”"),
        ("promise=soon", "“promise” does not know “soon”"),
        ("hold=yes", "“hold” does not know “yes”"),
        ("reason=BAD_LUCK", "does not know “BAD_LUCK”"),
        ("drone=WX-NONE", "There is no drone “WX-NONE”."),
        ("merchant__id__exact=nobody", "“merchant” does not know “nobody”"),
        ("store__id__exact=7", "“store” does not know “7”"),
        ("created_at_from=tomorrow", "“tomorrow” is not a day"),
        ("deliver_by_to=9999-12-31&promise=soon", "“promise” does not know “soon”"),
        ("colour=red", "This list has no filter “colour”."),
        ("created_at__gte=x", "A filter has a value that it cannot have."),
        ("p=0", "There is no page 0."),
    ],
)
def test_what_the_list_does_not_know_is_said_and_nothing_is_shown(
    browser: Client, query: str, said: str
) -> None:
    order = OrderFactory()
    answer = browser.get(f"{LIST}?{query}")
    page = answer.content.decode()
    assert answer.status_code == 400
    assert said in page
    assert order.public_tracking_id not in page
    if "p=0" not in query:
        file = browser.get(f"{EXPORT}?{query}")
        assert (file.status_code, said in file.content.decode()) == (400, True)


def test_the_last_day_there_is_has_no_day_after_it(browser: Client) -> None:
    order = OrderFactory()
    assert listed(browser, "created_at_to=9999-12-31") == [order.public_tracking_id]


def test_an_action_on_a_list_with_an_unknown_filter_acts_on_nothing(browser: Client) -> None:
    order = OrderFactory()
    data = {"action": "cancel", "index": "0", "select_across": "1", "_selected_action": order.pk}
    answer: Any = browser.post(f"{LIST}?status__exact=FLYING", data, follow=True)
    page = answer.content.decode()
    assert "none of what you selected is in this list any more" in page
    assert "does not know “FLYING”" in page


def test_the_fields_of_the_filters_show_what_is_chosen(browser: Client) -> None:
    OrderFactory()
    page = browser.get(f"{LIST}?status__exact=QUEUED&tab=queued&q=ama&drone=").content.decode()
    assert '<option value="QUEUED" selected>' in page
    for name, value in (("tab", "queued"), ("q", "ama")):
        assert f'<input type="hidden" name="{name}" value="{value}">' in page
    (fields,) = re.findall(r'<form id="filter-form".*?</form>', page)
    assert "status__exact" not in fields  # the field itself has it


# --- order and counts ----------------------------------------------------------------------------


def in_minutes(minutes: int, priority: Priority) -> str:
    at = timezone.now() + timedelta(minutes=minutes)
    return str(OrderFactory(priority=priority, deliver_by=at))


@pytest.mark.parametrize("tab", ["queued", "attention"])
def test_the_most_urgent_order_is_first(browser: Client, tab: str) -> None:
    late = -90 if tab == "attention" else 0
    third = in_minutes(late + 60, Priority.URGENT)
    last = in_minutes(late + 20, Priority.NORMAL)
    second = in_minutes(late + 80, Priority.MEDICAL)
    first = in_minutes(late + 30, Priority.MEDICAL)
    assert listed(browser, f"tab={tab}") == [first, second, third, last]
    assert listed(browser, f"tab={tab}&o=4") == [last, first, third, second]  # as chosen
    assert listed(browser)[0] == first  # elsewhere the newest
    for query, is_marked in ((f"tab={tab}", False), ("", True)):
        assert ("aria-sort" in browser.get(f"{LIST}?{query}").content.decode()) == is_marked


def test_columns_sort_where_that_is_quick(browser: Client) -> None:
    normal, medical = OrderFactory(), OrderFactory(priority=Priority.MEDICAL)
    page = browser.get(f"{LIST}?tab=queued").content.decode()
    head = page.split("<thead>")[1].split("</thead>")[0]
    assert head.count("<a href=") == 8  # all but the customer
    urgency = re.search(r'href="(\?o=3[^"]*)">Priority', head)
    assert urgency
    assert "tab=queued" in urgency[1]
    assert listed(browser, "tab=queued&o=3") == [str(medical), str(normal)]
    assert listed(browser, "tab=queued&o=-3") == [str(normal), str(medical)]
    everything = browser.get(LIST).content.decode().split("<thead>")[1].split("</thead>")[0]
    assert everything.count("<a href=") == 4
    assert 'aria-sort="ascending"' in browser.get(f"{LIST}?o=2").content.decode()


def test_tabs_count_their_orders_up_to_a_limit(browser: Client, monkeypatch: Any) -> None:
    def counts() -> dict[str, str]:
        page = browser.get(f"{LIST}?status__exact=FAILED").content.decode()
        return dict(re.findall(r">([A-Z][a-z ]+) <small>([^<]+)</small>", page))

    OrderFactory.create_batch(3)
    order_in(Status.DELIVERED)
    assert counts() == {
        "Needs attention": "0",
        "Queued": "3",
        "Assigned": "0",
        "In flight": "0",
        "Scheduled": "0",
        "Done": "1",
    }
    monkeypatch.setattr(tabs, "MAX_COUNTED", 2)
    assert counts()["Queued"] == "2+"


# --- renewal -------------------------------------------------------------------------------------


def renewed(browser: Client, tag: str = "first", query: str = "") -> Any:
    return browser.get(f"{LIST}?{query}", headers={"X-Renew": tag})


def test_a_list_asks_for_its_rows_and_hears_if_they_are_the_same(browser: Client) -> None:
    order = OrderFactory()
    answer = renewed(browser)
    part = answer.content.decode()
    assert str(order) in part
    assert "<nav" in part
    assert "<html" not in part
    assert renewed(browser, answer["X-Renewed"]).status_code == 204
    Order.objects.filter(pk=order.pk).update(priority=Priority.MEDICAL)
    assert "Medical" in renewed(browser, answer["X-Renewed"]).content.decode()
    # A search that now names one order does not take the page away.
    assert renewed(browser, query=f"q={order}").status_code == 200
    assert renewed(browser, query="tab=none").status_code == 400


def test_renewing_takes_at_most_8_statements(browser: Client) -> None:
    OrderFactory.create_batch(5)
    with CaptureQueriesContext(connection) as statements:
        assert renewed(browser).status_code == 200
    assert len(statements) <= 8, "\n".join(query["sql"] for query in statements)


# --- weight --------------------------------------------------------------------------------------


def test_a_page_of_a_hundred_orders_is_light(browser: Client) -> None:
    order_in(Status.ENROUTE, drone=DroneFactory(drone_id="WX-DRN-007"))
    unique = {
        "id": "gen_random_uuid()",
        "public_tracking_id": "upper(left(md5('track' || n), 13))",
        "external_id": "'REF-' || n",
        "current_job_id": "NULL",
        "status": "'QUEUED'",
    }
    multiply_orders(120, unique)
    for number in range(5):
        saved = {"query": f"tab=queued&p={number}", "label": "orders.order", "is_shared": True}
        SavedFilter.objects.create(name=f"Evening {number}", owner=UserFactory(), **saved)
    page = browser.get(LIST).content
    assert page.count(b"<tr>") == 101
    assert len(page) <= MAX_PAGE_BYTES


# --- saved filters -------------------------------------------------------------------------------

QUERY = "tab=queued&priority__exact=MEDICAL"


def save(browser: Client, query: str = QUERY, **posted: str) -> str:
    """What the page says afterwards."""
    answer = browser.post(f"{SAVE}?{query}", {"name": "Urgent ones", **posted}, follow=True)
    return answer.content.decode()


def test_a_filter_is_saved_under_a_name_and_leads_to_its_list(browser: Client, ama: User) -> None:
    wanted = OrderFactory(priority=Priority.MEDICAL)
    OrderFactory()
    assert "“Urgent ones” is saved" in save(browser, f"{QUERY}&q=Mensah&p=3&promise=")
    (one,) = SavedFilter.objects.all()
    assert (one.owner, one.label, one.is_shared) == (ama, "orders.order", False)
    assert one.query == "priority__exact=MEDICAL&tab=queued"  # no search, page or empty field
    page = browser.get(f"{LIST}?{one.query}").content.decode()
    assert "Saved filters: <strong>Urgent ones</strong>" in page
    assert listed(browser, one.query) == [str(wanted)]
    assert exported(browser, one.query) == {str(wanted)}
    save(browser, "tab=done")
    assert [one.query for one in SavedFilter.objects.all()] == ["tab=done"]


def test_what_cannot_be_saved_is_said(browser: Client, monkeypatch: Any) -> None:
    assert "choose a tab or a filter first" in save(browser, "q=Mensah")
    assert "does not know “FLYING”" in save(browser, "status__exact=FLYING")
    assert "no filter “colour”" in save(browser, "colour=red")
    assert "was not saved" in save(browser, name="")
    assert "was not saved" in save(browser, name="x" * 61)
    monkeypatch.setattr(saved_filters, "MAX_QUERY", 10)
    assert "at most 10 can be kept" in save(browser)
    monkeypatch.undo()
    monkeypatch.setattr(saved_filters, "MAX_OWN", 1)
    assert "is saved" in save(browser)
    assert "You have 1 saved filters, which is the most" in save(browser, name="Another")
    monkeypatch.undo()
    monkeypatch.setattr(saved_filters, "MAX_SHARED", 0)
    assert "Staff share 0 filters of this list" in save(browser, name="Ours", is_shared="on")
    assert browser.get(f"{SAVE}?{QUERY}").status_code == 405
    assert SavedFilter.objects.count() == 1


def test_own_filters_come_first_and_all_are_shown_in_one_statement(
    browser: Client, ama: User
) -> None:
    most = saved_filters.MAX_SHARED
    for number in range(saved_filters.MAX_OWN):
        SavedFilter.objects.create(
            name=f"Z {number:02}", owner=ama, label="orders.order", query="tab=done"
        )
    before = statements(browser)
    for number in range(most):
        SavedFilter.objects.create(
            name=f"A {number:02}",
            owner=UserFactory(),
            label="orders.order",
            query="tab=queued",
            is_shared=True,
        )
    assert statements(browser) == before
    shown = browser.get(LIST).context["saved_filters"]
    names = [one["filter"].name for one in shown]
    assert (names[0], names[29], names[30], names[-1]) == ("Z 00", "Z 29", "A 00", "A 69")


def statements(browser: Client) -> int:
    with CaptureQueriesContext(connection) as taken:
        browser.get(LIST)
    return len(taken)


def test_others_see_a_shared_filter_only(browser: Client) -> None:
    save(browser)
    save(browser, name="For the shift", is_shared="on")
    for role in (Role.READONLY, Role.OPS):
        page = client_of(UserFactory(role=role)).get(LIST).content.decode()
        assert "For the shift" in page
        assert "shared by ama" in page
        assert "Urgent ones" not in page
        assert "Delete the filter" not in page


def test_a_filter_is_deleted_by_its_owner_or_when_shared_by_an_administrator(
    browser: Client,
) -> None:
    save(browser)
    save(browser, name="For the shift", is_shared="on")
    own, shared = (
        SavedFilter.objects.get(name="Urgent ones"),
        SavedFilter.objects.get(name="For the shift"),
    )
    ops, boss, reader = (client_of(UserFactory(role=r)) for r in ("OPS", "ADMIN", "READONLY"))

    def delete(client: Client, one: SavedFilter) -> int:
        return int(client.post(f"/admin/saved-filters/{one.pk}/delete/").status_code)

    assert [delete(client, shared) for client in (ops, reader)] == [403, 403]
    assert [delete(client, own) for client in (ops, reader, boss)] == [404, 404, 404]
    assert browser.get(f"/admin/saved-filters/{own.pk}/delete/").status_code == 405
    assert (delete(boss, shared), delete(browser, own)) == (302, 302)
    assert not SavedFilter.objects.exists()


def test_readers_and_strangers_save_nothing() -> None:
    reader = client_of(UserFactory(role=Role.READONLY))
    assert "Save what is shown" not in reader.get(LIST).content.decode()
    assert reader.post(f"{SAVE}?{QUERY}", {"name": "Mine"}).status_code == 403
    for client in (Client(), client_of(UserFactory(role=Role.LOADER))):
        answer = client.post(f"{SAVE}?{QUERY}", {"name": "Mine"})
        assert answer.status_code in (302, 403)
    assert not SavedFilter.objects.exists()


def test_the_whole_list_takes_at_most_12_statements_with_all_filters(browser: Client) -> None:
    store = StoreFactory()
    order = OrderFactory(store=store, merchant=store.merchant)
    save(browser)
    query = {
        "tab": "queued",
        "merchant__id__exact": order.merchant_id,
        "service_area__id__exact": order.service_area_id,
        "status__exact": "QUEUED",
        "q": "ama",
        "o": "4",
    }
    with CaptureQueriesContext(connection) as statements:
        assert browser.get(f"{LIST}?{urlencode(query)}").status_code == 200
    assert len(statements) <= 12, "\n".join(query["sql"] for query in statements)


def test_orders_of_days_of_the_promise_are_sorted_by_it_unless_a_column_is_chosen(
    browser: Client,
) -> None:
    now = timezone.now()
    orders = [OrderFactory(deliver_by=now + timedelta(hours=hours)) for hours in (30, 28, 29)]
    other = OrderFactory(deliver_by=now + timedelta(days=9))
    days = urlencode(
        {
            "deliver_by_from": (now + timedelta(hours=28)).date(),
            "deliver_by_to": (now + timedelta(hours=30)).date(),
        }
    )
    by_promise = [str(orders[n]) for n in (0, 2, 1)]
    assert listed(browser, days) == by_promise
    newest_first = listed(browser, f"{days}&o=-9")
    assert sorted(newest_first) == sorted(by_promise)
    assert str(other) not in newest_first
    assert newest_first[0] == str(orders[2])
