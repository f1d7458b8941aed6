"""No mission is published without the clearance that the settings ask for; the service lies."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from dispatch import actors
from dispatch.console import clearances, ways_home
from dispatch.missions import publishing
from dispatch.missions.clearance import conforming, flight_blender, following, oauth
from dispatch.missions.clearance.planned import METRES_PER_DEGREE, Leg
from dispatch.missions.flight.state import Fix, FlightState, Phase
from dispatch.missions.reposition import publishing as reposition
from dispatch.missions.reposition import verbs
from dispatch.models import Clearance, ErrandFlight, Flight, Mission
from dispatch.tests.support import able_drone, assigned, mission_of, stored, submitted, timeline
from fleet.simulator.run import Simulator
from fleet.tests.factories import HubFactory
from orders import lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import CancelReason, JobStatus, Status
from wingxtra.accounts.identity import GCS, SYSTEM, Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console.look import Look
from wingxtra.problems import Unavailable

pytestmark = pytest.mark.django_db
State = Clearance.State
Flown = Clearance.Flown


@pytest.fixture
def utm(bridge: Simulator, settings: Settings) -> Iterator[Simulator]:
    """The same simulator as ground control and as the airspace service."""
    settings.CLEARANCE = "flight_blender"
    settings.CLEARANCE_URL = bridge.url
    settings.CLEARANCE_TOKEN_URL = f"{bridge.url}/oauth/token"
    settings.CLEARANCE_CLIENT_ID, settings.CLEARANCE_CLIENT_SECRET = "wingxtra", "s3cret"
    settings.CLEARANCE_TIMEOUT_S = 10.0
    return bridge


def publish(mission: Mission, *, after_s: float = 0) -> Mission:
    """Each grant begins some seconds after the question: publishing goes on then."""
    publishing.publish(mission.pk, now=timezone.now() + timedelta(seconds=after_s))
    return Mission.objects.get(pk=mission.pk)


def clearance_of(mission: Mission) -> Clearance:
    return Clearance.objects.get(pk=mission.pk)


def the_declaration(utm: Simulator) -> dict[str, Any]:
    (one,) = utm.utm.declarations.values()
    return one


def cleared(**attributes: Any) -> tuple[Order, Mission]:
    order, mission = assigned(**attributes)
    publish(mission)
    mission = publish(mission, after_s=10)
    assert mission.state == Mission.State.ACCEPTED
    return order, mission


def a_way_home() -> Mission:
    """A stored flight of WX-DRN-001 to another hub."""
    drone = able_drone()
    drone.base = HubFactory(service_area=drone.hub.service_area, lat=drone.hub.lat + 0.01)
    drone.save()
    return verbs.send_to_base(drone.pk, by=SYSTEM)


def mission_state(mission: Mission) -> str:
    return Mission.objects.get(pk=mission.pk).state


def said(order: Order) -> list[str]:
    events = DeliveryEvent.objects.filter(order=order, type="CLEARANCE").order_by("pk")
    return [event.payload["code"] for event in events]


def later(seconds: float = 60) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


# --- granted -------------------------------------------------------------------------------------


def test_without_a_service_nothing_is_asked(bridge: Simulator) -> None:
    submitted()
    assert (Clearance.objects.count(), bridge.utm.declarations) == (0, {})


def test_a_flight_is_declared_and_published_once_its_time_begins(utm: Simulator) -> None:
    order, mission = assigned()
    mission = publish(mission)
    row = clearance_of(mission)
    assert (mission.state, mission.tries, row.state) == ("PENDING", 0, State.GRANTED)
    assert mission.next_try_at == row.starts_at
    assert row.starts_at > timezone.now()
    assert publish(mission, after_s=10).state == "ACCEPTED"
    assert stored(order).status == Status.MISSION_SUBMITTED
    assert said(order) == ["clearance_granted"]
    assert the_declaration(utm)["id"] == clearance_of(mission).known_as


def test_the_declaration_has_each_leg_with_its_heights_and_times(utm: Simulator) -> None:
    order, mission = assigned()
    publish(mission)
    declared = the_declaration(utm)
    assert declared["originating_party"] == f"Wingxtra {mission.pk}"
    assert (declared["aircraft_id"], declared["type_of_operation"]) == (mission.drone_id, 2)
    features = declared["flight_declaration_raw_geojson"]["features"]
    assert len(features) == 3
    for feature in features:
        assert feature["properties"]["min_altitude"] == {"meters": 0, "datum": "AGL"}
        height = {"meters": mission.body["dropoff"]["alt_m"], "datum": "AGL"}
        assert feature["properties"]["max_altitude"] == height
    (ring,) = features[1]["geometry"]["coordinates"]
    lngs, lats = zip(*ring, strict=True)
    for lat, lng in ((order.pickup_lat, order.pickup_lng), (order.dropoff_lat, order.dropoff_lng)):
        assert min(lats) < lat < max(lats)
        assert min(lngs) < lng < max(lngs)
    row = clearance_of(mission)
    assert row.ends_at - row.starts_at > timedelta(minutes=10)


# --- no yes --------------------------------------------------------------------------------------

NOT_A_YES = [
    ("clearance_down", {}, "clearance_not_reached"),
    ("clearance_500", {}, "clearance_failed"),
    ("clearance_garbage", {}, "clearance_confused"),
    ("clearance_garbage", {"value": []}, "clearance_confused"),
    ("clearance_garbage", {"value": {"is_approved": True, "state": 1}}, "clearance_confused"),
    (
        "clearance_garbage",
        {"value": {"id": "1e8e1f5a-0000-4000-8000-000000000000", "is_approved": 1, "state": 99}},
        "clearance_confused",
    ),
    (
        "clearance_garbage",
        {"value": {"id": "1e8e1f5a-0000-4000-8000-000000000000", "is_approved": "yes", "state": 1}},
        "clearance_confused",
    ),
    (
        "clearance_garbage",
        {"value": {"id": "1e8e1f5a-0000-4000-8000-000000000000", "is_approved": [1], "state": 1}},
        "clearance_confused",
    ),
    ("clearance_garbage", {"value": {"id": "x" * 5000, "state": [1]}}, "clearance_confused"),
    ("clearance_refuse", {}, "clearance_form_refused"),
    ("clearance_reject", {}, "clearance_refused"),
    ("clearance_slow", {}, "clearance_processing"),
]


@pytest.mark.parametrize(("kind", "settings_of_it", "code"), NOT_A_YES)
def test_what_is_no_grant_is_a_named_reason_and_publishes_nothing(
    utm: Simulator, kind: str, settings_of_it: dict[str, Any], code: str
) -> None:
    utm.fault(kind, **settings_of_it)
    order, mission = assigned()
    mission = publish(mission)
    assert (mission.state, mission.tries, mission.live) == ("PENDING", 0, False)
    assert (clearance_of(mission).code, utm.missions()) == (code, [])
    assert said(order) == [code]
    assert stored(order).attempts == 1
    assert stored(order).status == Status.ASSIGNED
    publish(mission, after_s=400)  # the same answer again is one event
    assert said(order) == [code]


def test_a_timeout_is_asked_again_and_finds_its_first_declaration(
    utm: Simulator, settings: Settings
) -> None:
    settings.CLEARANCE_TIMEOUT_S = 0.3
    utm.fault("clearance_hang", times=1, seconds=1)  # it takes the declaration and does not answer
    order, mission = assigned()
    publish(mission)
    assert said(order) == ["clearance_timeout"]
    settings.CLEARANCE_TIMEOUT_S = 5
    publish(mission, after_s=20)
    publish(mission, after_s=40)
    assert len(utm.utm.declarations) == 1
    assert mission_of(order).state == "ACCEPTED"


def test_a_crash_before_the_answer_is_stored_declares_nothing_twice(
    utm: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, mission = assigned()
    with monkeypatch.context() as patched:
        patched.setattr(flight_blender, "_answer", lambda found: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publish(mission)
    Mission.objects.filter(pk=mission.pk).update(claimed_until=None)
    publish(mission, after_s=1)
    publish(mission, after_s=10)
    assert (len(utm.utm.declarations), mission_of(order).state) == (1, "ACCEPTED")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("CLEARANCE_TOKEN", "wrong", "clearance_token_refused"),
        ("CLEARANCE_CLIENT_SECRET", "", "clearance_no_token"),
        ("CLEARANCE_TOKEN_URL", "", "clearance_no_token"),
        ("CLEARANCE_URL", "not an address", "clearance_not_configured"),
    ],
)
def test_wrong_settings_are_named(
    utm: Simulator, settings: Settings, name: str, value: str, code: str
) -> None:
    oauth._kept.clear()
    setattr(settings, name, value)
    _, mission = assigned()
    publish(mission)
    assert clearance_of(mission).code == code


def test_a_token_that_ended_early_is_fetched_again(utm: Simulator) -> None:
    _, mission = assigned()
    publish(mission)
    utm.utm.forget_tokens()
    publish(mission, after_s=10)
    assert clearance_of(mission).code == "clearance_token_refused"
    assert publish(mission, after_s=20).state == "ACCEPTED"


def test_a_slow_approval_is_waited_for_and_then_flown(utm: Simulator) -> None:
    utm.fault("clearance_slow", times=1)
    order, mission = assigned()
    publish(mission)
    declared = the_declaration(utm)
    declared["state"] = 1
    publish(mission, after_s=10)
    assert said(order) == ["clearance_processing", "clearance_not_approved"]
    declared["is_approved"] = True
    assert publish(mission, after_s=20).state == "ACCEPTED"


def test_a_refused_flight_waits_and_is_declared_anew_later(utm: Simulator) -> None:
    utm.fault("clearance_reject", times=1)
    order, mission = assigned()
    mission = publish(mission)
    assert timedelta(seconds=50) < mission.next_try_at - timezone.now() < timedelta(seconds=70)
    publish(mission, after_s=10)  # not due
    assert len(utm.utm.declarations) == 1
    publish(mission, after_s=80)
    assert publish(mission, after_s=90).state == "ACCEPTED"
    assert len(utm.utm.declarations) == 2
    assert "REQUEUED" not in timeline(order)


def test_a_grant_that_is_too_short_is_given_back(utm: Simulator) -> None:
    _, mission = assigned()
    publish(mission)
    the_declaration(utm)["end_datetime"] = later(20).isoformat()
    publish(mission, after_s=10)
    row = clearance_of(mission)
    assert (row.state, row.code, utm.missions()) == (State.REFUSED, "clearance_too_short", [])
    assert the_declaration(utm)["state"] == 7


def test_a_grant_for_much_later_is_shown_to_wait(utm: Simulator) -> None:
    _, mission = assigned()
    publish(mission)
    declared = the_declaration(utm)
    declared["start_datetime"] = later(7200).isoformat()
    declared["end_datetime"] = later(14400).isoformat()
    publish(mission, after_s=10)
    row = clearance_of(mission)
    assert (row.state, row.code, utm.missions()) == (State.WAITING, "clearance_not_begun", [])
    assert len(list(clearances.awaited(Look(later(120))))) == 1


def test_staff_who_submit_are_told_what_the_service_said(utm: Simulator) -> None:
    utm.fault("clearance_reject")
    order, _ = assigned()
    with pytest.raises(Unavailable, match=r"no clearance yet.*was rejected") as refused:
        publishing.submit(order.pk, by=SYSTEM)
    assert refused.value.code == "not_cleared"


def test_a_flight_to_a_base_is_cleared_too(utm: Simulator, settings: Settings) -> None:
    settings.GCS_INTENT_VERSION = 2
    utm.fault("clearance_reject", times=1)
    mission = a_way_home()
    reposition.publish(mission.pk)
    row = clearance_of(mission)
    assert (row.code, mission_state(mission), utm.missions()) == (
        "clearance_refused",
        "PENDING",
        [],
    )
    Mission.objects.filter(pk=mission.pk).update(next_try_at=timezone.now())
    reposition.publish(mission.pk)
    reposition.publish(mission.pk, now=later(7))
    assert mission_state(mission) == "ACCEPTED"
    newest = list(utm.utm.declarations.values())[-1]
    assert len(newest["flight_declaration_raw_geojson"]["features"]) == 1
    newest["state"] = 6
    following.follow(mission.pk, now=later(120))
    (item,) = clearances.lost(Look(timezone.now()))
    assert [button.label for button in item.remedies] == ["Call back…"]


# --- lost, and given back ------------------------------------------------------------------------


def test_a_grant_that_is_withdrawn_in_flight_is_shown_with_the_abort(utm: Simulator) -> None:
    order, mission = cleared()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    assert list(clearances.lost(Look(timezone.now()))) == []
    the_declaration(utm)["state"] = 6
    following.follow(mission.pk, now=later())
    row = clearance_of(mission)
    assert (row.state, said(order)[-1]) == (State.WITHDRAWN, "clearance_withdrawn")
    (item,) = clearances.lost(Look(timezone.now()))
    assert [button.label for button in item.remedies] == ["Ask for abort…"]
    assert "was withdrawn" in item.detail
    the_declaration(utm)["state"] = 1
    following.follow(mission.pk, now=later(120))
    assert list(clearances.lost(Look(timezone.now()))) == []


@pytest.mark.parametrize("how", ["forgotten", "not approved"])
def test_other_ways_to_lose_it(utm: Simulator, how: str) -> None:
    _, mission = cleared()
    the_declaration(utm)["is_approved"] = False
    if how == "forgotten":
        utm.utm.declarations.clear()
    following.follow(mission.pk, now=later())
    assert clearance_of(mission).state == State.WITHDRAWN


def test_a_grant_that_ends_before_the_flight_is_shown(utm: Simulator) -> None:
    order, mission = cleared()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    Clearance.objects.filter(pk=mission.pk).update(ends_at=timezone.now() - timedelta(minutes=3))
    (item,) = clearances.lost(Look(timezone.now()))
    assert "ended 3 min ago" in item.text


def test_the_end_of_a_flight_is_told(utm: Simulator) -> None:
    order, mission = cleared()
    lifecycle.advance(order.pk, Status.DELIVERED, by=GCS)
    utm.fault("clearance_500", times=1)
    following.follow(mission.pk, now=later())
    assert clearance_of(mission).state == State.GRANTED  # it is tried again
    following.follow(mission.pk, now=later(120))
    assert (clearance_of(mission).state, the_declaration(utm)["state"]) == (State.ENDED, 5)
    actors.sweep_clearances.fn()
    assert not Clearance.objects.to_follow(later(600)).exists()


# --- a flight to the base that waits -------------------------------------------------------------


def test_a_flight_to_the_base_that_waits_for_a_clearance_names_the_reason(
    utm: Simulator, settings: Settings, client: Any
) -> None:
    settings.GCS_INTENT_VERSION = 2
    utm.fault("clearance_reject")
    mission = a_way_home()
    reposition.publish(mission.pk, now=later(0))
    long_ago = timezone.now() - timedelta(hours=1)
    Mission.objects.update(created_at=long_ago)
    Clearance.objects.update(asked_at=long_ago)
    now = timezone.now()
    (item,) = clearances.awaited(Look(now))
    assert item.text.startswith("WX-DRN-001 waits for a clearance to fly to ")
    assert "was rejected" in item.detail
    assert [button.label for button in item.remedies] == ["Call back…"]
    assert list(ways_home.ways_home(Look(now))) == []  # it is not merely slow
    client.force_login(UserFactory(role=Role.READONLY, is_staff=True))
    page = client.get("/admin/fleet/drone/WX-DRN-001/change/").content.decode()
    assert "Waits for a clearance" in page
    assert "was rejected" in page


def test_a_flight_to_the_base_that_has_just_asked_is_not_shown(
    utm: Simulator, settings: Settings
) -> None:
    settings.GCS_INTENT_VERSION = 2
    utm.fault("clearance_slow")
    mission = a_way_home()
    reposition.publish(mission.pk, now=later(0))
    assert list(clearances.awaited(Look(timezone.now()))) == []


# --- in the air ----------------------------------------------------------------------------------


def looked(utm: Simulator, mission: Mission) -> Clearance:
    """A look, and the next sweep of the outbox with its worker."""
    conforming.watch(mission.drone.base.service_area_id, timezone.now())
    for pk in Clearance.objects.to_follow(timezone.now()).values_list("pk", flat=True):
        following.follow(pk)
    return clearance_of(mission)


def flies_at(order: Order, lat: float, lng: float) -> None:
    now = timezone.now()
    fix = Fix(now.timestamp(), lat, lng, 60.0, 12.0, True)
    state = FlightState(phase=Phase.ENROUTE, fix=fix).to_dict()
    Flight.objects.update_or_create(
        job=stored(order).current_job, defaults={"state": state, "heard_at": now}
    )


def test_the_take_off_is_told(utm: Simulator) -> None:
    order, mission = cleared()
    assert looked(utm, mission).told_as == ""
    lifecycle.advance(order.pk, Status.LAUNCHED, by=GCS)
    row = looked(utm, mission)
    assert (row.told_as, the_declaration(utm)["state"]) == (Flown.ACTIVATED, 2)
    assert row.told_at - row.flown_since < timedelta(seconds=5)
    the_declaration(utm)["state"] = 1
    assert looked(utm, mission).state == State.GRANTED
    assert the_declaration(utm)["state"] == 1  # it is told once


def test_a_drone_outside_of_its_corridor_is_told_and_shown_until_it_is_back(utm: Simulator) -> None:
    order, mission = cleared()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    flies_at(order, order.dropoff_lat, order.dropoff_lng)
    assert looked(utm, mission).told_as == Flown.ACTIVATED
    flies_at(order, order.dropoff_lat, order.dropoff_lng + 0.01)
    row = looked(utm, mission)
    assert (row.told_as, the_declaration(utm)["state"]) == (Flown.NONCONFORMING, 3)
    assert row.told_at - row.flown_since < timedelta(seconds=5)
    assert said(order)[-1] == "clearance_left"
    (item,) = clearances.nonconforming(Look(timezone.now()))
    assert [button.label for button in item.remedies] == ["Ask for abort…"]
    assert "was told at" in item.detail
    # What we told ourselves withdraws nothing.
    following.follow(mission.pk, now=later())
    assert clearance_of(mission).state == State.GRANTED
    flies_at(order, order.dropoff_lat, order.dropoff_lng)
    assert looked(utm, mission).told_as == Flown.ACTIVATED
    assert (said(order)[-1], the_declaration(utm)["state"]) == ("clearance_kept", 2)
    assert list(clearances.nonconforming(Look(timezone.now()))) == []


def test_a_drone_outside_of_its_corridor_is_shown_before_the_service_was_told(
    utm: Simulator,
) -> None:
    order, mission = cleared()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    utm.fault("clearance_down")
    flies_at(order, order.dropoff_lat, order.dropoff_lng + 0.01)
    assert looked(utm, mission).told_at is None
    (item,) = clearances.nonconforming(Look(timezone.now()))
    assert "has not been told yet" in item.detail


def test_a_take_off_does_not_cover_a_withdrawal(utm: Simulator) -> None:
    order, mission = cleared()
    the_declaration(utm)["is_approved"] = False
    lifecycle.advance(order.pk, Status.LAUNCHED, by=GCS)
    row = looked(utm, mission)
    assert (row.state, row.told_as, the_declaration(utm)["state"]) == (State.WITHDRAWN, "", 1)
    assert said(order)[-1] == "clearance_withdrawn"
    assert row.next_try_at > timezone.now()
    the_declaration(utm)["is_approved"] = True
    following.follow(mission.pk, now=later(20))
    row = clearance_of(mission)
    assert (row.state, row.told_as) == (State.GRANTED, Flown.ACTIVATED)
    assert the_declaration(utm)["state"] == 2


@pytest.mark.parametrize("state", [5, 6, 7, 8])
def test_a_declaration_that_is_over_is_a_withdrawal_in_the_air(utm: Simulator, state: int) -> None:
    order, mission = cleared()
    the_declaration(utm)["state"] = state
    lifecycle.advance(order.pk, Status.LAUNCHED, by=GCS)
    assert looked(utm, mission).state == State.WITHDRAWN
    assert len(list(clearances.lost(Look(timezone.now())))) == 1
    lifecycle.advance(order.pk, Status.DELIVERED, by=GCS)
    following.follow(mission.pk, now=later())
    assert clearance_of(mission).state == State.ENDED  # the service takes no other state
    assert the_declaration(utm)["state"] == state


def test_the_grant_is_checked_while_telling_fails(utm: Simulator) -> None:
    order, mission = cleared()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    utm.fault("clearance_change_500")
    looked(utm, mission)
    for minute in range(1, 8):
        now = later(60 * minute)
        following.follow(mission.pk, now=now)
        row = clearance_of(mission)
        assert (row.state, row.told_as, row.code) == (State.GRANTED, "", "clearance_failed")
        assert (row.failures, row.answered_at) == (minute + 1, now)
    assert row.next_try_at == now + following.CHECK_EVERY
    the_declaration(utm)["is_approved"] = False
    following.follow(mission.pk, now=later(500))
    assert clearance_of(mission).state == State.WITHDRAWN


def test_an_outside_that_was_told_without_an_answer_withdraws_nothing(utm: Simulator) -> None:
    order, mission = cleared()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    looked(utm, mission)
    utm.fault("clearance_change_500", times=1, after=True)
    flies_at(order, order.dropoff_lat, order.dropoff_lng + 0.01)
    row = looked(utm, mission)
    assert (row.told_as, the_declaration(utm)["state"]) == (Flown.NOT_YET, 3)
    flies_at(order, order.dropoff_lat, order.dropoff_lng)
    row = looked(utm, mission)
    assert (row.state, row.told_as) == (State.GRANTED, Flown.ACTIVATED)
    assert the_declaration(utm)["state"] == 2


def test_what_could_not_be_told_is_told_later(utm: Simulator) -> None:
    order, mission = cleared()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    utm.fault("clearance_500", times=1)
    row = looked(utm, mission)
    assert (row.flown_as, row.told_as, row.code) == (Flown.ACTIVATED, "", "clearance_failed")
    following.follow(mission.pk, now=later(3))
    assert clearance_of(mission).told_as == Flown.ACTIVATED


def test_news_during_a_call_is_told_at_once(utm: Simulator) -> None:
    """The call ends with the row's usual pause, if nothing new was found since."""
    order, mission = cleared()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    looked(utm, mission)
    now = timezone.now()
    Clearance.objects.update(flown_as=Flown.NONCONFORMING)
    changed = Clearance.objects.filter(pk=mission.pk)
    changed.update(next_try_at=following._next(now, Flown.ACTIVATED))
    assert clearance_of(mission).next_try_at == now
    changed.update(next_try_at=following._next(now, Flown.NONCONFORMING))
    assert clearance_of(mission).next_try_at == now + following.CHECK_EVERY


