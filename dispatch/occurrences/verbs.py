"""What staff do with an occurrence: write it, attach files, add notes, close it, release its data.

Each verb is one transaction. Writing and releasing lock the order, as the removal of its personal
data does: so data is either held or gone, and never half of it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from dispatch.models import Occurrence, OccurrenceFile, OccurrenceNote
from dispatch.occurrences import files
from dispatch.occurrences.files import Attachment
from orders.models import DeliveryJob, Order
from wingxtra.accounts.identity import Actor
from wingxtra.problems import Conflict, FieldProblem, Invalid, NotFound

MAX_TEXT = 5000
MAX_NOTE = 2000
CLOCK_SPARE = timedelta(minutes=5)
LONG_BEFORE = timedelta(days=1)

State = Occurrence.State
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Written:
    """What staff say. `happened_at` has a time zone."""

    category: Occurrence.Category
    injury: bool
    happened_at: datetime
    text: str


@transaction.atomic
def write(order_id: UUID, job_id: UUID, said: Written, *, by: Actor) -> Occurrence:
    """Write an occurrence about the flight `job_id` of the order. The same one again (double tap)
    changes nothing. From now on the data of the order are held.

    Raises NotFound, and Invalid with all problems: the flight of another order, no text, a time
    that cannot be.
    """
    order = Order.objects.select_for_update(no_key=True).filter(pk=order_id).first()
    if order is None:
        raise NotFound
    job = DeliveryJob.objects.filter(pk=job_id, order=order, drone__isnull=False).first()
    problems = _problems(said, job, timezone.now())
    if problems or job is None:
        raise Invalid(problems)
    occurrence, is_new = Occurrence.objects.get_or_create(
        job=job,
        category=said.category,
        happened_at=said.happened_at,
        defaults={
            "order": order,
            "injury": said.injury,
            "text": said.text.strip(),
            "written_by": str(by)[:180],
        },
    )
    if is_new:
        log.warning("occurrence_written", order_id=str(order_id), category=said.category)
    return occurrence


def _problems(said: Written, job: DeliveryJob | None, now: datetime) -> list[FieldProblem]:
    found = []
    text = said.text.strip()
    if job is None:
        message = "This is no flight of this order. Choose one of its own flights."
        found.append(FieldProblem("job", "other_order", message))
    if not text:
        found.append(FieldProblem("text", "required", "Write what happened."))
    elif len(text) > MAX_TEXT:
        message = f"The text has {len(text):,} characters; at most {MAX_TEXT:,} are taken."
        found.append(FieldProblem("text", "too_long", f"{message} Attach the rest as a file."))
    if said.happened_at > now + CLOCK_SPARE:
        found.append(FieldProblem("happened_at", "future", "This time is in the future."))
    elif job is not None and said.happened_at < job.created_at - LONG_BEFORE:
        message = f"The flight was assigned at {job.created_at:%d %b %H:%M} UTC, a day later."
        found.append(FieldProblem("happened_at", "too_early", message))
    return found


def attach(occurrence_id: UUID, attachment: Attachment, *, by: Actor) -> OccurrenceFile:
    """Attach a file; the same content again changes nothing. Raises NotFound, and Conflict when
    its data are released or it has MAX_FILES.
    """
    stored_as = files.store(attachment)
    try:
        with transaction.atomic():
            occurrence = _locked(occurrence_id)
            kept, is_new = _attach(occurrence, attachment, stored_as, by)
    except BaseException:
        files.discard(stored_as)
        raise
    if not is_new:
        files.discard(stored_as)
    return kept


def _attach(
    occurrence: Occurrence, attachment: Attachment, stored_as: str, by: Actor
) -> tuple[OccurrenceFile, bool]:
    refuse_released(occurrence)
    same = occurrence.files.filter(sha256=attachment.sha256).first()
    if same is not None:
        return same, False
    if occurrence.files.count() >= files.MAX_FILES:
        detail = f"It has {files.MAX_FILES} files, which is the limit."
        raise Conflict("too_many_files", detail)
    kept = OccurrenceFile.objects.create(
        occurrence=occurrence,
        name=attachment.name,
        content_type=attachment.content_type,
        size_bytes=len(attachment.content),
        sha256=attachment.sha256,
        file=stored_as,
        by=str(by)[:180],
    )
    return kept, True


@transaction.atomic
def add_note(
    occurrence_id: UUID, text: str, *, by: Actor, state: Occurrence.State | None = None
) -> Occurrence:
    """Add a note, and with `state` change the state. Raises NotFound, Invalid without a text, and
    Conflict when its data are released or it has this state already.
    """
    occurrence = _locked(occurrence_id)
    refuse_released(occurrence)
    text = text.strip()
    if not text or len(text) > MAX_NOTE:
        message = f"Write 1 to {MAX_NOTE:,} characters; there are {len(text):,}."
        raise Invalid([FieldProblem("text", "length", message)])
    if state == occurrence.state:
        detail = f"It is “{occurrence.get_state_display().lower()}” already."
        raise Conflict("same_state", detail)
    if state is not None:
        occurrence.state = state
        occurrence.save(update_fields=["state"])
    occurrence.notes.create(by=str(by)[:180], state=occurrence.state, text=text)
    return occurrence


@transaction.atomic
def release(occurrence_id: UUID, why: str, *, by: Actor) -> Occurrence:
    """Hold its data no longer: retention removes them when their time is over. Raises NotFound,
    and Conflict unless it is closed and still holds them.
    """
    found = Occurrence.objects.filter(pk=occurrence_id).values_list("order", flat=True).first()
    if found is None:
        raise NotFound("occurrence")
    Order.objects.select_for_update(no_key=True).get(pk=found)
    occurrence = _locked(occurrence_id)
    refuse_released(occurrence)
    if occurrence.state != State.CLOSED:
        raise Conflict("not_closed", "It is not closed yet. Close it with a note first.")
    occurrence.released_at, occurrence.released_by = timezone.now(), str(by)[:180]
    occurrence.released_because = why[:300]
    occurrence.save(update_fields=["released_at", "released_by", "released_because"])
    OccurrenceNote.objects.create(
        occurrence=occurrence,
        by=str(by)[:180],
        state=occurrence.state,
        text=f"Its data are released: {why}"[:MAX_NOTE],
    )
    log.info("occurrence_released", occurrence_id=str(occurrence_id), by=str(by))
    return occurrence


def forget(order: Order) -> None:
    """Remove the files of its occurrences, with the order's personal data. Words and notes stay:
    they name no customer.
    """
    for kept in OccurrenceFile.objects.filter(occurrence__order=order).exclude(file=""):
        files.discard(str(kept.file.name))
        kept.file = ""
        kept.save(update_fields=["file"])


def refuse_released(occurrence: Occurrence) -> None:
    """Raises Conflict."""
    if occurrence.released_at is not None:
        detail = f"Its data were released on {occurrence.released_at:%d %b %Y}; nothing is added."
        raise Conflict("occurrence_released", detail)


def _locked(occurrence_id: UUID) -> Occurrence:
    """Raises NotFound."""
    occurrence = Occurrence.objects.select_for_update().filter(pk=occurrence_id).first()
    if occurrence is None:
        raise NotFound("occurrence")
    return occurrence
