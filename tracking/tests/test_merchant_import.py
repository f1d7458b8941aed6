"""The merchant's pages of a file of orders: upload, preview, confirmation."""

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from fleet.tests.factories import DroneFactory
from orders.files import imports
from orders.models import Order
from orders.tests.test_imports import csv_of
from tracking.tests.test_merchant_access import client_of, user_of
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory

pytestmark = pytest.mark.django_db
LIVE, TEST = "/merchant/orders/import/", "/merchant/test/orders/import/"


@pytest.fixture
def merchant() -> Merchant:
    DroneFactory()
    return MerchantFactory()


@pytest.fixture
def page(merchant: Merchant) -> Client:
    return client_of(user_of(merchant))


def content_of(answer: Any) -> str:
    return answer.content.decode()


def upload(page: Client, content: bytes, at: str = LIVE) -> Any:
    return page.post(at, {"file": SimpleUploadedFile("orders.csv", content)})


def place(page: Client, path: str, which: str, *, token: str = "") -> Any:
    """Confirm as the form of a newly opened preview, or of the one with this token."""
    return page.post(path, {"place": which, "token": token or token_of(page, path)})


def token_of(page: Client, path: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', content_of(page.get(path)))
    assert found
    return found[1]


def uploaded(page: Client, *rows: dict[str, Any], at: str = LIVE) -> str:
    """The address of the preview of these rows."""
    answer = upload(page, csv_of(*rows), at)
    assert answer.status_code == 303, content_of(answer)
    return answer["Location"]


def test_a_file_is_checked_placed_and_its_orders_are_shown(
    page: Client, merchant: Merchant
) -> None:
    path = uploaded(page, {"external_id": "A-1", "pod_requirement": "OTP"}, {"external_id": "A-2"})
    preview = content_of(page.get(path))
    assert "Place 2 orders" in preview
    assert not Order.objects.exists()

    token = token_of(page, path)
    answer = place(page, path, "all", token=token)
    assert answer.status_code == 201
    assert "no-store" in answer["Cache-Control"]
    placed = Order.objects.get(external_id="A-1")
    assert placed.merchant == merchant
    content = content_of(answer)
    assert f"/merchant/orders/{placed.pk}/" in content
    assert len(re.findall(r'number">(\d{6})<', content)) == 1
    second_click = place(page, path, "all", token=token)
    assert second_click.content == answer.content  # with the code

    again = place(page, path, "all")
    assert again.status_code == 201
    assert "A-2" in content_of(again)
    assert not re.findall(r'number">(\d{6})<', content_of(again))
    assert "Placed already" in content_of(page.get(path))
    assert Order.objects.count() == 2


def test_problems_are_shown_at_their_row_and_the_good_rows_can_be_placed(page: Client) -> None:
    path = uploaded(page, {"external_id": "A-1"}, {"external_id": "A-2", "priority": "<i>now</i>"})
    content = content_of(page.get(path))
    assert "Place the 1 without problems" in content
    assert "<code>priority</code> Must be one of" in content

    refused = place(page, path, "all")
    assert refused.status_code == 409
    assert "Nothing was placed: 1 of 2 rows have problems." in content_of(refused)
    assert not Order.objects.exists()

    content = content_of(place(page, path, "good"))
    assert "Rows that were left out" in content
    assert Order.objects.get().external_id == "A-1"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"colour\nred", "“colour”"),
        (b"external_id\nZo\xeb", "CSV UTF-8"),
        (b"x" * 2_000_001, "more than 2 MB"),
    ],
)
def test_a_file_that_cannot_be_read_says_what_to_mend(
    page: Client, content: bytes, words: str
) -> None:
    answer = upload(page, content)
    assert answer.status_code == 400
    assert words in content_of(answer)


def test_a_form_without_a_file_asks_for_one(page: Client) -> None:
    answer = page.post(LIVE)
    assert answer.status_code == 400
    assert "Choose a file first." in content_of(answer)


def test_what_a_file_says_is_never_markup(page: Client) -> None:
    path = uploaded(page, {"customer_name": "<script>alert(1)</script>", "external_id": "<b>"})
    content = content_of(page.get(path))
    assert "<script>alert" not in content
    assert "<b>" not in content


def test_a_file_in_test_mode_places_test_orders(page: Client) -> None:
    path = uploaded(page, {"test_scenario": "WRONG_OTP", "pod_requirement": "OTP"}, at=TEST)
    assert "Place 1 test order" in content_of(page.get(path))
    place(page, path, "all")
    order = Order.objects.get()
    assert (order.live_mode, order.test_scenario) == (False, "wrong_otp")


def test_a_form_that_was_sent_before_with_another_choice_places_nothing(page: Client) -> None:
    path = uploaded(page, {}, {"priority": "now"})
    token = token_of(page, path)
    assert place(page, path, "all", token=token).status_code == 409
    assert place(page, path, "good", token=token).status_code == 422
    assert page.post(path, {"place": "good"}).status_code == 422
    assert not Order.objects.exists()


def test_a_file_is_its_users_own(page: Client, merchant: Merchant) -> None:
    path = uploaded(page, {})
    colleague = client_of(user_of(merchant))
    assert colleague.get(path).status_code == 404
    assert colleague.post(path, {"place": "all"}).status_code == 404
    uploaded(page, {})
    gone = page.get(path)
    assert gone.status_code == 404
    assert "upload it again" in content_of(gone)


def test_the_empty_file_has_columns_that_can_be_uploaded(page: Client) -> None:
    live, test = (page.get(f"{at}orders.csv").content for at in (LIVE, TEST))
    names = live.decode("utf-8-sig").strip().split(",")
    assert set(imports.REQUIRED) < set(names) < set(imports.COLUMNS.names)
    assert b"test_scenario" in test
    assert b"test_scenario" not in live
    row = ",".join(
        {"payload_weight_kg": "0.8", "pickup_lat": "5.6"}.get(name, "") for name in names
    )
    assert upload(page, live + row.encode()).status_code == 303


def test_a_preview_takes_as_many_statements_for_many_rows(page: Client) -> None:
    def statements(rows: int) -> int:
        path = uploaded(page, *[{"external_id": f"A-{n}"} for n in range(rows)])
        with CaptureQueriesContext(connection) as sent:
            page.get(path)
        return len(sent)

    statements(1)  # loads the rulebook
    assert statements(2) == statements(40)
