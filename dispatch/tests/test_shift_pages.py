"""The pages of a shift: who may open them, bad input, files, notes, persons, drones and pauses."""

import csv
import io
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import DatabaseError, connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dispatch.models import Flight, ShiftNote
from dispatch.shift import drone_day, notes, pauses, people, reading
from dispatch.shift.spans import Span
from fleet import pauses as pausing
from fleet import registry
from fleet.models import PauseChange
from fleet.tests.factories import DroneFactory, ServiceAreaFactory
from orders import lifecycle
from orders.states import CancelReason, Status
from orders.tests.factories import OrderFactory, multiply_orders, order_in
from orders.tests.test_budgets import heads, sent
from wingxtra.accounts.identity import Actor, ActorKind, Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory
from wingxtra.console import actions, dashboard
from wingxtra.console import registry as console
from wingxtra.console.attention import acknowledging
from wingxtra.console.registry import Attention
from wingxtra.console.roles import CONSOLE_ROLES
from wingxtra.console.tests.test_console_roles import signed_in
from wingxtra.problems import Conflict

pytestmark = pytest.mark.django_db
UTC_ZONE = ZoneInfo("UTC")
ALL_MAY = ("shift", "shift-csv", "shift-drone", "shift-pauses")
FOR_OPS = ("shift-people",)


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


@pytest.mark.parametrize("name", [*ALL_MAY, *FOR_OPS])
@pytest.mark.parametrize("role", [*Role, None])
def test_pages_open_for_roles_that_may_see_them(name: str, role: Role | None) -> None:
    answer = signed_in(role).get(reverse(f"admin:{name}"), {"table": "area"})
    if role not in CONSOLE_ROLES:
        assert answer.status_code == 302
        assert "/login/" in answer["Location"]
    else:
        refused = name in FOR_OPS and role == Role.READONLY
        assert answer.status_code == (403 if refused else 200)


@pytest.mark.parametrize(
    "query",
    [
        "day=2026-02-30",
        "day=tomorrow",
        "day=9999-12-31",
        "day=0001-01-01",
        "days=2",
        "days=one",
        "area=c0ffee",
        "area=7d444840-9dc0-11d1-b245-5ffdce74fad2",
    ],
)
@pytest.mark.parametrize("name", ["shift", "shift-csv", "shift-people"])
def test_days_and_areas_that_do_not_exist_are_not_found(name: str, query: str) -> None:
    browser = signed_in(Role.OPS)
    assert browser.get(f"{reverse(f'admin:{name}')}?table=area&{query}").status_code == 404


@pytest.mark.parametrize(
    "address",
    ["shift/csv/?table=secrets", "shift/csv/", "shift/people/?user=nemo", "shift/drone/?drone=X"],
)
def test_what_does_not_exist_is_not_found(address: str) -> None:
    assert signed_in(Role.OPS).get(f"/admin/{address}").status_code == 404


def test_the_report_shows_an_area_and_its_file_the_same() -> None:
    area = ServiceAreaFactory(name="Tema", time_zone="America/New_York")
    other = ServiceAreaFactory(name="Kumasi")
    with time_machine.travel(datetime(2026, 11, 1, 15, tzinfo=UTC_ZONE), tick=False) as clock:
        merchant = MerchantFactory(name="=cmd|calc")
        late = order_in(Status.LAUNCHED, service_area=area, merchant=merchant)
        clock.shift(timedelta(minutes=90))
        lifecycle.advance(late.pk, Status.DELIVERED, by=Actor(ActorKind.GCS))
        order_in(Status.DELIVERED, service_area=other)
        OrderFactory(service_area=area, live_mode=False)
        browser = signed_in(Role.READONLY)
        query = {"area": area.pk, "day": "2026-11-01"}
        page = text_of(browser.get(reverse("admin:shift"), query))
        file = browser.get(reverse("admin:shift-csv"), {**query, "table": "merchant"})
    assert "by the clock of America/New_York; this day has 25 hours" in page
    assert "0 of 1 promise kept (0 %)" in page
    assert "1 order: 1 delivered, 0 failed, 0 canceled." in page
    assert "10:00 (15:00 UTC): 1 order, 0 kept, 1 broken" in page
    (row,) = list(csv.DictReader(io.StringIO(text_of(file).removeprefix("\ufeff"))))
    assert row["merchant"].startswith("'=")  # not a formula
    assert (row["orders"], row["kept"], row["median_min"]) == ("1", "0", "90.0")
    assert (row["flights"], row["battery_pct"]) == ("1", "")


def test_without_orders_there_is_no_percentage() -> None:
    page = text_of(signed_in(Role.OPS).get(reverse("admin:shift")))
    assert "No promise has been decided yet." in page
    assert "No order started and no drone flew in this time." in page
    main = page[page.index('id="content"') :]
    assert " 0 %" not in main
    assert "nan" not in main.lower().replace("finance", "")


