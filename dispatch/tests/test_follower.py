"""Flights are followed by service area: one follower for each, any number of workers, none twice.

What would happen twice is that a piece of the track is stored. The note that a link is lost is
written once in any case, with its mark on the flight.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from dispatch.actors import follow_flights, follow_without_pictures
from dispatch.missions.following import followed, leases, progress, tracks
from dispatch.models import Flight, FollowerLease, TrackPiece
from dispatch.tests.test_missions import in_threads
from fleet.live import picture
from fleet.live.picture import Picture
from fleet.models import Drone, ServiceArea
from fleet.simulator.run import Simulator
from fleet.tests.factories import (
    ACCRA,
    DroneFactory,
    HubFactory,
    ServiceAreaFactory,
    TelemetryFactory,
    show,
    square,
)
from fleet.tests.simulated import sim_drone
from orders.models import DeliveryEvent, Order
from orders.states import EventType, Status
from orders.tests.factories import order_in
from wingxtra import broker
from wingxtra.tests.test_broker import manage, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

AREAS, PROCESSES = 4, 2
APART_DEG = 0.25


@pytest.fixture
def silent() -> list[Order]:
    """An order in flight in each of some areas, whose drone has been silent for ten minutes. The
    next look moves its track to a piece.
    """
    orders = []
    for number in range(AREAS):
        here = ACCRA[1] + number * APART_DEG
        area = ServiceAreaFactory(polygon=square(ACCRA[0], here, side_m=20_000))
        hub = HubFactory(service_area=area, lat=ACCRA[0], lng=here)
        places = {"pickup_lng": here, "dropoff_lng": here + 0.012}
        order = order_in(Status.ENROUTE, drone=DroneFactory(hub=hub), service_area=area, **places)
        Flight.objects.create(
            job_id=order.current_job_id,
            heard_at=timezone.now() - timedelta(minutes=10),
            recent=[[3.0 * n, *ACCRA, 60.0, 12.0, 80.0] for n in range(tracks.PIECE_POINTS + 1)],
        )
        orders.append(order)
    return orders


def area_of(order: Order) -> UUID:
    return order.service_area_id


def links_lost() -> list[UUID]:
    lost = DeliveryEvent.objects.filter(type=EventType.LINK_LOST)
    return sorted(lost.values_list("order_id", flat=True))


def pieces() -> list[UUID]:
    return sorted(TrackPiece.objects.values_list("job__order_id", flat=True))


def look(area_id: UUID) -> int:
    now = timezone.now()
    return progress.follow_area(area_id, Picture(fetched_at=now, telemetry={}), now)


def read_together(monkeypatch: pytest.MonkeyPatch, within_s: float) -> None:
    """Two followers read the flights at the same moment, where both can come so far."""
    both = threading.Barrier(2)
    read = followed.flights_of

    def flights_of(*args: Any) -> Any:
        found = read(*args)
        with suppress(threading.BrokenBarrierError):
            both.wait(within_s)
        return found

    monkeypatch.setattr(followed, "flights_of", flights_of)


def test_two_followers_of_an_area_see_each_event_once(
    silent: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_together(monkeypatch, within_s=2)
    area_id, counts = area_of(silent[0]), list[int]()
    in_threads(*[lambda: counts.append(look(area_id))] * 2)
    assert sorted(counts) == [0, 1]
    assert pieces() == links_lost() == [silent[0].pk]


def test_without_the_lease_both_store_it(
    silent: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control for the test above."""
    read_together(monkeypatch, within_s=30)
    monkeypatch.setattr(leases.Lease, "_take", lambda _: True)
    monkeypatch.setattr(leases.Lease, "renewed", lambda _: transaction.atomic())
    area_id = area_of(silent[0])
    in_threads(*[lambda: look(area_id)] * 2)
    assert pieces() == [silent[0].pk] * 2
    assert links_lost() == [silent[0].pk]


def test_another_area_is_followed_at_the_same_time(silent: list[Order]) -> None:
    first, second = (area_of(order) for order in silent[:2])
    with leases.held(first) as lease:
        assert lease is not None
        assert (look(first), look(second)) == (0, 1)
    assert look(first) == 1


def test_the_area_of_a_dead_follower_is_free_when_its_lease_ends(silent: list[Order]) -> None:
    area_id = area_of(silent[0])
    assert leases.Lease(area_id)._take()
    assert look(area_id) == 0
    lease = FollowerLease.objects.get()
    left_s = (lease.ends_at - timezone.now()).total_seconds()
    assert 0 < left_s <= leases.LEASE_S
    FollowerLease.objects.update(ends_at=timezone.now() - timedelta(milliseconds=1))
    assert look(area_id) == 1


