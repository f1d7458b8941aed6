"""Occurrences: written about a flight, with files and notes; they hold its data from deletion."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from dispatch.models import (
    Flight,
    Occurrence,
    OccurrenceFile,
    OccurrenceNote,
)
from dispatch.occurrences import files, verbs
from orders.models import Order
from orders.personal_data import retention
from orders.states import Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import Actor, ActorKind, Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.problems import Conflict, Invalid, NotFound
from wingxtra.tests.test_broker import wait_until

pytestmark = pytest.mark.django_db

AMA = Actor(ActorKind.USER, "ama")
Category, State = Occurrence.Category, Occurrence.State
PDF = b"%PDF-1.7\n1 0 obj\n"
JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 40
SECRET = "It fell beside the school."


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def said(**changed: Any) -> verbs.Written:
    values = {
        "category": Category.PARCEL,
        "injury": False,
        "happened_at": timezone.now(),
        "text": SECRET,
    }
    return verbs.Written(**(values | changed))


def flown(days_ago: float = 0) -> Order:
    with time_machine.travel(timezone.now() - timedelta(days=days_ago), tick=True):
        return order_in(Status.DELIVERED)


def job_of(order: Order) -> Any:
    return order.jobs.order_by("-attempt").first()


def written(order: Order | None = None, **changed: Any) -> Occurrence:
    order = order or flown()
    changed.setdefault("happened_at", job_of(order).created_at)
    return verbs.write(order.pk, job_of(order).pk, said(**changed), by=AMA)


def attached(occurrence: Occurrence, content: bytes = PDF) -> OccurrenceFile:
    return verbs.attach(occurrence.pk, files.read("report.pdf", content, len(content)), by=AMA)


def closed(occurrence: Occurrence) -> Occurrence:
    return verbs.add_note(occurrence.pk, "Settled with the school.", by=AMA, state=State.CLOSED)


def stored(media: Path) -> list[Path]:
    return [path for path in media.rglob("*") if path.is_file()]


# --- writing -------------------------------------------------------------------------------------


def test_an_occurrence_is_written_about_one_flight_and_once() -> None:
    order = flown()
    first = written(order, injury=True)
    again = written(order, injury=True)
    assert (first.pk, Occurrence.objects.count()) == (again.pk, 1)
    assert (first.job, first.order, first.state) == (job_of(order), order, State.OPEN)
    assert first.written_by == str(AMA)


def test_bad_input_names_each_problem_and_writes_nothing() -> None:
    order, other = flown(), flown()
    wrong = said(text="  ", happened_at=timezone.now() + timedelta(hours=1))
    with pytest.raises(Invalid) as refused:
        verbs.write(order.pk, job_of(other).pk, wrong, by=AMA)
    assert {(e.field, e.code) for e in refused.value.errors} == {
        ("job", "other_order"),
        ("text", "required"),
        ("happened_at", "future"),
    }
    for change, code in (
        ({"text": "x" * 5001}, "too_long"),
        ({"happened_at": timezone.now() - timedelta(days=9)}, "too_early"),
    ):
        with pytest.raises(Invalid) as refused:
            verbs.write(order.pk, job_of(order).pk, said(**change), by=AMA)
        assert [e.code for e in refused.value.errors] == [code]
    with pytest.raises(NotFound):
        verbs.write(uuid4(), job_of(order).pk, said(), by=AMA)
    assert not Occurrence.objects.exists()


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "kept_as", "content_type"),
    [
        ("report.pdf", PDF, "report.pdf", "application/pdf"),
        ("photo.exe", JPEG, "photo.jpg", "image/jpeg"),
        ("../../etc/pass\0wd", "Drone says é".encode(), "pass_wd.txt", "text/plain; charset=utf-8"),
        ("x.png", b"\x89PNG\r\n\x1a\n....", "x.png", "image/png"),
        ("x", b"RIFF\x01\x02\x03\x04WEBPVP8 ", "x.webp", "image/webp"),
    ],
)
def test_a_file_is_known_by_its_content(
    name: str, content: bytes, kept_as: str, content_type: str
) -> None:
    found = files.read(name, content, len(content))
    assert (found.name, found.content_type) == (kept_as, content_type)


@pytest.mark.parametrize(
    ("content", "size_bytes", "code"),
    [
        (PDF, 50 * 2**20, "file_too_large"),
        (b"", 0, "file_empty"),
        (b"MZ\x90\x00\x03\xff", 6, "file_type"),
        (b"PK\x03\x04\x00\x00", 6, "file_type"),
    ],
)
def test_other_files_are_refused(content: bytes, size_bytes: int, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        files.read("a.pdf", content, size_bytes)
    assert refused.value.errors[0].code == code


def test_the_same_file_is_kept_once_and_a_refused_one_leaves_nothing(media: Path) -> None:
    occurrence = written()
    first = attached(occurrence)
    assert attached(occurrence) == first
    assert len(stored(media)) == 1
    verbs.release(closed(occurrence).pk, "Over.", by=AMA)
    with pytest.raises(Conflict, match="were released"):
        attached(occurrence, JPEG)
    with pytest.raises(NotFound):
        verbs.attach(uuid4(), files.read("a.pdf", PDF, 9), by=AMA)
    assert len(stored(media)) == 1


def test_there_is_a_limit_of_files(media: Path) -> None:
    occurrence = written()
    for number in range(files.MAX_FILES):
        attached(occurrence, PDF + bytes([65 + number]))
    with pytest.raises(Conflict, match="20 files"):
        attached(occurrence, PDF + b"one more")
    assert len(stored(media)) == files.MAX_FILES


# --- notes and states ----------------------------------------------------------------------------


def test_notes_are_append_only_and_carry_the_state() -> None:
    occurrence = written()
    verbs.add_note(occurrence.pk, "Told the CAA, no. 17.", by=AMA, state=State.REPORTED)
    closed(occurrence)
    assert [n.state for n in OccurrenceNote.objects.all()] == ["REPORTED", "CLOSED"]
    with pytest.raises(Conflict, match="already"):
        closed(occurrence)
    with pytest.raises(Invalid, match="1 to 2,000"):
        verbs.add_note(occurrence.pk, " ", by=AMA)
    for change in (
        "UPDATE dispatch_occurrencenote SET text = ''",
        "DELETE FROM dispatch_occurrencenote",
    ):
        with (
            pytest.raises(IntegrityError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(change)


def test_only_a_closed_one_is_released_and_once() -> None:
    occurrence = written()
    with pytest.raises(Conflict, match="not closed yet"):
        verbs.release(occurrence.pk, "Over.", by=AMA)
    closed(occurrence)
    assert verbs.release(occurrence.pk, "Over.", by=AMA).released_by == str(AMA)
    with pytest.raises(Conflict, match="were released"):
        verbs.release(occurrence.pk, "Over.", by=AMA)
    with pytest.raises(IntegrityError), transaction.atomic():
        Occurrence.objects.update(state=State.OPEN)


# --- held from deletion --------------------------------------------------------------------------


def test_retention_leaves_the_data_of_a_held_order_until_they_are_released(media: Path) -> None:
    order, other = flown(days_ago=200), flown(days_ago=200)
    occurrence = written(order)
    attached(occurrence)
    Flight.objects.create(job=job_of(order), heard_at=timezone.now())
    assert retention.forget_old(timezone.now()) == (1, 0)
    assert Order.objects.get(pk=other.pk).customer_name == ""
    assert Order.objects.get(pk=order.pk).customer_name == "Ama Mensah"
    assert Flight.objects.exists()
    with pytest.raises(Conflict, match="are held") as refused:
        retention.forget(order.pk)
    assert refused.value.code == "data_held"
    with pytest.raises(CommandError, match="are held"):
        call_command("forget_customers", "--order", str(order.pk))

    verbs.release(closed(occurrence).pk, "Over.", by=AMA)
    assert retention.forget_old(timezone.now()) == (1, 0)
    assert Order.objects.get(pk=order.pk).customer_name == ""
    assert (Flight.objects.exists(), stored(media)) == (False, [])
    assert (OccurrenceFile.objects.get().file.name, Occurrence.objects.get().text) == ("", SECRET)


def without_the_lock(order: Order) -> None:
    """The control: the row alone, as a verb without the order's lock would write it."""
    Occurrence.objects.create(
        order=order,
        job=job_of(order),
        category=Category.PARCEL,
        happened_at=timezone.now(),
        text="x",
    )


