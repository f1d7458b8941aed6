"""The merchant's orders as a CSV file."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orders.files import exports, imports
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from tracking.tests.test_merchant_access import client_of, user_of
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory

pytestmark = pytest.mark.django_db
LIVE, TEST = "/merchant/orders/export.csv", "/merchant/test/orders/export.csv"


@pytest.fixture
def merchant() -> Merchant:
    return MerchantFactory()


@pytest.fixture
def page(merchant: Merchant) -> Client:
    return client_of(user_of(merchant))


def text_of(page: Client, path: str = LIVE, **query: Any) -> str:
    answer: Any = page.get(path, query)
    assert answer.status_code == 200, answer.content
    assert answer.streaming
    return b"".join(answer.streaming_content).decode("utf-8-sig")


def rows_of(page: Client, path: str = LIVE, **query: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text_of(page, path, **query))))


def test_a_row_tells_what_the_api_tells_in_a_list(page: Client, merchant: Merchant) -> None:
    order = order_in(Status.DELIVERED, merchant=merchant, external_id="A-1")
    [row] = rows_of(page)
    assert (row["external_id"], row["status"], row["id"]) == ("A-1", "DELIVERED", str(order.pk))
    assert row["custody.holder"] == "RECIPIENT"
    assert float(row["dropoff_lng"]) == order.dropoff_lng < 0
    assert row["created_at"] == f"{order.created_at:%Y-%m-%dT%H:%M:%SZ}"
    assert row["reason.code"] == row["not_before"] == ""
    assert "Mensah" not in text_of(page)
    assert "+233241234567" not in text_of(page)


def test_only_own_orders_of_the_mode_are_in_it(page: Client, merchant: Merchant) -> None:
    OrderFactory(external_id="of-another")
    OrderFactory(merchant=merchant, external_id="live")
    OrderFactory(merchant=merchant, external_id="test", live_mode=False)
    assert [row["external_id"] for row in rows_of(page)] == ["live"]
    assert [row["external_id"] for row in rows_of(page, TEST)] == ["test"]
    assert [row["external_id"] for row in rows_of(page, live_mode="all")] == ["live"]
    other = rows_of(page, merchant_id=str(MerchantFactory().pk))
    assert other == []


def test_the_filters_are_those_of_the_api(page: Client, merchant: Merchant) -> None:
    for name in ("A-1", "A-2"):
        OrderFactory(merchant=merchant, external_id=name)
    order_in(Status.CANCELED, merchant=merchant, external_id="A-3")
    assert [row["external_id"] for row in rows_of(page, external_id="A-2")] == ["A-2"]
    assert [row["external_id"] for row in rows_of(page, status="CANCELED")] == ["A-3"]
    assert len(rows_of(page, status=["CANCELED", "QUEUED"], q="A-")) == 3
    for query, words in (
        ({"state": "CANCELED"}, "There is no filter “state”."),
        ({"status": "EATEN"}, "status:"),
        ({"from": "yesterday"}, "from:"),
    ):
        refused = page.get(LIVE, query)
        assert refused.status_code == 400
        assert words in refused.content.decode()


def test_the_list_links_to_the_file_of_what_it_shows(page: Client, merchant: Merchant) -> None:
    OrderFactory(merchant=merchant, external_id="A-1")
    order_in(Status.DELIVERED, merchant=merchant, external_id="A-2")
    content = page.get("/merchant/", {"tab": "delivered", "q": "A-"}).content.decode()
    assert f'href="{LIVE}?status=DELIVERED&amp;q=A-"' in content
    assert [row["external_id"] for row in rows_of(page, status="DELIVERED", q="A-")] == ["A-2"]


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_no_cell_is_a_formula(page: Client, merchant: Merchant, formula: str) -> None:
    OrderFactory(merchant=merchant, pickup_name=formula)
    [row] = rows_of(page)
    assert row["pickup_name"] == f"'{formula}"
    user = user_of(merchant)
    again = imports.keep("again.csv", f"pickup_name\n{row['pickup_name']}".encode(), user)
    assert imports.preview(again, user).rows[0].order.pickup_name == formula


def test_every_column_is_a_member_of_the_order() -> None:
    path = Path(settings.BASE_DIR) / "docs" / "contracts" / "order.schema.json"
    members = json.loads(path.read_text())["properties"]
    assert {column.split(".")[0] for column in exports.COLUMNS} <= set(members)


def test_a_file_takes_as_many_statements_for_many_orders(page: Client, merchant: Merchant) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as sent:
            text_of(page)
        return len(sent)

    OrderFactory(merchant=merchant)
    few = statements()
    for _ in range(9):
        OrderFactory(merchant=merchant)
    assert statements() == few
