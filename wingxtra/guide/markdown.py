"""A page of `docs/` as HTML with a table of contents. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass(frozen=True, slots=True)
class Heading:
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """`title` is the first heading, which `html` leaves out; `contents` are those of level 2."""

    title: str
    html: str
    contents: list[Heading]


def page_of(text: str, served: Mapping[str, str]) -> Page:
    """`served`: the path of each file of `docs/` that has a page. A link to another file of the
    repository becomes plain text.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    title = tokens[1].content
    contents = []
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            anchor = anchor_of(inline.content)
            opening.attrSet("id", anchor)
            if opening.tag == "h2":
                contents.append(Heading(anchor, inline.content))
        _relink(inline.children or [], served)
    html = markdown.renderer.render(tokens[3:], markdown.options, {})
    # A wide table scrolls in its own box, which the keyboard can reach.
    html = html.replace("<table>", '<div class="wide" tabindex="0"><table>')
    return Page(title, html.replace("</table>", "</table></div>"), contents)


def anchor_of(heading: str) -> str:
    """The anchor that GitHub gives a heading, so that one link works in both places."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _relink(tokens: list[Token], served: Mapping[str, str]) -> None:
    tag = "a"
    for token in tokens:
        if token.type == "link_open":
            file, _, anchor = str(token.attrGet("href")).partition("#")
            is_here = not file or "://" in file
            tag = "a" if is_here or file in served else "span"
            if tag == "span":
                token.attrs = {}
            elif not is_here:
                token.attrSet("href", served[file] + (f"#{anchor}" if anchor else ""))
        if token.type in ("link_open", "link_close"):
            token.tag = tag
