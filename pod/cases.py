"""A customer's case after the delivery: it is not here, or it is damaged; and what became of it.

The verbs hold the order's row lock (`lifecycle.amend`), so that two taps open one case.
"""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from orders import lifecycle
from orders.models import Order
from orders.states import EventType, Happened, Status
from pod.actors import encode_photo
from pod.models import Case
from pod.pictures import case_photos, images
from wingxtra.accounts.identity import Actor
from wingxtra.broker import enqueue
from wingxtra.database import few_rows
from wingxtra.problems import Conflict, FieldProblem, Invalid, NotFound

OPEN_FOR = timedelta(days=7)
# Each may bring a picture: more than these say nothing new.
MAX_CASES = 6
# Two photos of one length that are the same at the beginning and at the end are the same photo.
COMPARED_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a customer sends. `photo`: the file as uploaded; empty without one."""

    kind: Case.Kind
    text: str = ""
    photo: bytes = b""

    @property
    def fingerprint(self) -> str:
        """The same for a second tap on the same form."""
        digest = hashlib.sha256(f"{self.kind}\n{self.text}\n{len(self.photo)}\n".encode())
        # Hashing all of it costs as much as reading the form.
        digest.update(self.photo[:COMPARED_BYTES])
        digest.update(self.photo[-COMPARED_BYTES:])
        return digest.hexdigest()


def takes_cases(order: Order, now: datetime) -> bool:
    """Whether a customer can open a case for this order now, by its state and age."""
    since = order.delivered_at
    is_delivered = order.status == Status.DELIVERED and order.forgotten_at is None
    return is_delivered and since is not None and now - since <= OPEN_FOR


def open_case(order_id: UUID, complaint: Complaint, *, by: Actor) -> lifecycle.Done:
    """Open a case; the same complaint again changes nothing. Raises NotFound, Conflict (not
    delivered, too late, one of this kind is open, too many) and Invalid for what is no photo.

    The photo is kept as it was sent until `case_photos.encode` has decoded it: that takes 100
    times as long as all the rest.
    """
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        raise NotFound
    if _is_known(order, complaint):  # asked before a photo is stored, and again under the lock
        return lifecycle.Done(order, changed=False)
    stored_as = _store(complaint.photo)

    def opened(order: Order) -> Happened | None:
        if _is_known(order, complaint):
            return None
        case = Case(
            order=order,
            kind=complaint.kind,
            text=complaint.text,
            upload=stored_as,
            fingerprint=complaint.fingerprint,
        )
        few_rows.insert([case])
        if stored_as:
            enqueue(encode_photo, str(case.pk))  # the sweep asks again if that is lost
        message = f"The customer says: {complaint.kind.label.lower()}."
        return Happened(EventType.CASE_OPENED, message, {"case": complaint.kind})

    try:
        done = lifecycle.amend(order_id, by=by, happened=opened)
    except BaseException:
        _discard(stored_as)
        raise
    if not done.changed:
        _discard(stored_as)
    return done


def close(case_id: int, outcome: Case.Outcome, *, answer: str, by: Actor) -> Case:
    """Close a case with words for the customer. Raises Conflict when it is closed already."""
    case = Case.objects.get(pk=case_id)

    def closed(order: Order) -> Happened:
        nonlocal case
        case = Case.objects.get(pk=case_id)  # again, now under the order's lock
        if case.closed_at is not None:
            text = f"{case.closed_by} closed it already: {case.get_outcome_display().lower()}."
            raise Conflict("case_closed", text, current_status=order.status)
        case.outcome, case.closed_by, case.closed_at = outcome, str(by), timezone.now()
        # Personal data was removed: an answer would bring some back.
        case.answer = "" if case.is_forgotten else answer
        # Only these: an actor may write the photo at this moment.
        case.save(update_fields=["outcome", "closed_by", "closed_at", "answer"])
        kind = Case.Kind(case.kind)
        message = f"“{kind.label}” is answered: {outcome.label.lower()}."
        return Happened(EventType.CASE_CLOSED, message, {"case": kind, "outcome": outcome})

    lifecycle.amend(case.order_id, by=by, happened=closed)
    return case


def forget(order: Order) -> None:
    """Remove text, answer and photo, also one that is not encoded yet; kind, outcome and times
    stay. The lock makes it wait for an actor that writes the photo.
    """
    for case in Case.objects.select_for_update(no_key=True).filter(order=order).order_by("pk"):
        case_photos.discard(case)
        case.is_forgotten = True
        case.text = case.answer = case.fingerprint = case.photo_problem = ""
        case.photo = case.upload = ""
        case.save()


def _is_known(order: Order, complaint: Complaint) -> bool:
    """Whether this complaint is open already; raises Conflict when no case can be opened."""
    cases = list(Case.objects.filter(order=order))
    for case in cases:
        if case.closed_at is None and case.kind == complaint.kind:
            if case.fingerprint == complaint.fingerprint:
                return True
            raise _refused(order, "case_open", "Our staff are looking into this already.")
    if order.status != Status.DELIVERED:
        raise _refused(order, "not_delivered", f"The order is {order.status}, not delivered.")
    if not takes_cases(order, timezone.now()):
        days = OPEN_FOR.days
        text = f"A problem can be reported for {days} days after the delivery. Ask the sender."
        raise _refused(order, "too_late_for_a_case", text)
    if len(cases) >= MAX_CASES:
        text = f"{MAX_CASES} problems were reported for this order, which is the limit."
        raise _refused(order, "too_many_cases", text)
    return False


def _refused(order: Order, code: str, detail: str) -> Conflict:
    return Conflict(code, detail, current_status=order.status)


def _store(photo: bytes) -> str:
    """Store the photo as it is under a random name; returns the name, "" without a photo."""
    if not photo:
        return ""
    try:
        images.refuse_by_header(photo)
    except images.BadImage as error:
        raise Invalid([FieldProblem("photo", error.code, str(error))]) from error
    return default_storage.save(f"{case_photos.FOLDER}/{uuid.uuid4()}", ContentFile(photo))


def _discard(stored_as: str) -> None:
    if stored_as:
        default_storage.delete(stored_as)
