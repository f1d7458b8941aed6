"""Sessions, users, second factor, form tokens and notices are for pages only."""

from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from orders.tests.factories import OrderFactory
from wingxtra.accounts.tests.factories import UserFactory, key_client

pytestmark = pytest.mark.django_db
OF_A_SESSION = ("session", "_messages", "auser")


def paths() -> list[str]:
    order = OrderFactory()
    return [
        "/health",
        "/ready",
        "/gcs/orders",
        "/api/v1/nothing",
        f"/api/v1/orders/{order.pk}",
        f"/api/v1/tracking/{order.public_tracking_id}",
        f"/track/{order.public_tracking_id}/",
    ]


def made_for(answer: Any) -> list[str]:
    return [name for name in OF_A_SESSION if hasattr(answer.wsgi_request, name)]


def test_a_call_without_a_session_makes_none() -> None:
    for path in paths():
        answer = Client().get(path)
        assert made_for(answer) == [], path
        assert not answer.cookies, path


def test_a_key_does_not_need_one() -> None:
    order = OrderFactory()
    answer = key_client(merchant=order.merchant).get(f"/api/v1/orders/{order.pk}")
    assert answer.status_code == 200
    assert made_for(answer) == []


@pytest.mark.parametrize("path", ["/admin/login/", "/merchant/login/", "/nothing"])
def test_a_page_has_all_of_it(path: str) -> None:
    assert made_for(Client().get(path)) == list(OF_A_SESSION)


def test_a_session_is_still_read_where_a_person_opens_an_answer_of_the_api() -> None:
    browser, order = Client(), OrderFactory()
    label = f"/api/v1/orders/{order.pk}/label"
    assert browser.get(label).status_code == 401
    browser.force_login(UserFactory(ops=True))
    assert browser.get(label).status_code == 200
    # A session is no credential of the other calls.
    assert browser.get(f"/api/v1/orders/{order.pk}").status_code == 401
    browser.cookies[settings.SESSION_COOKIE_NAME] = "made-up"
    assert browser.get(label).status_code == 401


def test_a_form_needs_its_token_on_every_path() -> None:
    """Also below the API: each view says itself whether it is exempt."""
    visitor = Client(enforce_csrf_checks=True)
    for path in ("/admin/login/", "/merchant/login/", "/health"):
        assert visitor.post(path, {}).status_code == 403, path
    assert (
        visitor.post("/api/v1/auth/token", {}, content_type="application/json").status_code == 400
    )
