"""The page on which a person gives a drone to an order."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dispatch.console.choices import PER_PAGE
from fleet import policy, registry
from fleet.models import Drone
from fleet.tests.factories import (
    DroneFactory,
    HubFactory,
    TelemetryFactory,
    seconds_ago,
    show,
)
from orders.models import Order
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import SYSTEM, Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import actions

pytestmark = pytest.mark.django_db
MAX_STATEMENTS = 45


@pytest.fixture
def browser() -> Client:
    browser = Client()
    browser.force_login(UserFactory(username="ama", ops=True))
    return browser


def address(order: Order, query: str = "", name: str = "assign") -> str:
    return actions.button(Order, name, order.pk).url + query


def choices(browser: Client, order: Order, query: str = "", name: str = "assign") -> Any:
    answer = browser.get(address(order, query, name))
    assert answer.status_code == 200
    return answer.context["form"].choices


def ids(found: Any) -> list[str]:
    return [row.candidate.drone_id for row in found.rows]


def many_drones(count: int) -> None:
    """At one hub, with telemetry, each a little farther away."""
    first = DroneFactory(drone_id="WX-MANY-000")
    hub, kind = first.hub, first.kind
    Drone.objects.bulk_create(
        Drone(drone_id=f"WX-MANY-{n:03d}", hub=hub, base=hub, kind=kind) for n in range(1, count)
    )
    show(
        *(TelemetryFactory(drone_id=f"WX-MANY-{n:03d}", lat=5.6037 + n / 1e5) for n in range(count))
    )


def test_500_drones_are_shown_in_pages_with_few_statements(browser: Client) -> None:
    order = OrderFactory()
    OrderFactory()  # another order in the plan
    many_drones(10)
    browser.get(address(order))

    def statements(query: str) -> int:
        with CaptureQueriesContext(connection) as taken:
            page = browser.get(address(order, query)).content.decode()
        assert page.count('type="radio"') <= PER_PAGE
        return len(taken)

    few = statements("")
    Drone.objects.all().delete()
    many_drones(500)
    assert statements("") == few <= MAX_STATEMENTS
    found = choices(browser, order, "&page=2")
    assert (len(found.rows), found.pages, found.first, found.last) == (25, 20, 26, 50)


def test_they_are_filtered_by_text_hub_and_ability(browser: Client) -> None:
    here, tema = DroneFactory(drone_id="WX-DRN-010"), HubFactory(name="Tema yard")
    there = DroneFactory(drone_id="WX-DRN-020", hub=tema, base=tema)
    grounded = DroneFactory(drone_id="WX-DRN-021")
    registry.ground(grounded.pk, by=SYSTEM, reason="A crack.")
    show(*(TelemetryFactory(drone_id=one.pk) for one in (here, there, grounded)))
    order = OrderFactory()
    assert set(ids(choices(browser, order))) == {here.pk, there.pk, grounded.pk}
    for query, expected in (
        ("&q=drn-02", {there.pk, grounded.pk}),
        ("&q=tema", {there.pk}),
        ("&q=grounded", {grounded.pk}),
        ("&hub=Tema+yard", {there.pk}),
        ("&able=1", {here.pk, there.pk}),
        ("&able=1&q=02", {there.pk}),
        ("&q=nothing", set()),
    ):
        assert set(ids(choices(browser, order, query))) == expected, query


def test_they_are_sorted(browser: Client) -> None:
    a, b = DroneFactory(drone_id="WX-A"), DroneFactory(drone_id="WX-B")
    show(
        TelemetryFactory(drone_id=a.pk, lat=5.61, battery_pct=60.0),
        TelemetryFactory(drone_id=b.pk, battery_pct=90.0),
    )
    order = OrderFactory()
    for sort, expected in (("best", [b, a]), ("door", [b, a]), ("drone", [a, b])):
        assert ids(choices(browser, order, f"&sort={sort}")) == [one.pk for one in expected]
    assert ids(choices(browser, order, "&sort=battery")) == [b.pk, a.pk]


@pytest.mark.parametrize(
    "query",
    ["&page=x", "&page=-1", "&page=999999999999", "&sort=%3Cb%3E", "&hub=none", "&q=%22%3E"],
)
def test_nonsense_in_the_address_is_ignored(browser: Client, query: str) -> None:
    show(TelemetryFactory(drone_id=DroneFactory().pk))
    choices(browser, OrderFactory(), query)


def test_each_choice_says_what_it_means_for_this_order(browser: Client) -> None:
    near, far = DroneFactory(), DroneFactory()
    show(TelemetryFactory(drone_id=near.pk), TelemetryFactory(drone_id=far.pk, lat=5.64))
    order = OrderFactory(deliver_by=timezone.now() + timedelta(minutes=6))
    best, other = choices(browser, order).rows
    assert (best.candidate.drone_id, best.beside_best) == (near.pk, "")
    assert "later" in other.beside_best
    assert "late" in other.promise


def test_a_drone_that_the_plan_gives_to_another_order_says_so(browser: Client) -> None:
    """Dispatch is paused: two orders wait, and the near drone is planned for the urgent one."""
    policy.change(by=SYSTEM, dispatch_paused=True)
    near, far = DroneFactory(), DroneFactory()
    show(TelemetryFactory(drone_id=near.pk), TelemetryFactory(drone_id=far.pk, lat=5.64))
    order = OrderFactory()
    urgent = OrderFactory(priority="MEDICAL", deliver_by=timezone.now() + timedelta(minutes=6))
    by_id = {row.candidate.drone_id: row for row in choices(browser, order).rows}
    assert by_id[near.pk].other.pk == urgent.pk
    assert "late" in by_id[near.pk].other_then
    assert by_id[far.pk].other is None
    assert Order.objects.filter(status=Status.QUEUED).count() == 2


def test_the_last_drone_of_another_order_says_so(browser: Client) -> None:
    near = DroneFactory()
    show(TelemetryFactory(drone_id=near.pk))
    order, _ = OrderFactory(), OrderFactory(priority="MEDICAL")
    (row,) = choices(browser, order).rows
    assert row.other_then == "would have no drone"


def test_an_assigned_order_may_take_a_planned_drone_too(browser: Client) -> None:
    mine, other = DroneFactory(), DroneFactory()
    show(TelemetryFactory(drone_id=mine.pk), TelemetryFactory(drone_id=other.pk))
    order, waiting = order_in(Status.ASSIGNED, drone=mine), OrderFactory()
    (row,) = choices(browser, order, name="reassign").rows
    assert (row.candidate.drone_id, row.other.pk) == (other.pk, waiting.pk)


def test_the_map_has_the_drones_of_the_page_and_the_order(browser: Client) -> None:
    drone = DroneFactory()
    show(TelemetryFactory(drone_id=drone.pk))
    order = OrderFactory()
    features = browser.get(address(order)).context["form"].features
    assert [one["look"] for one in features] == ["line", "pickup", "drop", "drone"]


def test_a_filter_keeps_soft_limits_as_they_are(browser: Client) -> None:
    drone = DroneFactory()
    show(TelemetryFactory(drone_id=drone.pk, measured_at=seconds_ago(30)))
    order = OrderFactory()
    url = address(order, "&q=wx")
    tokens = {
        f"seen-{target.object.pk}": target.token for target in browser.get(url).context["targets"]
    }
    answer = browser.post(url, {**tokens, "drone_id": drone.pk})
    assert "Write why it may fly anyway" in answer.content.decode()
    browser.post(url, {**tokens, "drone_id": drone.pk, "override_reason": "I see it."})
    assert Order.objects.get(pk=order.pk).status == Status.ASSIGNED


def test_readers_may_not_open_it() -> None:
    reader = Client()
    reader.force_login(UserFactory(role=Role.READONLY, is_staff=True))
    assert reader.get(address(OrderFactory())).status_code == 403
