"""The frame around each page of `/merchant/`: its navigation, its mode, and notices."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from fleet.models import ServiceArea

TEST = "merchant-test"  # the URL namespace of the pages in test mode
# URL name and title of the pages in the navigation.
NAVIGATION = [
    ("orders", "Orders"),
    ("new-order", "Place an order"),
    ("import-orders", "From a file"),
    ("recurring-orders", "Recurring"),
    ("stores", "Stores"),
    ("keys", "API keys"),
    ("webhooks", "Webhooks"),
]


def is_live(request: HttpRequest) -> bool:
    """The address says the mode, so two tabs can show two modes and a link keeps its own."""
    return request.resolver_match is None or request.resolver_match.namespace != TEST


def address(request: HttpRequest, name: str, *args: Any) -> str:
    """The address of a page of `urls.pages`, in the mode of this request."""
    return reverse(f"merchant:{name}", args=args, current_app=None if is_live(request) else TEST)


def page(
    request: HttpRequest,
    template: str,
    context: dict[str, Any],
    *,
    section: str = "",
    status: int = 200,
) -> HttpResponse:
    """Render a template that extends `tracking/merchant/base.html`.

    section: the URL name of its entry in NAVIGATION; by default the page's own name.
    """
    context = {**context_of(request, section), **context}
    return render(request, f"tracking/merchant/{template}", context, status=status)


def context_of(request: HttpRequest, section: str = "") -> dict[str, Any]:
    """What `tracking/merchant/base.html` needs beside `title`."""
    here = section or (request.resolver_match and request.resolver_match.url_name)
    live = is_live(request)
    return {
        "live": live,
        # To the lists: a single thing exists in one mode only.
        "modes": [
            {"title": "Live", "url": reverse("merchant:orders"), "current": live},
            {
                "title": "Test",
                "url": reverse("merchant:orders", current_app=TEST),
                "current": not live,
            },
        ],
        "navigation": [
            {"title": title, "url": address(request, name), "current": name == here}
            for name, title in NAVIGATION
        ],
    }


def map_context(areas: Iterable[ServiceArea]) -> dict[str, Any]:
    """What `tracking/merchant/map.html` needs; its view is `for_map`."""
    return {
        "areas": [area.polygon for area in areas],
        "tile_url": settings.MAP_TILE_URL,
        "tile_attribution": settings.MAP_TILE_ATTRIBUTION,
    }


def notice(
    request: HttpRequest, status: int, title: str, text: str, **context: Any
) -> HttpResponse:
    """A page with a few words, for example why there is nothing to see."""
    return page(request, "notice.html", {"title": title, "text": text, **context}, status=status)


def see_other(url: str) -> HttpResponse:
    """After a form: the browser fetches the page, and a reload repeats nothing."""
    answer = redirect(url)
    answer.status_code = 303
    return answer


def say(request: HttpRequest, text: str) -> None:
    """Shown at the top of the next page."""
    messages.success(request, text)
