"""Replay: thinned tracks whose gaps stay gaps, and the events and decisions beside them."""

import json
import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from dispatch.missions.flight.state import between_m
from dispatch.missions.following.tracks import Point
from dispatch.missions.replay import recording
from dispatch.missions.replay.thinning import GAP_S, TOLERANCE_M, runs_of, thinned
from dispatch.models import DispatchDecision, DispatchRun, Flight, TrackPiece
from dispatch.tests.support import stored
from dispatch.tests.test_tracks import flown
from fleet.models import ServiceArea
from fleet.simulator.run import Simulator
from fleet.tests.factories import METRE_DEG, DroneFactory
from orders.models import DeliveryJob, Order
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


# --- thinning (pure) -----------------------------------------------------------------------------


def at(second: float, north_m: float, east_m: float = 0.0, alt_m: float | None = 60.0) -> Point:
    return Point(
        NOON + timedelta(seconds=second),
        5.6 + north_m * METRE_DEG,
        -0.2 + east_m * METRE_DEG,
        alt_m,
        15.0,
        90.0,
    )


def test_a_straight_even_flight_needs_two_points() -> None:
    (run,) = thinned([at(s, 15.0 * s) for s in range(0, 600, 3)], 100)
    assert [point.at.minute for point in run] == [0, 9]


def test_a_stop_and_a_turn_are_kept() -> None:
    waits = [at(s, 15.0 * min(s, 60), 15.0 * max(0, s - 120)) for s in range(0, 180, 3)]
    (run,) = thinned(waits, 100)
    assert [(p.at - NOON).total_seconds() for p in run] == [0, 60, 120, 177]


def test_a_climb_is_kept() -> None:
    (run,) = thinned([at(s, 0, alt_m=min(60.0, 3.0 * s)) for s in range(0, 60, 3)], 100)
    assert [(p.at - NOON).total_seconds() for p in run] == [0, 21, 57]


def test_nothing_is_drawn_over_a_gap() -> None:
    heard = [s for s in range(0, 600, 3) if not 200 < s < 200 + 2 * GAP_S]
    runs = thinned([at(s, 15.0 * s) for s in heard], 100)
    assert [(run[0].at, run[-1].at) for run in runs] == [
        (at(0, 0).at, at(198, 0).at),
        (at(231, 0).at, at(597, 0).at),
    ]


def test_an_empty_track_and_a_single_point() -> None:
    assert thinned([], 10) == []
    assert thinned([at(0, 0)], 10) == [[at(0, 0)]]


walks = st.lists(
    st.tuples(st.sampled_from([3.0, 4.0, 60.0]), st.integers(-60, 60), st.integers(-60, 60)),
    max_size=120,
)


@given(walks, st.integers(2, 40))
def test_a_thinned_track_is_small_and_near_to_the_whole_one(
    steps: list[tuple[float, int, int]], at_most: int
) -> None:
    second, north, east = 0.0, 0.0, 0.0
    points = []
    for wait_s, north_m, east_m in steps:
        second, north, east = second + wait_s, north + north_m, east + east_m
        points.append(at(second, north, east))
    runs = thinned(points, at_most)
    kept = [point for run in runs for point in run]
    assert len(kept) <= at_most
    assert set(kept) <= set(points)
    assert [p.at for p in kept] == sorted(p.at for p in kept)
    known = [{p.at for p in run} for run in runs_of(points)]
    for run in runs:  # no run bridges a gap
        assert any({p.at for p in run} <= times for times in known)
    if len(thinned(points, 10_000)) and at_most >= len(points):
        assert worst_m(points, thinned(points, 10_000)) <= TOLERANCE_M * 1.01


def worst_m(points: list[Point], runs: list[list[Point]]) -> float:
    """How far the replay is from a measured point at its time, by a slow, plain computation."""
    worst = 0.0
    for run in runs:
        for one in points:
            for a, b in pairwise(run):
                if a.at <= one.at <= b.at:
                    share = (one.at - a.at) / (b.at - a.at)
                    lat, lng = a.lat + share * (b.lat - a.lat), a.lng + share * (b.lng - a.lng)
                    worst = max(worst, between_m(lat, lng, one.lat, one.lng))
    return worst


# --- one flight ----------------------------------------------------------------------------------


def signed_in(role: Role) -> Client:
    browser = Client()
    merchant = MerchantFactory() if role == Role.MERCHANT else None
    browser.force_login(UserFactory(role=role, is_staff=True, merchant=merchant))
    return browser


