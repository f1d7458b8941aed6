"""Drones in the console's palette, and the switches of dispatch."""

from typing import Any

from django.db.models import QuerySet, Value
from django.db.models.functions import Concat
from django.urls import reverse

from fleet.models import Drone, Policy
from wingxtra.console import actions, palette
from wingxtra.console.palette import Entry, Hit, Source


def _drones(text: str, user: Any) -> QuerySet[Any]:
    drones = Drone.objects.all()
    for word in text.split():
        drones = drones.filter(pk__icontains=word)
    about = Concat("kind__name", Value(" · "), "hub__name")
    columns = palette.as_text(key="pk", title="pk", detail=about)
    return drones.order_by("pk").annotate(**columns)


def _drone(key: str, title: str, detail: str) -> Hit:
    return Hit("Drones", title, detail, reverse("admin:fleet_drone_change", args=[key]))


def _switch(name: str, title: str, words: str) -> Entry:
    def url() -> str:  # back to the dashboard: only administrators see the page of the policy
        return actions.button(Policy, name, 1, next=reverse("admin:index")).url

    return Entry(title, "fleet.change_servicearea", url, words)


palette.add_source(Source("Drones", "fleet.view_drone", _drones, _drone))
palette.add_entry(_switch("pause", "Pause dispatch everywhere", "stop"))
palette.add_entry(_switch("resume", "Resume dispatch everywhere", "go on continue"))
