"""What staff do with occurrences in the console; `wingxtra.console.actions` has the pages."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.db.models import QuerySet
from unfold.widgets import UnfoldAdminFileFieldWidget

from dispatch.models import Occurrence
from dispatch.occurrences import files, verbs
from orders.models import DeliveryJob, Order
from wingxtra.console.actions import Action, ActionForm, Created, ReasonForm, page_of
from wingxtra.console.widgets import MomentInput

State = Occurrence.State


class OccurrenceForm(ActionForm):
    job = forms.ChoiceField(label="Flight")
    category = forms.ChoiceField(label="What it was", choices=Occurrence.Category.choices)
    injury = forms.BooleanField(label="A person was hurt", required=False)
    happened_at = forms.DateTimeField(label="When (UTC)", widget=MomentInput)
    text = forms.CharField(
        label="What happened",
        max_length=verbs.MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text="Who saw what, where the drone and the parcel are, who was told. No personal "
        "data of customers: the order has them. Files are attached on the next page.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["job"]
        field.choices = [
            (str(job.pk), f"Attempt {job.attempt}, {job.drone_id}")
            for job in flights_of(self.targets[0])
        ]


class NoteForm(ActionForm):
    text = forms.CharField(
        label="Note",
        max_length=verbs.MAX_NOTE,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Stays as it is, with your name. No personal data of customers.",
    )


class FileForm(forms.Form):
    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget(),
        help_text=f"{files.TAKEN}; up to {files.MAX_BYTES // 2**20} MB, "
        f"{files.MAX_FILES} files. Kept as it is, with its SHA-256.",
    )


def flights_of(order: Order) -> QuerySet[DeliveryJob]:
    """The latest first."""
    return order.jobs.filter(drone__isnull=False).order_by("-attempt")


def _why_not_report(order: Order, flights: list[DeliveryJob]) -> str | None:
    return None if flights else "No drone was assigned to it yet."


def _report(order: Order, data: dict[str, Any], user: Any) -> Created:
    said = verbs.Written(
        Occurrence.Category(data["category"]), data["injury"], data["happened_at"], data["text"]
    )
    occurrence = verbs.write(order.pk, data["job"], said, by=user.actor)
    return Created(page_of(occurrence), "The occurrence is written. Its data are held.")


def _note(state: State | None, result: str) -> Callable[[Occurrence, dict[str, Any], Any], str]:
    def carry_out(occurrence: Occurrence, data: dict[str, Any], user: Any) -> str:
        verbs.add_note(occurrence.pk, data["text"], by=user.actor, state=state)
        return result

    return carry_out


def _release(occurrence: Occurrence, data: dict[str, Any], user: Any) -> str:
    verbs.release(occurrence.pk, data["reason"], by=user.actor)
    return "Its data are not held any more. They are deleted when their time is over."


def _why_not(*states: State) -> Callable[[Occurrence], str | None]:
    def why_not(occurrence: Occurrence) -> str | None:
        if occurrence.released_at is not None:
            return "Its data are released; nothing is added."
        if occurrence.state not in states:
            return f"It is “{occurrence.get_state_display().lower()}”."
        return None

    return why_not


def _with_a_note(name: str, label: str, state: State | None, result: str, *states: State) -> Action:
    return Action(
        model=Occurrence,
        name=name,
        label=label,
        permission="dispatch.add_occurrence",
        form=NoteForm,
        carry_out=_note(state, result),
        why_not=_why_not(*states),
        in_bulk=False,
    )


ACTIONS = [
    Action(
        model=Order,
        name="occurrence",
        label="Report an occurrence",
        permission="dispatch.add_occurrence",
        form=OccurrenceForm,
        carry_out=_report,
        why_not=_why_not_report,
        reads=lambda order: (flights_of(order)[:1],),
        explanation="Marks a flight of this order. Its data (personal data, decisions, track) are "
        "held from deletion until an administrator releases them.",
        icon="report",
        in_bulk=False,
    ),
    _with_a_note("note", "Add a note", None, "The note is written.", *State),
    _with_a_note(
        "reported", "Reported to the authority", State.REPORTED, "It is reported.", State.OPEN
    ),
    _with_a_note(
        "close", "Close the occurrence", State.CLOSED, "It is closed.", State.OPEN, State.REPORTED
    ),
    _with_a_note("reopen", "Open it again", State.OPEN, "It is open again.", State.CLOSED),
    Action(
        model=Occurrence,
        name="release",
        label="Release its data",
        permission="dispatch.change_occurrence",
        form=ReasonForm,
        carry_out=_release,
        why_not=_why_not(State.CLOSED),
        explanation="Its data are deleted when their time is over, at once if it is over already: "
        "personal data, decisions, track, the attached files. What was written stays.",
        is_grave=True,
        in_bulk=False,
    ),
]
