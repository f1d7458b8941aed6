"""The photo of a case: kept as sent, encoded once after the commit, also after a crash."""

import inspect
import threading
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image
from pytest_django import DjangoCaptureOnCommitCallbacks

from orders.personal_data import retention
from orders.states import Status
from orders.tests.factories import order_in
from pod import cases
from pod.actors import encode_photo
from pod.cases import Complaint
from pod.models import Case
from pod.pictures import case_photos, images
from wingxtra.accounts.identity import CUSTOMER, Actor, ActorKind, Role
from wingxtra.accounts.tests.factories import UserFactory

OPS = Actor(ActorKind.USER, "efua")


def photo(color: str = "teal") -> bytes:
    out = BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "SecretPlace"
    Image.new("RGB", (40, 30), color).save(out, "JPEG", exif=exif)
    return out.getvalue()


# A header of a photo, and no pixels.
DAMAGED = photo()[:-150]


def opened(data: bytes) -> Case:
    order = order_in(Status.DELIVERED)
    cases.open_case(order.pk, Complaint(Case.Kind.DAMAGED, photo=data), by=CUSTOMER)
    return Case.objects.get(order=order)


def again(case: Case) -> Case:
    return Case.objects.get(pk=case.pk)


def names(media: Path) -> list[str]:
    return sorted(path.relative_to(media).parts[0] for path in media.rglob("*") if path.is_file())


