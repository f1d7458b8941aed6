"""What the apps put into the console: each knows its own, and the frame knows none of them.

An app's `console.py` is imported at start (`ConsoleConfig.ready`) and registers there.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import Model
from django.http import HttpRequest


class Tone(StrEnum):
    """How good or bad something is; the style sheet gives each its colour."""

    GOOD = "good"
    BUSY = "busy"
    IDLE = "idle"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Button:
    """Leads to a form; shown to those who have the permission to use it."""

    label: str
    url: str
    permission: str


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that needs somebody, now.

    `key` stays the same while it is the same trouble; a higher `level` of the same key is the
    same trouble grown worse, and brings an acknowledged item back.
    """

    key: str
    level: int
    text: str
    detail: str = ""
    url: str = ""
    since: datetime | None = None
    tone: Tone = Tone.WARN
    remedies: tuple[Button, ...] = ()


@dataclass(frozen=True, slots=True)
class Switch:
    """Something big that is on or off, shown on top of the dashboard with the way to turn it."""

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
    """Counts per hour: `series` is name to one value per label."""

    title: str
    labels: list[str]
    series: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Feature:
    """Something on the live map. `geometry` is GeoJSON (longitude first); `look` is its drawing.

    Looks: drone, hub, pickup, drop, line, area, zone, trail. A trail belongs to the feature that
    `of` names, which lengthens it as it moves. `is_alert` rings what needs somebody.
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


@dataclass(frozen=True, slots=True)
class Layer:
    """A switchable part of the live map; a still one is sent once, not at every refresh."""

    name: str
    title: str
    features: Callable[[datetime], Iterable[Feature]]
    permission: str
    still: bool = False
    group: str = ""  # of its states, in the map's filter


@dataclass(frozen=True, slots=True)
class Section:
    """A part of an object's page."""

    title: str
    template: str
    context: dict[str, Any]


class NotChecked(Exception):
    """A source of attention cannot know now; the text says why."""


@dataclass(frozen=True, slots=True)
class AttentionSource:
    """`checks`: what is the case while it finds nothing, as a clause: "no order is late"."""

    look: Callable[[datetime], Iterable[Attention]]
    checks: str


# Where somebody of a role that is not for the console is led after the log-in: a URL's name.
homes: dict[str, str] = {}

SectionSource = Callable[[Any, HttpRequest], Section | None]

attention_sources: list[AttentionSource] = []
switch_sources: list[Callable[[datetime], Iterable[Switch]]] = []
number_sources: list[Callable[[datetime], Iterable[Number]]] = []
chart_sources: list[Callable[[datetime], Chart]] = []
layers: list[Layer] = []
drone_tones: list[tuple[str, Tone]] = []  # for the map's legend
_sections: dict[type[Model], list[tuple[int, SectionSource]]] = {}


def add_attention(look: Callable[[datetime], Iterable[Attention]], *, checks: str) -> None:
    """Show what `look(now)` finds on the dashboard, and say `checks` while it finds nothing.

    It raises NotChecked where it cannot know: nothing found and nothing known are two answers.
    """
    attention_sources.append(AttentionSource(look, checks))


def add_section(model: type[Model], place: int, source: SectionSource) -> None:
    """Show `source(object, request)` on the pages of `model`, in order of `place`."""
    _sections.setdefault(model, []).append((place, source))


def sections_of(instance: Model, request: HttpRequest) -> list[Section]:
    sources = sorted(_sections.get(type(instance), []), key=lambda placed: placed[0])
    sections = [source(instance, request) for _, source in sources]
    return [section for section in sections if section is not None]
