"""The simulator over real HTTP, and as a separate process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from fleet.simulator.missions import COURSE
from fleet.simulator.run import Simulator
from fleet.tests.over_http import cancel, delivery_api, latest, post_intent, until
from fleet.tests.simulated import DRONE_ID, INTENT_ID, ORDER_ID, mission_intent, sim_drone

SECOND_ID = "22222222-2222-4222-8222-222222222222"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def sim() -> Iterator[Simulator]:
    drones = [sim_drone(), sim_drone(drone_id="WX-DRN-002", home_lat=5.61)]
    with Simulator(drones, speed=0) as simulator:
        yield simulator


def shape_of(value: Any) -> Any:
    """Keys and types at all levels; int, float and bool count as number."""
    if isinstance(value, dict):
        return {key: shape_of(part) for key, part in value.items()}
    if isinstance(value, list):
        return [shape_of(value[0])]
    return "number" if isinstance(value, int | float) else type(value).__name__


def test_telemetry_has_the_format_of_the_real_fleet_api(sim):
    stamp, number = "str", "number"
    answer = latest(sim).json()
    assert shape_of(answer) == {
        "server_time": stamp,
        "count": number,
        "drones": [
            {
                "drone_id": "str",
                "last_seen_ts": stamp,
                "source_ip": "str",
                "telemetry": {
                    "schema_version": number,
                    "drone_id": "str",
                    "ts": stamp,
                    "position": {"lat": number, "lon": number, "alt_m": number},
                    "attitude": {"yaw_deg": number},
                    "velocity": {"groundspeed_mps": number},
                    "state": {"armed": number, "mode": "str"},
                    "battery": {"voltage_v": number, "remaining_pct": number},
                    "link": {"rssi_dbm": number},
                },
            }
        ],
    }
    assert answer["count"] == 2
    assert answer["drones"][0]["telemetry"]["state"]["armed"] is False


def test_telemetry_has_real_timestamps_at_any_speed():
    with Simulator([sim_drone()], speed=600) as sim:
        sim.advance(3600)
        seen = datetime.fromisoformat(latest(sim).json()["drones"][0]["last_seen_ts"])
    assert abs((datetime.now(UTC) - seen).total_seconds()) < 5


def test_a_mission_accepted_over_http_is_flown_and_listed(sim):
    assert post_intent(sim).status_code == 201
    assert post_intent(sim).status_code == 409
    sim.advance(900)
    listed = requests.get(f"{sim.url}/api/v1/mission-intents", timeout=5).json()["items"]
    assert listed == sim.missions()
    assert [(m["intent_id"], m["status"], m["posts"]) for m in listed] == [
        (INTENT_ID, "DELIVERED", 2)
    ]


def test_the_world_runs_at_its_speed():
    with Simulator([sim_drone()], speed=600) as sim:
        post_intent(sim)
        until(lambda: sim.missions()[0]["status"] == "DELIVERED")


def test_a_refused_intent_has_a_code_and_no_effect(sim):
    refused = post_intent(sim, mission_intent(drone_id="WX-DRN-404"))
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_drone")
    url = f"{sim.url}/api/v1/mission-intents"
    wrong_key = requests.post(
        url, json=mission_intent(), headers={"Idempotency-Key": SECOND_ID}, timeout=5
    )
    assert (wrong_key.status_code, wrong_key.json()["code"]) == (422, "idempotency_key_mismatch")
    for body in (b"{", b'{"a": NaN}', b"\xff\xfe", b"[]", b""):
        assert requests.post(url, data=body, timeout=5).status_code == 422
    too_long = requests.post(url, data=b" " * 2_000_000, timeout=5)
    assert too_long.json()["code"] == "bad_length"
    assert requests.get(f"{sim.url}/nowhere", timeout=5).status_code == 404
    assert sim.missions() == []


def test_cancel_answers_like_the_bridge(sim):
    post_intent(sim)
    assert cancel(sim, "fly").status_code == 422
    assert cancel(sim, "withdraw", SECOND_ID).status_code == 404
    withdrawn = cancel(sim, "withdraw")
    assert (withdrawn.status_code, withdrawn.json()["status"]) == (200, "withdrawn")
    post_intent(sim, mission_intent(intent_id=SECOND_ID))
    sim.advance(30)
    launched = cancel(sim, "withdraw", SECOND_ID)
    assert (launched.status_code, launched.json()["status"]) == (409, "launched")
    asked = cancel(sim, "abort", SECOND_ID)
    assert (asked.status_code, asked.json()["status"]) == (202, "abort_requested")
    sim.advance(1)
    assert sim.missions()[1]["status"] == "ABORTED"


def test_keys_are_required_if_they_are_set():
    with Simulator([sim_drone()], speed=0, fleet_key="reader", bridge_key="sender") as sim:
        assert latest(sim).status_code == 401
        assert latest(sim, headers={"X-API-Key": "reader"}).status_code == 200
        assert post_intent(sim).status_code == 401
        assert sim.missions() == []


def test_the_bridge_can_answer_500_twice_and_then_accept(sim):
    sim.fault("bridge_500", times=2)
    assert [post_intent(sim).status_code for _ in range(3)] == [500, 500, 201]
    assert sim.missions()[0]["posts"] == 1


def test_a_lost_answer_leaves_exactly_one_mission(sim):
    sim.fault("bridge_hang", seconds=20, times=1)
    with pytest.raises(requests.Timeout):
        post_intent(sim, timeout=0.2)
    assert post_intent(sim).status_code == 409
    sim.fault("bridge_500", times=1, after=True)
    again = mission_intent(intent_id=SECOND_ID, drone_id="WX-DRN-002")
    assert [post_intent(sim, again).status_code for _ in range(2)] == [500, 409]
    assert [mission["intent_id"] for mission in sim.missions()] == [INTENT_ID, SECOND_ID]


def test_the_bridge_can_be_down_and_can_reject(sim):
    sim.fault("bridge_down", times=1)
    with pytest.raises(requests.ConnectionError):
        post_intent(sim)
    sim.fault("bridge_reject", times=1)
    assert post_intent(sim).json()["code"] == "rejected"
    assert sim.missions() == []
    assert post_intent(sim).status_code == 201


def test_the_fleet_api_can_give_every_kind_of_invalid_answer(sim):
    sim.fault("garbage", times=1)
    with pytest.raises(requests.JSONDecodeError):
        latest(sim).json()
    sim.fault("garbage", how="truncated", times=1)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        latest(sim)
    sim.fault("garbage", how="error_500", times=1)
    assert latest(sim).status_code == 500
    sim.fault("garbage", how="redirect", times=1)
    assert latest(sim, allow_redirects=False).is_redirect
    sim.fault("garbage", how="redirect", times=1)
    assert latest(sim).json()["drones"] == []
    sim.fault("garbage", how="oversized", times=1)
    with latest(sim, stream=True) as answer:
        size = sum(len(block) for block in answer.iter_content(2**20))
    assert size > 64 * 2**20
    sim.fault("garbage", how="slow", seconds=0.6, times=1)
    started = time.monotonic()
    assert latest(sim).json()["count"] == 2
    assert time.monotonic() - started > 0.4
    assert latest(sim).json()["count"] == 2


def test_one_bad_drone_affects_only_its_own_entry(sim):
    sim.fault("one_bad_drone", DRONE_ID)
    bad, good = latest(sim).json()["drones"]
    assert bad["telemetry"]["position"]["lat"] == "north"
    assert good["telemetry"]["position"]["lat"] == pytest.approx(5.61, abs=1e-3)


def test_faults_are_added_listed_and_cleared_over_http(sim):
    url = f"{sim.url}/faults"
    made = requests.post(url, json={"kind": "lose_link", "drone_id": DRONE_ID}, timeout=5)
    assert made.status_code == 200
    assert [fault["kind"] for fault in requests.get(url, timeout=5).json()["items"]] == [
        "lose_link"
    ]
    seen = latest(sim).json()["drones"][0]["last_seen_ts"]
    sim.advance(2)
    assert latest(sim).json()["drones"][0]["last_seen_ts"] == seen
    assert requests.delete(url, timeout=5).json() == {"items": []}
    sim.advance(2)
    assert latest(sim).json()["drones"][0]["last_seen_ts"] > seen
    for body in (
        {"kind": "zap"},
        {"kind": "lose_link", "drone_id": "WX-DRN-404"},
        {"kind": "garbage", "times": "two"},
        [],
    ):
        assert requests.post(url, json=body, timeout=5).status_code == 422


def test_a_closed_simulator_closes_open_connections():
    with Simulator([sim_drone()], speed=0) as sim, requests.Session() as session:
        url = f"{sim.url}/health"
        assert session.get(url, timeout=5).status_code == 200
        sim.close()
        with pytest.raises(requests.ConnectionError):
            session.get(url, timeout=5)


def test_mission_events_are_retried_and_arrive_in_order():
    with (
        delivery_api(503, 200, 500) as api,
        Simulator([sim_drone()], speed=0, events_url=api.url, events_key="gcs") as sim,
    ):
        post_intent(sim)
        sim.advance(900)
        until(lambda: len(api.accepted()) == len(COURSE))
        assert tuple(api.accepted()) == COURSE
        assert len(api.calls) == len(COURSE) + 2
        path, key, body, _ = api.calls[0]
        assert path == f"/api/v1/orders/{ORDER_ID}/events"
        assert key == "gcs"
        assert body == {
            "event_type": "LAUNCHED",
            "occurred_at": sim.missions()[0]["events"][0]["occurred_at"],
            "source": "gcs",
            "event_id": f"{INTENT_ID}:LAUNCHED",
            "message": "Armed and climbing",
            "payload": {"intent_id": INTENT_ID, "drone_id": DRONE_ID},
        }
        assert api.calls[1][2] == body


def test_mission_events_wait_as_long_as_the_api_asks():
    with (
        delivery_api(429) as api,
        Simulator([sim_drone()], speed=0, events_url=api.url) as sim,
    ):
        post_intent(sim)
        sim.advance(900)
        until(lambda: api.calls)
        began = time.monotonic()
        until(api.accepted)
        assert time.monotonic() - began > 0.9  # its own first pause is 0.2 s


def test_a_refused_event_is_recorded_and_not_retried():
    with (
        delivery_api(404) as api,
        Simulator([sim_drone()], speed=0, events_url=api.url) as sim,
    ):
        post_intent(sim)
        sim.advance(900)
        until(lambda: len(api.accepted()) == len(COURSE) - 1)
        until(lambda: sim.missions()[0]["events"][-1]["outcome"] == "accepted")
        assert sim.missions()[0]["events"][0]["outcome"].startswith("refused, 404")


@contextlib.contextmanager
def simulator_process(tmp_path: Path, *options: str) -> Iterator[tuple[subprocess.Popen, str]]:
    drones = tmp_path / "drones.json"
    drones.write_text(json.dumps([asdict(sim_drone())]))
    command = [sys.executable, "-m", "fleet.simulator", "--drones", str(drones), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), line
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_process_stops_on_a_signal_and_restores_flying_drones(tmp_path, stop):
    options = ("--no-events", "--speed", "40", "--state", str(tmp_path / "world.json"))
    with simulator_process(tmp_path, *options) as (process, url):
        requests.post(
            f"{url}/api/v1/mission-intents",
            json=mission_intent(),
            headers={"Idempotency-Key": INTENT_ID},
            timeout=5,
        )

        def altitude_m() -> float:
            answer = requests.get(f"{url}/api/v1/telemetry/latest", timeout=5).json()
            return answer["drones"][0]["telemetry"]["position"]["alt_m"]

        until(lambda: altitude_m() > 50)
        process.send_signal(stop)
        assert process.wait(timeout=3) == 0
    with simulator_process(tmp_path, *options) as (process, url):
        assert altitude_m() > 1.5
        items = requests.get(f"{url}/api/v1/mission-intents", timeout=5).json()["items"]
        assert [item["intent_id"] for item in items] == [INTENT_ID]


def test_a_killed_process_loses_no_visible_change(tmp_path):
    state = tmp_path / "world.json"
    options = ("--no-events", "--speed", "60", "--state", str(state), "--report-pickup")
    fault = ("--fault", f"stay-at-drop:{DRONE_ID},drop=false,seconds=600")

    def truth(url: str) -> dict[str, Any]:
        return requests.get(f"{url}/truth", timeout=5).json()

    with simulator_process(tmp_path, *options, *fault) as (process, url):
        requests.post(
            f"{url}/api/v1/mission-intents",
            json=mission_intent(),
            headers={"Idempotency-Key": INTENT_ID},
            timeout=5,
        )
        until(lambda: truth(url)["parcels"][0]["where"] == "ABOARD")
        before = truth(url)
        process.kill()
        process.wait()
    with simulator_process(tmp_path, *options, *fault) as (_, url):
        after = truth(url)
        assert after["now_s"] >= before["now_s"] - 60 * 1.5
        assert after["parcels"] == before["parcels"]
        assert after["missions"][0]["launched_at"] == before["missions"][0]["launched_at"]
        faults = requests.get(f"{url}/faults", timeout=5).json()["items"]
        assert [one["kind"] for one in faults] in (["stay_at_drop"], [])
        items = requests.get(f"{url}/api/v1/mission-intents", timeout=5).json()["items"]
        assert "PICKED_UP" in [event["event_type"] for event in items[0]["events"]]
        until(lambda: truth(url)["missions"][0]["over_why"] == "gave_up")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--drones", "missing.json", "--no-events"], "missing.json"),
        (["--drones", "{drones}"], "one of the arguments --events-url --no-events is required"),
        (["--drones", "{drones}", "--no-events", "--fault", "zap"], "unknown fault 'zap'"),
        (["--drones", "{half}", "--no-events"], "missing ['battery_wh'"),
    ],
)
def test_invalid_options_are_named(tmp_path, options, message):
    files = {"drones": tmp_path / "drones.json", "half": tmp_path / "half.json"}
    files["drones"].write_text(json.dumps([asdict(sim_drone())]))
    files["half"].write_text('[{"drone_id": "WX-DRN-001", "home_lat": 5.6, "home_lng": -0.18}]')
    result = subprocess.run(
        [sys.executable, "-m", "fleet.simulator", *(text.format(**files) for text in options)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=20,
    )
    assert result.returncode != 0
    assert message in " ".join(result.stderr.split())
