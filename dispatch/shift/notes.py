"""The handover note: what one shift tells the next, until a person confirms that it was read."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dispatch.shift.models import ShiftNote
from fleet import pauses, policy
from fleet.models import Drone, DroneHold, ServiceArea
from wingxtra.accounts.models import User
from wingxtra.console import actions, dashboard, registry
from wingxtra.console.admin import ReadOnlyAdmin, badge, said_by
from wingxtra.console.attention.groups import Group
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, Button, Piece, Section, Switch, Tone
from wingxtra.console.times import house_zone, moment
from wingxtra.problems import Conflict

MAX_CHARACTERS = 4000
MAX_UNREAD_SHOWN = 3
SHOWN_CHARACTERS = 200
# The frozen lists: column, title, and the sentence for an empty one.
LISTS = (
    ("open_items", "Needs attention", "Nothing needed attention."),
    ("paused", "Paused", "Dispatch was paused nowhere."),
    ("held", "Drones held", "No drone was on hold or grounded."),
    ("not_checked", "Not checked", ""),
)


def unread(now: datetime) -> QuerySet[ShiftNote]:
    """Notes that are not confirmed, the newest first; some only."""
    found = ShiftNote.objects.filter(read_at__isnull=True).select_related("written_by")
    return found[:MAX_UNREAD_SHOWN]


def frozen(now: datetime) -> dict[str, list[dict[str, Any]]]:
    """What is open at this moment, as the columns of a note."""
    board = dashboard.board(now)
    found = board.findings
    items = [_entry(one) for group in board.lines for one in _each(group)]
    items += [
        {**_entry(one.group), "detail": f"Acknowledged by {one.by.who}. {one.group.detail}".strip()}
        for one in board.acknowledged
    ]
    missing = [
        {"text": why, "detail": f"It is not known that {dashboard.listed(clauses)}."}
        for why, clauses in found.unknown.items()
    ]
    return {
        "open_items": items,
        "not_checked": missing,
        "paused": list(_paused()),
        "held": list(_held()),
    }


def _each(group: Group) -> Sequence[Attention | Group]:
    """As the dashboard has them: the objects of a line, or one line for very many."""
    return group.items if group.count <= dashboard.SHOWN else [group]


def _entry(one: Attention | Group) -> dict[str, Any]:
    return {
        "text": one.text,
        "detail": one.detail,
        "tone": str(one.tone),
        "since": one.since.isoformat() if one.since else None,
    }


def _paused() -> Iterator[dict[str, Any]]:
    if policy.current().dispatch_paused:
        yield {"text": "Dispatch is paused everywhere", **_by_whom(None)}
    for area in ServiceArea.objects.filter(active=True, dispatch_paused=True):
        yield {"text": f"Dispatch is paused in {area}", **_by_whom(area)}


def _by_whom(area: ServiceArea | None) -> dict[str, Any]:
    pause = pauses.latest(area)
    if pause is None:
        return {"detail": "It is not known by whom."}
    return {"detail": f"{said_by(pause.by)}: {pause.reason}", "since": pause.at.isoformat()}


def _held() -> Iterator[dict[str, Any]]:
    holds = DroneHold.objects.standing().filter(drone__active=True).order_by("held_at", "id")
    for hold in holds:
        yield {
            "text": f"{hold.drone_id} is on hold: {hold.get_code_display()}",
            "detail": hold.message,
            "since": hold.held_at.isoformat(),
        }
    grounded = Drone.objects.filter(active=True, grounded_at__isnull=False)
    for drone in grounded.order_by("grounded_at"):
        yield {
            "text": f"{drone} is grounded",
            "detail": f"{said_by(drone.grounded_by)}: {drone.grounded_reason}",
            "since": drone.grounded_at and drone.grounded_at.isoformat(),
        }


def write(text: str, *, by: User) -> ShiftNote:
    now = timezone.now()
    note = ShiftNote.objects.create(written_by=by, written_at=now, text=text, **frozen(now))
    actions.log(by, note, "Wrote the handover note.")
    return note


def confirm(note: ShiftNote, *, by: User) -> None:
    """Raises Conflict if it was confirmed already."""
    done = ShiftNote.objects.filter(pk=note.pk, read_at__isnull=True).update(
        read_by=by, read_at=timezone.now()
    )
    if not done:
        raise Conflict("read_already", "A colleague has confirmed this note already.")


# --- pages ---------------------------------------------------------------------------------------


class NoteForm(forms.Form):
    text = forms.CharField(
        max_length=MAX_CHARACTERS,
        label="What must the next shift know?",
        widget=forms.Textarea(attrs={"rows": 8, "autofocus": True}),
        help_text="The open items below are kept with it, as they are at the moment of saving. No "
        "personal data of customers.",
    )


@admin.register(ShiftNote)
class ShiftNoteAdmin(ReadOnlyAdmin):
    """All notes. They are written with their own form, and change by the action only."""

    list_display = ("when", "who", "words", "counted", "reading")
    list_select_related = ("written_by", "read_by")
    search_fields = ("text",)
    fields = ("who", "when", "reading")
    readonly_fields = fields
    when_empty = (
        "No handover note has been written yet. "
        "Write one at the end of a shift: what is open is kept with it."
    )
    list_before_template = "console/shift/notes_tabs.html"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        user: Any = request.user
        return bool(user.has_perm("dispatch.add_shiftnote"))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {
            "may_write": self.has_add_permission(request),
            "has_add_permission": False,  # the list has a button of its own
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        user: Any = request.user
        form = NoteForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            note = write(form.cleaned_data["text"], by=user)
            return HttpResponseRedirect(actions.page_of(note))
        context = {
            **self.admin_site.each_context(request),
            "title": "Handover note",
            "opts": self.opts,
            "form": form,
            "lists": lists(frozen(timezone.now())),
            "back": reverse("admin:shift"),
        }
        return TemplateResponse(request, "console/shift/write.html", context)

    @admin.display(description="Written", ordering="written_at")
    def when(self, note: ShiftNote) -> SafeString | str:
        return moment(note.written_at)

    @admin.display(description="By")
    def who(self, note: ShiftNote) -> str:
        return str(note.written_by)

    @admin.display(description="Text")
    def words(self, note: ShiftNote) -> str:
        return shortened(note.text)

    @admin.display(description="Open then")
    def counted(self, note: ShiftNote) -> str:
        return str(len(note.open_items))

    @admin.display(description="Read")
    def reading(self, note: ShiftNote) -> SafeString | str:
        if note.read_at is None:
            return badge("Not confirmed", Tone.WARN)
        return format_html("{}, {}", moment(note.read_at), note.read_by)


def shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 1]}…"


def lists(columns: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The frozen lists for a page: title, entries, and the sentence for an empty one."""
    return [
        {"title": title, "rows": [_row(one) for one in columns[name]], "empty": empty}
        for name, title, empty in LISTS
        if columns[name] or empty
    ]


