"""Cases of customers after the delivery: opened, answered, forgotten; seen by staff."""

import threading
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from orders import lifecycle
from orders.models import Order
from orders.personal_data import retention
from orders.states import Holder, Status
from orders.tests.factories import order_in
from pod import cases, cases_console
from pod.cases import Complaint
from pod.models import Case
from pod.pictures import case_photos
from wingxtra.accounts.identity import CUSTOMER, Actor, ActorKind, Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention
from wingxtra.problems import Conflict, Invalid, NotFound

pytestmark = pytest.mark.django_db

OPS = Actor(ActorKind.USER, "efua")
NOT_HERE = Complaint(Case.Kind.NOT_HERE, "Nothing at the blue gate")
DAMAGED = Complaint(Case.Kind.DAMAGED)


def photo() -> bytes:
    out = BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "SecretPlace"
    Image.new("RGB", (40, 30), "teal").save(out, "JPEG", exif=exif)
    return out.getvalue()


def refused(order: Order, complaint: Complaint = NOT_HERE) -> str:
    with pytest.raises(Conflict) as refusal:
        cases.open_case(order.pk, complaint, by=CUSTOMER)
    return refusal.value.code


def files(media: Path) -> list[Path]:
    return [path for path in media.rglob("*") if path.is_file()]


# --- opening -------------------------------------------------------------------------------------


def test_a_case_is_opened_and_its_event_has_no_personal_data() -> None:
    order = order_in(Status.DELIVERED)
    assert cases.open_case(order.pk, NOT_HERE, by=CUSTOMER).changed
    case = Case.objects.get()
    assert (case.kind, case.text, case.closed_at) == ("NOT_HERE", "Nothing at the blue gate", None)
    event = order.events.get(type="CASE_OPENED")
    assert (event.actor, event.payload) == ("customer", {"case": "NOT_HERE"})
    assert "gate" not in event.message


def test_a_file_that_is_no_photo_is_refused_and_opens_nothing(media: Path) -> None:
    order = order_in(Status.DELIVERED)
    with pytest.raises(Invalid) as refusal:
        cases.open_case(order.pk, Complaint(Case.Kind.DAMAGED, photo=b"<svg>"), by=CUSTOMER)
    assert (refusal.value.errors[0].field, refusal.value.errors[0].code) == (
        "photo",
        "not_an_image",
    )
    assert not Case.objects.exists()
    assert files(media) == []


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.DELIVERED}))
def test_before_a_delivery_there_are_no_cases(status: Status) -> None:
    assert refused(order_in(status)) == "not_delivered"


def test_a_case_can_be_opened_for_7_days() -> None:
    order = order_in(Status.DELIVERED)
    with time_machine.travel(timezone.now() + timedelta(days=6, hours=23)):
        assert cases.open_case(order.pk, NOT_HERE, by=CUSTOMER).changed
    with time_machine.travel(timezone.now() + timedelta(days=7, seconds=1)):
        assert refused(order, DAMAGED) == "too_late_for_a_case"


def test_an_unknown_order_is_not_found() -> None:
    with pytest.raises(NotFound):
        cases.open_case(order_in(Status.CREATED).merchant_id, NOT_HERE, by=CUSTOMER)


def test_one_case_of_each_kind_is_open(media: Path) -> None:
    order = order_in(Status.DELIVERED)
    with_photo = Complaint(Case.Kind.NOT_HERE, photo=photo())
    assert cases.open_case(order.pk, with_photo, by=CUSTOMER).changed
    assert not cases.open_case(order.pk, with_photo, by=CUSTOMER).changed  # a second tap
    assert refused(order, NOT_HERE) == "case_open"
    assert cases.open_case(order.pk, DAMAGED, by=CUSTOMER).changed
    assert Case.objects.count() == 2
    assert len(files(media)) == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        Case.objects.create(order=order, kind=Case.Kind.DAMAGED)


def test_after_an_answer_another_can_be_opened_but_not_without_end() -> None:
    order = order_in(Status.DELIVERED)
    for number in range(cases.MAX_CASES):
        cases.open_case(order.pk, Complaint(Case.Kind.NOT_HERE, str(number)), by=CUSTOMER)
        case = Case.objects.open().get()
        cases.close(case.pk, Case.Outcome.FOUND, answer="Look again.", by=OPS)
    assert refused(order) == "too_many_cases"


