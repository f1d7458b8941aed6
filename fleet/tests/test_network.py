"""The network in the fleet's pages: its switch, and where drones stand and belong."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from fleet.models import ServiceArea
from fleet.tests.factories import ACCRA, ServiceAreaFactory, square
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def browser_of(role: Role) -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=role))
    return browser


@pytest.fixture
def ama() -> Client:
    return browser_of(Role.OPS)


def area_form(area: ServiceArea, **changes: Any) -> dict[str, Any]:
    shape = json.dumps(square(*ACCRA, side_m=1000))
    stored = {"name": area.name, "active": "on", "time_zone": "Africa/Accra", "polygon": shape}
    return {**stored, **changes}


# --- the switch of an area -----------------------------------------------------------------------


def test_the_network_is_switched_on_where_intents_name_a_hub(
    ama: Client, settings: Settings
) -> None:
    settings.GCS_INTENT_VERSION = 2
    area = ServiceAreaFactory()
    assert not area.uses_network
    ama.post(
        reverse("admin:fleet_servicearea_change", args=[area.pk]), area_form(area, network="on")
    )
    assert ServiceArea.objects.get().uses_network


def test_version_1_cannot_switch_the_network_on(ama: Client) -> None:
    area = ServiceAreaFactory()
    url = reverse("admin:fleet_servicearea_change", args=[area.pk])
    answer = ama.post(url, area_form(area, network="on")).content.decode()
    assert "Set GCS_INTENT_VERSION=2 first" in answer
    assert not ServiceArea.objects.get().network


def test_drones_fly_home_when_the_version_is_set_back(ama: Client) -> None:
    area = ServiceAreaFactory(network=True)
    assert not area.uses_network
    page = ama.get(reverse("admin:fleet_servicearea_changelist")).content.decode()
    assert "Their base: GCS_INTENT_VERSION is 1" in page
    url = reverse("admin:fleet_servicearea_change", args=[area.pk])
    ama.post(url, area_form(area, network="on", name="Greater Accra"))
    assert ServiceArea.objects.get().name == "Greater Accra"
