"""Surplus drones fly to their base: a mission without an order."""

from contextlib import suppress
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from dispatch.console import landings, ways_home
from dispatch.missions import publishing_pause
from dispatch.missions.reposition import following, judging, publishing, reports, verbs
from dispatch.models import DispatchRun, Mission, PublishingPause
from dispatch.planning import runs
from dispatch.planning.inputs import engagements
from dispatch.tests.support import seen
from dispatch.tests.test_missions import in_threads
from dispatch.tests.test_progress import picture
from fleet import policy, work
from fleet.feasibility.reasons import Rule
from fleet.live.drone_status import Readiness, live_drones
from fleet.models import Drone, DroneHold, Hub
from fleet.simulator.intents import check_intent
from fleet.simulator.run import Simulator
from fleet.tests.factories import (
    ACCRA,
    METRE_DEG,
    DroneFactory,
    GeoZoneFactory,
    HubFactory,
    TelemetryFactory,
    show,
    square,
)
from orders import lifecycle, unit_of_work
from orders.models import Order
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import DISPATCHER, GCS, Actor, ActorKind, Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client
from wingxtra.api.contracts import committed
from wingxtra.console.look import Look
from wingxtra.problems import Conflict, NotFound

pytestmark = pytest.mark.django_db

AMA = Actor(ActorKind.USER, "ama")
State = Mission.State


@pytest.fixture(autouse=True)
def _second(settings: Settings) -> None:
    settings.GCS_INTENT_VERSION = 2


@pytest.fixture
def osu() -> Hub:
    return HubFactory(name="Osu")


@pytest.fixture
def airport(osu: Hub) -> Hub:
    return HubFactory(name="Airport", lat=ACCRA[0] + 2000 * METRE_DEG)


@pytest.fixture
def drone(osu: Hub, airport: Hub) -> Drone:
    """It stands at Osu and belongs to the airport."""
    drone = DroneFactory(drone_id="WX-DRN-001", hub=osu, base=airport)
    seen()
    return drone


def sent(drone: Drone) -> Mission:
    mission = verbs.send_to_base(drone.pk, by=AMA)
    publishing.publish(mission.pk)
    return Mission.objects.get(pk=mission.pk)


def code_of(action: Any) -> str:
    with pytest.raises(Conflict) as refused:
        action()
    return str(refused.value.code)


# --- the flight ----------------------------------------------------------------------------------


def test_a_drone_is_sent_to_its_base(
    bridge: Simulator, drone: Drone, osu: Hub, airport: Hub, settings: Settings
) -> None:
    settings.OPERATOR_ID = "GBR-OP-123"
    Drone.objects.update(serial="SIM-7")
    mission = sent(drone)
    assert (mission.state, mission.live) == (State.ACCEPTED, True)
    assert (mission.return_to, mission.alternate) == (airport, osu)
    assert mission.body["actions"] == ["TAKEOFF", "CRUISE", "LAND"]
    assert not {"order_id", "pickup", "dropoff"} & set(mission.body)
    assert check_intent(mission.body) == mission.body
    jsonschema.validate(mission.body, committed("mission_intent.reposition"))
    assert mission.body["operator_id"] == "GBR-OP-123"
    assert mission.body["aircraft"] == {"registration": None, "serial": "SIM-7"}
    bridge.advance(400)
    (flown,) = bridge.missions()
    assert [event["event_type"] for event in flown["events"]] == ["LAUNCHED", "LANDED"]
    (at,) = bridge.world.aircraft.values()
    assert (round(at.lat, 4), at.alt_m) == (round(airport.lat, 4), 0)


def test_the_contract_has_a_valid_example() -> None:
    schema = committed("mission_intent.reposition")
    jsonschema.Draft202012Validator.check_schema(schema)
    for example in schema["examples"]:
        jsonschema.validate(example, schema)
        assert check_intent(example) == example