@pytest.mark.django_db(transaction=True)
def test_two_taps_at_once_open_one_case(media: Path) -> None:
    order = order_in(Status.DELIVERED)
    complaint = Complaint(Case.Kind.DAMAGED, photo=photo())
    barrier, changed = threading.Barrier(4), []

    def tap() -> None:
        try:
            barrier.wait()
            changed.append(cases.open_case(order.pk, complaint, by=CUSTOMER).changed)
        finally:
            connection.close()

    threads = [threading.Thread(target=tap) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(changed) == [False, False, False, True]
    assert (Case.objects.count(), len(files(media))) == (1, 1)
    assert order.events.filter(type="CASE_OPENED").count() == 1


# --- answering and forgetting --------------------------------------------------------------------


def opened(complaint: Complaint = NOT_HERE) -> Case:
    order = order_in(Status.DELIVERED)
    cases.open_case(order.pk, complaint, by=CUSTOMER)
    return Case.objects.get(order=order)


def test_a_case_is_closed_once_with_an_outcome_and_words() -> None:
    case = opened()
    cases.close(case.pk, Case.Outcome.REPLACED, answer="A new one comes today.", by=OPS)
    with pytest.raises(Conflict) as refusal:
        cases.close(case.pk, Case.Outcome.FOUND, answer="No.", by=OPS)
    assert refusal.value.code == "case_closed"
    case = Case.objects.get()
    assert (case.outcome, case.answer, case.closed_by) == (
        "REPLACED",
        "A new one comes today.",
        "user:efua",
    )
    event = case.order.events.get(type="CASE_CLOSED")
    assert event.payload == {"case": "NOT_HERE", "outcome": "REPLACED"}
    assert "today" not in event.message


def test_a_case_can_be_answered_after_a_correction() -> None:
    case = opened()
    lifecycle.correct(case.order_id, outcome=Status.FAILED, by=OPS, why="It is not there.")
    cases.close(case.pk, Case.Outcome.REFUNDED, answer="You get it back.", by=OPS)
    assert Order.objects.get(pk=case.order_id).holder == Holder.UNKNOWN


def test_forgetting_removes_words_and_photo_and_keeps_the_outcome(media: Path) -> None:
    case = opened(Complaint(Case.Kind.DAMAGED, "The blue gate", photo()))
    case_photos.encode(case.pk)
    cases.close(case.pk, Case.Outcome.NOT_CONFIRMED, answer="Dear Ama, no.", by=OPS)
    retention.forget(case.order_id)
    case = Case.objects.get()
    assert (case.text, case.answer, case.photo.name, case.fingerprint) == ("", "", "", "")
    assert (case.kind, case.outcome, case.is_forgotten) == ("DAMAGED", "NOT_CONFIRMED", True)
    assert files(media) == []
    assert refused(case.order, NOT_HERE) == "too_late_for_a_case"


def test_an_answer_after_forgetting_brings_no_words_back() -> None:
    case = opened()
    retention.forget(case.order_id)
    cases.close(case.pk, Case.Outcome.FOUND, answer="Dear Ama.", by=OPS)
    assert Case.objects.get().answer == ""


# --- the console ---------------------------------------------------------------------------------


def signed_in(role: Role) -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=role, is_staff=True))
    return browser


def case_page(role: Role, case: Case) -> str:
    answer = signed_in(role).get(reverse("admin:pod_case_change", args=[case.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("role", [Role.OPS, Role.ADMIN])
def test_the_page_of_a_case_has_the_evidence_beside_it(role: Role) -> None:
    case = opened(Complaint(Case.Kind.DAMAGED, "The blue gate", photo()))
    case_photos.encode(case.pk)
    html = case_page(role, case)
    assert "The blue gate" in html
    assert 'src="data:image/jpeg;base64,' in html
    for title in ("What the customer says", "Where it is", "The order", "Timeline"):
        assert f">{title}</h2>" in html
    assert "Where the parcel is" in html
    assert "Correct the outcome…" not in html  # it was delivered


def test_the_page_offers_the_correction_to_those_who_may() -> None:
    case = opened()
    assert "Correct the outcome…" in case_page(Role.OPS, case)
    assert "Correct the outcome…" not in case_page(Role.READONLY, case)


def test_readonly_never_reads_words_or_photo() -> None:
    case = opened(Complaint(Case.Kind.DAMAGED, "The blue gate", photo()))
    case_photos.encode(case.pk)
    cases.close(case.pk, Case.Outcome.FOUND, answer="Dear Ama.", by=OPS)
    html = case_page(Role.READONLY, case)
    assert "It was found" in html
    for secret in ("blue gate", "data:image", "Dear Ama", "cases/"):
        assert secret not in html


def test_the_list_shows_open_cases() -> None:
    answered, still_open = opened(), opened(DAMAGED)
    cases.close(answered.pk, Case.Outcome.FOUND, answer="Look again.", by=OPS)
    html = signed_in(Role.OPS).get(reverse("admin:pod_case_changelist"), {"state": "open"})
    assert str(still_open.order) in html.content.decode()
    assert str(answered.order) not in html.content.decode()


def lines() -> list[Attention]:
    return list(cases_console.open_cases(Look(timezone.now())))


def test_an_open_case_is_on_the_dashboard_until_it_is_answered() -> None:
    case = opened()
    (line,) = lines()
    assert line.text == f"The customer of order {case.order} says: it is not here"
    assert [button.label for button in line.remedies] == ["Answer…", "Correct the outcome…"]
    assert "gate" not in line.detail

    form: dict[str, Any] = {"outcome": "FOUND", "answer": "It is with your neighbour."}
    answer = signed_in(Role.OPS).post(line.remedies[0].url, form)

    assert answer.status_code == 302
    assert lines() == []
    assert Case.objects.get().answer == "It is with your neighbour."


def test_a_damaged_parcel_offers_no_correction() -> None:
    opened(DAMAGED)
    (line,) = lines()
    assert [button.label for button in line.remedies] == ["Answer…"]
