"""Reads the live map's data as its page does, and points at places on the map of a zone."""

from typing import TYPE_CHECKING, Any

from django.test import Client
from django.urls import reverse

from fleet.demo import city

if TYPE_CHECKING:
    from playwright.sync_api import Page

DEGREE_UNITS = 100_000


def layers(client: Client) -> dict[str, list[dict[str, Any]]]:
    """All features by layer, as a page that has just been opened gets them."""
    answer = client.get(reverse("admin:map-data")).json()
    return {name: [feature(row) for row in rows] for name, rows in answer["layers"].items()}


def feature(row: dict[str, Any]) -> dict[str, Any]:
    """A feature with its place, as in registry.Feature; those of static layers are that already."""
    if "is" not in row:
        return row
    found = {**row["is"], "n": row["n"]}
    if row["place"]:
        lng, lat, heading = row["place"]
        found["heading_deg"] = heading
        coordinates = [lng / DEGREE_UNITS, lat / DEGREE_UNITS]
        found["geometry"] = {"type": "Point", "coordinates": coordinates}
    return found


def place_on(page: "Page", lat: float, lng: float) -> dict[str, float]:
    """Where this place is on the zone's map, by the pins of two hubs of the demo city."""
    pins = []
    for hub in (city.HUBS[0], city.HUBS[2]):
        box = page.locator(f'.wx-pin.wx-hub[title="{hub.name}"]').bounding_box()
        assert box is not None
        pins.append((hub, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))
    (a, ax, ay), (b, bx, by) = pins
    frame = page.locator(".wx-polygon .wx-map").bounding_box()
    assert frame is not None
    x = ax + (lng - a.lng) * (bx - ax) / (b.lng - a.lng)
    y = ay + (lat - a.lat) * (by - ay) / (b.lat - a.lat)
    return {"x": x - frame["x"], "y": y - frame["y"]}
