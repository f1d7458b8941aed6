"""The photo of a case: stored as it was sent, and encoded again by an actor after the commit.

The file as it was sent has the customer's position and the make of their phone, and may be no
picture at all. It is never shown, and deleted once it is encoded or refused.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import PurePosixPath

import structlog
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction

from pod.models import Case, CaseQuerySet
from pod.pictures import images

log = structlog.get_logger(__name__)

# The actor that was asked at the commit is done by then.
SWEPT_AFTER = timedelta(minutes=1)
# No call lasts as long: the file of one that died before its commit is named by no case.
STRAY_AFTER = timedelta(hours=1)
FOLDER = "uploads"
LOST = "The photo was lost before it could be read. Ask the customer to send it to you."


def waiting(now: datetime) -> CaseQuerySet:
    """Cases whose photo should be encoded by now."""
    return Case.objects.with_upload().filter(opened_at__lte=now - SWEPT_AFTER)


def encode(case_id: int) -> None:
    """Decode the upload of a case, store it encoded again or say why not, and delete the upload.

    Does it once, however often and in however many processes it runs. A process that dies between
    leaves the upload, so the next run repeats the rest.
    """
    case = Case.objects.with_upload().filter(pk=case_id).first()
    if case is None:
        return
    if not case.photo and not case.photo_problem:
        picture, problem = _read(case)
        _settle(case, picture, problem)
    upload = str(case.upload.name)
    default_storage.delete(upload)
    Case.objects.filter(pk=case_id, upload=upload).update(upload="")


def delete_strays(now: datetime) -> None:
    """Delete the uploads of calls that died before their commit."""
    try:
        _, files = default_storage.listdir(FOLDER)
    except FileNotFoundError:  # nothing was ever uploaded
        return
    names = {f"{FOLDER}/{file}" for file in files}
    known = set(Case.objects.filter(upload__in=names).values_list("upload", flat=True))
    for name in names - known:
        with suppress(FileNotFoundError):  # encoded at this moment
            if default_storage.get_modified_time(name) < now - STRAY_AFTER:
                default_storage.delete(name)
                log.warning("stray_upload_deleted", name=name)


def discard(case: Case) -> None:
    """Delete the files of a case. Deleting a missing file is no error."""
    names = {str(case.photo.name or ""), str(case.upload.name or "")}
    if case.upload:
        names.add(_name_of_photo(case))
    for name in names - {""}:
        default_storage.delete(name)


def _read(case: Case) -> tuple[bytes, str]:
    """The photo, encoded again, or why there is none."""
    try:
        with case.upload.open("rb") as file:
            return images.photo(file.read()), ""
    except images.BadImage as error:
        return b"", str(error)
    except FileNotFoundError:
        log.error("case_photo_lost", case_id=case.pk)
        return b"", LOST


def _settle(case: Case, picture: bytes, problem: str) -> None:
    """Write the result, unless another run did or the case was forgotten.

    The file is written under the case's lock, by a name that follows from the upload's: after a
    death in here the next run replaces the file, and no file is left that no row names.
    """
    with transaction.atomic():
        mine = Case.objects.filter(pk=case.pk, upload=case.upload.name, photo="", photo_problem="")
        if not mine.select_for_update(no_key=True).exists():
            return
        name = ""
        if picture:
            default_storage.delete(_name_of_photo(case))
            name = default_storage.save(_name_of_photo(case), ContentFile(picture))
        mine.update(photo=name, photo_problem=problem)


def _name_of_photo(case: Case) -> str:
    return f"cases/{PurePosixPath(str(case.upload.name)).name}.jpg"
