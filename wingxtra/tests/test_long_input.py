"""Long names, numbers and texts in paths, query strings and forms are refused, never a 500."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django import forms
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from orders.api.forms import DetailsForm
from orders.states import PodRequirement, Status
from orders.tests.factories import OrderFactory, order_in
from pod.models import Case
from tracking.page.pages import token_of
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, key_client
from wingxtra.console import actions
from wingxtra.tests.openapi import Call, described

pytestmark = pytest.mark.django_db

LONG = "9" * 3000
HUGE = str(10**30)
LOGINS = ("/admin/login/", "/merchant/login/")


def reads() -> Iterator[Call]:
    yield from (call for call in described().calls if call.method == "get")


@pytest.mark.parametrize("value", [LONG, HUGE, "ä" * 500], ids=["long", "huge", "not ASCII"])
@pytest.mark.parametrize("call", list(reads()), ids=lambda call: call.path)
def test_parameters_of_any_length_are_answered(call: Call, value: str) -> None:
    parameters = [
        described().resolve(one["$ref"]) if "$ref" in one else one
        for one in call.operation.get("parameters", [])
    ]
    names = [one["name"] for one in parameters if one["in"] == "query"]
    client = key_client(role=Role.ADMIN)
    found = re.sub(r"\{\w+_id\}", str(uuid4()), call.path)
    for query in [{}, *({name: value} for name in names)]:
        answer = client.get(found, query)
        assert answer.status_code < 500, (query.keys(), answer.content)
        if answer.status_code >= 400:
            assert answer.json()["code"]
    long_path = client.get(re.sub(r"\{\w+\}", value, call.path))
    assert long_path.status_code < 500


@pytest.mark.parametrize("name", ["q" * 150, "q" * 151, "q" * 256, "q" * 10_000, "ﷺ" * 150])
@pytest.mark.parametrize("path", LOGINS)
def test_a_user_name_of_any_length_is_answered_by_the_login(path: str, name: str) -> None:
    answer = Client().post(path, {"username": name, "password": "wrong" * 300})
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode() or "error" in answer.content.decode()


def test_a_users_names_have_the_databases_length() -> None:
    boss = Client()
    boss.force_login(UserFactory(role=Role.ADMIN))
    for name in ("username", "first_name", "last_name", "email"):
        form = {"role": "OPS", "username": "kofi", name: "x" * 400}
        answer = boss.post(reverse("admin:accounts_user_add"), form)
        assert answer.status_code == 200
        assert name in answer.context["adminform"].form.errors


class TestTrackingPage:
    @pytest.fixture
    def merchant(self) -> Merchant:
        return MerchantFactory()

    @pytest.mark.parametrize("length", [300, 301, 100_000])
    def test_instructions(self, merchant: Merchant, length: int) -> None:
        order = OrderFactory(merchant=merchant)
        answer = self.send(order, "instructions", instructions="ä" * length)
        order = type(order).objects.get(pk=order.pk)
        assert answer.status_code == (303 if length == 300 else 400)
        assert order.dropoff_instructions == ("ä" * 300 if length == 300 else "")

    @pytest.mark.parametrize("length", [500, 501, 100_000])
    def test_a_case(self, merchant: Merchant, length: int) -> None:
        order = order_in(Status.DELIVERED, merchant=merchant)
        answer = self.send(order, "case", kind="NOT_HERE", text="ä" * length)
        assert answer.status_code == (303 if length == 500 else 400), answer.content
        assert Case.objects.filter(text="ä" * 500).count() == (1 if length == 500 else 0)

    def test_a_code_a_place_and_a_signature(self, merchant: Merchant) -> None:
        order = order_in(Status.ARRIVED, merchant=merchant, pod_requirement=PodRequirement.OTP)
        for given in (
            {"action": "otp", "otp_code": "1" * 21},
            {"action": "dropoff", "lat": LONG, "lng": LONG, "accuracy_m": HUGE},
            {"action": "dropoff", "north_m": LONG, "east_m": HUGE},
            {"action": "signature", "signature": LONG},
            {"action": LONG},
        ):
            answer = self.send(order, **given)
            assert 400 <= answer.status_code < 500, given

    @staticmethod
    def send(order: Any, action: str, **given: str) -> Any:
        tracking_id = order.public_tracking_id
        form = {"do": action, "token": token_of(tracking_id), **given}
        return Client().post(f"/track/{tracking_id}/", form)


class TestMerchantsPage:
    @pytest.fixture
    def browser(self) -> Client:
        browser = Client()
        browser.force_login(UserFactory(merchant=MerchantFactory()))
        return browser

    @pytest.mark.parametrize("value", [LONG, HUGE, f"{LONG}@example.com"])
    def test_each_field_of_a_new_order(self, browser: Client, value: str) -> None:
        page = browser.get(reverse("merchant:new-order"))
        for name in page.context["form"].fields:
            answer = browser.post(
                reverse("merchant:new-order"), {name: value, "token": str(uuid4())}
            )
            assert answer.status_code < 500, name

    def test_searches(self, browser: Client) -> None:
        for name in ("q", "page", "status", "cursor", "from", "to"):
            for value in (LONG, HUGE, "\0"):
                answer = browser.get(reverse("merchant:orders"), {name: value})
                assert answer.status_code < 500, (name, value)


class TestConsole:
    def test_each_text_of_each_action_has_a_limit(self, settings: Settings) -> None:
        for action in actions._actions.values():
            if issubclass(action.form, DetailsForm):
                continue  # the API's serializer limits its texts: see test_text_lengths
            for name, field in action.form.base_fields.items():
                if type(field) is forms.CharField:
                    assert field.max_length, (action.name, name)

    @pytest.mark.parametrize("value", [LONG, HUGE, "\0"])
    def test_each_list_and_page_takes_any_parameter(self, value: str) -> None:
        browser = Client()
        browser.force_login(UserFactory(role=Role.ADMIN))
        for model in admin.site._registry:
            name = f"{model._meta.app_label}_{model._meta.model_name}"
            for query in ({"q": value}, {"p": value}, {"o": value}):
                answer = browser.get(reverse(f"admin:{name}_changelist"), query)
                assert answer.status_code < 500, (name, query)
            path = reverse(f"admin:{name}_change", args=[value])
            assert browser.get(path).status_code < 500, name

    @pytest.mark.parametrize("value", [LONG, HUGE, "\0"])
    def test_each_action_takes_any_id(self, value: str) -> None:
        browser = Client()
        browser.force_login(UserFactory(role=Role.ADMIN))
        for label, name in actions._actions:
            path = reverse("admin:act", args=[label, name])
            assert browser.get(path, {"id": value}).status_code in (400, 404), (label, name)
            changes = browser.get(reverse("admin:changes", args=[label]), {"id": value})
            assert changes.status_code in (400, 404), label
