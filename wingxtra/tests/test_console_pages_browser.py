"""Every page of the console: by axe in light and dark mode, and on a tablet."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.tests.console_pages import TABLET, addresses, serious_violations
from wingxtra.tests.scene import Scene

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible_in_light_and_dark(
    visit: Callable[..., Page], city: Scene, scheme: str
) -> None:
    boss = UserFactory(username="boss", admin=True)
    page = visit(user=boss, color_scheme=scheme)
    found = {}
    for name, address in addresses(city, boss).items():
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200, name
        if name != "occurrence-print":  # paper is white
            is_dark = page.evaluate("document.documentElement.classList.contains('dark')")
            assert is_dark == (scheme == "dark"), name
        found[name] = serious_violations(page)
    assert not {name: violations for name, violations in found.items() if violations}


def test_pages_fit_a_tablet(visit: Callable[..., Page], city: Scene) -> None:
    boss = UserFactory(username="boss", admin=True)
    page = visit(user=boss, viewport=TABLET)
    too_wide = {}
    for name, address in addresses(city, boss).items():
        page.goto(address)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > TABLET["width"]:
            too_wide[name] = width
        expect(page.get_by_role("heading", level=1).first).to_be_visible()
    assert not too_wide
