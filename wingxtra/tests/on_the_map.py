"""Reads the live map's data as its page does."""

from typing import Any

from django.test import Client
from django.urls import reverse

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