def test_it_is_busy_until_it_has_landed(bridge: Simulator, drone: Drone) -> None:
    mission = sent(drone)
    assert drone.pk in engagements.current(timezone.now()).busy
    assert unit_of_work.free_drones([drone.pk]) == set()
    (live,) = live_drones([Drone.objects.with_home().get()], timezone.now())
    assert live.readiness == Readiness.BUSY
    assert list(work.landings(timezone.now())) == [(drone.pk, drone.base_id)]
    order = order_in(Status.QUEUED)
    with pytest.raises(Conflict, match="flies to its base"):
        lifecycle.assign(order.pk, drone.pk, by=AMA, why="By hand.")
    reports.report(mission.pk, reports.ReportType.LANDED, by=GCS)
    assert drone.pk not in engagements.current(timezone.now()).busy
    lifecycle.assign(order.pk, drone.pk, by=AMA, why="By hand.")


@pytest.mark.parametrize(
    ("stands_at", "since_s", "is_over"),
    [("airport", 11, True), ("airport", 4, False), ("osu", 30, False), ("osu", 61, True)],
)
def test_telemetry_ends_it(
    bridge: Simulator, drone: Drone, request: Any, stands_at: str, since_s: int, is_over: bool
) -> None:
    mission = sent(drone)
    now = timezone.now() + timedelta(minutes=10)
    Drone.objects.update(
        stands_at=request.getfixturevalue(stands_at), stands_since=now - timedelta(seconds=since_s)
    )
    following.follow(drone.base.service_area_id, picture(at=now), policy.current(), now)
    mission.refresh_from_db()
    assert (mission.over_at is not None, mission.live) == (is_over, not is_over)


def test_a_drone_that_never_left_is_not_landed(bridge: Simulator, drone: Drone, osu: Hub) -> None:
    Drone.objects.update(stands_at=osu, stands_since=timezone.now() - timedelta(hours=1))
    mission = sent(drone)
    later = timezone.now() + timedelta(minutes=10)
    following.follow(osu.service_area_id, picture(at=later), policy.current(), later)
    mission.refresh_from_db()
    assert mission.over_at is None


# --- who may be sent -----------------------------------------------------------------------------


def test_version_1_cannot_say_where_to_land(drone: Drone, settings: Settings) -> None:
    settings.GCS_INTENT_VERSION = 1
    assert code_of(lambda: verbs.send_to_base(drone.pk, by=AMA)) == "needs_intent_version_2"


def test_only_a_free_drone_away_from_its_base_is_sent(drone: Drone, airport: Hub) -> None:
    home = DroneFactory(hub=airport)
    assert code_of(lambda: verbs.send_to_base(home.pk, by=AMA)) == "at_its_base"
    order_in(Status.ASSIGNED, drone=drone)
    assert code_of(lambda: verbs.send_to_base(drone.pk, by=AMA)) == "drone_busy"
    with pytest.raises(NotFound):
        verbs.send_to_base("WX-NONE", by=AMA)


def test_the_base_needs_a_free_pad(drone: Drone, airport: Hub) -> None:
    airport.pads = 1
    airport.save()
    DroneFactory(drone_id="WX-DRN-002", hub=airport, stands_at=airport)
    assert code_of(lambda: verbs.send_to_base(drone.pk, by=AMA)) == "hub_full"


def test_a_pad_counts_once_and_as_dispatch_counts_it(drone: Drone, airport: Hub) -> None:
    """A drone that telemetry does not show has a pad at its hub; one that waits there for a
    delivery from which it returns has one pad, not two.
    """
    Hub.objects.filter(pk=airport.pk).update(pads=1)
    other = DroneFactory(drone_id="WX-DRN-002", hub=airport)
    assert code_of(lambda: verbs.send_to_base(drone.pk, by=AMA)) == "hub_full"
    Hub.objects.filter(pk=airport.pk).update(pads=2)
    Drone.objects.filter(pk=other.pk).update(stands_at=airport, stands_since=timezone.now())
    order_in(Status.ASSIGNED, drone=other)
    assert Mission.objects.get(drone=other).return_to == airport
    assert verbs.send_to_base(drone.pk, by=AMA).return_to == airport


