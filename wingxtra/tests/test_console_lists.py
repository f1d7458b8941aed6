"""Every list of the console with no rows and with hundreds."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from fleet.models import Policy
from orders.states import Status
from orders.tests.factories import order_in
from pod import proofs
from pod.proofs import Evidence
from tracking.messages.models import CustomerMessage
from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import actions
from wingxtra.console.admin import ConsoleAdmin
from wingxtra.tests import lists

pytestmark = pytest.mark.django_db
MANY = 500
HOVER = re.compile(r'(title|datetime)="[^"]*"')
BY_HAND = re.compile(r".{60}\d\d:\d\d(:\d\d)? UTC", re.DOTALL)
# The lists that always have a row: of the reader, and the policy in force.
NEVER_EMPTY = {User, Policy}


def of_the_console() -> list[Any]:
    own = admin.site._registry.items()
    return [(model, one) for model, one in own if isinstance(one, ConsoleAdmin)]


@pytest.fixture
def boss() -> Client:
    browser = Client()
    browser.force_login(UserFactory(username="boss", admin=True))
    return browser


def address(model: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def test_an_empty_list_says_what_it_is_and_how_it_begins(boss: Client) -> None:
    walked = 0
    for model, _ in of_the_console():
        if model in NEVER_EMPTY or model._default_manager.exists():
            continue
        answer = boss.get(address(model))
        said = answer.context["cl"].when_empty
        page = answer.content.decode()
        assert f"<p>{said}</p>" in page, model
        assert said.endswith("."), model
        assert len(said.split(". ")) >= 2, f"{model._meta.label}: “{said}” is one sentence"
        walked += 1
    assert walked >= 30


def test_lists_that_are_no_tables_say_it_too(boss: Client) -> None:
    for name, said in (
        ("shift-pauses", "Nothing has been paused yet"),
        ("shift-people", "Choose a person"),
        ("shift-drone", "Choose a drone"),
    ):
        assert said in boss.get(reverse(f"admin:{name}")).content.decode()
    page = boss.get(address(order_in(Status.QUEUED).__class__)).content.decode()
    assert "No filter is saved yet." in page


def test_a_list_of_500_rows_has_pages_and_takes_no_more_statements(boss: Client) -> None:
    order = order_in(Status.DELIVERED)
    lists.one_of_each(order, User.objects.get(username="boss"))
    models = [model for model, _ in of_the_console() if model in lists.COPIES]
    before = {model: statements(boss, model) for model in models}
    lists.copy_each(MANY)
    after = {model: statements(boss, model) for model in models}
    grown = {
        model._meta.label: (before[model], after[model])
        for model in models
        if after[model] > before[model] + 1  # counts the rows of “select all”
    }
    assert not grown
    for model in models:
        shown = boss.get(address(model)).context["cl"]
        assert shown.multi_page, model
        assert len(shown.result_list) <= 100, model
    assert len(models) >= 18


def test_times_are_local_with_utc_on_hover_only(boss: Client, settings: Settings) -> None:
    settings.AREA_TIME_ZONE = "Asia/Kolkata"
    order = order_in(Status.DELIVERED)
    proofs.record(order.pk, Evidence.confirmation("Ama", note="On the camera."), by=lists.AMA)
    CustomerMessage.objects.create(
        order=order,
        event=order.events.latest("id"),
        kind=CustomerMessage.Kind.values[0],
        channel=CustomerMessage.Channel.SMS,
        state=CustomerMessage.State.SENT,
        receipt=CustomerMessage.Receipt.values[0],
        sent_at=timezone.now(),
        receipt_at=timezone.now(),
    )
    rows = lists.one_of_each(order, User.objects.get(username="boss"))
    del rows["record"]  # the log of a flight is in UTC, and says so
    with_a_page = [row for row in rows.values() if type(row) in dict(of_the_console())]
    pages = [actions.page_of(row) for row in [order, *with_a_page]]
    pages += [address(type(row)) for row in with_a_page]
    for page in pages:
        text = HOVER.sub("", boss.get(page).content.decode())
        assert not BY_HAND.search(text), (page, BY_HAND.search(text))
    assert len(pages) >= 40


def statements(browser: Client, model: Any) -> int:
    browser.get(address(model))
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(address(model)).status_code == 200
    return len(captured)
