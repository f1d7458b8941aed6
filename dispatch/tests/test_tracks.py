"""The track of a delivery: thinned, complete, cheap, and deleted with the customer's data."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dispatch import forgetting
from dispatch.missions.following import progress, tracks
from dispatch.models import Flight, TrackPiece
from dispatch.tests.support import able_drone, stored, submitted
from dispatch.tests.test_progress import Watch, fleet_answer, picture, there
from fleet.feasibility.geometry import distance_m
from fleet.live.telemetry import decode_answer
from fleet.simulator.run import Simulator
from fleet.tests.factories import DroneFactory
from orders.models import Order
from orders.states import Status
from orders.tests.factories import order_in
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.database import together
from wingxtra.tests import on_the_map

pytestmark = pytest.mark.django_db


def flown(bridge: Simulator) -> Order:
    """A delivered order whose flight was sampled every second."""
    order, _ = submitted()
    now = timezone.now()
    bridge.advance(1)
    for _ in range(900):
        bridge.advance(1)
        now += timedelta(seconds=1)
        answer = decode_answer(fleet_answer(bridge, now))
        progress.follow(picture(*answer.telemetry, at=now), now)
        if stored(order).status == Status.DELIVERED:
            return stored(order)
    raise AssertionError("It was never delivered.")


def test_a_track_is_kept_from_take_off_to_the_door(bridge: Simulator) -> None:
    order = flown(bridge)
    job = order.current_job
    track = tracks.track_of(job)
    times = [point.at for point in track]
    assert times == sorted(times)
    gaps_s = [(b - a).total_seconds() for a, b in pairwise(times)]
    assert min(gaps_s) >= 2.9  # by rounded times
    assert max(gaps_s) < 10
    assert len(track) > 2 * tracks.PIECE_POINTS
    assert TrackPiece.objects.filter(job=job).count() == (len(track) - 1) // tracks.PIECE_POINTS
    events = dict(order.events.values_list("type", "occurred_at"))
    assert times[0] - events["LAUNCHED"] < timedelta(seconds=10)
    assert events["DELIVERED"] - times[-1] < timedelta(seconds=10)
    pickup = track[0].lat, track[0].lng, order.pickup_lat, order.pickup_lng
    door = track[-1].lat, track[-1].lng, order.dropoff_lat, order.dropoff_lng
    assert distance_m(*pickup) < 2000
    assert distance_m(*door) < 60
    assert max(point.alt_m or 0 for point in track) > 40


def test_a_drone_that_stands_leaves_no_track() -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone())
    watch = Watch(order)
    for _ in range(10):
        watch.sees(0, 0)
    assert tracks.track_of(stored(order).current_job) == []


def test_duplicate_and_impossible_measurements_are_not_kept() -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone())
    watch = Watch(order).launches()
    job = stored(order).current_job
    before = len(tracks.track_of(job))
    for _ in range(5):
        watch.hears_nothing(2)
    assert len(tracks.track_of(job)) == before
    watch.sees(40_000, 12)
    assert all(point.lat < 5.7 for point in tracks.track_of(job))


@pytest.mark.django_db(transaction=True)
def test_a_track_costs_a_statement_only_when_a_piece_is_full() -> None:
    drones = [DroneFactory() for _ in range(4)]
    for drone in drones:
        order_in(Status.ENROUTE, drone=drone)
    start = timezone.now().replace(microsecond=0)  # points are kept to a tenth of a second
    costs = []
    for second in range(0, 90, 3):
        at = start + timedelta(seconds=second)
        samples = [there(at, 10.0 * second, 40, drone.drone_id) for drone in drones]
        with CaptureQueriesContext(connection) as captured:
            assert progress.follow(picture(*samples, at=at), at) == 4
        costs.append([q["sql"] for q in captured if "trackpiece" in q["sql"]])
    full = [cost for cost in costs if cost]
    assert [len(cost) for cost in full] == [1]  # one statement for all four
    assert TrackPiece.objects.count() == 4
    for flight in Flight.objects.select_related("job"):
        assert len(flight.recent) <= tracks.PIECE_POINTS
        times = [point.at for point in tracks.track_of(flight.job)]
        assert len(times) == len(set(times)) > tracks.PIECE_POINTS


def test_reading_a_track_takes_one_statement(
    bridge: Simulator, django_assert_num_queries: Any
) -> None:
    job = flown(bridge).current_job
    with django_assert_num_queries(1):
        assert tracks.track_of(job)


def test_a_track_is_deleted_with_its_customers_data(bridge: Simulator) -> None:
    order = flown(bridge)
    other = TrackPiece.objects.create(job=order_in(Status.ENROUTE).current_job, points=[])
    forgetting.forget(order)
    assert tracks.track_of(order.current_job) == []
    assert list(TrackPiece.objects.all()) == [other]


def test_the_orders_page_draws_the_track(bridge: Simulator, client: Any) -> None:
    order = flown(bridge)
    client.force_login(UserFactory(ops=True))
    page = client.get(f"/admin/orders/order/{order.pk}/change/")
    assert page.status_code == 200
    assert b"Flown" in page.content


def test_the_live_map_shows_the_last_minutes_of_each_flight(client: Any) -> None:
    now = timezone.now()
    job = order_in(Status.ENROUTE).current_job
    at = now.timestamp()
    points = [[at - ago_s, 5.6, -0.2 + ago_s / 1e6, 60.0, 15.0] for ago_s in (900, 120, 60, 50)]
    TrackPiece.objects.create(job=job, points=points)
    ends = [[at - 6, 5.6, -0.2, 60.0, 15.0], [at - 3, 5.61, -0.2, 60.0, 15.0, 71.0]]
    Flight.objects.create(job=job, heard_at=now, recent=ends)
    client.force_login(UserFactory(ops=True))
    (trail,) = on_the_map.layers(client)["trails"]
    assert trail["of"] == f"drone-{job.drone_id}"
    # Nothing is drawn over the pauses, in which nothing is known.
    assert trail["geometry"]["coordinates"] == [
        [[-0.19994, 5.6], [-0.19995, 5.6]],
        [[-0.2, 5.6], [-0.2, 5.61]],
    ]


def test_a_flight_without_recent_telemetry_has_no_trail() -> None:
    now = timezone.now()
    job = order_in(Status.ENROUTE).current_job
    Flight.objects.create(job=job, heard_at=now - timedelta(minutes=9), recent=[])
    since = now - timedelta(minutes=5)
    assert tracks.latest(since, *together.read(*tracks.stored_since(since))) == {}
