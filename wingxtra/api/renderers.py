"""JSON responses by msgspec, which is ten times as fast as REST framework's own encoder."""

from collections.abc import Mapping
from typing import Any

import msgspec
from django.http import HttpResponse
from django.utils.functional import Promise
from rest_framework.renderers import BaseRenderer


class JsonRenderer(BaseRenderer):
    """UTF-8; times in ISO 8601 with `Z`, UUIDs as strings."""

    media_type = "application/json"
    format = "json"
    charset = None  # JSON is UTF-8 by definition

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else _encode(data)


def json_answer(
    data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """An encoded response, for hot calls: REST framework's choice of a renderer takes longer than
    the encoding, and there is only one renderer.
    """
    return HttpResponse(
        _encode(data), status=status, headers=headers, content_type=JsonRenderer.media_type
    )


def _plain(value: Any) -> Any:
    """Converts types that msgspec does not know: lazy translations, and subclasses of str, dict
    and list.
    """
    if isinstance(value, str):
        return str.__str__(value)  # str() of a SafeString is the same SafeString
    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON")


_encode = msgspec.json.Encoder(enc_hook=_plain, decimal_format="number").encode
