"""Actions on more objects than a page shows: true numbers, each object once, a result per row."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connection, connections
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import EventType, Status
from orders.tests.factories import OrderFactory
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory
from wingxtra.console import actions, actors
from wingxtra.console.bulk import choosing, worker
from wingxtra.console.models import BulkAction, BulkRow
from wingxtra.outbox import Claim, ClaimLost

pytestmark = pytest.mark.django_db
LIST = "/admin/orders/order/"
State = BulkRow.State


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: Any) -> None:
    monkeypatch.setattr(actions, "MAX_TARGETS", 3)


@pytest.fixture
def ama() -> User:
    user: User = UserFactory(username="ama", ops=True)
    return user


@pytest.fixture
def browser(ama: User) -> Client:
    browser = Client()
    browser.force_login(ama)
    return browser


def select_all(browser: Client, name: str) -> HttpResponse:
    data = {"action": name, "index": "0", "select_across": "1"}
    shown = str(Order.objects.values_list("pk", flat=True)[0])
    answer: HttpResponse = browser.post(LIST, {**data, "_selected_action": [shown]}, follow=True)
    return answer


def chosen(user: User, count: int = 5, name: str = "cancel") -> BulkAction:
    action = actions.named("orders.order", name)
    assert action is not None
    pks = [order.pk for order in OrderFactory.create_batch(count)]
    return choosing.choose(action, pks, user)


def confirmed(user: User, count: int = 5) -> BulkAction:
    bulk = chosen(user, count)
    form = {"reason": ["WEATHER"], "note": ["storm"], "override": [""]}
    BulkAction.objects.filter(pk=bulk.pk).update(state="RUNNING", form=form)
    return bulk


def outcomes(bulk: BulkAction) -> dict[str, int]:
    states = list(bulk.rows.values_list("state", flat=True))
    return {state: states.count(state) for state in sorted(set(states))}


def now(bulk: BulkAction) -> BulkAction:
    return BulkAction.objects.get(pk=bulk.pk)


def let_die(bulk: BulkAction) -> None:
    """Let the claim expire, as a minute after the death of its worker."""
    BulkAction.objects.filter(pk=bulk.pk).update(claimed_until=timezone.now())


def cancelations() -> list[Any]:
    canceled = DeliveryEvent.objects.filter(type=EventType.CANCELED)
    return list(canceled.values_list("order_id", flat=True))


# --- choosing ------------------------------------------------------------------------------------


def test_the_list_says_how_many_it_selects(browser: Client) -> None:
    OrderFactory.create_batch(102)
    page = browser.get(LIST).content.decode()
    assert "Select all 102 orders" in page
    assert "999999" not in page


def test_more_than_can_be_selected_are_not_counted_on(browser: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(choosing, "MAX_CHOSEN", 100)
    OrderFactory.create_batch(102)
    page = browser.get(LIST).content.decode()
    assert "More than 100 orders match." in page
    assert "Select all 10" not in page
    answer = select_all(browser, "cancel").content.decode()
    assert "“Cancel the order” takes at most 100 at a time" in answer
    assert not BulkAction.objects.exists()


def test_an_action_that_is_not_for_thousands_says_its_limit(browser: Client) -> None:
    OrderFactory.create_batch(4)
    answer = select_all(browser, "dispatch").content.decode()
    assert "“Dispatch now” takes at most 3 at a time" in answer


def test_few_objects_are_done_at_once_as_before(browser: Client) -> None:
    OrderFactory.create_batch(3)
    assert select_all(browser, "cancel").context["action"].name == "cancel"
    assert not BulkAction.objects.exists()


def test_from_the_list_to_a_result_per_row(browser: Client, ama: User) -> None:
    OrderFactory.create_batch(5)
    page = select_all(browser, "cancel")
    assert "Cancel the order: 5" in page.content.decode()
    bulk = BulkAction.objects.get()
    url = actions.page_of(bulk)
    assert cancelations() == []
    wrong = browser.post(url, {"reason": "NONE"})
    assert now(bulk).state == "CHOSEN"
    assert wrong.context["form"].errors
    assert "0 of 5" in browser.post(url, {"reason": "WEATHER"}, follow=True).content.decode()
    assert not worker.work(bulk.pk)
    page = browser.get(url)
    assert "Done: 5 of 5" in page.content.decode()
    first = Order.objects.order_by("-created_at")[0]
    assert f"Order {first} was canceled." in page.content.decode()
    assert {order.status for order in Order.objects.all()} == {Status.CANCELED}
    assert now(bulk).form == {}, "the note goes with the order when its customer is forgotten"


def test_a_second_click_is_no_second_action(browser: Client, ama: User) -> None:
    bulk = chosen(ama)
    for _ in range(2):
        assert browser.post(actions.page_of(bulk), {"reason": "WEATHER"}).status_code == 302
    worker.work(bulk.pk)
    assert browser.post(actions.page_of(bulk), {"reason": "WEATHER"}).status_code == 302
    assert not worker.work(bulk.pk)
    assert len(cancelations()) == 5


def test_the_page_takes_the_same_statements_for_any_number(browser: Client, ama: User) -> None:
    def statements(bulk: BulkAction) -> int:
        with CaptureQueriesContext(connection) as taken:
            assert browser.get(actions.page_of(bulk)).status_code == 200
        return len(taken)

    few, many = chosen(ama, 2), chosen(ama, 30)
    statements(few)
    assert statements(few) == statements(many) <= 15


# --- who -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "sees", "does"),
    # A POST without a login gets its text back, with a link to the login.
    [(Role.READONLY, 200, 403), (Role.OPS, 200, 403), (Role.MERCHANT, 302, 302), (None, 302, 403)],
)
def test_only_the_person_who_chose_confirms(
    ama: User, role: Role | None, sees: int, does: int
) -> None:
    bulk, browser = chosen(ama), Client()
    if role is not None:
        merchant = MerchantFactory() if role == Role.MERCHANT else None
        browser.force_login(UserFactory(role=role, is_staff=True, merchant=merchant))
    assert browser.get(actions.page_of(bulk)).status_code == sees
    assert browser.get(reverse("admin:bulk_now", args=[bulk.pk])).status_code == sees
    assert browser.post(actions.page_of(bulk), {"reason": "WEATHER"}).status_code == does
    assert now(bulk).state == "CHOSEN"


def test_an_unknown_one_is_a_404(browser: Client) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    for url in (
        f"/admin/console/bulkaction/{unknown}/change/",
        reverse("admin:bulk_now", args=[unknown]),
    ):
        assert browser.get(url).status_code == 404


def test_a_person_who_lost_the_right_does_nothing_more(ama: User) -> None:
    bulk = confirmed(ama)
    User.objects.filter(pk=ama.pk).update(role=Role.READONLY)
    worker.work(bulk.pk)
    assert (outcomes(bulk), cancelations()) == ({State.REFUSED: 5}, [])
    assert set(bulk.rows.values_list("result", flat=True)) == {worker.NOT_ALLOWED}


# --- each object once ----------------------------------------------------------------------------


def test_what_changed_since_is_left_as_it_is(ama: User) -> None:
    bulk = confirmed(ama)
    first = bulk.rows.get(position=1)
    lifecycle.assign(UUID(first.object_id), DroneFactory().pk, by=ama.actor, why="It is close.")
    worker.work(bulk.pk)
    assert outcomes(bulk) == {State.DONE: 4, State.REFUSED: 1}
    assert bulk.rows.get(position=1).result.startswith(worker.CHANGED)


def test_an_object_that_is_gone_is_told(ama: User) -> None:
    bulk = confirmed(ama)
    missing = "00000000-0000-4000-8000-000000000000"
    bulk.rows.filter(position=1).update(object_id=missing)
    worker.work(bulk.pk)
    assert outcomes(bulk) == {State.DONE: 4, State.REFUSED: 1}
    assert bulk.rows.get(position=1).result == worker.GONE


def test_it_works_in_slices_and_stops_when_asked(
    browser: Client, ama: User, monkeypatch: Any
) -> None:
    monkeypatch.setattr(worker, "SLICE_S", 0)
    bulk = confirmed(ama)
    assert worker.work(bulk.pk)
    assert worker.work(bulk.pk)
    browser.post(actions.page_of(bulk), {"stop": "1"})
    assert "stopping" in browser.get(actions.page_of(bulk)).content.decode()
    assert not worker.work(bulk.pk)
    assert outcomes(bulk) == {State.DONE: 2, State.WAITING: 3}
    assert (now(bulk).state, len(cancelations())) == ("STOPPED", 2)


def test_a_row_of_a_dead_worker_is_not_done_again(ama: User) -> None:
    bulk = confirmed(ama)
    bulk.rows.filter(position=1).update(state=State.STARTED)
    worker.work(bulk.pk)
    assert outcomes(bulk) == {State.DONE: 4, State.UNKNOWN: 1}
    assert bulk.rows.get(position=1).result == worker.INTERRUPTED


def test_a_worker_that_lost_its_claim_starts_nothing(ama: User) -> None:
    bulk = confirmed(ama)
    claim = Claim(BulkAction, bulk.pk, bulk.pk)  # never granted
    with pytest.raises(ClaimLost):
        worker._slice(claim)
    assert outcomes(bulk) == {State.WAITING: 5}


WORK = """
import sys, uuid, django
django.setup()
from wingxtra.console.bulk import worker
worker.work(uuid.UUID(sys.argv[1]))
"""


def in_a_process(bulk: BulkAction) -> "subprocess.Popen[bytes]":
    """A separate process on the test's database that works on it."""
    url = urlsplit(settings.DATABASE_URL)._replace(path="/" + connection.settings_dict["NAME"])
    named = {"DJANGO_SETTINGS_MODULE": "wingxtra.settings", "DATABASE_URL": url.geturl()}
    command = [sys.executable, "-c", WORK, str(bulk.pk)]
    return subprocess.Popen(command, cwd=settings.BASE_DIR, env=os.environ | named)


