"""The history of what staff did, and its filters."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from fleet.models import Drone, Hub
from fleet.tests.factories import DroneFactory, ServiceAreaFactory
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def ground(drone: Drone, by: User, reason: str) -> None:
    browser = Client()
    browser.force_login(by)
    browser.post(
        reverse("admin:act", args=["fleet.drone", "ground"]) + f"?id={drone.pk}", {"reason": reason}
    )


def history(**filters: object) -> str:
    browser = Client()
    browser.force_login(UserFactory(role=Role.ADMIN))
    return browser.get(reverse("admin:admin_logentry_changelist"), filters).content.decode()


@pytest.fixture
def two_actions() -> tuple[User, User]:
    """Yesterday ama grounded one drone, and today kofi another."""
    ama, kofi = UserFactory(username="ama", ops=True), UserFactory(username="kofi", ops=True)
    with time_machine.travel(timezone.now() - timedelta(days=1)):
        ground(DroneFactory(drone_id="WX-OLD-1"), ama, "Bent propeller.")
    ground(DroneFactory(drone_id="WX-NEW-1"), kofi, "Loose arm.")
    return ama, kofi


def test_it_shows_who_did_what_to_which_object(two_actions: tuple[User, User]) -> None:
    page = history()
    for text in ("ama", "Bent propeller.", "WX-OLD-1", "kofi", "Loose arm.", "WX-NEW-1"):
        assert text in page
    assert reverse("admin:fleet_drone_change", args=["WX-NEW-1"]) in page


@pytest.mark.parametrize("by", ["person", "day", "object", "kind and object"])
def test_it_is_filtered_by_person_object_and_day(two_actions: tuple[User, User], by: str) -> None:
    today = timezone.now().date().isoformat()
    page = {
        "person": lambda: history(user__id__exact=two_actions[1].pk),
        "day": lambda: history(action_time_from=today, action_time_to=today),
        "object": lambda: history(q="WX-NEW-1"),
        "kind and object": lambda: history(q="NEW", action_time_from=today),
    }[by]()
    assert "Loose arm." in page
    assert "Bent propeller." not in page


def test_edits_by_a_form_are_in_it_too() -> None:
    browser = Client()
    browser.force_login(UserFactory(username="ama", ops=True))
    area = ServiceAreaFactory()
    form = {"name": "Osu hub", "service_area": area.pk, "lat": "5.55", "lng": "-0.18"}
    browser.post(reverse("admin:fleet_hub_add"), form)
    assert Hub.objects.filter(name="Osu hub").exists()
    assert "Osu hub" in history(q="Osu")


def test_an_empty_history_says_so() -> None:
    assert "No action was taken in the console yet" in history()


@pytest.mark.parametrize("role", [Role.OPS, Role.READONLY])
def test_it_is_for_administrators(role: Role) -> None:
    browser = Client()
    browser.force_login(UserFactory(role=role))
    assert browser.get(reverse("admin:admin_logentry_changelist")).status_code == 403
