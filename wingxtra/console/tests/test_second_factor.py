"""The code of an authenticator app besides the password, if STAFF_SECOND_FACTOR is on."""

import re
from base64 import b32decode
from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice
from pytest_django import Settings
from time_machine import Traveller

from orders.tests.factories import OrderFactory
from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import PASSWORD, UserFactory
from wingxtra.console import actions

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/?next=/admin/map/"


@pytest.fixture(autouse=True)
def second_factor_is_on(settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = True


@pytest.fixture
def clock() -> Iterator[Traveller]:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        yield clock


@pytest.fixture
def ama() -> User:
    return UserFactory(username="ama", ops=True)


def after_the_password(browser: Client) -> HttpResponse:
    return browser.post(LOGIN, {"username": "ama", "password": PASSWORD}, follow=True)


def code_of(key: bytes) -> str:
    totp = TOTP(key)
    totp.time = timezone.now().timestamp()
    return f"{totp.token():06d}"


def give(browser: Client, code: str) -> HttpResponse:
    return browser.post(LOGIN, {"code": code, "next": "/admin/map/"})


def set_up(browser: Client) -> bytes:
    """Log in for the first time. Returns the app's key."""
    shown = re.search(r">([A-Z2-7]{32})<", after_the_password(browser).content.decode())
    assert shown is not None
    key = b32decode(shown[1])
    assert give(browser, code_of(key))["Location"] == "/admin/map/"
    return key


def test_an_app_is_set_up_at_the_first_log_in(ama: User) -> None:
    browser = Client()
    set_up(browser)
    assert browser.get("/admin/map/").status_code == 200
    assert LogEntry.objects.get(user=ama).change_message == "Second factor: set up."


def test_the_password_alone_gives_no_access(ama: User) -> None:
    browser = Client()
    after_the_password(browser)
    order = OrderFactory()
    for page in ("record", "label"):
        answer = browser.get(f"/api/v1/orders/{order.pk}/{page}")
        assert (answer.status_code, answer.json()["code"]) == (401, "second_factor_required")
    for path in ("/admin/", "/admin/now/", "/admin/map/data/", "/admin/orders/order/"):
        assert "/login/" in browser.get(path)["Location"]
    assert give(browser, "000000").status_code == 200
    assert "/login/" in browser.get("/admin/map/")["Location"]


def test_the_next_log_in_asks_for_the_code_and_shows_no_key(ama: User, clock: Traveller) -> None:
    key = set_up(Client())
    clock.shift(timedelta(hours=8))
    browser = Client()
    page = after_the_password(browser).content.decode()
    assert "authenticator app shows" in page
    assert not re.search(r">[A-Z2-7]{32}<", page)
    assert give(browser, code_of(key)).status_code == 302
    assert browser.get("/admin/").status_code == 200


def test_a_code_works_once(ama: User, clock: Traveller) -> None:
    key = set_up(Client())
    browser = Client()
    after_the_password(browser)
    assert "code is wrong" in give(browser, code_of(key)).content.decode()


def test_wrong_codes_make_the_next_try_wait(ama: User, clock: Traveller) -> None:
    key = set_up(Client())
    clock.shift(timedelta(hours=8))
    browser = Client()
    after_the_password(browser)
    wrong = f"{(int(code_of(key)) + 1) % 1_000_000:06d}"
    assert "code is wrong" in give(browser, wrong).content.decode()
    assert "Wait some seconds" in give(browser, code_of(key)).content.decode()
    clock.shift(timedelta(seconds=30))
    assert give(browser, code_of(key)).status_code == 302


def test_an_administrator_can_reset_a_lost_app(ama: User) -> None:
    set_up(Client())
    boss = UserFactory(username="boss", admin=True)
    actions_page = reverse("admin:act", args=["accounts.user", "reset-second-factor"])
    data = {"reason": "Her phone is gone."}
    assert actions._actions["accounts.user", "reset-second-factor"].why_not(ama) is None
    browser = Client()
    browser.force_login(boss)
    assert "/login/" in browser.post(f"{actions_page}?id={ama.pk}", data)["Location"]
    boss_key = TOTPDevice.objects.create(user=boss, name="App")
    give(browser, code_of(boss_key.bin_key))
    browser.post(f"{actions_page}?id={ama.pk}", data)
    assert not TOTPDevice.objects.filter(user=ama).exists()


def test_another_user_can_log_in_instead(ama: User) -> None:
    browser = Client()
    after_the_password(browser)
    browser.post(LOGIN, {"leave": "1"})
    assert 'name="password"' in browser.get(LOGIN).content.decode()


def test_without_the_setting_the_password_is_enough(ama: User, settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = False
    browser = Client()
    after_the_password(browser)
    assert browser.get("/admin/").status_code == 200
