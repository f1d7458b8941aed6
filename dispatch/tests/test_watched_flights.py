"""Simulated flights that something speaks against, worked off by staff in the console."""

from collections.abc import Iterator

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from dispatch.console import attention_doubts
from dispatch.models import Discrepancy, DispatchDecision
from dispatch.tests.sky import START, Sky
from dispatch.tests.support import stored
from dispatch.tests.test_doubts_worked_off import take
from dispatch.tests.test_mission_watch import look
from fleet.console.wind import too_much_wind, unknown_wind
from fleet.live import weather
from fleet.models import GeoZone
from fleet.simulator.run import Simulator
from fleet.tests.factories import DroneFactory, GeoZoneFactory, square
from orders.models import Order
from orders.states import Status
from orders.tests.factories import OrderFactory
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention

pytestmark = pytest.mark.django_db


@pytest.fixture
def sky(settings: Settings) -> Iterator[Sky]:
    with Simulator([], speed=0) as simulator, time_machine.travel(START, tick=False) as clock:
        settings.GCS_BRIDGE_URL = simulator.url
        settings.WEATHER_SOURCE = f"{simulator.url}/weather"
        sky = Sky(simulator, clock, [DroneFactory().pk])
        weather.refresh()
        yield sky


@pytest.fixture
def staff() -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=Role.OPS, is_staff=True))
    return browser


def lines() -> list[Attention]:
    look()
    return list(attention_doubts.parcels_and_flights(Look(timezone.now())))


def use(browser: Client, item: Attention, label: str) -> None:
    (remedy,) = [button for button in item.remedies if button.label.startswith(label)]
    take(browser, remedy.url)


def sent(sky: Sky) -> Order:
    """An order whose mission ground control has just accepted."""
    OrderFactory()
    (order,) = sky.dispatch()
    sky.sweep()
    assert stored(order).status == Status.MISSION_SUBMITTED
    return order


def fly_until(sky: Sky, order: Order, *statuses: Status) -> None:
    for _ in range(400):
        for report in list(sky.undelivered()):
            sky.deliver(*report)
        if stored(order).status in statuses:
            return
        sky.poll()
        look()
    raise AssertionError(sky.story(order))


def test_a_battery_drained_in_the_air_is_told_and_the_abort_brings_the_drone_home(
    sky: Sky, staff: Client
) -> None:
    order = sent(sky)
    fly_until(sky, order, Status.ENROUTE)
    assert lines() == []
    drone_id = order.assigned_drone_id
    sky.fault("drain_battery", drone_id, pct=24)
    sky.poll()
    (item,) = lines()
    assert item.text == f"The battery is not enough for the rest: order {order} with {drone_id}"
    assert item.detail.startswith(f"{drone_id} needs ")
    assert "with the 20 % reserve, and has 2" in item.detail
    use(staff, item, "Ask for abort")
    sky.sweep()
    fly_until(sky, order, Status.ABORTED)
    assert not Discrepancy.objects.filter(code="BATTERY", settled_at__isnull=True).exists()
    assert sky.stands_at_home(drone_id) or sky.world.ledger.aboard(drone_id)


def test_a_flight_as_planned_raises_no_doubt(sky: Sky) -> None:
    order = sent(sky)
    for status in (Status.ENROUTE, Status.ARRIVED, Status.DELIVERED):
        fly_until(sky, order, status)
        assert lines() == []
    assert not Discrepancy.objects.exists()


def test_a_storm_before_launch_is_told_and_the_order_waits_until_it_is_over(
    sky: Sky, staff: Client
) -> None:
    order = sent(sky)
    drone_id = order.assigned_drone_id
    assert lines() == []
    sky.fault("weather_lie", field="wind_mps", value=14.0)
    weather.refresh()
    (item,) = lines()
    told = f"Wind 14 m/s at Mast 1 (Simulator, 0 s ago), limit 12 m/s for {drone_id}."
    assert item.detail.startswith(told)
    assert [one.text for one in too_much_wind(Look(timezone.now()))] != []
    use(staff, item, "Requeue")
    assert lines() == []
    assert stored(order).status == Status.QUEUED
    sky.poll()
    assert sky.dispatch() == []
    why = DispatchDecision.objects.filter(order=order).latest("id").why
    assert told.replace("0 s", "2 s") in why
    with sky.simulator.lock:
        sky.world.faults.clear()
    weather.refresh()
    sky.poll()
    assert [one.pk for one in sky.dispatch()] == [order.pk]


def test_a_weather_service_that_goes_far_away_leaves_the_wind_unknown_by_name(
    sky: Sky, staff: Client
) -> None:
    order = sent(sky)
    sky.fault("weather_lie", field="lat", value=48.1)
    weather.refresh()
    (item,) = lines()
    assert "is unknown: the nearest fresh reading is that of Mast 1, " in item.detail
    assert [one.text.partition(" at ")[0] for one in unknown_wind(Look(timezone.now()))] == [
        "The wind is unknown"
    ]
    use(staff, item, "Requeue")
    assert stored(order).status == Status.QUEUED


def test_a_zone_that_ends_by_itself_ends_its_line(sky: Sky) -> None:
    order = sent(sky)
    fly_until(sky, order, Status.ENROUTE)
    zone = GeoZoneFactory(polygon=square(order.dropoff_lat, order.dropoff_lng, side_m=200))
    assert [item.text.partition(":")[0] for item in lines()] == ["A zone is in the way"]
    GeoZone.objects.filter(pk=zone.pk).delete()
    assert lines() == []
    fly_until(sky, order, Status.DELIVERED, Status.DELIVERING)