def test_the_same_judge_decides_as_for_orders(drone: Drone, osu: Hub) -> None:
    def reasons() -> set[str]:
        with pytest.raises(Conflict) as refused:
            verbs.send_to_base(drone.pk, by=AMA)
        assert refused.value.code == "drone_not_able"
        assert "delivery" not in refused.value.detail
        assert "parcel" not in refused.value.detail
        return {reason["code"] for reason in refused.value.extra["reasons"]}

    seen(battery_pct=31.0)
    drone.kind.battery_wh = 30.0
    drone.kind.save()
    assert Rule.NOT_ENOUGH_ENERGY.code in reasons()
    drone.kind.battery_wh = 620.0
    drone.kind.save()
    seen(armed=True)
    assert reasons() == {Rule.ALREADY_FLYING.code}
    seen()
    across = square(ACCRA[0] + 1000 * METRE_DEG, ACCRA[1], side_m=300)
    zone = GeoZoneFactory(polygon=across)
    assert reasons() == {Rule.CROSSES_NO_FLY_ZONE.code}
    zone.delete()
    verbs.send_to_base(drone.pk, by=AMA)


def test_what_speaks_against_it_by_now_stops_it_before_it_is_sent(
    bridge: Simulator, drone: Drone
) -> None:
    mission = verbs.send_to_base(drone.pk, by=AMA)
    GeoZoneFactory(polygon=square(ACCRA[0] + 1000 * METRE_DEG, ACCRA[1], side_m=300))
    publishing.publish(mission.pk)
    mission.refresh_from_db()
    assert (mission.state, mission.live) == (State.WITHDRAWN, False)
    assert "no-fly zone" in mission.over_because.lower()
    assert bridge.missions() == []


@pytest.mark.parametrize("reached", [False, True])
def test_what_speaks_against_it_after_a_lost_answer_withdraws_it(
    bridge: Simulator, drone: Drone, reached: bool
) -> None:
    bridge.fault("bridge_500", times=1, after=reached)
    mission = sent(drone)
    GeoZoneFactory(polygon=square(ACCRA[0] + 1000 * METRE_DEG, ACCRA[1], side_m=300))
    Mission.objects.update(next_try_at=timezone.now())
    publishing.publish(mission.pk)
    mission.refresh_from_db()
    assert (mission.tries, mission.recall_state, mission.live) == (1, Mission.Recall.WANTED, True)
    publishing.send_recall(mission.pk)
    mission.refresh_from_db()
    assert (mission.state, mission.live) == (State.WITHDRAWN, False)
    bridge.advance(60)
    assert all(aircraft.alt_m == 0 for aircraft in bridge.world.aircraft.values())


