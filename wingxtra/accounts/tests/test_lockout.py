"""Guessing is slow by each door: token call, console and merchants' login."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from wingxtra.accounts import lockout
from wingxtra.accounts.actors import forget_known_addresses
from wingxtra.accounts.models import KnownAddress, User
from wingxtra.accounts.tests.factories import PASSWORD, MerchantFactory, UserFactory, api_client
from wingxtra.api import throttling

pytestmark = pytest.mark.django_db

HOME = "2001:db8:1:1::7"


def by_token(name: str, password: str, address: str) -> Any:
    body = {"username": name, "password": password}
    return api_client().post("/api/v1/auth/token", body, REMOTE_ADDR=address)


def by_console(name: str, password: str, address: str) -> Any:
    form = {"username": name, "password": password}
    return Client().post("/admin/login/", form, REMOTE_ADDR=address)


def by_merchants_page(name: str, password: str, address: str) -> Any:
    form = {"username": name, "password": password}
    return Client().post("/merchant/login/", form, REMOTE_ADDR=address)


Door = Callable[[str, str, str], Any]
ENTERED = {by_token: 200, by_console: 302, by_merchants_page: 302}
WRONG = {by_token: 401, by_console: 200, by_merchants_page: 200}


@pytest.fixture(params=ENTERED, ids=lambda door: door.__name__)
def door(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def ama(door: Door) -> User:
    if door is by_merchants_page:
        return UserFactory(username="ama", merchant=MerchantFactory())
    return UserFactory(username="ama", admin=True)


@pytest.fixture
def _five_a_minute(settings: Settings) -> None:
    settings.LOGIN_RATE_NEW_ADDRESSES = "5/minute"


def test_all_addresses_of_one_ipv6_64_are_one(door: Door, ama: User, settings: Settings) -> None:
    answers = [door("ama", "wrong", f"2001:db8:5:5::{n:x}").status_code for n in range(1, 41)]
    allowed = settings.AXES_FAILURE_LIMIT - 1
    assert answers == [WRONG[door]] * allowed + [429] * (40 - allowed)
    assert door("ama", PASSWORD, "2001:db8:5:5:ffff::1").status_code == 429
    assert door("ama", PASSWORD, "2001:db8:5:6::1").status_code == ENTERED[door]
    assert door("ama", PASSWORD, "192.0.2.7").status_code == ENTERED[door]


@pytest.mark.usefixtures("_five_a_minute")
def test_guesses_from_many_addresses_are_slow_and_do_not_hold_up_the_owner(
    door: Door, ama: User
) -> None:
    assert door("ama", PASSWORD, HOME).status_code == ENTERED[door]
    answers = [door("ama", "wrong", f"192.0.2.{n}").status_code for n in range(1, 41)]
    # The first login from home was a try from a new address, too.
    assert answers == [WRONG[door]] * 4 + [429] * 36
    refused = door("ama", PASSWORD, "198.51.100.1")
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 60
    assert "new addresses" in refused.content.decode()
    assert door("ama", PASSWORD, HOME).status_code == ENTERED[door]
    # Another address of the owner's /64, and another name at a stranger's address.
    assert door("ama", PASSWORD, "2001:db8:1:1:2::9").status_code == ENTERED[door]
    assert door("kofi", "wrong", "192.0.2.1").status_code == WRONG[door]


@pytest.mark.usefixtures("_five_a_minute")
def test_a_name_that_does_not_exist_is_refused_alike(door: Door) -> None:
    answers = [door("unknown", "wrong", f"192.0.2.{n}").status_code for n in range(1, 8)]
    assert answers == [WRONG[door]] * 5 + [429] * 2


@pytest.mark.usefixtures("_five_a_minute")
def test_a_wrong_password_makes_no_address_known(door: Door, ama: User) -> None:
    door("ama", "wrong", HOME)
    assert not KnownAddress.objects.exists()


@pytest.mark.usefixtures("_five_a_minute")
def test_an_address_is_forgotten_after_90_days_without_a_login(door: Door, ama: User) -> None:
    door("ama", PASSWORD, HOME)
    row = KnownAddress.objects.get()
    assert HOME not in str(row.__dict__)
    with time_machine.travel(timezone.now() + timedelta(days=91)):
        for n in range(5):
            door("ama", "wrong", f"192.0.2.{n}")
        assert door("ama", PASSWORD, HOME).status_code == 429
        forget_known_addresses.fn()
    assert not KnownAddress.objects.exists()


@pytest.mark.usefixtures("_five_a_minute")
def test_the_limit_holds_while_redis_is_away(door: Door, ama: User, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1"
    throttling._own.cache_clear()
    answers = [door("ama", "wrong", f"192.0.2.{n}").status_code for n in range(1, 8)]
    assert answers[-2:] == [429, 429]


def test_few_passwords_are_hashed_at_the_same_time(
    door: Door, ama: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = threading.BoundedSemaphore(2)
    monkeypatch.setattr(lockout, "_places", places)
    with places, places:
        refused = door("ama", PASSWORD, HOME)
        assert refused.status_code == 503
        assert refused["Retry-After"] == "1"
        assert "Try again in a second" in refused.content.decode()
    assert door("ama", PASSWORD, HOME).status_code == ENTERED[door]
