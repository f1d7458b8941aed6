"""Orders from a file in the console: upload for a merchant, preview, confirmation."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from fleet.tests.factories import DroneFactory
from orders.models import DeliveryEvent, Order
from orders.states import EventType
from orders.tests.test_imports import csv_of
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory

pytestmark = pytest.mark.django_db
IMPORT = "/admin/orders/order/import/"


def browser_of(role: Role, **user: Any) -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=role, **user))
    return browser


@pytest.fixture
def merchant() -> Merchant:
    DroneFactory()
    merchant: Merchant = MerchantFactory(name="Ridge Bakery")
    return merchant


@pytest.fixture
def ama() -> Client:
    return browser_of(Role.OPS, username="ama")


def upload(browser: Client, merchant: Any, content: bytes) -> Any:
    file = SimpleUploadedFile("monday.csv", content)
    return browser.post(IMPORT, {"merchant": getattr(merchant, "pk", merchant), "file": file})


def uploaded(browser: Client, merchant: Merchant, *rows: dict[str, Any]) -> str:
    """The address of the preview."""
    answer = upload(browser, merchant, csv_of(*rows))
    assert answer.status_code == 302, answer.content.decode()
    return str(answer["Location"])


GOOD = {"external_id": "A-1"}
BAD = {"external_id": "A-2", "payload_weight_kg": "heavy"}


def test_rows_are_looked_at_first_and_then_placed_for_the_merchant(
    ama: Client, merchant: Merchant
) -> None:
    path = uploaded(ama, merchant, GOOD, {"external_id": "A-2"})
    page = ama.get(path).content.decode()
    assert "monday.csv for Ridge Bakery" in page
    assert "Place 2 orders" in page
    assert not Order.objects.exists()
    placed = ama.post(path, {"place": "all"})
    assert placed.status_code == 201
    orders = Order.objects.order_by("external_id")
    assert [(o.external_id, o.merchant, o.live_mode) for o in orders] == [
        ("A-1", merchant, True),
        ("A-2", merchant, True),
    ]
    for order in orders:
        assert str(order) in placed.content.decode()
    created = DeliveryEvent.objects.filter(type=EventType.CREATED)
    assert {event.actor for event in created} == {"user:ama"}
    # A second confirmation places none.
    assert ama.post(path, {"place": "all"}).status_code == 201
    assert Order.objects.count() == 2


def test_with_a_bad_row_nothing_or_only_the_good_ones_are_placed(
    ama: Client, merchant: Merchant
) -> None:
    path = uploaded(ama, merchant, GOOD, BAD)
    page = ama.get(path).content.decode()
    assert "Rows with problems" in page
    assert "payload_weight_kg" in page
    refused = ama.post(path, {"place": "all"})
    assert refused.status_code == 409
    assert "Nothing was placed: 1 of 2 rows have problems." in refused.content.decode()
    assert not Order.objects.exists()
    assert ama.post(path, {"place": "good"}).status_code == 201
    assert [order.external_id for order in Order.objects.all()] == ["A-1"]


def test_a_row_for_another_merchant_is_a_problem(ama: Client, merchant: Merchant) -> None:
    other = MerchantFactory()
    path = uploaded(ama, merchant, {**GOOD, "merchant_id": str(other.pk)})
    assert ama.post(path, {"place": "good"}).status_code == 201
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The submitted file is empty."),
        (b"colour\nred\n", "colour"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    ama: Client, merchant: Merchant, content: bytes, said: str
) -> None:
    answer = upload(ama, merchant, content)
    assert answer.status_code in (200, 400, 422)
    assert said in answer.content.decode()


def test_an_unknown_or_inactive_merchant_is_refused(ama: Client, merchant: Merchant) -> None:
    closed = MerchantFactory(active=False)
    for wrong in (closed, "", "nobody"):
        answer = upload(ama, wrong, csv_of(GOOD))
        assert answer.status_code == 200
        assert 'role="alert"' in answer.content.decode() or "wx-problem" in answer.content.decode()
    path = uploaded(ama, merchant, GOOD)
    assert ama.get(path.replace(str(merchant.pk), str(closed.pk))).status_code == 404


def test_the_preview_is_of_the_person_who_uploaded_it(ama: Client, merchant: Merchant) -> None:
    path = uploaded(ama, merchant, GOOD)
    other = browser_of(Role.OPS).get(path)
    assert other.status_code == 404
    assert "upload it again" in other.content.decode()


def test_only_operations_import(merchant: Merchant) -> None:
    for role in (Role.READONLY, Role.LOADER):
        for answer in (browser_of(role).get(IMPORT), upload(browser_of(role), merchant, b"x")):
            assert answer.status_code in (302, 403)
    assert (
        "Orders from a file" in browser_of(Role.ADMIN).get("/admin/orders/order/").content.decode()
    )
    assert (
        "from a file…" not in browser_of(Role.READONLY).get("/admin/orders/order/").content.decode()
    )


def test_a_preview_takes_the_same_statements_for_many_rows(ama: Client, merchant: Merchant) -> None:
    def statements(count: int) -> int:
        rows = [{"external_id": f"R-{count}-{n}"} for n in range(count)]
        path = uploaded(ama, merchant, *rows)
        with CaptureQueriesContext(connection) as taken:
            assert ama.get(path).status_code == 200
        return len(taken)

    assert statements(12) == statements(3)
