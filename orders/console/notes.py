"""Notes by staff on an order's page."""

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from orders.models import Note, Order
from orders.models.note import MAX_LENGTH
from orders.personal_data import notes
from wingxtra.console import actions
from wingxtra.console.admin import moment
from wingxtra.console.registry import Section
from wingxtra.problems import Problem

SEEN_WITH = "orders.view_personal_data"


class NoteForm(forms.Form):
    id = forms.UUIDField(widget=forms.HiddenInput)
    text = forms.CharField(
        label="New note",
        max_length=MAX_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="For our staff only. Deleted with the order's personal data.",
    )


def read(order: Order) -> tuple[QuerySet[Note]]:
    return (order.notes.order_by("-created_at", "-id"),)


def section(order: Order, request: HttpRequest, written: list[Note]) -> Section | None:
    """Hidden from readers: a note may name people. The form is outside of the part that renews.

    The newest note comes first: the others are further down in their box.
    """
    if not request.user.has_perm(SEEN_WITH):
        return None
    rows = [
        {"author": note.author, "at": moment(note.created_at), "text": note.text}
        for note in written
    ]
    form = NoteForm(initial={"id": uuid.uuid4()}) if order.forgotten_at is None else None
    context = {"has_parts": True, "rows": rows, "form": form, "order": order}
    return Section("Notes", "console/order/notes.html", context)


def add(request: HttpRequest, order: Order) -> HttpResponse:
    """The form's POST."""
    user: Any = request.user
    if not user.has_perm(SEEN_WITH) or not user.has_perm("orders.change_order"):
        raise PermissionDenied
    form = NoteForm(request.POST)
    if form.is_valid():
        text = form.cleaned_data["text"].replace("\r\n", "\n")
        try:
            notes.add(order.pk, form.cleaned_data["id"], text, by=user)
        except Problem as problem:
            messages.error(request, f"The note was not written. {problem.detail}")
    else:
        why = " ".join(str(error) for errors in form.errors.values() for error in errors)
        messages.error(request, f"The note was not written. {why}")
    return HttpResponseRedirect(f"{actions.page_of(order)}#section-notes")
