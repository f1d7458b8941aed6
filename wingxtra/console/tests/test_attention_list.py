"""What needs attention: counts, groups, acknowledgement, and everything that is wrong."""

from datetime import UTC, datetime

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
from fleet import pauses
from fleet.models import ServiceArea
from fleet.tests.factories import DroneFactory, TelemetryFactory, seconds_ago, show
from orders.models import Order
from orders.states import PodRequirement, Status
from orders.tests.factories import OrderFactory, order_in
from pod.models import OneTimeCode
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import dashboard
from wingxtra.console.attention import counting
from wingxtra.console.tests.attention_list import lines, now, post, texts
from wingxtra.tests.test_attention_browser import without_a_drone

pytestmark = pytest.mark.django_db


@pytest.fixture
def ama() -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=Role.OPS, username="ama"))
    return browser


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


def test_a_pause_is_told_by_the_clock_of_its_area_and_only_if_its_beginning_is_kept(
    ama: Client,
) -> None:
    area = OrderFactory().service_area
    ServiceArea.objects.filter(pk=area.pk).update(time_zone="Africa/Nairobi")
    area = ServiceArea.objects.get(pk=area.pk)
    by = UserFactory(username="kofi").actor
    with time_machine.travel(datetime(2026, 3, 1, 22, 5, tzinfo=UTC), tick=False):
        pauses.set_area(area, paused=True, by=by, reason="Storm")
    assert pauses.said(pauses.latest(area)) == "By kofi, 02 Mar 01:05 EAT: Storm."
    pauses.set_area(area, paused=False, by=by, reason="Over")
    ServiceArea.objects.filter(pk=area.pk).update(dispatch_paused=True)  # by SQL
    assert pauses.said(pauses.latest(area)) == ""
