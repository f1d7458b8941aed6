"""The network in the fleet's pages: its switch, and where drones stand and belong."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from fleet import traffic
from fleet.models import Drone, Hub, ServiceArea
from fleet.tests.factories import (
    ACCRA,
    DroneFactory,
    DroneKindFactory,
    HubFactory,
    ServiceAreaFactory,
    square,
)
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory
from wingxtra.tests import on_the_map

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


# --- where drones stand and belong ---------------------------------------------------------------


@pytest.fixture
def airport() -> Hub:
    return HubFactory(name="Airport", pads=2, chargers=1)


@pytest.fixture
def osu(airport: Hub) -> Hub:
    return HubFactory(name="Osu", lat=5.63)


def standing(hub: Hub, base: Hub, **values: Any) -> Drone:
    return DroneFactory(hub=hub, base=base, stands_at=hub, stands_since=timezone.now(), **values)


def test_the_list_of_hubs_counts_its_drones(ama: Client, airport: Hub, osu: Hub) -> None:
    for hub, base in ((airport, airport), (airport, osu), (airport, osu), (osu, osu)):
        standing(hub, base)
    standing(airport, osu, active=False)
    DroneFactory(hub=osu)  # not seen yet
    there = traffic.now_at_each(timezone.now())
    assert there == {
        airport.pk: traffic.Traffic(standing=3, surplus=2),
        osu.pk: traffic.Traffic(standing=1, away=2),
    }
    page = ama.get(reverse("admin:fleet_hub_changelist")).content.decode()
    assert '<span class="wx-badge wx-bad">3 of 2 pads</span>' in page
    (feature,) = [f for f in on_the_map.layers(ama)["hubs"] if f["label"] == "Airport"]
    assert (feature["mark"], feature["is_alert"]) == ("3", True)


def test_the_page_of_a_hub_names_the_drones_that_belong_elsewhere(
    ama: Client, airport: Hub, osu: Hub
) -> None:
    guest, own = standing(airport, osu), standing(airport, airport)
    page = ama.get(reverse("admin:fleet_hub_change", args=[airport.pk])).content.decode()
    assert page.index(guest.pk) < page.index(own.pk)
    assert '<span class="wx-badge wx-warn">Osu</span>' in page
    assert page.count("console/map.js") == 1, "a second one stops the map of the form"


def test_staff_correct_where_a_drone_stands_and_belongs(
    ama: Client, airport: Hub, osu: Hub
) -> None:
    drone = DroneFactory(hub=airport)
    url = reverse("admin:fleet_drone_change", args=[drone.pk])
    form = {"kind": drone.kind_id, "hub": osu.pk, "base": airport.pk, "active": "on"}
    ama.post(url, form)
    drone = Drone.objects.get()
    assert (drone.hub, drone.base) == (osu, airport)
    away = reverse("admin:fleet_drone_changelist") + "?elsewhere=yes"
    assert [d.pk for d in ama.get(away).context["cl"].result_list] == [drone.pk]
    kumasi = HubFactory(name="Kumasi", service_area=ServiceAreaFactory())
    refused = ama.post(url, {**form, "base": kumasi.pk}).content.decode()
    assert "Kumasi is in another service area than Osu." in refused


def test_a_new_drone_belongs_to_its_hub(ama: Client, airport: Hub) -> None:
    kind = DroneKindFactory()
    form = {"drone_id": "WX-NEW", "kind": kind.pk, "hub": airport.pk, "active": "on"}
    ama.post(reverse("admin:fleet_drone_add"), {**form, "base": ""})
    assert Drone.objects.get().base == airport


def test_lists_of_hubs_and_drones_take_a_constant_number_of_statements(
    ama: Client, airport: Hub, osu: Hub
) -> None:
    def statements(path: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            assert ama.get(reverse(path)).status_code == 200
        return len(asked)

    pages = ("admin:fleet_hub_changelist", "admin:fleet_drone_changelist")
    standing(airport, osu)
    few = [statements(page) for page in pages]
    for _ in range(4):
        standing(osu, HubFactory(lat=5.65))
    assert [statements(page) for page in pages] == few


@pytest.mark.parametrize("role", [Role.READONLY, Role.OPS, Role.ADMIN])
def test_staff_see_where_drones_stand(role: Role, airport: Hub) -> None:
    url = reverse("admin:fleet_hub_change", args=[airport.pk])
    assert browser_of(role).get(url).status_code == 200


def test_a_merchant_sees_no_hub(airport: Hub) -> None:
    outsider = Client()
    outsider.force_login(UserFactory(merchant=MerchantFactory()))
    url = reverse("admin:fleet_hub_change", args=[airport.pk])
    assert outsider.get(url).status_code == 302
