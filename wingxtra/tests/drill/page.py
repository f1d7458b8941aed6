"""Parses the console's pages: attention items, their remedies, and forms."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode

ORDER_ID = "[0-9a-f]{8}-[0-9a-f-]{27}"


@dataclass
class Remedy:
    label: str
    url: str

    @property
    def action(self) -> str:
        """Like `orders.order/at-hub`; for other links, the path."""
        path = self.url.partition("?")[0].strip("/")
        return path.removeprefix("admin/do/")

    @property
    def ids(self) -> list[str]:
        return parse_qs(self.url.partition("?")[2]).get("id", [])

    def about(self, ids: list[str]) -> "Remedy":
        """The same remedy for these objects only."""
        path, _, query = self.url.partition("?")
        asked = [(name, v) for name, v in parse_qsl(query) if name != "id" or v in ids]
        return Remedy(self.label, f"{path}?{urlencode(asked)}")


@dataclass
class Item:
    """An item of the attention list, identified by `key`. `until_seen`: “Seen” ends it."""

    key: str = ""
    text: str = ""
    url: str = ""
    until_seen: bool = False
    remedies: list[Remedy] = field(default_factory=list)

    @property
    def orders(self) -> list[str]:
        """The ids of its orders, from its links."""
        links = [self.url, *(one.url for one in self.remedies if "/orders.order/" in one.url)]
        return [found for link in links for found in re.findall(ORDER_ID, link)]


@dataclass
class Field:
    """One input of a form. `options`: (value, label) of each choice."""

    name: str
    kind: str
    value: str = ""
    required: bool = False
    options: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Page:
    items: list[Item] = field(default_factory=list)
    fields: dict[str, Field] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    """Collects the items of the open attention lines, and the form of an action.

    The items of a line with many are inside it; the line itself is not read.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self._in: list[tuple[str, dict[str, str]]] = []  # open elements
        self._item: Item | None = None
        self._text_of: list[str] | None = None
        self._select: Field | None = None

    VOID = {"input", "br", "img", "meta", "link", "hr"}

    def handle_starttag(self, tag: str, pairs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in pairs}
        if tag not in self.VOID:
            self._in.append((tag, has))
        if tag == "li" and "data-key" in has:
            self._item = Item(has["data-key"])
            self.page.items.append(self._item)
        if self._item is not None and tag in ("a", "strong"):
            self._begin_words()
        if self._item is not None and has.get("aria-label", "").startswith("Seen: "):
            self._item.until_seen = True
        if self._within(css="wx-form"):
            self._form_part(tag, has)
        if tag == "p" and "wx-problem" in has.get("class", ""):
            self._begin_words()

    def _form_part(self, tag: str, has: dict[str, str]) -> None:
        name = has.get("name", "")
        if tag in ("input", "textarea", "select") and name:
            kind = has.get("type", "text") if tag == "input" else tag
            known = self.page.fields.get(name)
            if kind in ("radio", "checkbox") and known:
                known.options.append((has.get("value", "on"), ""))
                return
            one = Field(name, kind, has.get("value", ""), "required" in has)
            if kind in ("radio", "checkbox"):
                one.options.append((has.get("value", "on"), ""))
            self.page.fields[name] = one
            self._select = one if tag == "select" else self._select
            if tag == "textarea":
                self._begin_words()
        elif tag == "option" and self._select:
            self._select.options.append((has.get("value", ""), ""))
            self._begin_words()

    def _begin_words(self) -> None:
        self._text_of = []

    def handle_data(self, data: str) -> None:
        if self._text_of is not None:
            self._text_of.append(data)

    def handle_endtag(self, tag: str) -> None:
        while self._in:
            opened, has = self._in.pop()
            if opened == tag:
                self._end(tag, has, self._words())
                return

    def _words(self) -> str:
        return " ".join("".join(self._text_of or []).split())

    def _end(self, tag: str, has: dict[str, str], words: str) -> None:
        if tag == "li" and "data-key" in has:
            self._item = None
        if tag == "p" and "wx-problem" in has.get("class", ""):
            self.page.problems.append(words)
        elif self._item is not None and tag in ("a", "strong"):
            self._of_item(tag, has, words, self._item)
        elif tag == "option" and self._select and self._select.options:
            self._select.options[-1] = (self._select.options[-1][0], words)
        elif tag == "select":
            self._select = None
        elif tag == "textarea" and (one := self.page.fields.get(has.get("name", ""))):
            one.value = words
        else:
            return
        self._text_of = None

    def _of_item(self, tag: str, has: dict[str, str], words: str, item: Item) -> None:
        link = has.get("href", "")
        if self._within(css="wx-remedies"):
            item.remedies.append(Remedy(words, link))
        elif not item.text:
            item.text, item.url = words, link

    def _within(self, id: str = "", css: str = "", tag: str = "") -> bool:
        return any(
            (not id or has.get("id") == id)
            and (not css or css in has.get("class", "").split())
            and (not tag or name == tag)
            for name, has in self._in
        )


def read(html: str) -> Page:
    reader = _Reader()
    reader.feed(html)
    return reader.page


def answered(page: Page, words: str, wanted: dict[str, Any]) -> dict[str, str]:
    """The data that a person submits with the page's form.

    `wanted`: field name -> value or label of the option to choose. Empty text fields get `words`;
    other choices take their first option.
    """
    sent: dict[str, str] = {}
    for one in page.fields.values():
        want = str(wanted.get(one.name, ""))
        if one.kind in ("select", "radio"):
            values = [value for value, _ in one.options if value]
            fitting = [v for v, text in one.options if want and want in (v, text)]
            value = (fitting or ([one.value] if one.value in values else values) or [""])[0]
            sent[one.name] = value
        elif one.kind == "checkbox":
            sent[one.name] = one.options[0][0]
        elif one.kind in ("text", "textarea") and not one.value:
            sent[one.name] = want or words
        else:
            sent[one.name] = want or one.value
    return sent
