"""The page of an order in the console: what it polls, and what each role may see of it."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dispatch.tests.support import assigned, seen, stored
from fleet.tests.factories import seconds_ago
from orders import lifecycle
from orders.models import Order
from orders.states import CancelReason, Status
from orders.tests.factories import OrderFactory
from wingxtra.accounts.identity import GCS, SYSTEM, Role
from wingxtra.accounts.tests.factories import UserFactory

pytestmark = pytest.mark.django_db
MAX_STATEMENTS = 12


def browser_of(role: Role = Role.OPS) -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=role, is_staff=True))
    return browser


def live(browser: Client, order: Order, etag: str = "") -> HttpResponse:
    url = reverse("admin:orders_order_live", args=[order.pk])
    return browser.get(url, headers={"If-None-Match": etag} if etag else {})


def text_of(answer: HttpResponse) -> str:
    return answer.content.decode()


def in_flight(**telemetry: Any) -> Order:
    order, _ = assigned()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    seen(**telemetry)
    return stored(order)


def test_a_poll_without_news_is_a_304() -> None:
    browser, order = browser_of(), OrderFactory()
    first = live(browser, order)
    again = live(browser, order, first["ETag"])
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.WEATHER)
    news = live(browser, order, first["ETag"])
    assert (news.status_code, news["ETag"] != first["ETag"]) == (200, True)
    assert "Canceled" in text_of(news)


def test_the_buttons_are_those_of_the_present_state() -> None:
    browser, order = browser_of(), OrderFactory()
    assert "Assign…" in text_of(live(browser, order))
    lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.WEATHER)
    after = text_of(live(browser, order))
    assert "Assign…" not in after
    assert "Cancel the order…" not in after


def test_a_flight_shows_its_battery_height_and_way() -> None:
    page = text_of(live(browser_of(), in_flight(battery_pct=61.4, alt_m=58.0)))
    for shown in ("61 %", "58 m", "WX-DRN-001", "To the drop point", "Expected at the door"):
        assert shown in page
    assert "Not live" not in page


def test_old_telemetry_is_shown_as_old() -> None:
    order = in_flight(measured_at=seconds_ago(120), seen_at=seconds_ago(120))
    page = text_of(live(browser_of(), order))
    assert "Old: 2 min ago. Not live" in page


def test_a_late_flight_says_by_how_much() -> None:
    order = in_flight()
    at = order.deliver_by + timedelta(minutes=7)
    type(order.current_job).objects.filter(pk=order.current_job_id).update(eta_at=at)
    assert "7 min late" in text_of(live(browser_of(), order))


def test_without_redis_the_page_says_that_the_flight_is_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from redis import ConnectionError

    from fleet.live import picture

    def away() -> None:
        raise ConnectionError

    browser, order = browser_of(), in_flight()
    monkeypatch.setattr(picture, "read", away)
    assert "cannot be read" in text_of(live(browser, order))


def test_a_poll_takes_a_bounded_number_of_statements() -> None:
    order, browser = in_flight(), browser_of()
    live(browser, order)  # what is cached for all requests

    def statements() -> list[str]:
        with CaptureQueriesContext(connection) as taken:
            assert live(browser, order).status_code == 200
        return [query["sql"] for query in taken]

    before = statements()
    for n in range(5):
        lifecycle.amend(order.pk, by=SYSTEM, happened=_moved(n))
    after = statements()
    assert len(after) == len(before) <= MAX_STATEMENTS, "\n".join(after)


def _moved(n: int) -> Any:
    from orders.states import EventType, Happened

    return lambda order: Happened(EventType.DETAILS_CHANGED, f"The address changed, {n}.")


def test_readers_see_no_personal_data_and_no_buttons() -> None:
    order = OrderFactory(customer_name="Ama Mensah", dropoff_address="12 Ring Road")
    page = text_of(live(browser_of(Role.READONLY), order))
    for hidden in ("Mensah", "+233241234567", "Ring Road", "Assign…", "Cancel the order…"):
        assert hidden not in page


def test_loaders_get_nothing() -> None:
    assert live(browser_of(Role.LOADER), OrderFactory()).status_code == 302


def test_an_unknown_order_is_a_404() -> None:
    browser = browser_of()
    assert browser.get(f"/admin/orders/order/{uuid4()}/live/").status_code == 404


def test_a_lost_session_is_redirected_to_the_login() -> None:
    answer = Client().get(reverse("admin:orders_order_live", args=[OrderFactory().pk]))
    assert (answer.status_code, "login" in answer["Location"]) == (302, True)
