"""Registry of the apps' contributions to the console, which itself imports none of the apps.

An app's `console.py` is imported at start (`ConsoleConfig.ready`) and registers them here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from wingxtra.console.look import Look, Rows
from wingxtra.database import together

T = TypeVar("T")


class Tone(StrEnum):
    """How good or bad something is. The style sheet gives each tone a colour."""

    GOOD = "good"
    BUSY = "busy"
    IDLE = "idle"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Button:
    """A link to a form, shown to users with the permission.

    `ids`: its objects, as in the address. With `in_bulk` one form may be for the objects of several
    such buttons.
    """

    label: str
    url: str
    permission: str
    ids: tuple[str, ...] = ()
    in_bulk: bool = False


@dataclass(frozen=True, slots=True)
class Attention:
    """An item that needs a person now. BAD is grave, WARN is a warning.

    `key` stays the same for the same problem. A higher `level` under the same key means that the
    problem has become worse; an acknowledged item is then open again.

    Items with the same `cause` are one line of the dashboard: their number, then `many` (“orders
    are late”), with a link to `all_url`. Without a cause an item is a line of its own.

    `about` is the object in trouble. Several items about one object are one item: the worst, with
    the `others` in its detail. A symptom (“is late”) then goes to the cause of the others.

    `count`: how many objects it stands for. `until_seen`: an acknowledgement ends it for good.
    """

    key: str
    level: int
    text: str
    detail: str = ""
    url: str = ""
    since: datetime | None = None
    tone: Tone = Tone.WARN
    remedies: tuple[Button, ...] = ()
    cause: str = ""
    many: str = ""
    all_url: str = ""
    about: str = ""
    is_symptom: bool = False
    count: int = 1
    until_seen: bool = False
    others: tuple["Attention", ...] = ()


@dataclass(frozen=True, slots=True)
class Switch:
    """A mode that is on or off, shown at the top of the dashboard with buttons to change it."""

    text: str
    tone: Tone
    buttons: tuple[Button, ...]
    detail: str = ""
    icon: str = "play_circle"


@dataclass(frozen=True, slots=True)
class Number:
    """One figure of the dashboard, with what it counts."""

    label: str
    value: str
    detail: str = ""
    tone: Tone = Tone.IDLE
    url: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """Counts per hour. `series`: name -> one value per label."""

    title: str
    labels: list[str]
    series: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Feature:
    """An object on the live map. `geometry` is GeoJSON (longitude first); `look` is its symbol.

    Looks: drone, hub, pickup, drop, line, area, zone, trail. A trail belongs to the feature with
    the id `of`, which extends it as it moves. `is_alert` draws a ring around the feature. `mark`
    is a short text on its symbol.
    """

    id: str
    look: str
    geometry: dict[str, Any]
    label: str
    tone: Tone = Tone.IDLE
    facts: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""
    heading_deg: float | None = None
    is_alert: bool = False
    of: str = ""
    area: str = ""
    state: str = ""
    mark: str = ""


QuerySets = Sequence[QuerySet[Any, Any]]


@dataclass(frozen=True, slots=True)
class MapLink:
    """A link above the live map to the page `url_name`, for users with the permission."""

    label: str
    url_name: str
    permission: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where positions come from. at: when it was last heard. It is stale after `stale_after_s`."""

    name: str
    at: datetime | None
    stale_after_s: float


def _nothing(*rows: list[Any]) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Layer:
    """A switchable part of the live map. A static one is sent once, not at every refresh.

    `reads(now, only)`: querysets; those of all layers are one statement. For an id that cannot be
    one of the layer it may raise ValueError or ValidationError. `features(now, only, *rows)`: the
    features of their rows, a list for each queryset; of all, which need no facts, or of `only` the
    one with this id.

    `left_out(*rows)`: a sentence if it has more objects than the map shows, else "".
    """

    name: str
    title: str
    reads: Callable[[datetime, str], QuerySets]
    features: Callable[..., Iterable[Feature]]
    permission: str
    is_static: bool = False
    group: str = ""  # heading of its states in the map's filter
    left_out: Callable[..., str] = _nothing


@dataclass(frozen=True, slots=True)
class Section:
    """A part of an object's page."""

    title: str
    template: str
    context: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """A page at /admin/<route>, for staff. Its view checks permissions."""

    route: str
    view: Callable[..., HttpResponseBase]
    name: str


class NotChecked(Exception):
    """A source of attention items cannot check now; the text says why."""


@dataclass(frozen=True, slots=True)
class Piece(Generic[T]):
    """Finds things for the dashboard. `reads`: the querysets whose rows it asks the look for; those
    of all pieces are read by one statement.
    """

    find: Callable[[Look], Iterable[T]]
    reads: tuple[Rows[Any], ...] = ()


@dataclass(frozen=True, slots=True)
class AttentionSource:
    """A Piece. `checks`: a clause that is true while it finds nothing: "no order is late"."""

    find: Callable[[Look], Iterable[Attention]]
    checks: str
    reads: tuple[Rows[Any], ...] = ()


# Role without access to the console -> URL name of its home page after the login.
home_pages: dict[str, str] = {}

# Called with the object, the request, and the rows of each queryset that the section reads.
SectionSource = Callable[..., Section | None]
Reads = Callable[[Any], QuerySets]


def no_rows(instance: Any) -> QuerySets:
    return ()


attention_sources: list[AttentionSource] = []
switch_sources: list[Piece[Switch]] = []
number_sources: list[Piece[Number]] = []
chart_sources: list[Piece[Chart]] = []
layers: list[Layer] = []
map_sources: list[Callable[[datetime], Source]] = []
map_links: list[MapLink] = []
pages: list[Page] = []
drone_tones: list[tuple[str, Tone]] = []  # for the map's legend
_sections: dict[type[Model], list[tuple[int, SectionSource, Reads]]] = {}


def add_attention(
    find: Callable[[Look], Iterable[Attention]], *, checks: str, reads: Iterable[Rows[Any]] = ()
) -> None:
    """Show the items of `find(look)` on the dashboard, and the clause `checks` if there are none.

    `find` raises NotChecked if it cannot check; no items would mean that all is well. `reads`: see
    Piece.
    """
    attention_sources.append(AttentionSource(find, checks, tuple(reads)))


def add_section(
    model: type[Model], place: int, source: SectionSource, reads: Reads = no_rows
) -> None:
    """Show `source(object, request)` on the pages of `model`, in order of `place`.

    `reads(object)`: querysets whose rows `source` gets as further arguments, a list for each. Those
    of all sections of a page are one statement.
    """
    _sections.setdefault(model, []).append((place, source, reads))


def sections_of(instance: Model, request: HttpRequest) -> list[Section]:
    placed = sorted(_sections.get(type(instance), []), key=lambda one: one[0])
    rows = together.read_groups([reads(instance) for _, _, reads in placed])
    sections = [
        source(instance, request, *found)
        for (_, source, _), found in zip(placed, rows, strict=True)
    ]
    return [section for section in sections if section is not None]
