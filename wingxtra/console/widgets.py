"""Form widgets of the console."""

import json
from typing import Any

from django import forms
from django.conf import settings
from django.forms import Script
from django.template.loader import render_to_string
from django.utils.safestring import SafeString


def tiles() -> dict[str, str]:
    """Tile URL and attribution of the street map, for maps in templates."""
    return {"url": settings.MAP_TILE_URL, "attribution": settings.MAP_TILE_ATTRIBUTION}


class MomentInput(forms.DateTimeInput):
    """The browser's own picker for date and time."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


class PolygonInput(forms.Textarea):
    """A GeoJSON Polygon, drawn on a map or edited as text below the map."""

    class Media:
        css = {"all": ["vendor/leaflet/leaflet.css"]}
        js = [
            Script("vendor/leaflet/leaflet.js", defer=True),
            Script("console/map.js", defer=True),
            Script("console/polygon.js", defer=True),
        ]

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        textarea = super().render(name, value, attrs, renderer)
        context = {"textarea": textarea, "id": (attrs or {}).get("id", ""), "tiles": tiles()}
        return render_to_string("console/polygon.html", context)

    def format_value(self, value: Any) -> str | None:
        return json.dumps(value) if isinstance(value, dict) else value


class PolygonField(forms.JSONField):
    """Refuses JSON that is nested too deeply for the parser, as any other that it cannot read."""

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except RecursionError as error:
            text = str(self.error_messages["invalid"])
            raise forms.ValidationError(text, code="invalid") from error