# --- one live mission of a drone -----------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_many_people_only_one_sends_it(bridge: Simulator, drone: Drone) -> None:
    answers: list[str] = []

    def send() -> None:
        try:
            verbs.send_to_base(drone.pk, by=AMA)
            answers.append("sent")
        except Conflict as refused:
            answers.append(refused.code)

    in_threads(*[send] * 5)
    assert sorted(answers) == ["drone_busy"] * 4 + ["sent"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_locked", [True, False])
def test_an_assignment_and_a_way_home_exclude_each_other(
    bridge: Simulator, drone: Drone, is_locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control without the lock on the drone finds both of them."""
    if not is_locked:
        both = Barrier(2)

        def unlocked(drone_ids: Any) -> set[str]:
            busy = work.active_jobs(list(drone_ids)).keys() | work.on_errand(list(drone_ids))
            both.wait(timeout=10)
            return set(drone_ids) - busy

        monkeypatch.setattr(unit_of_work, "free_drones", unlocked)
        # The judge comes later, and may see what the other one has committed by then.
        monkeypatch.setattr(judging, "reasons_against", lambda *_, **__: [])
    order = order_in(Status.QUEUED)

    def attempt(action: Any) -> Any:
        def run() -> None:
            with suppress(Conflict):
                action()

        return run

    in_threads(
        attempt(lambda: verbs.send_to_base(drone.pk, by=AMA)),
        attempt(lambda: lifecycle.assign(order.pk, drone.pk, by=DISPATCHER, why="")),
    )
    engaged = Mission.objects.errands().count() + len(work.active_jobs([drone.pk]))
    assert engaged == (1 if is_locked else 2)


def test_a_run_plans_no_drone_that_was_sent_to_its_base(drone: Drone, osu: Hub) -> None:
    """Another drone flies the order, also a worse one."""
    verbs.send_to_base(drone.pk, by=AMA)
    other = DroneFactory(drone_id="WX-DRN-002", hub=osu)
    show(
        TelemetryFactory(drone_id=drone.pk),
        TelemetryFactory(drone_id=other.pk, lat=ACCRA[0] - 1000 * METRE_DEG),
    )
    order = OrderFactory()
    (decision,) = runs.run(trigger=DispatchRun.Trigger.COMMAND, by=DISPATCHER).decisions
    assert (decision.outcome, decision.drone_id) == ("ASSIGNED", other.pk)
    assert work.active_jobs([other.pk]).keys() == {other.pk}
    assert Order.objects.get(pk=order.pk).assigned_drone_id == other.pk


def test_the_database_refuses_a_second_live_mission_of_a_drone(drone: Drone) -> None:
    def live(kind: str) -> Mission:
        return Mission.objects.create(id=uuid4(), kind=kind, drone=drone, body={}, live=True)

    live("DELIVERY")
    for kind in ("DELIVERY", "REPOSITION"):
        with pytest.raises(IntegrityError), transaction.atomic():
            live(kind)


def test_it_waits_for_an_earlier_mission_of_its_drone(bridge: Simulator, drone: Drone) -> None:
    earlier = Mission.objects.create(id=uuid4(), drone=drone, body={}, live=True, tries=1)
    mission = sent(drone)
    assert (mission.state, mission.tries) == (State.PENDING, 0)
    assert "not known to be over" in mission.bridge_answer
    Mission.objects.filter(pk=earlier.pk).update(live=False)
    publishing.publish(mission.pk, now=timezone.now() + timedelta(seconds=6))
    assert bridge.missions()[0]["posts"] == 1


# --- answers of ground control -------------------------------------------------------------------


def test_a_lost_answer_is_asked_for_again_and_flown_once(bridge: Simulator, drone: Drone) -> None:
    bridge.fault("bridge_500", times=1, after=True)
    mission = sent(drone)
    assert mission.state == State.PENDING
    Mission.objects.update(next_try_at=timezone.now())
    publishing.publish(mission.pk)
    mission.refresh_from_db()
    assert mission.state == State.ACCEPTED
    assert len(bridge.missions()) == 1


def test_a_refusal_is_a_line_with_a_remedy_and_pauses_nothing(
    bridge: Simulator, drone: Drone
) -> None:
    for _ in range(publishing_pause.REFUSALS_TO_PAUSE + 1):
        bridge.fault("refuse_form", times=1)
        mission = sent(drone)
        assert (mission.state, mission.live) == (State.REJECTED, False)
    assert not PublishingPause.objects.exists()
    (line,) = ways_home.ways_home(Look(timezone.now()))
    assert line.text == "Ground control refused to send WX-DRN-001 to Airport"
    assert "mission_type: Field required" in line.detail
    assert [button.label for button in line.remedies] == ["Send to its base…"]
    assert Drone.objects.get().pk not in engagements.current(timezone.now()).busy
    Drone.objects.update(base=drone.hub)
    assert list(ways_home.ways_home(Look(timezone.now()))) == []


def test_one_that_does_not_arrive_is_a_line(bridge: Simulator, drone: Drone) -> None:
    sent(drone)
    assert list(ways_home.ways_home(Look(timezone.now()))) == []
    (line,) = ways_home.ways_home(Look(timezone.now() + timedelta(minutes=31)))
    assert "has not landed there" in line.text
    assert [button.label for button in line.remedies] == [
        "Call back…",
        "It does not fly to its base…",
    ]


@pytest.mark.parametrize("in_the_air", [False, True])
def test_a_zone_in_its_way_is_a_line(bridge: Simulator, drone: Drone, in_the_air: bool) -> None:
    sent(drone)
    assert list(landings.flights_to_the_base(Look(timezone.now()))) == []
    if in_the_air:
        place = {"lat": ACCRA[0] + 500 * METRE_DEG, "armed": True, "alt_m": 60.0}
        show(TelemetryFactory(drone_id=drone.pk, **place))
    GeoZoneFactory(name="Parade", polygon=square(ACCRA[0] + 1200 * METRE_DEG, ACCRA[1], 200))
    (line,) = landings.flights_to_the_base(Look(timezone.now()))
    assert line.text == "A zone is in the way: WX-DRN-001 on its way to Airport"
    assert "Parade" in line.detail
    assert [button.label for button in line.remedies] == [
        "Call back…",
        "It does not fly to its base…",
    ]


def test_a_hub_that_is_moved_under_a_sent_mission_is_a_line(
    bridge: Simulator, drone: Drone, airport: Hub
) -> None:
    sent(drone)
    assert list(landings.moved_hubs(Look(timezone.now()))) == []
    Hub.objects.filter(pk=airport.pk).update(lat=airport.lat + 300 * METRE_DEG)
    (line,) = landings.moved_hubs(Look(timezone.now()))
    assert line.text == "WX-DRN-001 lands 300 m away from Airport, which was moved"
    assert line.remedies[0].label == "Call back…"


def test_an_unsent_mission_gets_the_new_place_of_a_moved_hub(
    bridge: Simulator, drone: Drone, airport: Hub
) -> None:
    mission = verbs.send_to_base(drone.pk, by=AMA)
    lat = airport.lat + 30 * METRE_DEG
    Hub.objects.filter(pk=airport.pk).update(lat=lat)
    publishing.publish(mission.pk)
    assert Mission.objects.get(pk=mission.pk, tries=1).body["return_to"]["lat"] == lat
    assert list(landings.moved_hubs(Look(timezone.now()))) == []


def test_back_at_version_1_an_unsent_one_ends_with_the_reason(
    bridge: Simulator, drone: Drone, settings: Settings
) -> None:
    mission = verbs.send_to_base(drone.pk, by=AMA)
    settings.GCS_INTENT_VERSION = 1
    publishing.publish(mission.pk)
    mission = Mission.objects.get(pk=mission.pk)
    assert mission.state == State.WITHDRAWN
    assert "version 1 cannot say where to land" in mission.over_because
    assert bridge.missions() == []


def test_it_counts_among_the_launches_of_its_hub(drone: Drone, osu: Hub) -> None:
    Hub.objects.filter(pk=osu.pk).update(launches_at_once=1)
    Drone.objects.update(stands_at=osu, stands_since=timezone.now())
    more = DroneFactory(drone_id="WX-DRN-002", hub=osu, base=drone.base)
    show(*[TelemetryFactory(drone_id=each.pk) for each in (drone, more)])
    verbs.send_to_base(drone.pk, by=AMA)
    with pytest.raises(Conflict) as refused:
        verbs.send_to_base(more.pk, by=AMA)
    assert {reason["code"] for reason in refused.value.extra["reasons"]} == {"hub_full"}
    Drone.objects.filter(pk=drone.pk).update(stands_at=None, stands_since=None)
    assert verbs.send_to_base(more.pk, by=AMA).drone == more


def test_ground_control_reads_it_as_it_reads_others(drone: Drone, ops: APIClient) -> None:
    mission = verbs.send_to_base(drone.pk, by=AMA)
    shown = ops.get(f"/api/v1/mission-intents/{mission.pk}").json()
    assert (shown["kind"], shown["order_id"], shown["job_id"]) == ("REPOSITION", None, None)
    assert shown["intent"] == mission.body


# --- called back ---------------------------------------------------------------------------------


def test_one_that_was_never_sent_is_over_at_once(drone: Drone) -> None:
    mission = verbs.send_to_base(drone.pk, by=AMA)
    verbs.call_back(mission.pk, by=AMA, reason="Wrong drone.")
    mission.refresh_from_db()
    assert (mission.state, mission.over_by) == (State.WITHDRAWN, "user:ama")
    assert code_of(lambda: verbs.call_back(mission.pk, by=AMA, reason="")) == "mission_over"


def test_before_launch_it_is_withdrawn(bridge: Simulator, drone: Drone) -> None:
    mission = sent(drone)
    verbs.call_back(mission.pk, by=AMA, reason="Wrong drone.")
    publishing.send_recall(mission.pk)
    mission.refresh_from_db()
    assert (mission.state, mission.recall_state) == (State.WITHDRAWN, Mission.Recall.DONE)
    assert mission.over_at is not None
    bridge.advance(60)
    assert bridge.world.aircraft[drone.pk].alt_m == 0


def test_in_the_air_it_is_aborted_and_lands_where_it_took_off(
    bridge: Simulator, drone: Drone, osu: Hub
) -> None:
    mission = sent(drone)
    bridge.advance(40)
    verbs.call_back(mission.pk, by=AMA, reason="Storm.")
    publishing.send_recall(mission.pk)
    mission.refresh_from_db()
    assert (mission.recall_state, mission.over_at) == (Mission.Recall.TOO_LATE, None)
    verbs.call_back(mission.pk, by=AMA, reason="Storm.")
    publishing.send_recall(mission.pk)
    mission.refresh_from_db()
    assert (mission.recall_state, mission.over_at) == (Mission.Recall.ASKED, None)
    bridge.advance(300)
    assert bridge.missions()[0]["status"] == "ABORTED"
    assert round(bridge.world.aircraft[drone.pk].lat, 4) == round(osu.lat, 4)
    reports.report(mission.pk, reports.ReportType.ABORTED, by=GCS)
    assert not DroneHold.objects.exists()


def test_a_person_ends_what_ground_control_does_not_answer(bridge: Simulator, drone: Drone) -> None:
    mission = sent(drone)
    verbs.call_back(mission.pk, by=AMA, reason="Storm.")
    bridge.fault("no_cancel_route", times=1)
    publishing.send_recall(mission.pk)
    assert Mission.objects.errands().exists(), "a missing route confirms nothing"
    verbs.confirm_over(mission.pk, by=AMA, note="It stands in the hangar.")
    mission.refresh_from_db()
    assert (mission.live, mission.over_by) == (False, "user:ama")
    assert not Mission.objects.recalls_due(timezone.now() + timedelta(hours=1)).exists()
    code = code_of(lambda: verbs.confirm_over(mission.pk, by=AMA, note="Again."))
    assert code == "mission_over"


# --- reports -------------------------------------------------------------------------------------


@pytest.fixture
def ops() -> APIClient:
    return api_client(UserFactory(role=Role.OPS))


def reported(client: APIClient, mission_id: Any, **body: Any) -> Any:
    url = f"/api/v1/mission-intents/{mission_id}/events"
    return client.post(url, {"event_type": "LAUNCHED", **body}, format="json")


def test_reports_are_taken_once(bridge: Simulator, drone: Drone, ops: APIClient) -> None:
    mission = sent(drone)
    assert reported(ops, mission.pk).json() == {
        "intent_id": str(mission.pk),
        "drone_id": drone.pk,
        "state": "ACCEPTED",
        "over": False,
        "note": None,
    }
    assert reported(ops, mission.pk).json()["note"] == "This was reported before."
    assert reported(ops, mission.pk, event_type="LANDED").json()["over"] is True
    late = reported(ops, mission.pk, event_type="FAILED").json()
    assert late["note"].startswith("The mission is over")
    assert not DroneHold.objects.exists()


def test_a_failed_flight_holds_the_drone(bridge: Simulator, drone: Drone, ops: APIClient) -> None:
    mission = sent(drone)
    reported(ops, mission.pk, event_type="FAILED", message="Motor 3.")
    assert "Motor 3." in DroneHold.objects.get().message


def test_a_report_before_the_answer_accepts_it(drone: Drone, bridge: Simulator) -> None:
    bridge.fault("bridge_500", times=1, after=True)
    mission = sent(drone)
    done = reports.report(mission.pk, reports.ReportType.LAUNCHED, by=GCS)
    assert done.mission.state == State.ACCEPTED


def test_wrong_reports_are_refused(bridge: Simulator, drone: Drone, ops: APIClient) -> None:
    mission = sent(drone)
    assert reported(ops, mission.pk, event_type="mission_launched").status_code == 200
    wrong = reported(ops, mission.pk, event_type="DELIVERED")
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (400, "unknown_event")
    assert reported(ops, mission.pk, more=1).status_code == 400
    assert reported(ops, uuid4()).status_code == 404
    merchant = api_client(UserFactory(merchant=MerchantFactory()))
    assert reported(merchant, mission.pk).status_code == 403
    assert reported(APIClient(), mission.pk).status_code == 401


# --- the console ---------------------------------------------------------------------------------


def console_of(role: Role) -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=role))
    return browser


def act(model: str, name: str, pk: Any) -> str:
    return reverse("admin:act", args=[model, name]) + f"?id={pk}"


def test_a_hub_sends_its_surplus_home(drone: Drone, osu: Hub, airport: Hub) -> None:
    DroneFactory(drone_id="WX-NO-TELEMETRY", hub=osu, base=airport)
    DroneFactory(drone_id="WX-DRN-002", hub=osu)
    answer = console_of(Role.OPS).post(act("fleet.hub", "send_surplus_home", osu.pk), follow=True)
    page = answer.content.decode()
    assert "Sent to their base: WX-DRN-001." in page
    assert "Not sent: WX-NO-TELEMETRY" in page
    assert Mission.objects.errands().get().drone == drone
    again = console_of(Role.OPS).post(act("fleet.hub", "send_surplus_home", airport.pk))
    assert "Every drone here belongs here." in again.content.decode()


def test_a_drone_is_sent_and_called_back_on_its_page(drone: Drone) -> None:
    ama = console_of(Role.OPS)
    ama.post(act("fleet.drone", "send_to_base", drone.pk))
    page = ama.get(reverse("admin:fleet_drone_change", args=[drone.pk])).content.decode()
    assert "Osu, Airport" in page
    ama.post(act("fleet.drone", "call_back", drone.pk), {"reason": "Wrong drone."})
    assert Mission.objects.get().over_because == "Wrong drone."
    missions = ama.get(reverse("admin:dispatch_mission_changelist")).content.decode()
    assert "To another hub" in missions


def test_who_may_only_read_sends_nothing(drone: Drone) -> None:
    viewer = console_of(Role.READONLY)
    assert viewer.post(act("fleet.drone", "send_to_base", drone.pk)).status_code == 403
    assert not Mission.objects.exists()


def test_the_lines_take_one_statement(drone: Drone, osu: Hub, airport: Hub) -> None:
    for _ in range(4):
        more = DroneFactory(hub=osu, base=airport)
        Mission.objects.create(
            id=uuid4(),
            kind="REPOSITION",
            drone=more,
            return_to=airport,
            body={},
            state=State.REJECTED,
            over_at=timezone.now(),
            over_by="gcs",
        )
    with CaptureQueriesContext(connection) as asked:
        assert len(list(ways_home.ways_home(Look(timezone.now())))) == 4
    assert len(asked) == 1
