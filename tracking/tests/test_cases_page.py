"""Problems after the delivery on the customer's page, without JavaScript."""

from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from PIL import Image

from orders.models import Order
from orders.states import PodRequirement, Status
from pod import cases
from pod.models import Case
from pod.pictures import images
from tracking.models import WebhookDelivery
from tracking.page import cache, pages
from tracking.tests.deliveries import proved_order, secret_order
from tracking.tests.receiver import WebhookFactory
from tracking.tests.test_forms import feedback, path
from tracking.tests.test_page import page, text_of
from wingxtra.accounts.identity import CUSTOMER, Actor, ActorKind

pytestmark = pytest.mark.django_db

OPS = Actor(ActorKind.USER, "operator-efua")


def delivered() -> Order:
    return secret_order(Status.DELIVERED, pod_requirement=PodRequirement.NONE)


def tell(order: Order, query: str = "", **fields: Any) -> Any:
    form = {"token": pages.token_of(order.public_tracking_id), "do": "case", **fields}
    return Client().post(path(order) + query, form)


def photo(kind: str = "JPEG") -> SimpleUploadedFile:
    out = BytesIO()
    Image.new("RGB", (40, 30), "teal").save(out, kind)
    return SimpleUploadedFile("door.jpg", out.getvalue())


def html_of(order: Order) -> str:
    return page(order.public_tracking_id).content.decode()


def has_form(order: Order) -> bool:
    return 'data-do="case"' in html_of(order)


@pytest.mark.parametrize("status", Status)
def test_the_form_is_there_after_the_delivery_only(status: Status) -> None:
    assert has_form(secret_order(status)) == (status == Status.DELIVERED)


def test_after_7_days_the_form_is_gone() -> None:
    order = delivered()
    with time_machine.travel(timezone.now() + timedelta(days=7, minutes=1)):
        assert not has_form(order)


def test_a_customer_tells_it_and_reads_what_became_of_it(copies_expire: Callable[[], None]) -> None:
    order = delivered()
    sent = tell(order, kind="NOT_HERE", text="Nothing at the gate", photo=photo())
    assert (sent.status_code, sent["Location"]) == (303, f"{path(order)}?done=case")
    case = Case.objects.get()
    assert (case.kind, case.text, bool(case.upload)) == ("NOT_HERE", "Nothing at the gate", True)
    assert "Our staff are looking into it." in html_of(order)

    cases.close(case.pk, Case.Outcome.FOUND, answer="Your neighbour has it.", by=OPS)
    copies_expire()

    text = text_of(page(order.public_tracking_id))
    assert "It was found. We answered on" in text
    assert "Your neighbour has it." in text
    assert "efua" not in text
    assert "Nothing at the gate" not in text  # others may have the link


def test_what_is_open_cannot_be_chosen_again() -> None:
    order = delivered()
    tell(order, kind="NOT_HERE")
    html = html_of(order)
    assert 'value="DAMAGED"' in html
    assert 'value="NOT_HERE"' not in html
    tell(order, kind="DAMAGED")
    assert not has_form(order)


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"kind": "LATE"}, 400, "Please choose what is wrong."),
        ({}, 400, "Please choose what is wrong."),
        ({"kind": "DAMAGED", "text": "x" * 501}, 400, "Please use at most 500 letters."),
        (
            {"kind": "DAMAGED", "photo": SimpleUploadedFile("a.jpg", b"<svg onload=alert()>")},
            400,
            "This photo cannot be read. Please send a JPEG, PNG or WebP picture.",
        ),
        ({"kind": "DAMAGED", "token": "forged"}, 400, "This page was too old. Please try again."),
    ],
)
def test_bad_input_is_refused_in_words(fields: dict[str, Any], status: int, words: str) -> None:
    order = delivered()
    answer = tell(order, **fields)
    assert (answer.status_code, feedback(answer)) == (status, words)
    assert not Case.objects.exists()


@pytest.mark.parametrize(
    ("more_bytes", "query", "words"),
    [
        (1, "", "you sent 4.0 MB, and at most 4 MB are possible"),
        (2**20, "", "you sent 5.0 MB, and at most 4 MB are possible"),
        (2**20, "?lang=fr", "vous avez envoyé 5,0 Mo, pour 4 Mo au plus"),
    ],
)
def test_a_photo_that_is_too_large_is_refused_with_its_size(
    more_bytes: int, query: str, words: str
) -> None:
    size_bytes = images.STRANGERS_MAX_BYTES + more_bytes
    huge = SimpleUploadedFile("a.jpg", b"\xff\xd8\xff".ljust(size_bytes, b"0"))
    answer = tell(delivered(), query, kind="DAMAGED", photo=huge)
    assert words in feedback(answer)
    assert not Case.objects.exists()


def test_before_the_delivery_it_is_refused() -> None:
    early = tell(secret_order(Status.ARRIVED), kind="NOT_HERE")
    assert (early.status_code, feedback(early)) == (409, "This delivery is not over yet.")


def test_the_same_again_is_thanked_and_other_words_are_refused() -> None:
    order = delivered()
    for _ in range(2):
        assert tell(order, kind="DAMAGED", text="Wet").status_code == 303
    again = tell(order, kind="DAMAGED", text="Wet and torn")
    assert (again.status_code, feedback(again)) == (
        409,
        "You told us already, and our staff are looking into it.",
    )
    assert Case.objects.count() == 1


def test_in_french() -> None:
    order = delivered()
    sent = tell(order, "?lang=fr", kind="DAMAGED")
    assert sent["Location"].endswith("?done=case&lang=fr")
    text = text_of(Client().get(sent["Location"]))
    for words in (
        "Vous nous avez dit : il est abîmé",
        "Notre équipe s’en occupe.",
        "Quelque chose ne va pas ?",
    ):
        assert words in text


def test_the_merchant_is_told_by_webhook_without_the_words() -> None:
    order = delivered()
    WebhookFactory(merchant=order.merchant, events=["order.case_opened", "order.case_closed"])
    tell(order, kind="NOT_HERE", text="Nothing at the gate")
    case = Case.objects.get()
    cases.close(case.pk, Case.Outcome.REFUNDED, answer="Dear Ama.", by=OPS)
    bodies = list(WebhookDelivery.objects.order_by("event_id").values_list("body", flat=True))
    assert '"payload":{"case":"NOT_HERE"}' in bodies[0]
    assert '"outcome":"REFUNDED"' in bodies[1]
    for body in bodies:
        assert "gate" not in body
        assert "Dear" not in body


def test_the_public_api_has_the_steps_and_no_words() -> None:
    order = proved_order()
    complaint = cases.Complaint(Case.Kind.DAMAGED, "Wet and torn")
    cases.open_case(order.pk, complaint, by=CUSTOMER)
    shown = cache.fetch(order.public_tracking_id).view
    assert shown["timeline"][-1]["label"] == "You told us about a problem"
    assert "Wet" not in str(shown)