def another_waits_for_us() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks"
            " WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("write", "name"), [(written, "Ama Mensah"), (without_the_lock, "")])
def test_a_removal_waits_for_an_occurrence_that_is_being_written(write: Any, name: str) -> None:
    order, found = flown(days_ago=200), []

    def forget() -> None:
        found.append(retention.forget_old(timezone.now()))
        connection.close()

    remover = threading.Thread(target=forget)
    with transaction.atomic():
        write(order)
        remover.start()
        wait_until(lambda: found or another_waits_for_us())
    remover.join(timeout=20)
    assert len(found) == 1
    assert Order.objects.get(pk=order.pk).customer_name == name


# --- the console ---------------------------------------------------------------------------------


def signed_in(role: Role) -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=role, is_staff=True))
    return browser


def address(name: str, *arguments: Any) -> str:
    return reverse(f"admin:dispatch_occurrence_{name}", args=arguments)


def act(browser: Client, instance: Any, name: str, **data: Any) -> HttpResponse:
    label = instance._meta.label_lower
    path = f"{reverse('admin:act', args=[label, name])}?id={instance.pk}"
    form = browser.get(path)
    if form.status_code == 403:
        return form
    seen = {f"seen-{t.object.pk}": t.token for t in form.context["targets"]}
    return browser.post(path, {**seen, **data})