def data_of(job: DeliveryJob | None) -> str:
    assert job is not None
    return f"/admin/replay/flight/{job.pk}/data/"


@pytest.mark.django_db
def test_a_flown_order_is_replayed_from_its_track(bridge: Simulator) -> None:
    order = flown(bridge)
    job = order.current_job
    browser = signed_in(Role.READONLY)
    with CaptureQueriesContext(connection) as captured:
        shown = browser.get(data_of(job)).json()
    assert len(captured) <= 8  # session, user, permissions, and the recording's
    (track,) = shown["tracks"]
    columns = [track[name] for name in ("t", "lat", "lng", "alt_m", "battery_pct")]
    assert {len(column) for column in columns} == {len(track["t"])}
    assert 5 < len(track["t"]) < 200
    assert track["gaps"] == []
    assert track["battery_pct"][0] > track["battery_pct"][-1] > 0
    labels = [note["label"] for note in shown["notes"]]
    assert labels.index("Drone assigned") < labels.index("Launched") < labels.index("Delivered")
    assert shown["start"] <= track["t"][0] <= track["t"][-1] <= shown["end"]
    text = json.dumps(shown)
    assert order.customer_name not in text
    assert str(order.customer_phone) not in text


@pytest.mark.django_db
def test_a_recording_of_a_flight_takes_three_statements(bridge: Simulator) -> None:
    order = flown(bridge)
    job = DeliveryJob.objects.select_related("order").get(pk=order.current_job_id)
    with CaptureQueriesContext(connection) as captured:
        assert recording.of_flight(job, timezone.now()).tracks
    assert len(captured) == 3


@pytest.mark.django_db
def test_the_decision_that_made_the_flight_is_beside_it() -> None:
    order = order_in(Status.ENROUTE)
    job = stored(order).current_job
    run = DispatchRun.objects.create(
        trigger="SCHEDULE", actor="dispatcher", policy_version=1, started_at=job.created_at
    )
    for outcome, why in (("ASSIGNED", "It is the soonest."), ("WAITING", "It waits.")):
        DispatchDecision.objects.create(run=run, order=order, outcome=outcome, why=why)
    dry = DispatchRun.objects.create(
        trigger="CONSOLE", actor="ama", policy_version=1, started_at=job.created_at, dry_run=True
    )
    DispatchDecision.objects.create(run=dry, order=order, outcome="ASSIGNED", why="Only a try.")
    notes = signed_in(Role.OPS).get(data_of(job)).json()["notes"]
    decided = [note["text"] for note in notes if note["kind"] == "decision"]
    assert decided == ["It is the soonest.", "It waits."]


@pytest.mark.django_db
def test_a_job_without_a_track_has_its_events(client: Any) -> None:
    job = stored(order_in(Status.ASSIGNED)).current_job
    shown = signed_in(Role.OPS).get(data_of(job)).json()
    assert shown["tracks"] == []
    assert [note["label"] for note in shown["notes"]] == ["Drone assigned"]


@pytest.mark.django_db
def test_the_replay_is_linked_from_order_and_mission(bridge: Simulator) -> None:
    order = flown(bridge)
    link = f"/admin/replay/flight/{order.current_job_id}/"
    browser = signed_in(Role.OPS)
    assert link in browser.get(f"/admin/orders/order/{order.pk}/change/").content.decode()
    mission = order.parts.get().mission_id
    assert link in browser.get(f"/admin/dispatch/mission/{mission}/change/").content.decode()


# --- an area -------------------------------------------------------------------------------------


def hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def with_track(order: Order, first: datetime, seconds: int) -> DeliveryJob:
    job = stored(order).current_job
    start = first.timestamp()
    points = [
        [start + s, 5.6 + 0.002 * math.sin(s / 90), -0.2 + s * 1e-5, 60.0, 15.0]
        for s in range(0, seconds, 3)
    ]
    TrackPiece.objects.create(job=job, points=points[:-1])
    Flight.objects.create(job=job, heard_at=first, recent=points[-1:])
    DeliveryJob.objects.filter(pk=job.pk).update(created_at=first - timedelta(minutes=1))
    return job