def test_a_flight_to_a_base_is_told_too(utm: Simulator, settings: Settings) -> None:
    settings.GCS_INTENT_VERSION = 2
    mission = a_way_home()
    for seconds in (0, 10):
        reposition.publish(mission.pk, now=later(seconds))
    assert mission_state(mission) == "ACCEPTED"
    base = mission.body["return_to"]
    at = timezone.now().timestamp()
    points = [[at + n, base["lat"], base["lng"] + 0.01 * n, 60, 12, 90] for n in range(2)]
    ErrandFlight.objects.create(mission=mission, points=points)
    assert looked(utm, mission).told_as == Flown.NONCONFORMING
    (item,) = clearances.nonconforming(Look(timezone.now()))
    assert [button.label for button in item.remedies] == ["Call back…"]


def test_a_look_takes_two_statements_for_any_number_of_flights(
    utm: Simulator, settings: Settings, django_assert_num_queries: Any
) -> None:
    order, mission = cleared()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    looked(utm, mission)
    area_id = mission.drone.base.service_area_id
    with django_assert_num_queries(2):
        conforming.watch(area_id, timezone.now())
    settings.CLEARANCE = "none"
    with django_assert_num_queries(0):
        conforming.watch(area_id, timezone.now())


@pytest.mark.parametrize(
    ("east_m", "north_m", "outside_m"),
    [(500, 0, 0), (500, 59, 0), (500, -59, 0), (500, 75, 15), (-59, 0, 0), (-160, 0, 100)],
)
def test_the_corridor_is_a_rectangle_around_each_leg(
    east_m: float, north_m: float, outside_m: float
) -> None:
    leg = Leg((0.0, 10.0), (0.0, 10.0 + 1000 / METRES_PER_DEGREE), 60.0)
    at = north_m / METRES_PER_DEGREE, 10.0 + east_m / METRES_PER_DEGREE
    assert leg.outside_m(*at) == pytest.approx(outside_m, abs=0.01)


