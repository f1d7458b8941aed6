"""Handovers in the console, and what it says about flights without a pilot on duty."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dispatch.console import pilots as console
from dispatch.models import Mission
from dispatch.tests.support import mission_of
from dispatch.tests.test_pilots import area, drones, hub, landed, on_duty, run  # noqa: F401
from fleet.models import Hub, ServiceArea, Shift
from orders.models import Order
from orders.tests.factories import OrderFactory
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console.look import Look
from wingxtra.console.registry import Tone

pytestmark = pytest.mark.django_db


def browser(role: Role) -> Client:
    client = Client()
    client.force_login(UserFactory(role=role, username=role.lower()))
    return client


@pytest.fixture
def order(area: ServiceArea, hub: Hub) -> Order:  # noqa: F811
    """An order whose drone Ama supervises; she may have one more."""
    on_duty("Ama", 2)
    drones(1)
    made = OrderFactory()
    run()
    return made


def form(name: str, of: Any) -> str:
    return f"{reverse('admin:act', args=[of._meta.label_lower, name])}?id={of.pk}"


def shift_of(name: str) -> Shift:
    return Shift.objects.get(pilot__name=name)


def test_ops_hands_over_to_a_pilot_on_duty_here(order: Order) -> None:
    ops, ama = browser(Role.OPS), shift_of("Ama")
    url = form("hand-over", ama)
    assert "No other pilot is on duty in Accra" in ops.get(url).content.decode()
    kofi = on_duty("Kofi", 3)
    shown = ops.get(url)
    assert "Kofi: 0 of 3 drones" in shown.content.decode()
    assert shown.context["form"].fields["to"].choices[0][0] == str(kofi.pk)
    done = ops.post(url, {"to": kofi.pk, "note": "One is at the door."}, follow=True)
    assert "Kofi supervises 1 more drone now." in done.content.decode()
    page = ops.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()
    assert "Kofi; from Ama at " in page
    assert "One is at the door." in page
    assert "Ama supervises no drone now." in ops.get(url).content.decode()


def test_readonly_sees_names_and_hands_nothing_over(order: Order) -> None:
    reader, ama = browser(Role.READONLY), shift_of("Ama")
    assert reader.get(form("hand-over", ama)).status_code == 403
    assert reader.get(form("end", ama)).status_code == 403
    page = reader.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()
    assert "<dt>Pilot</dt><dd>Ama</dd>" in page


def test_a_shift_is_ended_once_its_drones_are_handed_over(order: Order) -> None:
    ops, ama = browser(Role.OPS), shift_of("Ama")
    url = form("end", ama)
    refused = ops.post(url, {"reason": "She is ill."}).content.decode()
    assert "Ama supervises 1 drone now" in refused
    landed(order)
    ops.post(url, {"reason": "She is ill."})
    assert shift_of("Ama").ends_at <= timezone.now()


def test_a_shift_that_ends_soon_with_drones_is_a_warning(order: Order) -> None:
    now = timezone.now()
    assert list(console.shifts_that_end(Look(now))) == []
    Shift.objects.update(ends_at=now + timedelta(minutes=10))
    (line,) = console.shifts_that_end(Look(now))
    assert "Ama's shift in Accra ends at" in line.text
    assert line.text.endswith("with 1 drone under way")
    assert line.tone == Tone.WARN
    landed(order)
    assert list(console.shifts_that_end(Look(now))) == []


def test_drones_whose_pilot_went_off_duty_are_grave_and_get_another(order: Order) -> None:
    assert list(console.flights_without_a_pilot(Look(timezone.now()))) == []
    Shift.objects.update(ends_at=timezone.now())
    (line,) = console.flights_without_a_pilot(Look(timezone.now()))
    drone_id = mission_of(order).drone_id
    assert line.tone == Tone.BAD
    assert line.text == "1 drone in Accra flies, or will in a moment, without a pilot on duty"
    assert line.detail.startswith(f"Ama, off duty: {drone_id}.")
    ops, kofi = browser(Role.OPS), on_duty("Kofi", 1)
    ops.post(line.remedies[0].url, {"to": kofi.pk, "note": "Taken over."})
    assert list(console.flights_without_a_pilot(Look(timezone.now()))) == []
    assert Mission.objects.get().pilot_name == "Kofi"


def test_the_page_of_the_area_shows_the_drones_of_each_pilot(order: Order) -> None:
    url = reverse("admin:fleet_servicearea_change", args=[order.service_area_id])
    shown = browser(Role.READONLY).get(url).content.decode()
    assert "1 of 2" in shown
    assert mission_of(order).drone_id in shown