@pytest.mark.django_db
def test_an_hour_of_an_area_has_its_flights_only() -> None:
    hour = hour_of(timezone.now()) - timedelta(hours=2)
    inside = with_track(order_in(Status.ENROUTE), hour + timedelta(minutes=10), 600)
    across = with_track(
        order_in(Status.ENROUTE, drone=DroneFactory()), hour - timedelta(minutes=5), 600
    )
    with_track(order_in(Status.ENROUTE, drone=DroneFactory()), hour - timedelta(minutes=30), 600)
    with_track(order_in(Status.ENROUTE, drone=DroneFactory()), hour + timedelta(minutes=70), 600)
    area = ServiceArea.objects.get()
    shown = recording.of_area(area, hour)
    assert {track.job for track in shown.tracks} == {str(inside.pk), str(across.pk)}
    (cut,) = [track for track in shown.tracks if track.job == str(across.pk)]
    # One point before the hour, so that the drone is there from its first second on.
    assert hour.timestamp() - 3 <= cut.t[0] <= hour.timestamp() < cut.t[1]
    elsewhere = ServiceArea.objects.create(name="Kumasi", polygon=area.polygon)
    assert recording.of_area(elsewhere, hour).tracks == []


@pytest.mark.django_db
def test_an_hour_costs_the_same_statements_for_any_number_of_flights() -> None:
    hour = hour_of(timezone.now()) - timedelta(hours=1)
    area, counts = OrderFactory().service_area, []
    for _ in range(2):
        for n in range(4):
            order = order_in(Status.ENROUTE, drone=DroneFactory())
            with_track(order, hour + timedelta(minutes=n), 300)
        with CaptureQueriesContext(connection) as captured:
            shown = recording.of_area(area, hour)
        counts.append(len(captured))
    assert len(shown.tracks) == 8
    assert counts == [4, 4]


@pytest.mark.django_db
def test_points_of_a_busy_hour_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "POINTS_OF_AN_AREA", 60)
    hour = hour_of(timezone.now()) - timedelta(hours=1)
    for n in range(5):
        order = order_in(Status.ENROUTE, drone=DroneFactory())
        with_track(order, hour + timedelta(minutes=n), 900)
    shown = recording.of_area(ServiceArea.objects.get(), hour)
    assert len(shown.tracks) == 5
    assert sum(len(track.t) for track in shown.tracks) <= 60


@pytest.mark.django_db
def test_the_hours_of_an_area_are_those_of_the_last_day() -> None:
    area = OrderFactory().service_area
    browser = signed_in(Role.READONLY)
    url = f"/admin/replay/area/{area.pk}/data/"
    this_hour = hour_of(timezone.now())
    good = [this_hour, this_hour - timedelta(hours=23), this_hour - timedelta(hours=24)]
    for hour in good:
        assert browser.get(url, {"from": hour.isoformat()}).json()["tracks"] == []
    bad = [
        (this_hour - timedelta(hours=25)).isoformat(),
        (this_hour + timedelta(hours=1)).isoformat(),
        (this_hour + timedelta(minutes=1)).isoformat(),
        this_hour.replace(tzinfo=None).isoformat(),
        "",
        "yesterday",
        "2026-13-45T00:00:00Z",
        "9" * 40,
    ]
    for text in bad:
        answer = browser.get(url, {"from": text})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_window"), text


@pytest.mark.django_db
@pytest.mark.parametrize("role", [*Role])
def test_replays_are_for_staff(role: Role) -> None:
    order = order_in(Status.ENROUTE)
    job, area = stored(order).current_job, order.service_area
    hour = hour_of(timezone.now()).isoformat()
    browser = signed_in(role)
    for url, query in (
        (f"/admin/replay/flight/{job.pk}/", {}),
        (data_of(job), {}),
        (f"/admin/replay/area/{area.pk}/", {"at": "nonsense"}),
        (f"/admin/replay/area/{area.pk}/data/", {"from": hour}),
    ):
        answer = browser.get(url, query)
        is_staff = role in (Role.READONLY, Role.OPS, Role.ADMIN)
        assert answer.status_code == (200 if is_staff else 302), url
        assert "Mensah" not in answer.content.decode()


@pytest.mark.django_db
def test_what_does_not_exist_is_not_found() -> None:
    browser = signed_in(Role.OPS)
    nothing = "00000000-0000-4000-8000-000000000000"
    for url in (
        f"/admin/replay/flight/{nothing}/",
        f"/admin/replay/flight/{nothing}/data/",
        f"/admin/replay/area/{nothing}/",
        f"/admin/replay/area/{nothing}/data/",
        "/admin/replay/flight/x/",
        "/admin/replay/area/",
        "/admin/replay/area/?area=x",
        f"/admin/replay/area/?area={nothing}",
    ):
        assert browser.get(url).status_code == 404, url
    area = OrderFactory().service_area
    assert browser.get("/admin/replay/area/")["Location"] == f"/admin/replay/area/{area.pk}/"