def _row(one: dict[str, Any]) -> dict[str, Any]:
    since = one.get("since")
    at = moment(datetime.fromisoformat(since), zone=house_zone()) if since else ""
    return {**one, "tone": one.get("tone", "idle"), "at": at}


def _open_then(note: ShiftNote, request: HttpRequest) -> Section:
    columns = {name: getattr(note, name) for name, _, _ in LISTS}
    context = {"text": note.text, "lists": lists(columns)}
    return Section("The note, and what was open then", "console/shift/frozen.html", context)


def _confirm(note: ShiftNote, data: dict[str, Any], user: User) -> str:
    confirm(note, by=user)
    return "You have confirmed that the handover note was read."


def on_the_dashboard(look: Look) -> Iterator[Switch]:
    """One line for each note that is not confirmed."""
    for note in look.rows(unread):
        yield Switch(
            f"Handover note of {note.written_by}",
            Tone.WARN,
            (
                Button("Read it", actions.page_of(note), "dispatch.view_shiftnote"),
                actions.button(ShiftNote, "confirm-reading", note.pk, next=reverse("admin:index")),
            ),
            shortened(note.text),
            icon="assignment",
        )


actions.register(
    actions.Action(
        model=ShiftNote,
        name="confirm-reading",
        label="Confirm reading",
        permission="dispatch.change_shiftnote",
        carry_out=_confirm,
        why_not=lambda note: "It is confirmed already." if note.read_at else None,
        explanation="The note is then no longer shown to the shift. It stays in the list.",
    )
)
actions.describe(ShiftNote, lambda note: shortened(note.text))
registry.switch_sources.append(Piece(on_the_dashboard, (unread,)))
registry.add_section(ShiftNote, 10, _open_then)
