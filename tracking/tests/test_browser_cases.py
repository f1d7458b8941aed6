"""Problems after the delivery in a real browser: with and without JavaScript, with a photo."""

from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from orders.states import Status
from pod import codes
from pod.models import Case
from pod.pictures import images
from tracking.tests import looks
from tracking.tests.phone import Visit, fresh, headline
from wingxtra.accounts.identity import SYSTEM

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ORIENTATION, MAKER = 0x0112, 0x010F


def photo() -> Any:
    out = BytesIO()
    Image.new("RGB", (1200, 900), "teal").save(out, "JPEG")
    return {"name": "door.jpg", "mimeType": "image/jpeg", "buffer": out.getvalue()}


def tell(page: Page, picture: Any = None) -> None:
    page.get_by_text("Is something wrong?").click()
    page.get_by_label("It is damaged").check()
    page.get_by_label("In a few words").fill("Wet and torn")
    page.get_by_label("A photo").set_input_files(picture or photo())
    page.get_by_role("button", name="Tell us").click()


@pytest.mark.parametrize("has_script", [True, False])
def test_a_customer_reports_damage_with_a_photo(visit: Visit, has_script: bool) -> None:
    order = looks.delivered()
    page = visit(order, java_script_enabled=has_script)

    tell(page)

    expect(page.locator("#feedback")).to_contain_text("Our staff look into it")
    expect(page.locator("#cases")).to_contain_text("Our staff are looking into it.")
    case = Case.objects.get(order=order)
    assert (case.kind, case.text, bool(case.upload)) == ("DAMAGED", "Wet and torn", True)


def large_photo() -> Any:
    """As a phone takes it: 12 million pixels, held upright, more bytes than are accepted."""
    out = BytesIO()
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[MAKER] = "SecretPhone"
    noise = Image.effect_noise((4000, 3000), 60).convert("RGB")
    noise.save(out, "JPEG", quality=90, exif=exif)
    assert out.tell() > images.STRANGERS_MAX_BYTES
    return {"name": "door.jpg", "mimeType": "image/jpeg", "buffer": out.getvalue()}


def test_the_browser_makes_a_large_photo_smaller(visit: Visit) -> None:
    order = looks.delivered()
    page = visit(order)

    tell(page, large_photo())

    expect(page.locator("#feedback")).to_contain_text("Our staff look into it")
    with Case.objects.get(order=order).upload.open("rb") as file:
        sent = file.read()
    assert len(sent) < images.STRANGERS_MAX_BYTES
    assert b"SecretPhone" not in sent
    assert Image.open(BytesIO(sent)).size == (1536, 2048)  # upright


def test_without_a_script_the_refusal_says_the_size_and_what_to_do(visit: Visit) -> None:
    page = visit(looks.delivered(), java_script_enabled=False)

    tell(page, large_photo())

    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("at most 4 MB are possible")
    expect(alert).to_contain_text("or tell us without a photo")
    assert not Case.objects.exists()


def test_a_refused_photo_leaves_what_was_written(visit: Visit) -> None:
    page = visit(looks.delivered())
    page.get_by_text("Is something wrong?").click()
    page.get_by_label("It is not here").check()
    page.get_by_label("In a few words").fill("Nothing at the gate")
    no_photo = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"}
    page.get_by_label("A photo").set_input_files(no_photo)
    page.get_by_role("button", name="Tell us").click()
    expect(page.get_by_role("alert")).to_contain_text("This photo cannot be read")
    expect(page.get_by_label("In a few words")).to_have_value("Nothing at the gate")
    assert not Case.objects.exists()


def test_the_page_says_delivered_once_the_code_is_there(visit: Visit) -> None:
    order = looks.handed_over()
    code = codes.renew(order.pk, by=SYSTEM)
    page = visit(order)
    headline(page).to_have_text("The drone has handed over your parcel")
    page.get_by_label("Your six-digit code").fill(code)
    page.get_by_role("button", name="Receive the parcel").click()
    headline(page).to_have_text("Delivered")
    assert fresh(order).status == Status.DELIVERED
