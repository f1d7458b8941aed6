"""Airworthiness and pilots by API: what staff and READONLY read."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fleet.airworthiness import records
from fleet.models import BatteryPack, Drone, MaintenanceRule, Pilot, Shift
from fleet.tests.factories import DroneFactory, ServiceAreaFactory
from wingxtra.accounts.identity import SYSTEM, Role
from wingxtra.accounts.tests.factories import key_client

pytestmark = pytest.mark.django_db

URL = "/api/v1/drones/WX-1/airworthiness"


@pytest.fixture
def drone() -> Drone:
    return DroneFactory(drone_id="WX-1", serial="SIM-7", registration="9G-1", flights=95, cycles=40)


def maintained(drone: Drone, name: str) -> None:
    rule = MaintenanceRule.objects.create(kind=drone.kind, name=name, every_flights=100)
    records.record_maintenance(drone.pk, rule.pk, by=SYSTEM, done="Greased.")
    records.report_defect(drone.pk, by=SYSTEM, description=f"{name} worn.", grounds=False)
    BatteryPack.objects.create(serial=name, drone=drone, cycles=7)


def test_readonly_reads_the_log_of_a_drone(drone: Drone) -> None:
    maintained(drone, "Bearings")
    MaintenanceRule.objects.create(kind=drone.kind, name="Props", every_flights=96)
    body = key_client(role=Role.READONLY).get(URL).json()
    assert (body["serial"], body["registration"]) == ("SIM-7", "9G-1")
    assert (body["flights"], body["cycles"]) == (95, 40)
    assert [(rule["rule"], rule["due"]) for rule in body["rules"]] == [
        ("Props", "SOON"),
        ("Bearings", "LATER"),
    ]
    assert body["fitness"]["due_soon"] == ["due soon: Props in 1 flight (95 of 96 flights)"]
    (done,) = body["maintenance"]
    assert (done["rule"], done["done"], done["flights"]) == ("Bearings", "Greased.", 95)
    (defect,) = body["defects"]
    assert (defect["description"], defect["released_at"]) == ("Bearings worn.", None)
    assert body["packs"] == [{"serial": "Bearings", "cycles": 7}]


def test_a_drone_that_there_is_not_is_a_404() -> None:
    answer = key_client(role=Role.READONLY).get(URL)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("url", [URL, "/api/v1/pilots"])
def test_an_unknown_parameter_is_named(drone: Drone, url: str) -> None:
    answer = key_client(role=Role.READONLY).get(url, {"colour": "red"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "colour"


def test_statements_do_not_grow_with_the_log(
    drone: Drone, django_assert_max_num_queries: Any
) -> None:
    for name in ("Bearings", "Props", "Arms"):
        maintained(drone, name)
    client = key_client(role=Role.OPS)
    client.get(URL)
    with django_assert_max_num_queries(8):
        client.get(URL)


def test_pilots_have_their_shifts_that_have_not_ended(django_assert_max_num_queries: Any) -> None:
    area, now = ServiceAreaFactory(), timezone.now()
    for name in ("Ama", "Kofi"):
        pilot = Pilot.objects.create(name=name, remote_pilot_id=f"GHA-{name}")
        for day in (-2, 0, 2):
            Shift.objects.create(
                pilot=pilot,
                service_area=area,
                starts_at=now + timedelta(days=day, hours=-1),
                ends_at=now + timedelta(days=day, hours=1),
                at_once=5,
            )
    client = key_client(role=Role.READONLY)
    first, second = client.get("/api/v1/pilots").json()["items"]
    assert (first["name"], second["remote_pilot_id"]) == ("Ama", "GHA-Kofi")
    assert [shift["at_once"] for shift in first["shifts"]] == [5, 5]
    with django_assert_max_num_queries(4):
        client.get("/api/v1/pilots")