def test_ops_report_attach_and_close_and_an_administrator_releases() -> None:
    order, ops = flown(), signed_in(Role.OPS)
    when = timezone.now().strftime("%Y-%m-%dT%H:%M")
    answer = act(
        ops,
        order,
        "occurrence",
        job=str(job_of(order).pk),
        category="PARCEL",
        injury="on",
        happened_at=when,
        text=SECRET,
    )
    occurrence = Occurrence.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, address("change", occurrence.pk))
    upload = SimpleUploadedFile("photo.jpg", JPEG)
    answer = ops.post(address("attach", occurrence.pk), {"file": upload})
    assert answer.status_code == 302
    page = ops.get(address("change", occurrence.pk)).content.decode()
    assert SECRET in page
    assert "photo.jpg" in page
    assert "Release its data" not in page
    assert (
        str(Occurrence.objects.get())
        in ops.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()
    )
    assert act(ops, occurrence, "close", text="Settled.").status_code == 302
    assert act(ops, occurrence, "release", reason="Over.").status_code == 403
    admin = signed_in(Role.ADMIN)
    assert act(admin, occurrence, "release", reason="Over.").status_code == 302
    assert Occurrence.objects.get().released_at is not None


def test_a_flight_of_another_order_is_no_choice() -> None:
    order, other = flown(), flown()
    data = {"category": "PARCEL", "happened_at": "2026-01-01T10:00", "text": "x"}
    answer = act(signed_in(Role.OPS), order, "occurrence", job=str(job_of(other).pk), **data)
    assert "is not one of the available choices" in answer.content.decode()
    assert not Occurrence.objects.exists()


def test_a_file_that_is_refused_is_named_on_the_form(media: Path) -> None:
    occurrence, ops = written(), signed_in(Role.OPS)
    big = SimpleUploadedFile("film.jpg", JPEG + b"\0" * (11 * 2**20))
    for upload, words in (
        (big, "11.0 MB; at most 10 MB"),
        (SimpleUploadedFile("a.zip", b"PK\x03\x04\x00\xff"), "is not taken: only JPEG"),
    ):
        answer = ops.post(address("attach", occurrence.pk), {"file": upload})
        assert answer.status_code == 200
        assert words in answer.content.decode()
    assert "required" in ops.post(address("attach", occurrence.pk)).content.decode()
    assert stored(media) == []


def test_a_download_is_never_shown_by_the_browser() -> None:
    occurrence = written()
    kept = attached(occurrence, b"<script>alert(1)</script>")
    answer = signed_in(Role.OPS).get(address("download", occurrence.pk, kept.pk))
    assert answer["Content-Disposition"] == 'attachment; filename="report.txt"'
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert b"".join(answer.streaming_content) == b"<script>alert(1)</script>"
    other = written()
    assert signed_in(Role.OPS).get(address("download", other.pk, kept.pk)).status_code == 404


def test_the_printed_page_has_the_flight_and_what_was_written() -> None:
    occurrence = closed(written(injury=True))
    attached(occurrence)
    answer = signed_in(Role.OPS).get(address("print", occurrence.pk))
    page = answer.content.decode()
    job = occurrence.job
    for words in (
        SECRET,
        "A person was hurt",
        str(job.drone_id),
        str(job.pk),
        "Settled with the school.",
        OccurrenceFile.objects.get().sha256,
        "Held from deletion",
        "Launched",
        "Responsible pilot",
    ):
        assert words in page
    assert "no-store" in answer["Cache-Control"]
    assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_readonly_sees_the_list_and_nothing_that_was_written() -> None:
    occurrence = closed(written())
    kept = attached(occurrence)
    browser = signed_in(Role.READONLY)
    for path in (address("changelist"), address("change", occurrence.pk)):
        page = browser.get(path).content.decode()
        assert occurrence.get_category_display() in page
        for words in (SECRET, "Settled with", "report.pdf", ">ama"):
            assert words not in page
    for path in (
        address("print", occurrence.pk),
        address("download", occurrence.pk, kept.pk),
        address("attach", occurrence.pk),
    ):
        assert browser.get(path).status_code == 403
    assert act(browser, occurrence, "note", text="x").status_code == 403
    assert act(browser, occurrence.order, "occurrence").status_code == 403
    found = browser.get(address("changelist"), {"q": "school"}).content.decode()
    assert occurrence.get_category_display() not in found.partition("result_list")[2]


def test_the_list_costs_the_same_for_any_number() -> None:
    browser = signed_in(Role.OPS)

    def statements() -> int:
        with CaptureQueriesContext(connection) as counted:
            assert browser.get(address("changelist")).status_code == 200
        return len(counted)

    written()
    statements()
    once = statements()
    for _ in range(4):
        written()
    assert statements() == once
