"""`/docs`: the guide and every field, readable without the repository."""

import re
from html import unescape

import pytest
from django.conf import settings
from django.test import Client

from wingxtra.guide import fields, markdown
from wingxtra.guide.views import _bodies

client = Client()


def text_of(path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    assert "unsafe" not in answer["Content-Security-Policy"]
    return unescape(answer.content.decode())


def test_the_guide_is_the_page_of_the_repository() -> None:
    served = text_of("/docs")
    guide = (settings.BASE_DIR / "docs" / "api.md").read_text()
    for heading in re.findall(r"^## (.+)$", guide, re.MULTILINE):
        anchor = markdown.anchor_of(heading)
        assert f'<h2 id="{anchor}">' in served
        assert f'<a href="#{anchor}">' in served
    assert "no_next_step" in served


@pytest.mark.parametrize("path", ["/docs", "/docs/fields", "/docs/security-reporting"])
def test_every_link_of_a_page_leads_somewhere(path: str) -> None:
    page = text_of(path)
    anchors = set(re.findall(r'id="([^"]+)"', page))
    links = set(re.findall(r'<a [^>]*href="([^"]+)"', page))
    for link in links:
        if link.startswith("#"):
            assert link[1:] in anchors, link
        elif link.startswith("/"):
            assert client.get(link.partition("#")[0]).status_code == 200, link
        else:
            assert link.startswith("https://"), link


def test_an_unknown_page_is_a_404() -> None:
    assert client.get("/docs/secrets").status_code == 404


def test_links_to_unserved_files_become_plain_text() -> None:
    text = "# T\n\n[a](other.md) [b](api.md#x) [c](#y) [d](https://x.example)"
    html = markdown.page_of(text, {"api.md": "/docs"}).html
    assert html == (
        '<p><span>a</span> <a href="/docs#x">b</a> <a href="#y">c</a> '
        '<a href="https://x.example">d</a></p>\n'
    )


def test_the_fields_of_an_order_are_told_with_their_limits() -> None:
    by_name = {body.name: body for body in _bodies()}
    new = {member.name: member for member in by_name["NewOrder"].members}
    assert (new["external_id"].type, new["external_id"].limits) == (
        "text or null",
        "at most 64 characters",
    )
    drop, pickup = new["dropoff_lat"], new["pickup_lat"]
    assert (drop.limits, drop.is_required) == ("from -90; up to 90", True)
    assert (pickup.limits, pickup.is_required) == (drop.limits, False)
    assert new["priority"].limits == "NORMAL, URGENT, MEDICAL"
    order = {member.name: member for member in by_name["Order"].members}
    assert (order["custody"].body, order["reason"].body) == ("OrderCustody", "OrderReason")


def test_merchants_read_of_no_call_that_is_not_theirs() -> None:
    assert not {body.name for body in _bodies()} & {"Drone", "DispatchRun", "MissionIntent"}
    assert [body.name for body in _bodies()][: len(fields.FIRST)] == list(fields.FIRST)


def test_every_member_has_a_meaning() -> None:
    missing = [
        f"{body.name}.{member.name}"
        for body in _bodies()
        for member in body.members
        if not member.description and not member.body
    ]
    assert missing == []
