"""Forms and polls of a page whose session has ended: nothing written is lost."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from orders.models import Order
from orders.states import Status
from orders.tests.factories import OrderFactory
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import actions

pytestmark = pytest.mark.django_db
OURS = {"Origin": "http://testserver"}
NOTE = "The customer moved to Tema and asked twice"


@pytest.fixture
def form() -> tuple[str, dict[str, Any]]:
    order = OrderFactory()
    url = actions._actions["orders.order", "cancel"].url(order.pk)
    return url, {"reason": "OTHER", "note": NOTE}


def again(page: str) -> tuple[str, dict[str, str]]:
    """The path and the fields of the form that the page offers."""
    (path,) = re.findall(r'<form method="post" action="([^"]+)"', page)
    return path, dict(re.findall(r'name="([^"]+)" value="([^"]*)"', page))


def test_a_logged_out_person_gets_the_form_back_and_sends_it_again(
    form: tuple[str, dict[str, Any]],
) -> None:
    url, fields = form
    browser = Client()
    lost = browser.post(url, fields, headers=OURS)
    page = lost.content.decode()
    assert lost.status_code == 403
    assert "You were logged out, so nothing was changed." in page
    assert NOTE in page
    assert reverse("admin:login") in page
    assert Order.objects.get().status == Status.QUEUED

    browser.force_login(UserFactory(ops=True))
    path, again_fields = again(page)
    assert path == url
    assert browser.post(path, again_fields).status_code in (200, 302)


def test_a_form_with_an_old_token_comes_back_with_a_new_one(
    form: tuple[str, dict[str, Any]],
) -> None:
    url, fields = form
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(UserFactory(ops=True))
    refused = browser.post(url, {**fields, "csrfmiddlewaretoken": "x" * 64}, headers=OURS)
    assert refused.status_code == 403
    path, again_fields = again(refused.content.decode())
    assert again_fields["note"] == NOTE
    assert browser.post(path, again_fields, headers=OURS).status_code in (200, 302)


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}])
def test_another_sites_form_is_refused_and_not_offered_again(
    form: tuple[str, dict[str, Any]], headers: dict[str, str]
) -> None:
    url, fields = form
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(UserFactory(ops=True))
    refused = browser.post(url, fields, headers=headers)
    assert refused.status_code == 403
    page = refused.content.decode()
    assert NOTE not in page
    assert "<form" not in page


def test_passwords_are_not_given_back() -> None:
    browser = Client(enforce_csrf_checks=True)
    fields = {"username": "ama", "password": "correct horse battery"}
    page = browser.post(reverse("admin:login"), fields, headers=OURS).content.decode()
    assert "correct horse" not in page
    assert "<form" not in page
