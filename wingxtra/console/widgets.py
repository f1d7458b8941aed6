"""Form pieces of the console."""

import json
from typing import Any

from django import forms
from django.conf import settings


def tiles() -> dict[str, str]:
    """The street map's address and whose it is, for maps in templates."""
    return {"url": settings.MAP_TILE_URL, "attribution": settings.MAP_TILE_ATTRIBUTION}


class PolygonInput(forms.Textarea):
    """A GeoJSON Polygon drawn on a map; the text below the map holds it and can be edited too."""

    template_name = "console/polygon.html"

    class Media:
        css = {"all": ["console/leaflet/leaflet.css"]}
        js = ["console/leaflet/leaflet.js", "console/map.js", "console/polygon.js"]

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        context["tiles"] = tiles()
        return context

    def format_value(self, value: Any) -> str | None:
        return json.dumps(value) if isinstance(value, dict) else value
