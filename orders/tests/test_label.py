"""The label of a parcel, and the callers who may get it."""

import base64
import re
import xml.etree.ElementTree as ET
import zlib
from typing import Any

import pytest
import segno
from pytest_django import Settings

from fleet.tests.factories import HubFactory
from orders.models import Order
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from orders.tests.loading import FAR, browser_of, drone_of, loader_at
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client

pytestmark = pytest.mark.django_db


def path_of(order: Order) -> str:
    return f"/api/v1/orders/{order.pk}/label"


def texts_of(answer: Any) -> list[str]:
    return [text.text or "" for text in ET.fromstring(answer.content).iter() if text.text]


def test_a_label_names_the_parcel_and_not_the_customer(settings: Settings) -> None:
    settings.PUBLIC_BASE_URL = "https://delivery.example"
    order = OrderFactory(
        public_tracking_id="7Q2KM9XW4TZ1H", external_id="R-1042", customer_email="a@example.com"
    )
    answer = api_client(UserFactory(ops=True)).get(path_of(order))

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/svg+xml")
    texts = texts_of(answer)
    for expected in ("7Q2K-M9XW", "Parcel, 0.8 kg", "From Ridge Pharmacy", "Ref. R-1042"):
        assert expected in texts
    shown = answer.content.decode()
    for private in ("Ama", "Mensah", "+233", "example.com", "4TZ1H", "5.615"):
        assert private not in shown
    code = segno.make(f"https://delivery.example/load/scan/{order.pk}", error="m")
    assert code.svg_inline(border=0, omitsize=True) in shown


@pytest.mark.parametrize("name", ["<b>&amp;'\"", "a\x01b\x1f", "x" * 120])
def test_a_label_is_valid_svg_for_any_pickup_name(name: str) -> None:
    order = OrderFactory(pickup_name=name, external_id=name[:64])
    answer = api_client(UserFactory(ops=True)).get(path_of(order))
    assert all(len(text) <= 48 for text in texts_of(answer))


# --- as PDF --------------------------------------------------------------------------------------

MM = 72 / 25.4


def streams_of(pdf: bytes) -> list[str]:
    """The decoded streams of a PDF."""
    found = []
    for filters, packed in re.findall(
        rb"/Filter \[ (.*?) \].*?\bstream\r?\n(.*?)endstream", pdf, re.DOTALL
    ):
        data = base64.a85decode(packed.strip()[:-2]) if b"ASCII85" in filters else packed
        found.append(zlib.decompress(data).decode("latin-1"))
    return found


def code_in(drawing: str) -> list[list[int]]:
    """The modules of the QR code, read back from its rectangles."""
    runs = [
        [float(number) for number in run]
        for run in re.findall(r"([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) re", drawing)
    ]
    side = runs[0][3]
    size = round(40 * MM / side)
    code = [[0] * size for _ in range(size)]
    for x, y, width, _ in runs:
        row = round((57 * MM - y) / side) - 1
        first = round((x - 5 * MM) / side)
        code[row][first : first + round(width / side)] = [1] * round(width / side)
    return code


@pytest.mark.parametrize(
    ("query", "accept"),
    [("?format=pdf", "*/*"), ("", "application/pdf"), ("", "image/svg+xml;q=0.5,application/pdf")],
)
def test_a_label_is_a_pdf_where_it_is_asked_for(query: str, accept: str) -> None:
    order = OrderFactory(public_tracking_id="7Q2KM9XW4TZ1H")
    client = api_client(UserFactory(ops=True))
    answer = client.get(path_of(order) + query, headers={"accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/pdf")
    assert 'filename="label-7Q2K-M9XW.pdf"' in answer.headers["Content-Disposition"]
    assert answer.content.startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("query", "accept"), [("", "text/html,*/*;q=0.8"), ("", "text/csv"), ("?format=svg", "*/*")]
)
def test_a_label_is_svg_otherwise(query: str, accept: str) -> None:
    client = api_client(UserFactory(ops=True))
    answer = client.get(path_of(OrderFactory()) + query, headers={"accept": accept})
    assert answer.headers["Content-Type"] == "image/svg+xml"


def test_another_format_is_refused_with_the_choices() -> None:
    refused = api_client(UserFactory(ops=True)).get(path_of(OrderFactory()) + "?format=png")
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["message"] == "Must be one of svg, pdf."


def test_the_pdf_has_the_same_code_and_every_letter_of_the_names(settings: Settings) -> None:
    settings.PUBLIC_BASE_URL = "https://delivery.example"
    order = OrderFactory(pickup_name="Ɛfua’s Apɔtikɛ", external_id="R-1042", priority="MEDICAL")
    client = api_client(UserFactory(ops=True))
    pdf = client.get(path_of(order) + "?format=pdf").content
    assert pdf == client.get(path_of(order) + "?format=pdf").content
    assert pdf.count(b"/Type /Page\n") == 1
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", pdf)
    assert [round(float(side) / MM) for side in box.groups()] == [100, 62]

    streams = streams_of(pdf)
    (drawing,) = [one for one in streams if " Tf " in one]
    scan_url = f"https://delivery.example/load/scan/{order.pk}"
    assert code_in(drawing) == [list(row) for row in segno.make(scan_url, error="m").matrix]
    # The letters are numbers of the embedded font; its maps name them.
    maps = "".join(one for one in streams if "begincmap" in one)
    for letter in "ƐfuaApɔtikɛR-1042Medical":
        assert f"<{ord(letter):04X}>" in maps


@pytest.mark.parametrize("name", ["W" * 120, "\x01", "", "汉字 😀"])
def test_a_pdf_is_made_for_any_name(name: str) -> None:
    order = OrderFactory(pickup_name=name, external_id=None)
    answer = api_client(UserFactory(ops=True)).get(path_of(order) + "?format=pdf")
    assert answer.status_code == 200


# --- who gets it ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.OPS, 200),
        (Role.ADMIN, 200),
        (Role.READONLY, 403),
        (Role.LOADER, 404),
        (Role.MERCHANT, 404),
    ],
)
def test_who_gets_the_label_of_any_order(role: Role, status: int) -> None:
    merchant = MerchantFactory() if role == Role.MERCHANT else None
    user = UserFactory(role=role, merchant=merchant)
    order = OrderFactory()
    assert api_client(user).get(path_of(order)).status_code == status
    assert browser_of(user).get(path_of(order)).status_code == status


def test_a_merchant_gets_its_own_labels_and_a_loader_those_of_its_hub() -> None:
    hub = HubFactory()
    order = order_in(Status.ASSIGNED, drone=drone_of(hub))
    assert api_client(UserFactory(merchant=order.merchant)).get(path_of(order)).status_code == 200
    loader = loader_at(hub)
    assert api_client(loader).get(path_of(order)).status_code == 200
    assert browser_of(loader).get(path_of(order)).status_code == 200
    assert api_client(loader).get(path_of(OrderFactory(**FAR))).status_code == 404
    assert api_client().get(path_of(order)).status_code == 401
