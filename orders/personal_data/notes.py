"""Notes by staff about an order. They may name people, so they are personal data."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from orders.models import Note, Order
from wingxtra.accounts.models import User
from wingxtra.problems import Conflict, NotFound

# A page shows all of them.
MAX_NOTES = 200


def add(order_id: UUID, note_id: UUID, text: str, *, by: User) -> Note:
    """Write a note; the same id again is the note that was written first.

    text: of 1 to MAX_LENGTH characters. Raises Conflict for an order whose personal data was
    removed or that has MAX_NOTES, and NotFound.
    """
    with transaction.atomic():
        # Retention takes this lock too: no note is written after it has removed the others.
        order = Order.objects.select_for_update(no_key=True).filter(pk=order_id).first()
        if order is None:
            raise NotFound
        if order.forgotten_at is not None:
            raise Conflict("forgotten", "The personal data of this order was removed.")
        if written := Note.objects.filter(pk=note_id).first():
            if written.order_id != order.pk:
                raise Conflict("note_exists", "Another order has this note.")
            return written
        if order.notes.count() >= MAX_NOTES:
            raise Conflict("too_many_notes", f"The order has {MAX_NOTES} notes, the limit.")
        note = Note(
            id=note_id,
            order=order,
            author=by.get_username(),
            text=text,
            created_at=timezone.now(),
        )
        note.save(force_insert=True)
    return note