def test_one_order_is_told_in_the_singular() -> None:
    order_in(Status.DELIVERED)
    plots = signed_in(Role.OPS).get(reverse("admin:shift")).context["plots"]
    assert [plot.summary for plot in plots[:2]] == ["1 order", "1 delivery"]


@pytest.mark.parametrize("query", ["", "?days=7", "?days=30"])
def test_a_report_takes_at_most_nine_statements(query: str) -> None:
    for _ in range(3):
        order_in(Status.DELIVERED, merchant=MerchantFactory())
    notes.write("Drone 7 is loud.", by=UserFactory(ops=True))
    browser = signed_in(Role.OPS)
    with sent() as statements:
        assert browser.get(reverse("admin:shift") + query).status_code == 200
    assert len(statements) <= 9, heads(statements)


def test_the_orders_of_a_day_are_found_by_an_index() -> None:
    OrderFactory(external_id="ref-0")
    multiply_orders(
        20_000,
        {
            "id": "gen_random_uuid()",
            "public_tracking_id": "left(md5('track' || n), 13)",
            "external_id": "'x' || n",
            "created_at": "created_at - n * interval '9 minutes'",
        },
    )
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE orders_order")
    span = Span(now.date() - timedelta(days=30), 1, UTC_ZONE)
    with sent() as statements:
        reading.columns(span, None, now)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statements[0][0]}", statements[0][1])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "order_starts" in plan, plan


# --- the handover note ---------------------------------------------------------------------------


def test_a_note_keeps_what_was_open_and_is_shown_until_it_is_confirmed() -> None:
    ama, kofi = UserFactory(username="ama", ops=True), UserFactory(username="kofi", ops=True)
    order = order_in(Status.QUEUED)
    pausing.set_area(order.service_area, paused=True, by=ama.actor, reason="Thunderstorm.")
    registry.ground(DroneFactory(drone_id="WX-7").pk, by=ama.actor, reason="It is loud.")
    first, second = Client(), Client()
    first.force_login(ama)
    second.force_login(kofi)
    saved = first.post(reverse("admin:dispatch_shiftnote_add"), {"text": "Watch WX-7."})
    note = ShiftNote.objects.get()
    assert saved["Location"] == actions.page_of(note)
    assert [one["detail"] for one in note.paused] == ["ama: Thunderstorm."]
    assert [one["text"] for one in note.held] == ["WX-7 is grounded"]
    assert f"Dispatch is paused in {order.service_area}" in {o["text"] for o in note.open_items}

    pausing.set_area(order.service_area, paused=False, by=ama.actor, reason="It is over.")
    for page in (reverse("admin:shift"), reverse("admin:index")):
        assert "Watch WX-7." in text_of(second.get(page))
    assert "Thunderstorm." in text_of(second.get(actions.page_of(note)))
    url = f"{reverse('admin:act', args=['dispatch.shiftnote', 'confirm-reading'])}?id={note.pk}"
    second.post(url, {f"seen-{note.pk}": ""})
    note = ShiftNote.objects.get()
    assert note.read_by == kofi
    assert "Watch WX-7." not in text_of(second.get(reverse("admin:shift")))
    assert "Watch WX-7." in text_of(second.get(reverse("admin:dispatch_shiftnote_changelist")))
    with pytest.raises(Conflict, match="already"):
        notes.confirm(note, by=ama)


@pytest.mark.parametrize("text", ["", " ", "x" * 4001, "a\0b"])
def test_a_note_needs_a_text(text: str) -> None:
    answer = signed_in(Role.OPS).post(reverse("admin:dispatch_shiftnote_add"), {"text": text})
    assert answer.status_code == 200
    assert not ShiftNote.objects.exists()


def test_a_reader_writes_and_confirms_no_note() -> None:
    note = notes.write("Nothing.", by=UserFactory(ops=True))
    browser = signed_in(Role.READONLY)
    assert browser.get(reverse("admin:dispatch_shiftnote_add")).status_code == 403
    url = f"{reverse('admin:act', args=['dispatch.shiftnote', 'confirm-reading'])}?id={note.pk}"
    assert browser.post(url).status_code == 403


def test_a_note_has_the_items_of_the_dashboard() -> None:
    order_in(Status.QUEUED, deliver_by=timezone.now() + timedelta(seconds=1))
    at = timezone.now() + timedelta(minutes=5)
    texts = [item.text for line in dashboard.board(at).lines for item in line.items]
    assert [one["text"] for one in notes.frozen(at)["open_items"]] == texts
    assert texts


def test_a_note_has_the_lines_of_the_dashboard_and_says_what_is_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leaks = [
        Attention(f"leak:{n}", 3, "A roof leaks", cause="leak", many="roofs leak")
        for n in range(600)
    ]
    late = Attention("late:1", 20, "Order 1 is late", about="order:1", is_symptom=True)
    doubt = Attention("doubt:1", 30, "Where is order 1?", about="order:1")
    rain = Attention("rain", 2, "It rains")
    monkeypatch.setattr(console, "attention_sources", [])
    console.add_attention(lambda now: [*leaks, late, doubt, rain], checks="all is well")
    ama, now = UserFactory(username="ama", ops=True), timezone.now()
    line = dashboard.board(now).line("rain")
    assert line is not None
    acknowledging.acknowledge(line, at=now, by=ama)
    note = notes.write("Roofs.", by=ama)
    texts = [one["text"] for one in note.open_items]
    assert texts == ["Where is order 1?", "600 roofs leak", "It rains"]
    assert note.open_items[-1]["detail"] == "Acknowledged by ama."


