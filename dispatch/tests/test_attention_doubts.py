"""Doubts on the dashboard with the actions that end them; many of one cause are one line."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dispatch.console import attention, attention_doubts
from dispatch.missions import discrepancies
from dispatch.models import Discrepancy, DispatchDecision, DispatchRun, Flight, PublishingPause
from dispatch.tests import doubts
from dispatch.tests.doubts import aboard, astray, doubtful, held, job_of
from fleet.console import holds
from fleet.models import Drone, Hub
from fleet.tests.factories import DroneFactory, TelemetryFactory, show
from orders import lifecycle
from orders.models import Order
from orders.states import JobStatus, Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import GCS, Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console.attention.groups import Group, groups, one_each
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention
from wingxtra.tests import on_the_map

pytestmark = pytest.mark.django_db
Code = Discrepancy.Code


def found(source: Any) -> list[Attention]:
    items: Iterator[Attention] = source(Look(timezone.now()))
    return list(items)


def lines(source: Any) -> list[Group]:
    return groups(one_each(found(source)))


def questions() -> list[Attention]:
    return found(attention_doubts.parcels_and_flights)


def labels(item: Attention | Group) -> list[str]:
    return [button.label.removesuffix("…") for button in item.remedies]


def page(role: Role = Role.OPS) -> str:
    browser = Client()
    browser.force_login(UserFactory(role=role, is_staff=True))
    return browser.get(reverse("admin:now")).content.decode()


# --- parcels -------------------------------------------------------------------------------------


def test_without_doubts_there_are_no_lines() -> None:
    OrderFactory()
    order_in(Status.ENROUTE)
    order_in(Status.DELIVERED)
    for source in attention_doubts.SOURCES:
        assert found(source.find) == []


def test_an_unlocated_parcel_is_one_line_with_all_answers() -> None:
    order = astray()
    (item,) = questions()
    assert item.text == (
        f"Where is the parcel of order {order}? It is not known where the parcel is"
    )
    assert labels(item) == [
        "It was delivered",
        "It is at a hub",
        "It never left the sender",
        "It goes back to the sender",
        "It is lost",
    ]
    assert str(order) in item.text


def test_the_line_says_where_the_drone_is() -> None:
    order = aboard()
    drone_id = order.holder_drone_id
    assert f"It is not known where {drone_id} is." in questions()[0].detail
    place = {"lat": order.dropoff_lat + 0.0045, "lng": order.dropoff_lng, "armed": False}
    show(TelemetryFactory(drone_id=drone_id, **place))
    assert f"{drone_id} is 500 m from the drop point, motors off" in questions()[0].detail
    hub = Hub.objects.get()
    show(TelemetryFactory(drone_id=drone_id, lat=hub.lat, lng=hub.lng, armed=False))
    assert f"{drone_id} is at {hub}, motors off, last telemetry" in questions()[0].detail


def test_without_redis_the_line_is_still_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from redis import RedisError

    from fleet.live import picture

    def away() -> None:
        raise RedisError("Connection refused")

    monkeypatch.setattr(picture, "read", away)
    astray()
    assert "It is not known where" in questions()[0].detail


def test_an_aborted_flight_with_a_parcel_aboard_still_needs_an_answer() -> None:
    order = order_in(Status.ENROUTE)
    lifecycle.loaded(order.pk, by=GCS)
    lifecycle.mission_over(
        order.pk,
        ended=JobStatus.ABORTED,
        by=GCS,
        why="Called home.",
        max_attempts=3,
        final=True,
    )
    (item,) = questions()
    assert "It is at a hub" in labels(item)
    assert "Correct the outcome" in labels(item)
    assert "It was delivered" not in labels(item)


def test_medical_parcels_come_first() -> None:
    normal, medical = astray(), astray(priority="MEDICAL")
    first, last = sorted(questions(), key=lambda item: -item.level)
    assert str(medical) in first.text
    assert str(normal) in last.text


def test_many_parcels_of_one_cause_are_one_line_with_actions_for_all() -> None:
    orders = [astray() for _ in range(3)]
    (line,) = lines(attention_doubts.parcels_and_flights)
    assert line.text.startswith("3 orders need an answer: where is the parcel?")
    assert "It never left the sender" in labels(line)
    assert line.remedies[0].url.count("id=") == len(orders)
    assert "hold=PARCEL_UNKNOWN" in line.url


def test_test_orders_need_no_answer() -> None:
    order = OrderFactory(live_mode=False)
    Order.objects.filter(pk=order.pk).update(holder="UNKNOWN")
    assert questions() == []


# --- contradictions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status", "offered"),
    [
        (Code.UNCLEAR_LANDING, Status.DELIVERING, ["It was delivered", "It failed"]),
        (Code.AT_THE_DROP, Status.DELIVERING, ["It was delivered", "It failed"]),
        (Code.STANDS_AT_HUB, Status.ENROUTE, ["It was delivered", "It failed"]),
        (
            Code.STANDS_AT_HUB,
            Status.MISSION_SUBMITTED,
            ["It was delivered", "It failed", "Requeue"],
        ),
        (Code.FAILED_AFTER_DELIVERY, Status.DELIVERED, ["Correct the outcome", "Settle"]),
        (Code.DELIVERED_AFTER_END, Status.ENROUTE, ["Ask for abort", "Settle"]),
        (Code.DELIVERED_AFTER_END, Status.FAILED, ["Correct the outcome", "Settle"]),
        (Code.FLIES_AFTER_END, Status.DELIVERED, ["Settle"]),
        (Code.AIRSPACE, Status.MISSION_SUBMITTED, ["Requeue"]),
        (Code.AIRSPACE, Status.ENROUTE, ["Ask for abort"]),
        (Code.WEATHER, Status.ENROUTE, ["Ask for abort"]),
        (Code.BATTERY, Status.MISSION_SUBMITTED, ["Requeue"]),
        (Code.BATTERY, Status.ENROUTE, ["Ask for abort"]),
        (Code.UNCLEAR_LANDING, Status.DELIVERED, ["Correct the outcome", "Settle"]),
    ],
)
def test_each_doubt_has_the_actions_that_end_it(
    code: Code, status: Status, offered: list[str]
) -> None:
    doubt = doubtful(code, status)
    item = next(item for item in questions() if item.key == f"doubt:{doubt.pk}")
    assert labels(item)[: len(offered)] == offered
    assert item.text == f"{code.label}: order {doubt.order} with {doubt.job.drone_id}"
    assert item.detail.startswith("Two sources differ.")


def test_a_delivery_reported_after_the_end_is_one_line_with_its_action() -> None:
    order = order_in(Status.ENROUTE)
    job = job_of(order)
    lifecycle.mission_over(
        order.pk, ended=JobStatus.FAILED, by=GCS, why="It landed.", max_attempts=3
    )
    discrepancies.raise_for_ended_job(job, Code.DELIVERED_AFTER_END, "Reported DELIVERED.", GCS)
    (item,) = questions()
    assert labels(item) == [
        *("It was delivered", "It is at a hub", "It never left the sender"),
        *("It goes back to the sender", "It is lost"),
        "Settle",
    ]


def test_a_mission_reported_flying_after_its_end_can_be_confirmed_over() -> None:
    part = doubts.not_over()
    discrepancies.raise_(part.job, Code.FLIES_AFTER_END, "Reported ENROUTE.", by=GCS)
    (item,) = questions()
    assert labels(item) == ["Its mission is over", "Settle"]


def test_thirty_doubts_of_one_kind_are_one_line() -> None:
    for _ in range(30):
        doubtful(Code.AIRSPACE, Status.ENROUTE)
    (item,) = lines(attention_doubts.parcels_and_flights)
    assert item.text == "30 orders: a zone is in the way"
    assert labels(item) == ["Ask for abort"]
    assert item.remedies[0].url.count("id=") == 30


# --- missions ------------------------------------------------------------------------------------


def test_a_mission_not_known_to_be_over_is_shown() -> None:
    part = doubts.not_over()
    (item,) = found(attention_doubts.missions_not_known_to_be_over)
    assert f"whether {part.mission.drone_id} still flies order {part.order}" in item.text
    assert labels(item) == ["Its mission is over"]


def test_ground_control_has_a_minute_to_report_the_end() -> None:
    doubts.not_over(minutes=0.5)
    assert found(attention_doubts.missions_not_known_to_be_over) == []


def test_many_missions_that_may_fly_are_one_line() -> None:
    parts = [doubts.not_over() for _ in range(3)]
    (item,) = lines(attention_doubts.missions_not_known_to_be_over)
    assert item.text == "3 missions are not known to be over"
    assert item.remedies[0].url.count("id=") == len(parts)


def test_an_unconfirmed_withdrawal_is_shown_with_the_override() -> None:
    part = doubts.unconfirmed(Status.MISSION_SUBMITTED)
    (item,) = found(attention_doubts.recalls_not_confirmed)
    assert item.text == f"Ground control does not confirm the withdrawal of order {part.order}"
    assert labels(item) == ["Cancel the order", "Requeue", "Its mission is over"]
    assert "404 page not found" in item.detail


def test_an_unconfirmed_abort_is_shown() -> None:
    part = doubts.unconfirmed(Status.ENROUTE, recall_mode="abort", recall_state="WANTED")
    (item,) = found(attention_doubts.recalls_not_confirmed)
    assert item.text == f"Ground control does not confirm the abort of order {part.order}"
    assert labels(item) == ["It was delivered", "It failed"]


def test_a_flight_whose_earlier_withdrawal_failed_is_not_shown() -> None:
    doubts.unconfirmed(Status.ENROUTE)
    assert found(attention_doubts.recalls_not_confirmed) == []


def test_paused_publishing_is_the_most_severe_line_with_its_hint() -> None:
    order_in(Status.ASSIGNED)
    because = "422: unknown member alt_datum. Set GCS_INTENT_VERSION=1 to leave that out."
    PublishingPause.objects.create(because=because, refused=3)
    (item,) = found(attention_doubts.publishing_paused)
    assert labels(item) == ["Resume publishing"]
    assert because in item.detail
    assert "1 mission waits." in item.detail
    assert item.level > 42


def test_a_lost_link_ends_with_an_operators_answer() -> None:
    job = job_of(order_in(Status.ENROUTE))
    Flight.objects.create(job=job, heard_at=timezone.now(), link_lost_at=timezone.now())
    (item,) = found(attention.lost_links)
    assert labels(item) == ["It was delivered", "It failed"]


# --- drones --------------------------------------------------------------------------------------


def test_held_drones_are_named_each_and_many_in_one_line() -> None:
    first = DroneFactory()
    held(first.pk)
    (line,) = lines(holds.drones_on_hold)
    assert line.text.startswith(f"{first} is on hold: ")
    assert "It landed in a field." in line.detail
    for _ in range(3):
        held(DroneFactory().pk)
    held(DroneFactory(active=False).pk)
    (item,) = lines(holds.drones_on_hold)
    assert item.text == "4 drones are on hold"
    assert labels(item) == ["Release from hold"]
    assert item.remedies[0].url.count("id=") == 4


def test_a_held_drone_is_ringed_on_the_map() -> None:
    drone = DroneFactory()
    held(drone.pk)
    show(TelemetryFactory(drone_id=drone.pk))
    browser = Client()
    browser.force_login(UserFactory(role=Role.OPS, is_staff=True))
    (shown,) = on_the_map.layers(browser)["drones"]
    assert (shown["is_alert"], shown["state"]) == (True, "On hold")


# --- orders without a drone ----------------------------------------------------------------------


def undecided(run: DispatchRun, ruled_out: list[dict[str, Any]], **attributes: Any) -> Order:
    order = OrderFactory(**attributes)
    long_ago = timezone.now() - timedelta(minutes=5)
    Order.objects.filter(pk=order.pk).update(created_at=long_ago)
    DispatchDecision.objects.create(
        run=run,
        order=order,
        outcome=DispatchDecision.Outcome.UNASSIGNED,
        ruled_out=ruled_out,
        why="12 of 12 below the minimum charge.",
    )
    return order


@pytest.fixture
def run() -> DispatchRun:
    return DispatchRun.objects.create(
        trigger=DispatchRun.Trigger.SCHEDULE,
        actor="dispatcher",
        policy_version=1,
        orders_considered=1,
    )


EMPTY = [{"code": "outside_area", "drones": 30}, {"code": "battery_below_minimum", "drones": 12}]


def test_one_cause_is_one_line_that_counts_all(run: DispatchRun) -> None:
    for _ in range(30):
        undecided(run, EMPTY)
    medical = undecided(run, EMPTY, priority="MEDICAL")
    alone = undecided(run, [{"code": "too_heavy", "drones": 3}])
    many, one = lines(attention.orders_without_a_drone)
    assert (many.cause, one.cause) == ("no-drone:battery_below_minimum", "no-drone:too_heavy")
    assert one.text.startswith(f"No drone can take order {alone}")
    assert many.text == "31 orders have no able drone: drones below the minimum charge"
    assert f"The worst: No drone can take order {medical}" in many.detail
    assert labels(many) == ["Dispatch now"]
    assert many.remedies[0].url.index(str(medical.pk)) < many.remedies[0].url.index("&id=")


def test_each_area_has_runs_of_its_own_and_all_their_orders_count(run: DispatchRun) -> None:
    undecided(run, EMPTY)
    other = DispatchRun.objects.create(
        trigger=DispatchRun.Trigger.SCHEDULE, actor="dispatcher", policy_version=1
    )
    undecided(other, EMPTY)
    assert len(found(attention.orders_without_a_drone)) == 2


def test_the_latest_decision_counts_and_dry_runs_do_not(run: DispatchRun) -> None:
    order = undecided(run, EMPTY)
    dry = DispatchRun.objects.create(
        trigger=DispatchRun.Trigger.CONSOLE, actor="user:ama", policy_version=1, dry_run=True
    )
    Outcome = DispatchDecision.Outcome
    DispatchDecision.objects.create(run=dry, order=order, outcome=Outcome.ASSIGNED)
    assert len(found(attention.orders_without_a_drone)) == 1
    DispatchDecision.objects.create(run=run, order=order, outcome=Outcome.WAITING)
    assert found(attention.orders_without_a_drone) == []


def test_an_order_on_hold_lacks_no_drone(run: DispatchRun) -> None:
    order = undecided(run, EMPTY)
    lifecycle.sight_lost(order.pk, why="Said twice.", by=GCS)
    assert found(attention.orders_without_a_drone) == []


# --- the page ------------------------------------------------------------------------------------


def test_the_dashboard_reports_no_success_while_a_doubt_stands() -> None:
    astray()
    doubts.not_over()
    doubts.unconfirmed(Status.MISSION_SUBMITTED)
    PublishingPause.objects.create(because="422", refused=3)
    html = page()
    for clause in [
        *(source.checks for source in attention_doubts.SOURCES),
        "no drone in service is on hold",
    ]:
        assert clause not in html.partition('id="numbers"')[0].lower()


def test_a_read_only_user_sees_the_doubts_without_buttons() -> None:
    order = astray()
    html = page(Role.READONLY)
    assert f"Where is the parcel of order {order}?" in html
    assert "It was delivered…" not in html
    assert order.customer_name not in html


def test_a_retired_drone_has_no_line() -> None:
    drone = DroneFactory()
    held(drone.pk)
    Drone.objects.filter(pk=drone.pk).update(active=False)
    assert found(holds.drones_on_hold) == []


def test_the_number_of_statements_does_not_grow_with_the_lines(
    django_assert_max_num_queries: Any,
) -> None:
    for _ in range(5):
        astray()
    now: datetime = timezone.now()
    with django_assert_max_num_queries(8):
        list(attention_doubts.parcels_and_flights(Look(now)))