@pytest.mark.django_db(transaction=True)
def test_killed_workers_do_each_order_once(ama: User) -> None:
    bulk = confirmed(ama, 60)
    for part in (5, 20, 35):
        process = in_a_process(bulk)
        while bulk.rows.filter(state=State.DONE).count() < part:
            assert process.poll() is None
            time.sleep(0.002)
        process.kill()
        process.wait()
        assert now(bulk).claimed_until > timezone.now()
        assert not worker.work(bulk.pk), "the claim holds for a minute"
        let_die(bulk)
    assert not worker.work(bulk.pk)
    assert now(bulk).state == "DONE"
    counts = outcomes(bulk)
    assert counts[State.DONE] + counts.get(State.UNKNOWN, 0) == 60
    assert counts.get(State.UNKNOWN, 0) <= 3
    assert len(cancelations()) == len(set(cancelations())) >= counts[State.DONE]


@pytest.mark.django_db(transaction=True)
def test_two_workers_share_no_row(ama: User) -> None:
    bulk = confirmed(ama, 20)

    def run() -> None:
        worker.work(bulk.pk)
        connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (outcomes(bulk), len(cancelations())) == ({State.DONE: 20}, 20)


@pytest.fixture
def queue() -> Iterator[Any]:
    broker = actors.work_on_bulk_action.broker
    broker.flush_all()
    yield broker
    broker.flush_all()


def test_the_sweep_finds_what_no_message_tells_of(ama: User, queue: Any) -> None:
    confirmed(ama)
    chosen(ama)
    before = queue.do_qsize("default")
    actors.sweep_bulk_actions()
    assert queue.do_qsize("default") == before + 1


def test_old_ones_are_deleted(ama: User) -> None:
    month = timezone.now() - timedelta(days=31)
    day = timezone.now() - timedelta(days=2)
    kept = [confirmed(ama), chosen(ama)]
    for bulk, at in ((chosen(ama), day), (confirmed(ama), month)):
        BulkAction.objects.filter(pk=bulk.pk).update(chosen_at=at)
        worker.work(bulk.pk)
    assert worker.forget_old() == 2
    assert set(BulkAction.objects.all()) == set(kept)
