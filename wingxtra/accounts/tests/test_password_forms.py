"""The forms with a password, of the console and of the merchants, and forms of strangers."""

import re

import pytest
from django.test import Client

from wingxtra.accounts.login_form import STRANGERS_FIELDS
from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory

pytestmark = pytest.mark.django_db

DOORS = ("/admin/login/", "/merchant/login/")
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("door", DOORS)
def test_a_password_is_masked_and_may_be_pasted_and_kept_by_the_browser(door: str) -> None:
    page = Client().get(door).content.decode()
    (field,) = re.findall(r'<input[^>]*name="password"[^>]*>', page)
    assert 'type="password"' in field
    assert 'autocomplete="current-password"' in field
    for hindrance in ("onpaste", "readonly", "maxlength"):
        assert hindrance not in field


@pytest.mark.parametrize(
    ("typed", "is_right"),
    [("  Gross Ädu ﬁ 7 ", True), ("Gross Ädu ﬁ 7", False), ("  gross ädu ﬁ 7 ", False)],
)
def test_a_password_is_taken_as_it_was_typed(typed: str, is_right: bool) -> None:
    user: User = UserFactory(merchant=MerchantFactory())
    user.set_password("  Gross Ädu ﬁ 7 ")
    user.save()
    form = {"username": user.username, "password": typed}
    assert (Client().post("/merchant/login/", form).status_code == 302) == is_right


@pytest.mark.parametrize("door", DOORS)
def test_a_form_of_a_stranger_has_few_fields(door: str) -> None:
    many, few = ("&".join(["a=1"] * n) for n in (STRANGERS_FIELDS + 1, STRANGERS_FIELDS))
    refused = Client().post(door, many, content_type=FORM)
    assert refused.status_code == 413
    assert f"{STRANGERS_FIELDS} fields" in refused.content.decode()
    assert Client().post(door, few, content_type=FORM).status_code == 200
    browser = Client()
    browser.force_login(UserFactory(), backend="wingxtra.console.roles.RoleBackend")
    assert browser.post(door, many, content_type=FORM).status_code != 413