def test_a_follower_that_lost_its_area_writes_no_flight_and_its_note_is_not_repeated(
    silent: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    area_id, read = area_of(silent[0]), followed.flights_of

    def read_slowly(*args: Any) -> Any:
        found = read(*args)
        FollowerLease.objects.update(ends_at=timezone.now())
        assert leases.Lease(area_id)._take()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(followed, "flights_of", read_slowly)
        assert look(area_id) == 0
    assert (pieces(), links_lost()) == ([], [silent[0].pk])
    FollowerLease.objects.update(ends_at=timezone.now())
    assert look(area_id) == 1
    assert links_lost() == [silent[0].pk]


def test_a_look_that_is_longer_than_its_lease_ends(
    silent: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It renews the lease before half of it is over, and another follower gets in nowhere."""
    area_id, number = area_of(silent[0]), 4
    hub = silent[0].current_job.drone.hub
    for order in silent[1:]:
        Drone.objects.filter(pk=order.current_job.drone_id).update(hub=hub, base=hub)
    idle, read = DroneFactory(hub=hub), followed.flights_of
    monkeypatch.setattr(leases, "LEASE_S", 2.0)

    def read_slowly(*args: Any) -> Iterator[Any]:
        for one in read(*args):
            time.sleep(0.8)
            assert not leases.Lease(area_id)._take()
            yield one

    def look_slowly() -> int:
        now = timezone.now()
        stands = TelemetryFactory(drone_id=idle.pk, lat=hub.lat, lng=hub.lng, armed=False)
        return progress.follow_area(area_id, Picture(now, {idle.pk: stands}), now)

    with monkeypatch.context() as patched:
        patched.setattr(followed, "flights_of", read_slowly)
        assert look_slowly() == number
    assert Drone.objects.get(pk=idle.pk).stands_at == hub  # what comes after the flights is done
    assert look(area_id) == number
    assert pieces() == links_lost() == sorted(order.pk for order in silent)


# --- in worker processes -------------------------------------------------------------------------


@pytest.fixture
def _workers(silent: list[Order]) -> Iterator[None]:
    """Processes that do one thing at a time each, and a picture without the silent drones."""
    command = ("worker", "--processes", str(PROCESSES), "--threads", "1")
    with manage(*command, settings_module="wingxtra.settings"):
        wait_until(broker.worker_heartbeat_at)
        show(TelemetryFactory(drone_id="WX-OTHER"))
        yield


def held_leases() -> int:
    return FollowerLease.objects.filter(ends_at__gt=timezone.now()).count()


@pytest.mark.usefixtures("_workers")
def test_workers_follow_areas_at_the_same_time_and_none_twice(silent: list[Order]) -> None:
    with psycopg.connect(**connection.get_connection_params()) as session:
        session.execute("LOCK TABLE dispatch_flight IN SHARE MODE")  # no look can end
        # A picture comes before the last one is worked off.
        wait_until(lambda: _follow_again() and held_leases() == PROCESSES)
    wait_until(lambda: _follow_again() and len(set(pieces())) == AREAS)
    assert pieces() == links_lost() == sorted(order.pk for order in silent)
    assert set(FollowerLease.objects.values_list("pk", flat=True)) == set(
        ServiceArea.objects.values_list("pk", flat=True)
    )


@pytest.mark.usefixtures("_workers")
def test_a_new_picture_is_followed_at_once(silent: list[Order], settings: Settings) -> None:
    with Simulator([sim_drone()], speed=0) as simulator:
        settings.FLEET_API_URL = simulator.url
        picture.refresh()
    wait_until(lambda: len(set(pieces())) == AREAS, timeout_s=10)


@pytest.mark.usefixtures("_workers")
@pytest.mark.parametrize("age_s", [0.0, 10.0])
def test_the_tick_follows_only_while_no_new_picture_comes(
    age_s: float, silent: list[Order]
) -> None:
    at = timezone.now() + timedelta(minutes=2)  # newer than that of the fixture
    with time_machine.travel(at, tick=True):
        show(TelemetryFactory(drone_id="WX-OTHER"), fetched_at=at - timedelta(seconds=age_s))
        follow_without_pictures()
    if age_s:
        wait_until(lambda: len(set(pieces())) == AREAS, timeout_s=10)
    else:
        time.sleep(2)
        assert pieces() == []


def _follow_again() -> bool:
    """The next picture: messages that no worker took in time are dropped."""
    follow_flights.send()
    threading.Event().wait(0.5)
    return True
