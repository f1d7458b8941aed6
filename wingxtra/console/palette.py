"""Finds objects, pages and actions by a few words: Ctrl+K, and a plain page without JavaScript.

An app adds a source of objects or an entry. All sources together are one statement.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import CharField, QuerySet, TextField, Value
from django.db.models.functions import Cast
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

MIN_CHARACTERS = 3  # a shorter text matches most objects, and no index helps to find them
MAX_CHARACTERS = 200
MAX_OF_A_KIND = 8


@dataclass(frozen=True, slots=True)
class Hit:
    """`kind`: the heading above it. `detail`: a line without personal data."""

    kind: str
    title: str
    detail: str
    url: str


@dataclass(frozen=True, slots=True)
class Source:
    """Objects that a text finds, with the columns that `as_text` makes.

    `find(text, user)` returns those that this user may find by this text, the best first.
    `hit(key, title, detail)` shows one.
    """

    kind: str
    permission: str
    find: Callable[[str, Any], QuerySet[Any]]
    hit: Callable[[str, str, str], Hit]


@dataclass(frozen=True, slots=True)
class Entry:
    """A page or an action. `words`: more that it is found by."""

    title: str
    permission: str
    url: Callable[[], str]
    words: str = ""
    kind: str = "Actions"


_sources: dict[str, Source] = {}
_entries: list[Entry] = []


def add_source(source: Source) -> None:
    _sources[source.kind] = source


def add_entry(entry: Entry) -> None:
    _entries.append(entry)


def as_text(**columns: Any) -> dict[str, Any]:
    """The columns `key`, `title` and `detail` of a source, as expressions of text."""
    return {f"hit_{name}": Cast(column, TextField()) for name, column in columns.items()}


@require_safe
def find(request: HttpRequest) -> HttpResponse:
    """The plain page of `?q=`."""
    text = _text_of(request)
    context = {
        **admin.site.each_context(request),
        "title": "Find",
        "text": text,
        "is_short": 0 < len(text) < MIN_CHARACTERS,
        "hits": list(hits(request, text)),
    }
    return TemplateResponse(request, "console/find.html", context)


@require_safe
def find_data(request: HttpRequest) -> JsonResponse:
    """`{hits: [{kind, title, detail, url}]}` for `?q=`."""
    found = [asdict(hit) for hit in hits(request, _text_of(request))]
    return JsonResponse({"hits": found}, headers={"Cache-Control": "no-store"})


def _text_of(request: HttpRequest) -> str:
    return request.GET.get("q", "").strip()[:MAX_CHARACTERS]


def hits(request: HttpRequest, text: str) -> Iterator[Hit]:
    """Objects first, then actions and pages. Every word of the text must match."""
    user: Any = request.user
    if len(text) >= MIN_CHARACTERS:
        yield from _objects(text, user)
    words = text.lower().split()
    for entry in [*_entries, *_pages(request)]:
        searched = f"{entry.title} {entry.words}".lower()
        if all(word in searched for word in words) and _may(user, entry.permission):
            yield Hit(entry.kind, entry.title, "", entry.url())


def _objects(text: str, user: Any) -> Iterator[Hit]:
    parts = [
        source.find(text, user)
        .annotate(hit_kind=Value(source.kind, output_field=CharField()))
        .values_list("hit_kind", "hit_key", "hit_title", "hit_detail")[:MAX_OF_A_KIND]
        for source in _sources.values()
        if user.has_perm(source.permission)
    ]
    if not parts:
        return
    rows = parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0]
    for kind, key, title, detail in rows:
        yield _sources[kind].hit(key, title, detail)


def _pages(request: HttpRequest) -> Iterator[Entry]:
    """The pages of the menu. Its permissions are functions of the request."""
    from wingxtra.console.navigation import menu

    for group in menu(request):
        for item in group["items"]:
            may = item.get("permission")
            if may is None or may(request):
                yield Entry(item["title"], "", partial(str, item["link"]), "", "Pages")


def _may(user: Any, permission: str) -> bool:
    return not permission or user.has_perm(permission)
