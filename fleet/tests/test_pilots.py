"""Pilots and shifts: one shift at a time, clocks, and the pages."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from fleet.airworthiness import pilots
from fleet.models import Pilot, ServiceArea, Shift
from fleet.tests.factories import PilotFactory, ServiceAreaFactory, ShiftFactory
from wingxtra.accounts.identity import SYSTEM, Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.problems import Conflict

pytestmark = pytest.mark.django_db
LIST, ADD = reverse("admin:fleet_shift_changelist"), reverse("admin:fleet_shift_add")


def browser(role: Role) -> Client:
    client = Client()
    client.force_login(UserFactory(role=role))
    return client


@pytest.fixture
def boss() -> Client:
    return browser(Role.ADMIN)


def page(shift: Shift) -> str:
    return reverse("admin:fleet_shift_change", args=[shift.pk])


def filled(pilot: Pilot, area: ServiceArea, **fields: Any) -> dict[str, Any]:
    values = {"starts_at": "2027-03-27T22:00", "ends_at": "2027-03-28T06:00", "at_once": 4}
    return {"pilot": pilot.pk, "service_area": area.pk, **values, **fields}


def errors(response: Any) -> str:
    return str(response.context["adminform"].form.errors)


# --- one shift at a time -------------------------------------------------------------------------


def test_the_database_refuses_two_shifts_at_once_also_in_two_areas() -> None:
    shift = ShiftFactory()
    later = {"starts_at": shift.ends_at, "ends_at": shift.ends_at + timedelta(hours=8)}
    ShiftFactory(pilot=shift.pilot, **later)  # the next one begins when this one ends
    ShiftFactory()  # another pilot
    with pytest.raises(IntegrityError, match="one_shift_at_a_time"), transaction.atomic():
        ShiftFactory(pilot=shift.pilot, service_area=ServiceAreaFactory())


def test_the_verb_names_the_other_shift() -> None:
    shift = ShiftFactory(pilot__name="Ama", service_area=ServiceAreaFactory(name="Accra"))
    second = ShiftFactory.build(pilot=shift.pilot, service_area=ServiceAreaFactory())
    with pytest.raises(ValidationError, match="Ama has a shift in Accra at that time"):
        pilots.save_shift(second, by=SYSTEM)


def test_the_verb_names_it_also_when_another_person_was_faster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shift = ShiftFactory(pilot__name="Ama", service_area=ServiceAreaFactory(name="Accra"))
    second = ShiftFactory.build(pilot=shift.pilot, service_area=ServiceAreaFactory())
    monkeypatch.setattr(Shift, "clean", lambda shift: None)
    with pytest.raises(Conflict, match="Ama has a shift in Accra") as refusal:
        pilots.save_shift(second, by=SYSTEM)
    assert refusal.value.code == "pilot_on_two_shifts"


def test_a_pilot_who_is_not_active_gets_no_new_shift_and_is_not_on_duty() -> None:
    shift = ShiftFactory()
    assert pilots.on_duty_in(shift.service_area, timezone.now()) == [shift]
    Pilot.objects.update(active=False)
    assert pilots.on_duty_in(shift.service_area, timezone.now()) == []
    fresh = ShiftFactory.build(pilot=PilotFactory(active=False), service_area=shift.service_area)
    with pytest.raises(ValidationError, match="is not active"):
        pilots.save_shift(fresh, by=SYSTEM)


def test_of_a_shift_that_has_begun_only_end_and_number_change() -> None:
    shift = ShiftFactory()
    shift.ends_at += timedelta(hours=1)
    shift.at_once = 9
    pilots.save_shift(shift, by=SYSTEM)
    shift.starts_at -= timedelta(hours=1)
    with pytest.raises(Conflict, match="has begun"):
        pilots.save_shift(shift, by=SYSTEM)
    over = ShiftFactory(starts_at=timezone.now() - timedelta(days=2))
    over.at_once = 1
    with pytest.raises(Conflict, match="is over"):
        pilots.save_shift(over, by=SYSTEM)


def test_a_shift_is_ended_once() -> None:
    shift = ShiftFactory()
    pilots.end_shift(shift.pk, by=SYSTEM)
    with pytest.raises(Conflict, match="is not under way"):
        pilots.end_shift(shift.pk, by=SYSTEM)


# --- pages ---------------------------------------------------------------------------------------


def test_times_are_by_the_clock_of_the_area_also_over_a_change_of_it(boss: Client) -> None:
    paris, ama = ServiceAreaFactory(time_zone="Europe/Paris"), PilotFactory(name="Ama")
    assert boss.post(ADD, filled(ama, paris)).status_code == 302
    shift = Shift.objects.get()
    assert shift.starts_at == datetime(2027, 3, 27, 21, tzinfo=UTC)
    assert shift.ends_at == datetime(2027, 3, 28, 4, tzinfo=UTC)  # seven hours: the clocks go on
    assert shift.times == "Sat 27 Mar 22:00 to Sun 28 Mar 06:00 (Europe/Paris)"
    shown = boss.get(page(shift)).content.decode()
    assert 'value="2027-03-27T22:00"' in shown


@pytest.mark.parametrize("local", ["2027-03-28T02:30", "2027-10-31T02:30"])
def test_a_time_that_does_not_exist_or_exists_twice_is_refused(boss: Client, local: str) -> None:
    paris = ServiceAreaFactory(time_zone="Europe/Paris")
    fields = filled(PilotFactory(), paris, starts_at=local, ends_at="2027-12-01T00:00")
    assert "does not exist, or exists twice" in errors(boss.post(ADD, fields))


def test_the_form_refuses_two_shifts_once_and_bad_numbers(boss: Client) -> None:
    area, ama = ServiceAreaFactory(name="Accra", time_zone="UTC"), PilotFactory(name="Ama")
    boss.post(ADD, filled(ama, area))
    text = errors(boss.post(ADD, filled(ama, ServiceAreaFactory(time_zone="UTC"))))
    assert "Ama has a shift in Accra at that time" in text
    assert text.count("<li>") == 2  # the field, and its message
    for wrong in ({"at_once": 0}, {"at_once": 101}, {"ends_at": "2027-03-01T00:00"}):
        assert errors(boss.post(ADD, filled(PilotFactory(), area, **wrong)))
    assert Shift.objects.count() == 1


def test_admin_plans_ops_and_readonly_see() -> None:
    shift = ShiftFactory(pilot__name="Ama")
    for role in (Role.OPS, Role.READONLY):
        client = browser(role)
        assert "Ama" in client.get(LIST).content.decode()
        assert "Ama" in client.get(page(shift)).content.decode()
        assert "Ama" in client.get(reverse("admin:fleet_pilot_changelist")).content.decode()
        assert client.get(ADD).status_code == 403
        assert client.get(reverse("admin:fleet_pilot_add")).status_code == 403
        assert client.post(page(shift), {"at_once": 9}).status_code == 403
    shift = Shift.objects.get()
    assert shift.at_once == 4


def test_a_shift_that_has_begun_is_not_deleted(boss: Client) -> None:
    begun = ShiftFactory()
    later = ShiftFactory(starts_at=timezone.now() + timedelta(days=1))
    for shift, status in ((begun, 403), (later, 302)):
        url = reverse("admin:fleet_shift_delete", args=[shift.pk])
        assert boss.post(url, {"post": "yes"}).status_code == status
    assert list(Shift.objects.all()) == [begun]


def test_only_an_administrator_switches_pilots_on() -> None:
    area = ServiceAreaFactory(time_zone="Africa/Accra")
    url = reverse("admin:fleet_servicearea_change", args=[area.pk])
    fields = {
        "name": area.name,
        "active": "on",
        "time_zone": area.time_zone,
        "polygon": str(area.polygon).replace("'", '"'),
        "weekly": "",
        "exceptions": "",
        "pilots_required": "on",
    }
    for role, is_on in ((Role.OPS, False), (Role.ADMIN, True)):
        assert browser(role).post(url, fields).status_code == 302
        assert ServiceArea.objects.get().pilots_required is is_on


def test_the_page_of_an_area_shows_who_is_on_duty_and_who_is_next(boss: Client) -> None:
    area = ServiceAreaFactory(pilots_required=True)
    url = reverse("admin:fleet_servicearea_change", args=[area.pk])
    assert "No drone starts here until one is." in boss.get(url).content.decode()
    ShiftFactory(pilot__name="Ama", service_area=area)
    ShiftFactory(
        pilot__name="Kofi", service_area=area, starts_at=timezone.now() + timedelta(days=1)
    )
    shown = boss.get(url).content.decode()
    assert "0 of 4" in shown
    assert "Ama" in shown
    assert "Next: " in shown
    assert "Kofi" in shown