# --- persons, drones, pauses ---------------------------------------------------------------------


def day_in_utc(day: date) -> Span:
    return Span(day, 1, UTC_ZONE)


def test_what_a_person_did_is_listed_with_orders_and_rules() -> None:
    ama = UserFactory(username="ama", ops=True)
    order = OrderFactory()
    lifecycle.cancel(order.pk, by=ama.actor, reason=CancelReason.WEATHER)
    lifecycle.cancel(OrderFactory().pk, by=UserFactory().actor, reason=CancelReason.OTHER)
    actions.log(ama, order.service_area, "Pause dispatch: it storms.")
    today = day_in_utc(timezone.now().date())
    found, has_more = people.entries(ama, today)
    assert {(one.source, one.about) for one in found} == {
        ("Order", str(order)),
        ("Console", str(order.service_area)),
    }
    assert not has_more
    yesterday = day_in_utc(timezone.now().date() - timedelta(days=1))
    assert people.entries(ama, yesterday) == ([], False)
    page = text_of(signed_in(Role.ADMIN).get(reverse("admin:shift-people"), {"user": "ama"}))
    assert "it storms" in page
    assert "The merchant asked" not in page


def test_a_drones_day_has_jobs_holds_missions_and_gaps() -> None:
    drone = DroneFactory(drone_id="WX-9")
    with time_machine.travel(datetime(2026, 6, 10, 9, tzinfo=UTC_ZONE), tick=False) as clock:
        order = order_in(Status.ENROUTE, drone=drone)
        at = timezone.now().timestamp()
        points = [[at + seconds, 5.6, -0.18, 60.0, 15.0] for seconds in (0, 3, 6, 90, 93)]
        Flight.objects.create(job=order.current_job, heard_at=timezone.now(), recent=points)
        clock.shift(timedelta(minutes=9))
        registry.hold(drone.pk, "LANDED_AWAY", "It is in a field.", by=Actor(ActorKind.SYSTEM))
        order_in(Status.DELIVERED, drone=DroneFactory())
        browser = signed_in(Role.READONLY)
        page = text_of(browser.get(reverse("admin:shift-drone"), {"drone": "WX-9"}))
    found = drone_day.entries(drone, day_in_utc(date(2026, 6, 10)))
    whats = [one.what for one in found]
    assert "Drone assigned" in whats
    assert "No position for 84 s" in whats
    assert "On hold: It landed away from every hub" in whats
    assert any(what.startswith("Mission made") for what in whats)
    assert {one.kind for one in found if one.kind.startswith("Order")} == {f"Order {order}"}
    assert "No position for 84 s" in page
    assert drone_day.entries(drone, day_in_utc(date(2026, 6, 11))) == []


def test_a_gap_is_between_neighbours_only() -> None:
    assert drone_day.gaps([50.0, 0.0, 21.0, 40.0], 20.0) == [(0.0, 21.0)]
    assert drone_day.gaps([], 20.0) == []


def test_pauses_are_kept_with_who_and_why() -> None:
    ama = UserFactory(username="ama", ops=True)
    area = ServiceAreaFactory(name="Tema")
    pausing.set_area(area, paused=True, by=ama.actor, reason="Storm.")
    pausing.set_area(area, paused=False, by=ama.actor, reason="Sun.")
    pausing.set_everywhere(paused=True, by=ama.actor, reason="Airport asks.")
    pausing.set_everywhere(paused=True, by=ama.actor, reason="Again.")
    everywhere, tema = pauses.latest()
    assert (everywhere.what, everywhere.why, everywhere.ended_at) == (
        "Dispatch everywhere",
        "Airport asks.",
        None,
    )
    assert (tema.what, tema.by, tema.end_why) == ("Dispatch in Tema", "ama", "Sun.")
    page = text_of(signed_in(Role.READONLY).get(reverse("admin:shift-pauses")))
    assert "paused now" in page
    with pytest.raises(Conflict):
        pausing.set_area(area, paused=False, by=ama.actor, reason="Twice.")
    assert PauseChange.objects.count() == 3


@pytest.mark.parametrize(
    "change",
    [lambda rows: rows.update(reason="No storm."), lambda rows: rows.delete()],
    ids=["update", "delete"],
)
def test_the_database_keeps_each_change_of_a_pause(change: Callable[[Any], Any]) -> None:
    pausing.set_everywhere(paused=True, by=UserFactory(ops=True).actor, reason="Storm.")
    with pytest.raises(DatabaseError, match="append-only"):
        change(PauseChange.objects.all())
