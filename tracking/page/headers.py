"""Headers of every public answer: no search index, no referrer, a Content-Security-Policy."""

import base64
import hashlib
from typing import TypeVar
from urllib.parse import urlsplit

from django.http.response import HttpResponseBase

BARE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Answer = TypeVar("Answer", bound=HttpResponseBase)


def page_policy(style: str, tile_url: str) -> str:
    """The Content-Security-Policy of a page with one `<style>` block and one source of map tiles.

    The style block is allowed by its digest, so `unsafe-inline` is not needed. `data:` is for
    Leaflet, which replaces a tile that it stops loading by an empty data: image.
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    tiles = ""
    if tile_url:
        parts = urlsplit(tile_url.replace("{s}", "*"))
        tiles = f" data: {parts.scheme}://{parts.netloc}"
    return (
        "default-src 'none'; script-src 'self'; connect-src 'self'; "
        f"style-src 'self' 'sha256-{digest}'; img-src 'self'{tiles}; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def add(answer: Answer, *, max_age_s: int | None = None, policy: str = BARE_POLICY) -> Answer:
    """Add the headers. `max_age_s`: how long caches may keep the answer; None means `no-store`."""
    answer["Cache-Control"] = "no-store" if max_age_s is None else f"public, max-age={max_age_s}"
    answer["Referrer-Policy"] = "no-referrer"
    answer["X-Robots-Tag"] = "noindex, nofollow"
    answer["Content-Security-Policy"] = policy
    answer["Permissions-Policy"] = "geolocation=(self), camera=(), microphone=()"
    return answer
