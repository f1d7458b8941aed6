"""What answers allow a browser: data nothing, pages what the settings say, some pages more."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from csp.constants import HEADER
from csp.decorators import csp_update
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.http.response import HttpResponseBase

View = Callable[..., Any]
# Of what is no page. Should a browser show it as one all the same, nothing in it comes alive.
NO_PAGE = "default-src 'none'; frame-ancestors 'none'"


class ContentSecurityPolicy(CSPMiddleware):
    """The policy of the settings, for whatever does not come with one of its own."""

    def process_response(self, request: Any, response: HttpResponseBase) -> HttpResponseBase:
        return response if HEADER in response else super().process_response(request, response)


def for_console(view: View) -> View:
    """Alpine, which unfold is built on, evaluates expressions and sets styles; maps load tiles.

    What Leaflet puts in place of a tile that it stops loading is a data: address.
    """
    return csp_update(
        {
            "script-src": ["'unsafe-eval'"],
            "style-src": ["'unsafe-inline'"],
            "img-src": ["data:", *_tile_server()],
            "font-src": ["'self'"],
        }
    )(view)


def for_documentation(view: View) -> View:
    """Swagger UI starts by a script in its page, sets styles and draws its icons as data."""
    return csp_update(
        {
            "script-src": ["'unsafe-inline'"],
            "style-src": ["'unsafe-inline'"],
            "img-src": ["data:"],
        }
    )(view)


def _tile_server() -> list[str]:
    if not settings.MAP_TILE_URL:
        return []
    parts = urlsplit(settings.MAP_TILE_URL.replace("{s}", "*"))
    return [f"{parts.scheme}://{parts.netloc}"]
