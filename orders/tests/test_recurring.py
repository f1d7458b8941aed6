"""Recurring orders: their days, and that each day is placed once."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from threading import Barrier
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.utils import timezone

from fleet.models import ServiceArea
from fleet.tests.factories import DroneFactory
from orders import stores
from orders.models import Occurrence, Order, RecurringOrder
from orders.recurring import placer, verbs
from orders.recurring.admin import not_placed
from orders.recurring.schedule import Schedule
from orders.states import Status
from orders.tests.factories import StoreFactory
from orders.tests.test_api import body, errors_of
from orders.tests.test_lifecycle_races import at_once, together
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, key_client
from wingxtra.console.look import Look
from wingxtra.opening_hours import WEEKDAYS
from wingxtra.problems import Conflict, Invalid, NotFound

State = Occurrence.State
WORKDAYS = list(WEEKDAYS[:5])
MONDAY = date(2026, 11, 30)
LONDON, LORD_HOWE = "Europe/London", "Australia/Lord_Howe"


# --- days and moments ----------------------------------------------------------------------------


def schedule(zone: str, at: str, *, days: Any = WEEKDAYS, ends_on: date | None = None) -> Schedule:
    starts_on = date(2026, 1, 1)
    return Schedule(frozenset(days), time.fromisoformat(at), ZoneInfo(zone), starts_on, ends_on)


@pytest.mark.parametrize(
    ("zone", "at", "day", "moment", "moved"),
    [
        ("Africa/Accra", "07:30", "2026-11-30", "2026-11-30T07:30Z", ""),
        # London's clock goes forward on 29 March 2026 and back on 25 October.
        (LONDON, "07:30", "2026-03-28", "2026-03-28T07:30Z", ""),
        (LONDON, "07:30", "2026-03-29", "2026-03-29T06:30Z", ""),
        (LONDON, "07:30", "2026-10-25", "2026-10-25T07:30Z", ""),
        (LONDON, "01:30", "2026-03-29", "2026-03-29T01:00Z", "02:00"),
        (LONDON, "01:30", "2026-10-25", "2026-10-25T00:30Z", ""),  # the first of two
        # Lord Howe: +10:30, and +11 in summer: from 02:00 to 02:30 on 4 October 2026.
        (LORD_HOWE, "07:30", "2026-10-03", "2026-10-02T21:00Z", ""),
        (LORD_HOWE, "07:30", "2026-10-04", "2026-10-03T20:30Z", ""),
        (LORD_HOWE, "02:15", "2026-10-04", "2026-10-03T15:30Z", "02:30"),
        (LORD_HOWE, "01:45", "2026-04-05", "2026-04-04T14:45Z", ""),  # the first of two
    ],
)
def test_a_time_is_by_the_clock_on_the_wall(
    zone: str, at: str, day: str, moment: str, moved: str
) -> None:
    found, note = schedule(zone, at).moment(date.fromisoformat(day))
    assert found == datetime.fromisoformat(moment)
    assert (f"starts at {moved}." in note) if moved else note == ""


def test_the_days_end_with_the_last_one() -> None:
    working = schedule("Africa/Accra", "07:30", days=WORKDAYS, ends_on=date(2026, 12, 7))
    friday = datetime(2026, 12, 4, 7, 31, tzinfo=UTC)
    assert list(working.days_from(friday)) == [date(2026, 12, 7)]
    assert list(working.days_from(datetime(2026, 12, 8, tzinfo=UTC))) == []
    assert not working.has(date(2026, 12, 5))
    assert not working.has(date(2025, 12, 5))


# --- placing -------------------------------------------------------------------------------------

pytestmark = pytest.mark.django_db


@contextmanager
def at(text: str) -> Iterator[datetime]:
    now = datetime.fromisoformat(text)
    with time_machine.travel(now, tick=False):
        yield now


def clinic(**changes: Any) -> RecurringOrder:
    """Every workday at 07:30."""
    DroneFactory()
    values = {
        "name": "Clinic round",
        "order": body(customer_name="Ama Mensah"),
        "weekdays": WORKDAYS,
        "local_time": time(7, 30),
        "starts_on": date(2026, 1, 1),
        **changes,
    }
    return verbs.create(MerchantFactory().pk, values)


def states(row: RecurringOrder) -> list[tuple[str, str]]:
    return [(f"{one.on:%m-%d}", one.state) for one in Occurrence.objects.filter(recurring=row)]


def test_an_order_is_placed_a_day_ahead_and_once() -> None:
    with at("2026-11-27T12:00+00:00") as friday:
        row = clinic()
        assert placer.place_due(friday) == (0, 0)
    with at("2026-11-29T07:29+00:00") as sunday:
        assert placer.place_due(sunday) == (0, 0)
    with at("2026-11-29T07:30+00:00") as sunday:
        assert placer.place_due(sunday) == (1, 0)
        assert placer.place_due(sunday) == (0, 0)
        order = Order.objects.get()
        assert (order.status, order.customer_name) == (Status.VALIDATED, "Ama Mensah")
        assert order.not_before == datetime(2026, 11, 30, 7, 30, tzinfo=UTC)
        assert order.occurrence.on == MONDAY
        assert order.events.first().actor_ref == verbs.PLACER.ref
    with at("2026-11-30T07:30+00:00") as monday:
        assert placer.place_due(monday) == (1, 0)
        assert states(row) == [("11-30", "PLACED"), ("12-01", "PLACED")]


def test_the_morning_stays_the_morning_when_the_clock_is_changed() -> None:
    with at("2026-03-27T12:00+00:00"):
        row = clinic(weekdays=list(WEEKDAYS), hours_ahead=72)
        ServiceArea.objects.update(time_zone=LONDON)
        row = verbs.change(row.pk, {"name": "Clinic"})
        placer.place_due(timezone.now())
    starts = Order.objects.order_by("not_before").values_list("not_before", flat=True)
    assert [f"{one:%d %H:%M}" for one in starts] == ["28 07:30", "29 06:30", "30 06:30"]


def test_a_day_that_is_refused_is_kept_and_tried_again() -> None:
    with at("2026-11-29T12:00+00:00") as sunday:
        row = clinic()
        store = StoreFactory(merchant=row.merchant)
        from_store = body(pickup_lat=None, pickup_lng=None, store_id=str(store.pk))
        row = verbs.change(row.pk, {"order": from_store})
        stores.change(store.pk, {"active": False})
        assert placer.place_due(sunday) == (0, 0)
        (refused,) = Occurrence.objects.all()
        assert (refused.state, refused.problems[0]["code"]) == (State.REFUSED, "store_inactive")
        assert not Order.objects.exists()
        stores.change(store.pk, {"active": True})
    with at("2026-11-29T12:16+00:00") as later:
        assert placer.place_due(later) == (1, 0)
        assert states(row) == [("11-30", "PLACED")]


def test_a_holiday_is_told_with_the_next_opening() -> None:
    weekly = [{"weekday": day, "opens": "07:00", "closes": "18:00"} for day in WEEKDAYS]
    closed = [{"date": "2026-12-25", "intervals": []}]
    with at("2026-12-24T12:00+00:00") as now:
        row = clinic()
        area = ServiceArea.objects.get()
        area.hours = {"weekly": weekly, "exceptions": closed}
        area.save()
        placer.place_due(now)
        (refused,) = Occurrence.objects.filter(recurring=row)
    assert refused.problems[0]["code"] == "closed"
    assert refused.problems[0]["until"] == "2026-12-26T07:00:00+00:00"


def test_after_an_outage_a_day_is_placed_late_or_told_as_missed() -> None:
    with at("2026-11-29T12:00+00:00"):
        row = clinic(hours_ahead=1)
    with at("2026-12-01T08:00+00:00") as tuesday:
        placer.place_due(tuesday)
        assert states(row) == [("11-30", "REFUSED"), ("12-01", "PLACED")]
        assert Occurrence.objects.get(on=MONDAY).problems[0]["code"] == "missed"
        assert Order.objects.get().status == Status.QUEUED


def test_days_before_the_template_or_while_it_was_paused_are_not_made_up_for() -> None:
    with at("2026-11-30T08:00+00:00") as monday:
        row = clinic(hours_ahead=1)
        placer.place_due(monday)
        verbs.pause(row.pk, paused=True)
    with at("2026-12-01T07:20+00:00") as tuesday:
        placer.place_due(tuesday)
    with at("2026-12-01T07:40+00:00") as tuesday:
        verbs.pause(row.pk, paused=False)
        placer.place_due(tuesday)
    assert states(row) == []


def test_a_switched_off_merchant_gets_no_orders() -> None:
    with at("2026-11-29T12:00+00:00") as sunday:
        row = clinic()
        type(row.merchant).objects.update(active=False)
        assert placer.place_due(sunday) == (0, 0)
    assert not Order.objects.exists()


def test_a_template_of_tests_makes_test_orders() -> None:
    DroneFactory()
    with at("2026-11-29T12:00+00:00") as sunday:
        verbs.create(
            MerchantFactory().pk,
            {
                "name": "Try",
                "order": body(test_scenario="late"),
                "weekdays": WORKDAYS,
                "local_time": time(7, 30),
                "starts_on": MONDAY,
            },
            live_mode=False,
        )
        placer.place_due(sunday)
    assert (Order.objects.get().live_mode, Order.objects.get().test_scenario) == (False, "late")


# --- changes -------------------------------------------------------------------------------------


def test_a_skipped_day_is_not_placed_until_it_is_wanted_after_all() -> None:
    with at("2026-11-29T12:00+00:00") as sunday:
        row = clinic()
        verbs.skip(row.pk, MONDAY)
        verbs.skip(row.pk, MONDAY)
        assert placer.place_due(sunday) == (0, 0)
        verbs.unskip(row.pk, MONDAY)
        assert placer.place_due(timezone.now()) == (1, 0)
        with pytest.raises(Conflict) as placed:
            verbs.skip(row.pk, MONDAY)
        assert placed.value.extra["order_id"] == str(Order.objects.get().pk)
        with pytest.raises(NotFound):
            verbs.unskip(row.pk, MONDAY)
        with pytest.raises(Invalid, match="no order to come on 2026-12-05"):
            verbs.skip(row.pk, date(2026, 12, 5))


def test_a_change_from_a_day_on_leaves_the_days_before_and_the_placed_ones() -> None:
    with at("2026-11-30T12:00+00:00") as monday:
        row = clinic(hours_ahead=48)
        placer.place_due(monday)
        later = verbs.change(
            row.pk,
            {"order": body(customer_name="Kofi Boateng"), "local_time": time(9)},
            from_on=date(2026, 12, 2),
        )
        assert later.pk != row.pk
        assert RecurringOrder.objects.get(pk=row.pk).ends_on == date(2026, 12, 1)
        # 2 December is placed already, for 07:30.
        assert (states(row), states(later)) == ([("12-01", "PLACED")], [("12-02", "PLACED")])
    with at("2026-12-02T12:00+00:00") as wednesday:
        placer.place_due(wednesday)
    new = Order.objects.filter(customer_name="Kofi Boateng").order_by("not_before")
    assert [f"{one.not_before:%d %H:%M}" for one in new] == ["03 09:00", "04 09:00"]
    assert Order.objects.count() == 4


def test_a_template_is_checked_like_an_order_but_for_the_hours_of_a_day() -> None:
    with pytest.raises(Invalid) as refused:
        clinic(order=body(dropoff_lat=6.9, payload_weight_kg=50), ends_on=date(2025, 1, 1))
    assert {(one.field, one.code) for one in refused.value.errors} == {
        ("ends_on", "window_invalid"),
        ("order.dropoff_lat", "outside_service_area"),
        ("order.payload_weight_kg", "payload_too_heavy"),
    }
    area = ServiceArea.objects.get()
    area.hours = {"weekly": [{"weekday": "SUNDAY", "opens": "01:00", "closes": "02:00"}]}
    area.hours["exceptions"] = []
    area.save()
    assert clinic().time_zone == area.time_zone


def test_templates_that_ended_long_ago_are_forgotten_with_their_data() -> None:
    with at("2026-11-27T12:00+00:00") as friday:
        row, kept = clinic(ends_on=MONDAY, hours_ahead=100), clinic(hours_ahead=100)
        placer.place_due(friday)
    assert verbs.forget_unused(MONDAY) == 0
    assert verbs.forget_unused(MONDAY + timedelta(days=1)) > 0
    assert [one.pk for one in RecurringOrder.objects.all()] == [kept.pk]
    assert Order.objects.filter(merchant=row.merchant).exists()


def test_templates_without_an_end_that_place_nothing_are_forgotten_too() -> None:
    with at("2026-11-27T12:00+00:00") as friday:
        paused, used = clinic(hours_ahead=100), clinic(hours_ahead=100)
        placer.place_due(friday)
        verbs.pause(paused.pk, paused=True)
    with at("2026-12-11T12:00+00:00") as later:
        placer.place_due(later)
    assert verbs.forget_unused(date(2026, 11, 30)) == 0
    assert verbs.forget_unused(date(2026, 12, 5)) > 0
    assert [one.pk for one in RecurringOrder.objects.all()] == [used.pk]


def test_a_template_follows_the_zone_of_its_area() -> None:
    """07:30 by the clock there: 06:30 UTC once the area is said to be in Lagos."""
    with at("2026-11-30T12:00+00:00"):
        row = clinic()
    with at("2026-11-30T13:00+00:00") as monday:
        area = ServiceArea.objects.get()
        area.time_zone = "Africa/Lagos"
        area.save()
        placer.place_due(monday)
    assert RecurringOrder.objects.get(pk=row.pk).time_zone == "Africa/Lagos"
    assert Order.objects.get().not_before == datetime(2026, 12, 1, 6, 30, tzinfo=UTC)


def test_without_a_first_day_it_starts_on_the_day_there() -> None:
    area = DroneFactory().hub.service_area
    area.time_zone = "Pacific/Auckland"
    area.save()
    with at("2026-11-30T20:00+00:00"):  # 09:00 on 1 December in Auckland
        made = verbs.create(
            MerchantFactory().pk,
            {"name": "Round", "order": body(), "weekdays": WORKDAYS, "local_time": time(7, 30)},
        )
    assert made.starts_on == date(2026, 12, 1)


# --- races ---------------------------------------------------------------------------------------


def workers(row: RecurringOrder, count: int) -> list[Any]:
    now = timezone.now()
    day = next(row.schedule.days_from(now))
    return [lambda: placer.place_one(row.pk, day, now)] * count


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_place_a_day_once() -> None:
    row = clinic()
    assert at_once(*workers(row, 4)) == [None] * 4
    assert Order.objects.count() == 1


def without_the_lock(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """All threads have read the template and its days before one of them places."""
    barrier = Barrier(count)

    def locked(recurring_id: Any) -> RecurringOrder:
        return RecurringOrder.objects.get(pk=recurring_id)

    usual = placer._try

    def tried(row: Any, occurrence: Any, now: datetime) -> None:
        together(barrier)
        usual(row, occurrence, now)

    monkeypatch.setattr(verbs, "locked", locked)
    monkeypatch.setattr(placer, "_try", tried)


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_the_constraint_alone_prevents_a_second_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = clinic()
    without_the_lock(monkeypatch, 3)
    raised = at_once(*workers(row, 3))
    assert raised.count(None) == 1
    assert Order.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_control_without_lock_and_constraint_a_day_is_placed_three_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = clinic()
    without_the_lock(monkeypatch, 3)
    constraint = next(
        one for one in Occurrence._meta.constraints if one.name == "occurrence_once_a_day"
    )
    with connection.schema_editor() as editor:
        editor.remove_constraint(Occurrence, constraint)
    try:
        assert at_once(*workers(row, 3)) == [None] * 3
        assert Order.objects.count() == 3
    finally:
        with connection.schema_editor() as editor:
            editor.execute("TRUNCATE orders_occurrence CASCADE")
            editor.add_constraint(Occurrence, constraint)


# --- what is left out, and bad input -------------------------------------------------------------


def test_a_refused_day_whose_time_is_moved_later_is_placed_then() -> None:
    with at("2026-11-30T07:00+00:00"):
        row = clinic()
        problem = {"field": "", "code": "closed", "message": "Closed.", "until": None}
        seven = datetime(2026, 11, 30, 7, 30, tzinfo=UTC)
        row.occurrences.create(on=MONDAY, at=seven, state="REFUSED", problems=[problem])
    with at("2026-11-30T08:00+00:00") as now:
        verbs.change(row.pk, {"local_time": time(10, 0)})
        placer.place_due(now)
        assert states(row)[0] == ("11-30", "PLACED")
        assert Order.objects.get(occurrence__on=MONDAY).not_before == now.replace(hour=10)


def test_pausing_from_a_day_on_leaves_the_days_before() -> None:
    with at("2026-11-29T12:00+00:00"):
        row = clinic()
        api = key_client(merchant=row.merchant)
        path = f"/api/v1/recurring-orders/{row.pk}"
        answer = api.patch(path, {"from_on": "2026-12-07", "paused": True})
        assert (answer.status_code, answer.json()["paused"]) == (200, True)
        assert answer.json()["starts_on"] == "2026-12-07"
        before = api.get(path).json()
        assert (before["paused"], before["ends_on"]) == (False, "2026-12-06")


@pytest.mark.parametrize("starts_on", ["2027-12-01", "9999-12-31"])
def test_a_template_starts_within_a_year(starts_on: str) -> None:
    with at("2026-11-29T12:00+00:00"):
        row = clinic(ends_on=date(9999, 12, 31))
        api = key_client(merchant=row.merchant)
        template = {
            "name": "Clinic round",
            "order": body(),
            "weekdays": WORKDAYS,
            "local_time": "07:30",
            "starts_on": starts_on,
        }
        answer = api.post("/api/v1/recurring-orders", template)
        assert errors_of(answer) == {("starts_on", "window_invalid")}
        path = f"/api/v1/recurring-orders/{row.pk}"
        answer = api.patch(path, {"from_on": starts_on, "name": "Later"})
        assert errors_of(answer) == {("from_on", "window_invalid")}
        assert RecurringOrder.objects.get().name == "Clinic round"


def test_a_day_that_is_over_is_neither_skipped_nor_placed_after_all() -> None:
    with at("2026-11-29T12:00+00:00"):
        row = clinic(starts_on=date(1, 1, 1))
        verbs.skip(row.pk, MONDAY)
        for day in (date(2026, 11, 27), date(1, 1, 1)):
            with pytest.raises(Invalid) as refused:
                verbs.skip(row.pk, day)
            assert [one.code for one in refused.value.errors] == ["no_occurrence"]
    with at("2026-12-01T12:00+00:00") as now:
        with pytest.raises(NotFound):
            verbs.unskip(row.pk, MONDAY)
        placer.place_due(now)
        assert states(row)[0] == ("11-30", "SKIPPED")


# --- console -------------------------------------------------------------------------------------


def test_staff_see_what_was_not_placed_and_pause_a_template(client: Client) -> None:
    with at("2026-11-29T12:00+00:00") as sunday:
        row = clinic()
        ServiceArea.objects.update(
            hours={
                "weekly": [{"weekday": "SUNDAY", "opens": "01:00", "closes": "02:00"}],
                "exceptions": [],
            }
        )
        ServiceArea.objects.get().save()  # tells the cache
        placer.place_due(sunday)
        (line,) = not_placed(Look(sunday))
        assert (
            line.text == f"“Clinic round” of {row.merchant} was not placed for Monday 30 November"
        )
        assert "is closed on Monday 30 November at 07:30" in line.detail

        client.force_login(UserFactory(role=Role.OPS))
        page = client.get(line.url).content.decode()
        assert "Monday-Friday at 07:30" in page
        assert "Not placed" in page
        assert "is closed on Monday 30 November at 07:30" in page
        client.post(line.url, {"paused": "on"})
        assert RecurringOrder.objects.get().paused
        assert list(not_placed(Look(sunday))) == []
        listed = client.get("/admin/orders/recurringorder/?paused__exact=1").content.decode()
        assert "Clinic round" in listed

        client.force_login(UserFactory(role=Role.READONLY))
        assert client.get(line.url).status_code == 200
        assert client.post(line.url, {}).status_code == 403


def test_a_template_without_days_says_so_to_staff(client: Client) -> None:
    with at("2026-11-29T12:00+00:00"):
        row = clinic(ends_on=date(2026, 11, 27))
        client.force_login(UserFactory(role=Role.OPS))
        page = client.get(f"/admin/orders/recurringorder/{row.pk}/change/").content.decode()
        assert "It has no more days." in page


def test_a_day_that_the_template_has_no_more_is_no_matter_for_staff() -> None:
    with at("2026-11-29T12:00+00:00") as sunday:
        row = clinic()
        seven = datetime(2026, 11, 30, 7, 30, tzinfo=UTC)
        problem = {"field": "", "code": "closed", "message": "Closed.", "until": None}
        row.occurrences.create(on=MONDAY, at=seven, state="REFUSED", problems=[problem])
        assert len(list(not_placed(Look(sunday)))) == 1
        verbs.change(row.pk, {"weekdays": ["TUESDAY"]})
        assert list(not_placed(Look(sunday))) == []
