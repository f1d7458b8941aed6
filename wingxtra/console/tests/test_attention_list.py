"""What needs attention: counts, groups, acknowledgement, and everything that is wrong."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dispatch.models import Discrepancy, Mission, MissionPart
from dispatch.tests import doubts
from dispatch.tests.doubts import doubtful, held
from fleet.tests.factories import DroneFactory, TelemetryFactory, seconds_ago, show
from orders.models import Order
from orders.states import PodRequirement, Status
from orders.tests.factories import OrderFactory, order_in
from pod.models import OneTimeCode
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import actors, dashboard, registry
from wingxtra.console.attention import counting
from wingxtra.console.attention.acknowledging import acknowledge_there
from wingxtra.console.models import Acknowledgement
from wingxtra.console.registry import Attention, Tone
from wingxtra.tests.test_attention_browser import without_a_drone

pytestmark = pytest.mark.django_db
LEAK = Attention("leak:1", 3, "The roof leaks", cause="leak", many="roofs leak")


@pytest.fixture
def ama() -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=Role.OPS, username="ama"))
    return browser


@pytest.fixture
def leaks(monkeypatch: pytest.MonkeyPatch) -> list[Attention]:
    """The only items of the list."""
    items = [LEAK, replace(LEAK, key="leak:2"), replace(LEAK, key="leak:3", level=5)]
    monkeypatch.setattr(registry, "attention_sources", [])
    registry.add_attention(lambda now: items, checks="no roof leaks")
    return items


def now(browser: Client, **query: Any) -> str:
    return browser.get(reverse("admin:now"), query).content.decode()


def lines() -> list[str]:
    return [group.text for group in dashboard.board(timezone.now()).lines]


def texts() -> list[str]:
    board = dashboard.board(timezone.now())
    return [item.text for group in board.lines for item in group.items]


def post(browser: Client, **data: Any) -> Any:
    """As from a page that shows the list as it is now."""
    line = dashboard.board(timezone.now()).line(data.get("cause", ""))
    if line is not None:
        data.setdefault("shown", line.shown)
    return browser.post(reverse("admin:acknowledge"), data)


def tab(browser: Client) -> str:
    return browser.get("/admin/orders/order/?tab=attention").content.decode()


# --- counts --------------------------------------------------------------------------------------


def test_the_statements_do_not_grow_with_600_orders_without_a_drone(ama: Client) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as sent:
            now(ama)
        return len(sent)

    without_a_drone(3)
    now(ama)
    few = statements()
    without_a_drone(600)
    assert statements() == few
    assert "603 orders have no able drone: drones below the minimum charge" in lines()
    assert 'data-count="60' in now(ama)


def test_what_is_too_much_to_load_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MAX_EACH", 2)
    urgent = OrderFactory(deliver_by=seconds_ago(60), priority="MEDICAL")
    for minutes in range(5):
        OrderFactory(deliver_by=seconds_ago(600 + 60 * minutes))
    assert "6 orders are late" in lines()
    assert f"Medical order {urgent} is late by 6" in " ".join(texts())  # before older ones


def test_thirty_faults_at_once_make_at_most_six_lines(ama: Client) -> None:
    for _ in range(4):
        doubts.astray()
        doubts.not_over()
        doubts.unconfirmed(Status.MISSION_SUBMITTED)
        doubtful(Discrepancy.Code.AIRSPACE, Status.ENROUTE)
        doubtful(Discrepancy.Code.BATTERY, Status.ENROUTE)
        held(DroneFactory().pk)
        OrderFactory(deliver_by=seconds_ago(600))
    without_a_drone(2)
    context = ama.get(reverse("admin:now")).context
    assert context["open"] >= 30
    assert len(context["lines"]) + bool(context["more_lines"]) == 6
    folded = sum(group.count for group in context["more_lines"])
    assert sum(group.count for group in context["lines"]) + folded == context["open"]


def test_an_order_with_two_troubles_is_one_item(ama: Client) -> None:
    (order,) = without_a_drone(1)
    Order.objects.filter(pk=order.pk).update(deliver_by=seconds_ago(700))
    about = [text for text in texts() if str(order) in text]
    assert about == [f"Normal order {order} is late by 12 min"]
    assert f"Also: No drone can take order {order}" in now(ama)


# --- the same rule in the list of orders ---------------------------------------------------------


def test_the_tab_of_orders_has_the_orders_of_the_dashboard(ama: Client) -> None:
    assert "No order needs you" in tab(ama)
    shown = [
        *without_a_drone(1),
        OrderFactory(deliver_by=seconds_ago(60)),
        doubts.astray(),
        doubts.not_over().order,
        doubtful(Discrepancy.Code.AIRSPACE, Status.ENROUTE).order,
        order_in(Status.FAILED),
        order_in(Status.DELIVERED, pod_requirement=PodRequirement.OPERATOR_CONFIRM),
    ]
    fine = [OrderFactory(), OrderFactory(live_mode=False, deliver_by=seconds_ago(60))]
    html = tab(ama)
    assert [str(order) in html for order in shown] == [True] * len(shown)
    assert [str(order) in html for order in fine] == [False, False]


# --- acknowledgement -----------------------------------------------------------------------------


def test_an_acknowledged_line_covers_new_items_until_their_number_doubles(
    ama: Client, leaks: list[Attention]
) -> None:
    assert lines() == ["3 roofs leak"]
    post(ama, cause="leak", note="Roofer called.")
    assert lines() == []
    leaks.append(replace(LEAK, key="leak:4"))  # four: the next doubling
    assert lines() == ["4 roofs leak"]
    post(ama, cause="leak")
    leaks.append(replace(LEAK, key="leak:5"))
    assert lines() == []
    leaks.append(replace(LEAK, key="leak:6", level=40, tone=Tone.BAD))
    assert lines() == ["6 roofs leak"]


def test_what_the_page_did_not_show_is_not_acknowledged(ama: Client, leaks: Any) -> None:
    (line,) = dashboard.board(timezone.now()).lines
    assert f'name="shown" value="{line.shown}"' in now(ama)
    leaks.append(replace(LEAK, key="leak:4", level=30, tone=Tone.BAD))
    answer = ama.post(
        reverse("admin:acknowledge"), {"cause": "leak", "shown": line.shown}, follow=True
    )
    assert "look at it again" in answer.content.decode()
    assert lines() == ["4 roofs leak"]


def test_an_item_that_no_page_showed_is_not_seen_with_its_line(ama: Client, leaks: Any) -> None:
    leaks[:] = [replace(item, until_seen=True) for item in leaks]
    (line,) = dashboard.board(timezone.now()).lines
    leaks[0] = replace(leaks[0], key="leak:4")  # as many, and as bad
    post(ama, cause="leak", shown=line.shown)
    assert lines() == ["3 roofs leak"]


def test_one_item_of_a_line_is_acknowledged_by_itself(ama: Client, leaks: Any) -> None:
    post(ama, key="leak:1")
    assert lines() == ["2 roofs leak"]
    assert "The roof leaks" in now(ama).partition('id="seen"')[2]


@pytest.mark.parametrize("minutes", [15, 60, 240])
def test_a_snoozed_line_comes_back_at_its_time(ama: Client, leaks: Any, minutes: int) -> None:
    post(ama, cause="leak", minutes=minutes)
    start = timezone.now()
    with time_machine.travel(start + timedelta(minutes=minutes - 1)):
        assert lines() == []
    with time_machine.travel(start + timedelta(minutes=minutes + 1)):
        assert lines() == ["3 roofs leak"]


def test_what_is_listed_until_seen_ends_for_good_and_later_ones_are_new(
    ama: Client, leaks: list[Attention]
) -> None:
    leaks[:] = [replace(item, until_seen=True) for item in leaks]
    assert ">Seen</button>" in now(ama)
    post(ama, cause="leak")
    assert lines() == []
    leaks.append(replace(leaks[0], key="leak:4"))
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        assert lines() == ["The roof leaks"]


def test_an_acknowledged_item_does_not_hide_another_trouble_of_its_object(
    ama: Client, leaks: list[Attention]
) -> None:
    late = Attention("late:1", 39, "Late", tone=Tone.BAD, about="order:1", is_symptom=True)
    no_drone = Attention("no-drone:1", 17, "No drone", about="order:1", cause="no-drone")
    leaks[:] = [late, no_drone]
    post(ama, key="late:1")
    assert lines() == []  # both were shown
    leaks.append(Attention("link:1", 35, "Link lost", tone=Tone.BAD, about="order:1"))
    assert lines() == ["Link lost"]


def test_many_acknowledged_warnings_do_not_hide_a_few_that_are_worse(
    ama: Client, leaks: list[Attention]
) -> None:
    leaks[:] = [replace(LEAK, key=f"leak:{n}", level=17) for n in range(600)]
    post(ama, cause="leak")
    leaks[:] = leaks[:2]
    assert lines() == []
    leaks[0] = replace(LEAK, key="leak:0", level=10, tone=Tone.BAD)
    assert lines() == ["2 roofs leak"]
    leaks[0] = replace(LEAK, key="leak:0", level=18)
    assert lines() == ["2 roofs leak"]


def test_another_system_can_acknowledge_under_its_own_name(ama: Client, leaks: Any) -> None:
    at = timezone.now()
    (line,) = dashboard.board(at).lines
    acknowledge_there("leak", level=line.level, text=line.text, at=at, by_name="Kofi, PagerDuty")
    assert lines() == []
    assert "Kofi, PagerDuty" in now(ama)


def test_the_answer_to_a_script_is_the_new_list(ama: Client, leaks: Any) -> None:
    answer = ama.post(
        reverse("admin:acknowledge") + "?open=leak",
        {"key": "leak:1", "minutes": 60},
        headers={"X-In-Place": "1"},
    )
    html = answer.content.decode()
    assert 'data-told="Back in 1 h: The roof leaks."' in html
    assert html.count("data-key=") == 2


@pytest.mark.parametrize(
    "data",
    [
        {"cause": "leak", "minutes": "17"},
        {"cause": "leak", "minutes": "x"},
        {"cause": "leak", "note": "n" * 301},
        {"cause": "leak", "shown": ""},
        {"cause": "leak", "shown": "x"},
    ],
)
def test_bad_input_acknowledges_nothing(ama: Client, leaks: Any, data: dict[str, str]) -> None:
    assert post(ama, **data).status_code == 404
    assert not Acknowledgement.objects.exists()


@pytest.mark.parametrize("data", [{}, {"cause": "flood"}, {"key": "leak:9"}, {"key": "\0"}])
def test_what_is_not_in_the_list_cannot_be_acknowledged(
    ama: Client, leaks: Any, data: dict[str, str]
) -> None:
    assert post(ama, **data).status_code in (302, 404)
    assert not Acknowledgement.objects.exists()


def test_a_reader_sees_the_lines_without_names_or_buttons() -> None:
    reader = Client()
    reader.force_login(UserFactory(role=Role.READONLY))
    order = OrderFactory(deliver_by=seconds_ago(600))
    failed = order_in(Status.FAILED)
    html = now(reader)
    assert f"order {order} is late" in html
    assert f"order {failed} has failed" in html
    for absent in ("Acknowledge", "Seen</button>", "admin/do/", order.customer_name, "24123"):
        assert absent not in html
    assert post(reader, key=f"ended:{failed.pk}").status_code == 403


def test_all_items_of_a_line_are_on_a_page_of_their_own(ama: Client) -> None:
    orders = without_a_drone(25)
    cause = "no-drone:battery_below_minimum"
    assert "Show the worst 20" in now(ama)
    assert now(ama, open=cause).count('data-key="no-drone') == 20
    html = ama.get(reverse("admin:attention-line"), {"cause": cause}).content.decode()
    assert [str(order) in html for order in orders] == [True] * 25
    gone = ama.get(reverse("admin:attention-line"), {"cause": "flood"}, follow=True)
    assert "it has been dealt with" in gone.content.decode()


def test_old_acknowledgements_are_forgotten(leaks: Any) -> None:
    user = UserFactory(role=Role.OPS)
    for days, key in ((1, "new"), (40, "old")):
        at = timezone.now() - timedelta(days=days)
        Acknowledgement.objects.create(
            key=key, level=1, text="x", by=user, at=at, until=at + timedelta(hours=12)
        )
    actors.forget_acknowledgements.fn()
    assert [mark.key for mark in Acknowledgement.objects.all()] == ["new"]


# --- everything that is wrong --------------------------------------------------------------------


def test_failed_and_aborted_orders_are_listed_until_seen(ama: Client) -> None:
    failed, aborted = order_in(Status.FAILED), order_in(Status.ABORTED)
    order_in(Status.CANCELED)
    assert {f"Normal order {failed} has failed", f"Normal order {aborted} was aborted"} <= set(
        texts()
    )
    post(ama, key=f"ended:{failed.pk}")
    assert str(failed) not in " ".join(texts())
    assert f"Seen: Normal order {failed}" in tab(ama)
    assert str(failed) not in tab(ama)
    assert str(aborted) in tab(ama)


def test_a_refused_mission_is_listed_until_seen(ama: Client) -> None:
    order = order_in(Status.ASSIGNED)
    Mission.objects.filter(parts__order=order).update(
        state=Mission.State.REJECTED, bridge_answer="409: the payload is too heavy"
    )
    assert f"Ground control refused the mission of order {order}" in texts()
    assert "It said: 409: the payload is too heavy." in now(ama)
    post(ama, key=f"refused:{MissionPart.objects.get(order=order).pk}")
    assert f"Ground control refused the mission of order {order}" not in texts()


def test_a_locked_code_is_listed_with_its_remedies(ama: Client) -> None:
    order = order_in(Status.ENROUTE, pod_requirement=PodRequirement.OTP)
    OneTimeCode.objects.update_or_create(pk=order.pk, defaults={"tries": 5})
    assert f"The code of order {order} is locked" in texts()
    assert "orders.order/unlock-code/" in now(ama)


def test_a_drone_in_trouble_on_its_way_home_is_listed() -> None:
    silent, low, fine, at_home = (DroneFactory() for _ in range(4))
    with_order = DroneFactory()
    order_in(Status.ENROUTE, drone=with_order)
    show(
        TelemetryFactory(drone_id=silent.pk, armed=True, measured_at=seconds_ago(45)),
        TelemetryFactory(drone_id=low.pk, armed=True, battery_pct=11),
        TelemetryFactory(drone_id=fine.pk, armed=True, battery_pct=60),
        TelemetryFactory(drone_id=at_home.pk, armed=False, battery_pct=11),
        TelemetryFactory(drone_id=with_order.pk, armed=True, battery_pct=11),
    )
    in_the_air = [text for text in texts() if "in the air" in text]
    assert in_the_air == [
        f"{silent} fell silent in the air, without an order",
        f"{low} has 11 % charge in the air, without an order",
    ]


def test_a_pause_says_who_when_and_why(ama: Client) -> None:
    area = OrderFactory().service_area
    for label, pk in (("fleet.policy", 1), ("fleet.servicearea", area.pk)):
        pause = reverse("admin:act", args=[label, "pause"]) + f"?id={pk}"
        ama.post(pause, {"reason": "Storm: wind 20 m/s."})
    details = {
        item.key: item.detail for g in dashboard.board(timezone.now()).lines for item in g.items
    }
    today: datetime = timezone.now()
    for key in ("paused", f"paused:{area.pk}"):
        assert f"By ama, {today:%d %b} " in details[key]
        assert "UTC: Storm: wind 20 m/s." in details[key]


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (None, "whether GCS_BRIDGE_URL is right"),
        (401, "correct GCS_BRIDGE_KEY"),
        (429, "slow down"),
        (503, "call its staff"),
        (404, "with this answer"),
    ],
)
def test_a_mission_that_does_not_get_through_says_what_to_do(status: int, advice: str) -> None:
    order = order_in(Status.ASSIGNED)
    Mission.objects.filter(parts__order=order).update(
        tries=2, bridge_status=status, bridge_answer="No."
    )
    board = dashboard.board(timezone.now())
    (line,) = [group for group in board.lines if group.cause == "intent"]
    assert advice in line.detail
