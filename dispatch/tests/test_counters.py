"""The counters of drones: they never wait while an order is locked, and are known for any date."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import OperationalError, connections, transaction
from django.db.models import F
from django.utils import timezone

from dispatch.missions.records import writing
from dispatch.models import FlightRecord
from dispatch.tests.test_flight_records import record_of
from fleet.airworthiness import counters, records
from fleet.models import Drone, Maintenance, MaintenanceRule, UncountedFlight
from fleet.tests.factories import DroneFactory
from orders import lifecycle, unit_of_work
from orders.models import Order
from orders.states import Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import TELEMETRY, Actor, ActorKind

AMA = Actor(ActorKind.USER, "ama")


# --- locks ---------------------------------------------------------------------------------------


def is_locked(order: Order) -> bool:
    try:
        with transaction.atomic():
            Order.objects.select_for_update(no_key=True, nowait=True).get(pk=order.pk)
    except OperationalError:
        return True
    return False


def until(condition: Callable[[], bool]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("It did not happen within 60 s.")


def delivered_while_its_drone_is_given_away(order: Order) -> list[OperationalError]:
    """One transaction ends the flight of an order: order, then counters. Another one locks as an
    assignment does: drone, then order. Returns the database's errors.
    """
    drone_is_locked, failed = threading.Event(), list[OperationalError]()

    def deliver() -> None:
        drone_is_locked.wait(60)
        lifecycle.advance(order.pk, Status.DELIVERED, by=TELEMETRY)

    def assign() -> None:
        with transaction.atomic():
            unit_of_work.free_drones([order.current_job.drone_id])
            drone_is_locked.set()
            delivering.join(0.1)
            until(lambda: is_locked(order) or not delivering.is_alive())
            unit_of_work.lock(order.pk)

    def noting(verb: Callable[[], None]) -> None:
        try:
            verb()
        except OperationalError as error:
            failed.append(error)
        finally:
            connections.close_all()

    delivering = threading.Thread(target=noting, args=(deliver,))
    assigning = threading.Thread(target=noting, args=(assign,))
    for thread in (delivering, assigning):
        thread.start()
    for thread in (delivering, assigning):
        thread.join(30)
        assert not thread.is_alive()
    return failed


@pytest.mark.django_db(transaction=True)
def test_a_flight_ends_while_an_assignment_has_its_drone() -> None:
    order = order_in(Status.DELIVERING)
    assert delivered_while_its_drone_is_given_away(order) == []
    record = record_of(order)
    assert UncountedFlight.objects.count() == 1
    assert counters.count_the_rest() == 1
    drone = Drone.objects.get(pk=record.drone_id)
    assert (drone.flights, drone.flight_seconds) == (1, round(record.duration_s or 0))
    assert not UncountedFlight.objects.exists()


def waiting(drone_id: str, *, flights: int = 0, seconds: int = 0, cycles: int = 0) -> None:
    Drone.objects.filter(pk=drone_id).update(flights=F("flights") + flights)


@pytest.mark.django_db(transaction=True)
def test_control_counters_that_wait_for_the_drone_are_a_deadlock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writing.counters, "add", waiting)
    failed = delivered_while_its_drone_is_given_away(order_in(Status.DELIVERING))
    assert ["deadlock detected" in str(error) for error in failed] == [True]


# --- of a date -----------------------------------------------------------------------------------


def flown(drone: Drone, took_off_at: datetime | None, ended_at: datetime, seconds: float) -> None:
    record = record_of(order_in(Status.DELIVERED, drone=drone))
    FlightRecord.objects.filter(pk=record.pk).update(
        took_off_at=took_off_at, ended_at=ended_at, duration_s=seconds
    )


@pytest.mark.django_db
def test_maintenance_of_last_week_counts_from_the_counters_of_last_week() -> None:
    drone = DroneFactory()
    now = timezone.now()
    for days, seconds in ((9, 900.0), (6, 600.0), (1, 300.0)):
        at = now - timedelta(days=days)
        flown(drone, at, at + timedelta(seconds=seconds), seconds)
    flown(drone, None, now - timedelta(hours=1), 60.0)
    Drone.objects.filter(pk=drone.pk).update(flights=104, flight_seconds=36_000)
    rule = MaintenanceRule.objects.create(kind=drone.kind, name="100 flights", every_flights=100)
    records.record_maintenance(
        drone.pk, rule.pk, by=AMA, done="Bearings.", at=now - timedelta(days=7)
    )
    row = Maintenance.objects.get()
    assert (row.flights, row.flight_seconds) == (101, 36_000 - 960)
    records.record_maintenance(drone.pk, rule.pk, by=AMA, done="Again.")
    assert Maintenance.objects.first().flights == 104


@pytest.mark.django_db
def test_maintenance_counts_the_flights_that_still_wait_to_be_counted() -> None:
    drone = DroneFactory()
    yesterday = timezone.now() - timedelta(days=1)
    flown(drone, yesterday, yesterday + timedelta(seconds=300), 300.0)
    Drone.objects.filter(pk=drone.pk).update(flights=100, flight_seconds=36_000)
    UncountedFlight.objects.create(drone=drone, flights=1, seconds=300, cycles=0)
    rule = MaintenanceRule.objects.create(kind=drone.kind, name="100 flights", every_flights=100)
    week_ago = timezone.now() - timedelta(days=7)
    records.record_maintenance(drone.pk, rule.pk, by=AMA, done="Bearings.", at=week_ago)
    row = Maintenance.objects.get()
    assert (row.flights, row.flight_seconds) == (100, 36_000)


@pytest.mark.django_db
def test_a_flight_under_way_at_the_time_counts_before_it() -> None:
    drone = DroneFactory()
    now = timezone.now()
    flown(drone, now - timedelta(hours=2), now - timedelta(hours=1), 3600.0)
    Drone.objects.filter(pk=drone.pk).update(flights=1, flight_seconds=3600)
    assert counters.at(Drone.objects.get(), now - timedelta(minutes=90)) == (1, 3600)


@pytest.mark.django_db
def test_counters_that_were_corrected_down_are_never_negative() -> None:
    drone = DroneFactory()
    now = timezone.now()
    flown(drone, now, now, 60.0)
    Drone.objects.filter(pk=drone.pk).update(flights=0, flight_seconds=0)
    assert counters.at(Drone.objects.get(), now - timedelta(days=1)) == (0, 0)
