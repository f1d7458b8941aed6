"""The simulated bridge with faults, faults in samples and reports, and the truth over HTTP."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from fleet.simulator.intents import check_intent
from fleet.simulator.missions import COURSE, Refused
from fleet.simulator.run import Simulator
from fleet.tests.over_http import cancel, delivery_api, latest, post_intent, until
from fleet.tests.simulated import (
    DRONE_ID,
    ORDER_ID,
    mission_intent,
    second_intent,
    sim_drone,
)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator([sim_drone()], speed=0) as simulator:
        yield simulator


def act(sim: Simulator, action: str, **body: Any) -> requests.Response:
    return requests.post(f"{sim.url}/truth/{action}", json=body, timeout=5)


# --- versions of an intent -----------------------------------------------------------------------


@pytest.mark.parametrize("intent", [mission_intent(), second_intent()])
def test_both_versions_of_an_intent_are_accepted(intent):
    assert check_intent(intent) == intent


@pytest.mark.parametrize(
    ("make_intent", "change", "message"),
    [
        (mission_intent, {"alt_datum": "AGL"}, "'alt_datum' was unexpected"),
        (mission_intent, {"return_to": {}}, "'return_to' was unexpected"),
        (mission_intent, {"schema_version": 1}, "'schema_version' was unexpected"),
        (second_intent, {"alt_datum": "AMSL"}, "alt_datum: 'AGL' was expected"),
        (second_intent, {"actions": ["LOAD", "TAKEOFF"]}, "actions: "),
        (second_intent, {"return_to": {"hub_id": "1"}}, "return_to: 'lat' is a required"),
    ],
)
def test_each_version_refuses_members_of_the_other(make_intent, change, message):
    with pytest.raises(Refused, match=message):
        check_intent(make_intent() | change)


# --- faults of the bridge ------------------------------------------------------------------------


def test_without_a_cancel_route_the_answer_is_404_and_the_flight_continues(sim):
    sim.fault("no_cancel_route")
    post_intent(sim)
    answer = cancel(sim, "withdraw")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
    sim.advance(900)
    assert sim.missions()[0]["status"] == "DELIVERED"


@pytest.mark.parametrize("word", ["failed", "expired", "completed", "canceled", "", "Zurück?"])
def test_a_cancel_can_be_answered_with_any_status_text(sim, word):
    sim.fault("cancel_word", word=word, times=1)
    post_intent(sim)
    answer = cancel(sim, "withdraw")
    assert (answer.status_code, answer.json()) == (200, {"status": word})
    assert sim.missions()[0]["status"] == "ACCEPTED"
    assert cancel(sim, "withdraw").json()["status"] == "withdrawn"


@pytest.mark.parametrize("status", [200, 500, 405, 410])
def test_a_cancel_can_be_answered_with_any_http_status(sim, status):
    sim.fault("cancel_word", status=status)
    post_intent(sim)
    answer = cancel(sim, "withdraw")
    assert (answer.status_code, answer.json()) == (status, {})


def test_a_cancel_with_an_unknown_status_can_have_an_effect(sim):
    sim.fault("cancel_word", word="expired", after=True)
    post_intent(sim)
    assert cancel(sim, "withdraw").json() == {"status": "expired"}
    sim.advance(900)
    assert sim.missions()[0]["status"] == "WITHDRAWN"


def test_a_strict_bridge_names_each_member_that_version_1_does_not_have(sim):
    sim.fault("strict_members")
    intent = second_intent()
    intent["constraints"]["geofence_id"] = None
    answer = post_intent(sim, intent)
    assert answer.status_code == 422
    assert ["body", "constraints", "geofence_id"] in [p["loc"] for p in answer.json()["detail"]]
    named = {problem["loc"][-1] for problem in post_intent(sim, second_intent()).json()["detail"]}
    assert named == {"schema_version", "alt_datum", "return_to", "alternate", "airspace_version"}
    assert sim.missions() == []
    assert post_intent(sim, mission_intent()).status_code == 201


def test_the_bridge_can_refuse_every_intent(sim):
    sim.fault("refuse_form", times=2)
    for intent in (mission_intent(), second_intent()):
        answer = post_intent(sim, intent)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", "mission_type"]
    assert sim.missions() == []
    assert post_intent(sim).status_code == 201


def test_the_bridge_can_accept_without_an_answer(sim):
    sim.fault("accept_silently", seconds=0.6, times=1)
    with pytest.raises(requests.Timeout):
        post_intent(sim, timeout=0.2)
    assert sim.missions() == []
    until(lambda: sim.missions())
    sim.fault("accept_silently", seconds=0, times=1)
    with pytest.raises(requests.ConnectionError):
        post_intent(sim)
    assert post_intent(sim).status_code == 409


# --- reports and samples over HTTP ---------------------------------------------------------------


def test_each_answer_of_the_fleet_api_is_one_sample(sim):
    sim.fault("glitch_armed", DRONE_ID, times=2)
    sim.advance(5)
    armed = [latest(sim).json()["drones"][0]["telemetry"]["state"]["armed"] for _ in range(3)]
    assert armed == [True, True, False]


def test_duplicate_and_swapped_reports_are_sent():
    with (
        delivery_api() as api,
        Simulator([sim_drone()], speed=0, events_url=api.url, report_pickup=True) as sim,
    ):
        sim.fault("duplicate_reports", DRONE_ID)
        sim.fault("swapped_reports", DRONE_ID)
        post_intent(sim)
        sim.advance(900)
        until(lambda: len(api.accepted()) == 12)
        swapped = ["ENROUTE", "LAUNCHED", "ARRIVED", "PICKED_UP", "DELIVERED", "DELIVERING"]
        assert api.accepted() == [event for event in swapped for _ in range(2)]
        assert len({body["event_id"] for _, _, body, _ in api.calls}) == 6


def test_late_reports_use_the_worlds_clock():
    with (
        delivery_api() as api,
        Simulator([sim_drone()], speed=600, events_url=api.url) as sim,
    ):
        sim.fault("late_report", DRONE_ID, seconds=600)
        post_intent(sim)
        until(lambda: tuple(api.accepted()) == COURSE)
        assert sim.world.elapsed_s > 600


# --- the truth over HTTP -------------------------------------------------------------------------


def test_the_truth_and_staff_actions_work_over_http(sim):
    sim.fault("carry_home", DRONE_ID)
    post_intent(sim)
    sim.advance(900)
    truth = requests.get(f"{sim.url}/truth", timeout=5).json()
    assert truth == json.loads(json.dumps(sim.truth()))
    assert truth["parcels"][0]["where"] == "ABOARD"
    assert truth["drones"][0]["aboard"] == [ORDER_ID]
    unloaded = act(sim, "unload", drone_id=DRONE_ID).json()
    assert unloaded["parcels"][0]["where"] == "AT_HUB"
    assert act(sim, "load", drone_id=DRONE_ID, order_id=ORDER_ID).status_code == 200
    collected = act(sim, "collect", order_id=ORDER_ID, lat=5.61, lng=-0.18).json()
    assert (collected["parcels"][0]["lat"], collected["violations"]) == (5.61, [])
    assert act(sim, "bring-home", drone_id=DRONE_ID).status_code == 200
    for action, body in (
        ("unload", {}),
        ("unload", {"drone_id": "WX-DRN-404"}),
        ("collect", {"order_id": ORDER_ID, "lat": "north", "lng": 0}),
        ("collect", {"order_id": []}),
    ):
        assert act(sim, action, **body).status_code == 422
    assert act(sim, "lose").status_code == 404


def test_a_strike_is_saved_before_the_answer(tmp_path):
    state, left_behind = tmp_path / "world.json", tmp_path / "killed.json"
    with Simulator([sim_drone()], speed=0, state_path=state) as sim:
        sim.fault("bridge_500", times=3)
        assert [post_intent(sim).status_code for _ in range(2)] == [500, 500]
        left_behind.write_bytes(state.read_bytes())
    with Simulator([sim_drone()], speed=0, state_path=left_behind) as again:
        assert [post_intent(again).status_code for _ in range(2)] == [500, 201]
