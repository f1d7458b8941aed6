"""Where pages need more than the strict Content-Security-Policy of the settings."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from csp.decorators import csp_update
from django.conf import settings

View = Callable[..., Any]


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