def page_of(case: Case, role: Role = Role.OPS) -> str:
    browser = Client()
    browser.force_login(UserFactory(role=role, is_staff=True))
    answer = browser.get(reverse("admin:pod_case_change", args=[case.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.django_db
def test_until_it_is_encoded_the_photo_is_shown_to_no_one(media: Path) -> None:
    case = opened(photo())
    assert (names(media), case.photo.name) == (["uploads"], "")
    html = page_of(case)
    assert "It is being read" in html
    assert "data:image" not in html
    assert "uploads/" not in html


@pytest.mark.django_db
def test_the_encoded_photo_replaces_what_was_sent(media: Path) -> None:
    case = opened(photo())
    case_photos.encode(case.pk)
    case = again(case)
    assert (names(media), case.upload.name) == (["cases"], "")
    stored = case.photo.open("rb").read()
    assert b"SecretPlace" not in stored
    assert not Image.open(BytesIO(stored)).getexif()
    assert "data:image/jpeg;base64," in page_of(case)


@pytest.mark.django_db
@pytest.mark.parametrize("role", [Role.OPS, Role.READONLY])
def test_a_photo_that_cannot_be_read_is_a_sentence_for_those_who_may_see_photos(
    media: Path, role: Role
) -> None:
    case = opened(DAMAGED)
    case_photos.encode(case.pk)
    case = again(case)
    assert (names(media), case.photo.name, case.upload.name) == ([], "", "")
    html = page_of(case, role)
    sentence = "The customer sent a photo that cannot be shown. This JPEG or PNG or WEBP picture"
    assert (sentence in html) == (role == Role.OPS)
    assert "data:image" not in html


@pytest.mark.django_db
def test_what_is_known_by_its_header_is_refused_at_once(media: Path) -> None:
    order = order_in(Status.DELIVERED)
    wide = BytesIO()
    Image.new("RGB", (images.MAX_SIDE_PX + 1, 1)).save(wide, "PNG")
    for data, code in (
        (b"<svg>", "not_an_image"),
        (wide.getvalue(), "image_too_large"),
        (photo().ljust(images.STRANGERS_MAX_BYTES + 1), "file_too_large"),
    ):
        with pytest.raises(cases.Invalid) as refusal:
            cases.open_case(order.pk, Complaint(Case.Kind.DAMAGED, photo=data), by=CUSTOMER)
        assert refusal.value.errors[0].code == code
    assert names(media) == []


@pytest.mark.django_db
def test_the_actor_runs_after_the_commit_and_the_sweep_after_a_minute(
    media: Path, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks() as asked:
        case = opened(photo())
    sent = [inspect.getclosurevars(ask).nonlocals for ask in asked if inspect.isfunction(ask)]
    assert [one["args"] for one in sent if one.get("actor") is encode_photo] == [(str(case.pk),)]
    assert not case_photos.waiting(timezone.now()).exists()
    later = timezone.now() + timedelta(seconds=61)
    assert [one.pk for one in case_photos.waiting(later)] == [case.pk]
    case_photos.encode(case.pk)
    assert not case_photos.waiting(later).exists()


class Died(BaseException):
    """A process that was killed: no handler runs."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("method", ["save", "delete"])
@pytest.mark.parametrize("has_worked", [False, True])
@pytest.mark.parametrize("call", [1, 2])
def test_an_actor_that_dies_leaves_the_rest_to_the_next(
    media: Path, monkeypatch: pytest.MonkeyPatch, method: str, has_worked: bool, call: int
) -> None:
    """At each use of the store of files: before it, and after it."""
    case = opened(photo())
    usual: Callable[..., object] = getattr(default_storage, method)
    calls = 0

    def dies(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls < call:
            return usual(*args)
        if has_worked:
            usual(*args)
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(default_storage, method, dies)
        try:
            case_photos.encode(case.pk)
            assert (method, call) == ("save", 2), "it is saved once"
        except Died:
            assert again(case).upload

    case_photos.encode(case.pk)

    case = again(case)
    assert (names(media), case.upload.name) == (["cases"], "")
    assert case.photo.open("rb").read().startswith(b"\xff\xd8\xff")


def at_once(case: Case, runs: int = 4) -> None:
    barrier = threading.Barrier(runs)

    def run() -> None:
        try:
            barrier.wait()
            case_photos.encode(case.pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def all_have_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs decode at the same moment, so that each wants to write."""
    read, decoded = case_photos._read, threading.Barrier(4, timeout=30)

    def together(case: Case) -> tuple[bytes, str]:
        result = read(case)
        decoded.wait()
        return result

    monkeypatch.setattr(case_photos, "_read", together)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("all_have_read")
def test_four_actors_at_once_leave_one_photo(media: Path) -> None:
    case = opened(photo())
    at_once(case)
    case = again(case)
    assert (names(media), case.upload.name) == (["cases"], "")
    assert case.photo.open("rb").read()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("all_have_read")
def test_without_the_lock_they_write_more_than_once(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the race above."""
    case, saved = opened(photo()), []
    looked, usual = threading.Barrier(4, timeout=30), default_storage.save

    class Unlocked:
        """All have looked before one writes; with the lock the second waits for the first."""

        def __init__(self, rows: Any) -> None:
            self.rows = rows

        def exists(self) -> bool:
            found: bool = self.rows.exists()
            looked.wait()
            return found

    def counted(name: str, content: object) -> str:
        saved.append(name)
        return usual(name, content)

    monkeypatch.setattr(
        type(Case.objects.all()), "select_for_update", lambda rows, **_: Unlocked(rows)
    )
    monkeypatch.setattr(default_storage, "save", counted)
    at_once(case)
    assert len(saved) > 1


@pytest.mark.django_db
def test_a_customer_who_is_forgotten_before_leaves_no_file(media: Path) -> None:
    case = opened(photo())
    retention.forget(case.order_id)
    assert names(media) == []
    case_photos.encode(case.pk)
    case = again(case)
    assert (names(media), case.photo.name, case.photo_problem) == ([], "", "")


@pytest.mark.django_db
def test_a_customer_who_is_forgotten_during_the_decoding_leaves_no_file(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, read = opened(photo()), case_photos._read

    def forgotten_then(case: Case) -> tuple[bytes, str]:
        result = read(case)
        retention.forget(case.order_id)
        return result

    monkeypatch.setattr(case_photos, "_read", forgotten_then)
    case_photos.encode(case.pk)
    case = again(case)
    assert (names(media), case.photo.name, case.upload.name) == ([], "", "")


@pytest.mark.django_db(transaction=True)
def test_forgetting_waits_for_an_actor_that_writes_the_photo(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, writes, usual = opened(photo()), threading.Event(), default_storage.save
    forgotten = threading.Event()

    def slow(name: str, content: object) -> str:
        writes.set()
        assert not forgotten.wait(0.5), "the lock is not held"
        return usual(name, content)

    def forget() -> None:
        try:
            writes.wait(30)
            retention.forget(case.order_id)
            forgotten.set()
        finally:
            connection.close()

    monkeypatch.setattr(default_storage, "save", slow)
    thread = threading.Thread(target=forget)
    thread.start()
    case_photos.encode(case.pk)
    thread.join()
    assert forgotten.is_set()
    assert (names(media), again(case).photo.name) == ([], "")


@pytest.mark.django_db
def test_an_answer_during_the_decoding_keeps_the_photo(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, read = opened(photo()), Case.objects.get

    def encoded_after(**which: object) -> Case:
        found = read(**which)
        case_photos.encode(found.pk)
        return found

    monkeypatch.setattr(Case.objects, "get", encoded_after)
    cases.close(case.pk, Case.Outcome.FOUND, answer="Look again.", by=OPS)
    monkeypatch.undo()
    case = again(case)
    assert (bool(case.photo), case.answer) == (True, "Look again.")


@pytest.mark.django_db
def test_a_photo_that_was_lost_is_said(media: Path) -> None:
    case = opened(photo())
    default_storage.delete(str(case.upload.name))
    case_photos.encode(case.pk)
    assert again(case).photo_problem == case_photos.LOST


@pytest.mark.django_db
def test_another_photo_with_the_same_words_is_another_complaint() -> None:
    both = [Complaint(Case.Kind.DAMAGED, "Wet", photo(color)) for color in ("teal", "red")]
    assert both[0].fingerprint != both[1].fingerprint
    assert both[0].fingerprint == Complaint(Case.Kind.DAMAGED, "Wet", photo()).fingerprint


@pytest.mark.django_db
def test_the_upload_of_a_call_that_died_before_its_commit_is_deleted(media: Path) -> None:
    now = timezone.now()
    case_photos.delete_strays(now)  # there is no folder yet
    case, stray = opened(photo()), default_storage.save("uploads/stray", ContentFile(photo()))
    case_photos.delete_strays(now)  # it may be committed yet
    assert default_storage.exists(stray)
    case_photos.delete_strays(now + timedelta(hours=2))
    assert not default_storage.exists(stray)
    assert default_storage.exists(str(case.upload.name))