def test_a_service_that_takes_wgs84_only_gets_it(utm: Simulator, settings: Settings) -> None:
    utm.fault("clearance_wgs84")
    _, mission = assigned()
    publish(mission)
    assert clearance_of(mission).code == "clearance_form_refused"
    assert "datum AGL is not one of WGS84" in clearance_of(mission).answer
    settings.CLEARANCE_GROUND_M = (24.5, 61.0)
    publish(mission, after_s=120)
    assert clearance_of(mission).state == State.GRANTED
    (feature, *_) = the_declaration(utm)["flight_declaration_raw_geojson"]["features"]
    upper_m = 61.0 + mission.body["dropoff"]["alt_m"]
    assert feature["properties"]["min_altitude"] == {"meters": 24.5, "datum": "WGS84"}
    assert feature["properties"]["max_altitude"] == {"meters": upper_m, "datum": "WGS84"}


def test_a_flight_that_never_was_is_canceled(utm: Simulator) -> None:
    utm.fault("clearance_slow")
    order, mission = assigned()
    publish(mission)
    lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.OTHER)
    following.follow(mission.pk, now=later())
    assert (clearance_of(mission).state, the_declaration(utm)["state"]) == (State.ENDED, 7)


def test_a_declaration_whose_answer_was_lost_is_found_and_canceled(utm: Simulator) -> None:
    utm.fault("clearance_500", times=1, after=True)
    order, mission = assigned()
    publish(mission)
    lifecycle.requeue(order.pk, by=SYSTEM, why="x", job_ends=JobStatus.CANCELED)
    following.follow(mission.pk, now=later())
    assert the_declaration(utm)["state"] == 7


def test_a_service_that_is_switched_off_holds_nothing_back(
    utm: Simulator, settings: Settings
) -> None:
    utm.fault("clearance_slow")
    _order, mission = assigned()
    publish(mission)
    settings.CLEARANCE = "none"
    assert publish(mission, after_s=10).state == "ACCEPTED"


def test_who_waits_for_a_clearance_is_shown(utm: Simulator) -> None:
    utm.fault("clearance_reject")
    order, mission = assigned()
    publish(mission)
    (item,) = clearances.awaited(Look(later(120)))
    assert f"order {order} waits for a clearance" in item.text
    assert {"Requeue…", "Cancel the order…"} <= {button.label for button in item.remedies}
