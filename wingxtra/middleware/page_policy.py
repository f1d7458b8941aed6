"""Content security policies: the settings' default, one for data, and wider ones for pages."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from csp.constants import HEADER
from csp.decorators import csp_update
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.http.response import HttpResponseBase

View = Callable[..., Any]
# For responses that are not pages. If a browser renders one anyway, nothing in it runs.
NO_PAGE = "default-src 'none'; frame-ancestors 'none'"


class ContentSecurityPolicy(CSPMiddleware):
    """Adds the policy of the settings to responses that have none."""

    def process_response(self, request: Any, response: HttpResponseBase) -> HttpResponseBase:
        return response if HEADER in response else super().process_response(request, response)


def for_console(view: View) -> View:
    """Alpine, which unfold uses, evaluates expressions and sets styles; maps load tiles.

    Leaflet replaces a canceled tile by a data: address.
    """
    return csp_update(
        {
            "script-src": ["'unsafe-eval'"],
            "style-src": ["'unsafe-inline'"],
            "img-src": ["data:", *_tile_server()],
            "font-src": ["'self'"],
        }
    )(view)


def for_map(view: View) -> View:
    """A page of our own with a map: tiles, and data: addresses for those that Leaflet cancels."""

    @wraps(view)
    def with_tiles(*args: Any, **kwargs: Any) -> Any:
        return csp_update({"img-src": ["data:", *_tile_server()]})(view)(*args, **kwargs)

    return with_tiles


def for_documentation(view: View) -> View:
    """Swagger UI has an inline script, sets styles and loads icons from data: addresses."""
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
