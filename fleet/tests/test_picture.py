"""The fleet picture: polling, replacement by newer answers, and age."""

import json
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from fleet import actors, metrics
from fleet.live import drone_status, picture
from fleet.live.client import FleetUnavailable
from fleet.live.picture import Picture
from fleet.live.telemetry import Decoded, Telemetry, decode_answer
from fleet.simulator.run import Simulator
from fleet.tests.answers import PLUGIN, body, entry
from fleet.tests.factories import DroneFactory, TelemetryFactory, seconds_ago, show
from fleet.tests.raw_server import answering, http
from fleet.tests.simulated import DRONE_ID, sim_drone
from wingxtra import redis_client
from wingxtra.broker import schedule

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def answer(server_time: datetime, *telemetry: Telemetry) -> Decoded:
    return Decoded(server_time, list(telemetry), [])


@pytest.fixture
def simulator(settings):
    with Simulator([sim_drone()], speed=0) as running:
        settings.FLEET_API_URL = running.url
        yield running


def events(caplog: pytest.LogCaptureFixture) -> dict[str, dict[str, Any]]:
    """The log records by event name."""
    return {r.msg["event"]: r.msg for r in caplog.records if isinstance(r.msg, dict)}


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


# --- writing and reading -------------------------------------------------------------------------


def test_before_the_first_poll_there_is_no_picture():
    assert picture.read() is None


def test_a_picture_is_read_as_it_was_written():
    bare = Telemetry(drone_id="WX-BARE", seen_at=NOON, measured_at=NOON)
    full = TelemetryFactory(drone_id="WX-FULL", measured_at=NOON)

    assert picture.write(answer(NOON, bare, full), after(0.1))

    assert picture.read() == Picture(
        fetched_at=after(0.1), telemetry={"WX-BARE": bare, "WX-FULL": full}, clock_ahead_s=-0.1
    )


def test_a_poll_can_have_ten_thousand_drones():
    decoded = decode_answer(body(*(entry(f"WX-{n:05d}") for n in range(10_000))))

    picture.write(decoded, timezone.now())

    latest = picture.read()
    assert latest is not None
    assert len(latest.telemetry) == 10_000


def test_a_drone_missing_in_the_answer_is_removed_from_the_picture():
    picture.write(answer(NOON, TelemetryFactory(drone_id="WX-1")), NOON)
    picture.write(answer(after(2), TelemetryFactory(drone_id="WX-2")), after(2))

    assert picture.read().telemetry.keys() == {"WX-2"}


# --- an older answer never replaces a newer one --------------------------------------------------


@pytest.mark.parametrize("late_s", [0, 0.000001, 2, 59])
def test_a_late_or_repeated_answer_is_not_stored(late_s):
    picture.write(answer(NOON, TelemetryFactory(drone_id="WX-NEW")), NOON)

    assert not picture.write(answer(after(-late_s), TelemetryFactory()), after(1))

    assert picture.read().telemetry.keys() == {"WX-NEW"}
    assert picture.read().fetched_at == NOON


def test_a_clock_set_back_does_not_block_new_pictures():
    picture.write(answer(after(3600)), NOON)

    assert picture.write(answer(after(2)), after(2))


def test_after_concurrent_polls_the_newest_answer_remains():
    answers = [answer(after(n / 100), TelemetryFactory(drone_id=f"WX-{n}")) for n in range(200)]
    random.Random(4).shuffle(answers)

    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda decoded: picture.write(decoded, NOON), answers))

    assert picture.read().telemetry.keys() == {"WX-199"}


# --- age, with wrong clocks ----------------------------------------------------------------------


def age_s(measured_s: float, seen_s: float, *, server_s: float = 0, now_s: float = 0) -> float:
    """The age at `now_s` of telemetry fetched at 0, when the Fleet API's clock was `server_s`."""
    sample = Telemetry(drone_id="WX-1", measured_at=after(measured_s), seen_at=after(seen_s))
    fetched = Picture(NOON, {"WX-1": sample}, clock_ahead_s=server_s)
    return fetched.age_s_of("WX-1", after(now_s))


def test_telemetry_ages_with_its_picture():
    assert age_s(-3, -3) == 3
    assert age_s(-3, -3, now_s=10) == 13


def test_a_delayed_message_has_the_age_of_its_measurement():
    assert age_s(-2880, -0.1) == 2880


def test_a_message_that_arrived_long_ago_has_the_age_of_its_arrival():
    assert age_s(-1, -40) == 40


def test_a_drone_without_telemetry_has_infinite_age():
    assert Picture(NOON, {}).age_s_of("WX-1", NOON) == float("inf")


def test_a_drone_with_a_clock_ahead_has_a_negative_age():
    assert age_s(3600, -0.1) == -3600


def test_a_drone_with_a_clock_ahead_still_ages_when_it_is_silent():
    assert age_s(5, -0.1) == -5
    assert age_s(5, -0.1, now_s=60) == pytest.approx(60.1)


def test_a_fleet_api_clock_ahead_does_not_hide_silence():
    # The telemetry arrived half an hour before the answer; by our clock that is in the future.
    assert age_s(1800, 1800, server_s=3600) == 1800


def test_a_fleet_api_clock_behind_makes_telemetry_old():
    assert age_s(-3600, -3600, server_s=-3600) == 3600


def test_a_fleet_api_clock_slightly_ahead_is_accepted():
    assert age_s(0.4, 0.4, server_s=0.5) == pytest.approx(0.1)


seconds = st.floats(-7200, 7200, allow_nan=False)


@given(seconds, seconds, seconds, st.floats(0, 7200))
def test_a_wrong_clock_never_makes_telemetry_look_fresh(measured, seen, server, now):
    age = abs(age_s(measured, seen, server_s=server, now_s=now))

    assert age >= now - min(measured, seen) - 1e-3
    assert age >= max(measured, seen) - server - 1e-3
    assert age >= server - min(measured, seen) - 1e-3


# --- a poll --------------------------------------------------------------------------------------


def test_a_poll_stores_the_picture(simulator):
    before = counted("wingxtra_fleet_polls_total", outcome="ok")

    actors.poll()

    assert picture.read().telemetry.keys() == {DRONE_ID}
    assert picture.read().age_s_of(DRONE_ID, timezone.now()) < 60
    assert counted("wingxtra_fleet_polls_total", outcome="ok") == before + 1


def test_the_poll_is_scheduled_every_second():
    assert [tick.every_s for tick in schedule if tick.actor is actors.poll] == [1]


def slowly(connection: socket.socket, stop: threading.Event) -> None:
    stop.wait(0.5)
    connection.sendall(http(body(entry())))


def test_the_fleet_api_has_one_reader_also_when_it_answers_slowly(settings):
    with answering(slowly) as server, ThreadPoolExecutor(5) as workers:
        settings.FLEET_API_URL = server.url
        for turn in (1, 2):
            for poll in [workers.submit(actors.poll) for _ in range(5)]:
                poll.result()
            assert len(server.requests) == turn


def test_a_reader_that_dies_is_no_reader_after_the_deadline(settings):
    with answering(slowly) as server, ThreadPoolExecutor(1) as workers:
        settings.FLEET_API_URL = server.url
        reading = workers.submit(actors.poll)
        while not server.requests:
            time.sleep(0.01)
        left_ms = redis_client.client().pttl(picture.READER)
        reading.result()
    assert 0 < left_ms <= 1000 * (settings.FLEET_API_TIMEOUT_S + picture.READS_ON_S)
    assert redis_client.client().exists(picture.READER) == 0


def test_a_new_picture_is_told_and_a_repeated_one_is_not(settings):
    told = []
    with answering(http(body(entry()))) as server:
        settings.FLEET_API_URL = server.url
        picture.renewed.connect(tell := lambda **about: told.append(about["sender"]))
        actors.poll()
        actors.poll()
        picture.renewed.disconnect(tell)
    assert told == [picture.Picture]


@pytest.mark.parametrize("how", ["non_json", "truncated", "error_500", "redirect"])
def test_after_a_failed_poll_the_previous_picture_stays(simulator, caplog, how):
    picture.refresh()
    kept = picture.read()
    simulator.fault("garbage", how=how)

    actors.poll()

    assert picture.read() == kept
    assert kept.age_s(kept.fetched_at + timedelta(seconds=90)) == 90
    failed = events(caplog)["fleet_poll_failed"]
    assert failed["code"].startswith("fleet_api_")
    assert failed["detail"]


def test_a_failed_poll_is_counted_by_its_code(settings):
    settings.FLEET_API_URL = ""
    before = counted("wingxtra_fleet_polls_total", outcome="fleet_api_not_configured")

    with pytest.raises(FleetUnavailable):
        picture.refresh()

    assert counted("wingxtra_fleet_polls_total", outcome="fleet_api_not_configured") == before + 1


def test_the_next_poll_recovers_after_an_error(simulator):
    simulator.fault("garbage", how="error_500", times=1)

    actors.poll()
    assert picture.read() is None
    actors.poll()
    assert picture.read().telemetry.keys() == {DRONE_ID}


def test_skipped_drones_are_logged_and_counted(simulator, caplog):
    before = counted("wingxtra_fleet_drones_skipped_total")
    simulator.fault("one_bad_drone", DRONE_ID)

    actors.poll()

    assert events(caplog)["fleet_drones_skipped"]["first"].keys() == {DRONE_ID}
    assert counted("wingxtra_fleet_drones_skipped_total") == before + 1


def test_a_cached_answer_does_not_refresh_the_picture(settings, caplog):
    with answering(http(body(entry()))) as server:
        settings.FLEET_API_URL = server.url
        actors.poll()
        first = picture.read()
        actors.poll()

    assert picture.read() == first
    assert "fleet_answer_not_newer" in events(caplog)


# --- poll_fleet and /ready/dispatch --------------------------------------------------------------


@pytest.mark.django_db
def test_poll_fleet_lists_received_and_missing_drones(simulator, capsys):
    DroneFactory(drone_id=DRONE_ID)
    DroneFactory(drone_id="WX-ASLEEP")

    call_command("poll_fleet")

    output = capsys.readouterr().out
    assert "1 drones" in output
    assert "including 1 of the 2 in service" in output
    assert "WX-ASLEEP is not in the answer." in output
    assert picture.read().telemetry.keys() == {DRONE_ID}


@pytest.mark.django_db
def test_poll_fleet_lists_skipped_drones(simulator, capsys):
    simulator.fault("one_bad_drone", DRONE_ID)

    call_command("poll_fleet")

    assert f"{DRONE_ID} was skipped: " in capsys.readouterr().err


@pytest.mark.django_db
def test_poll_fleet_lists_missing_values(settings, capsys):
    for drone_id in ("WX-DRN-001", "WX-DRN-002"):
        DroneFactory(drone_id=drone_id)
    with answering(http(json.dumps(PLUGIN).encode())) as server:
        settings.FLEET_API_URL = server.url
        call_command("poll_fleet")

    output = capsys.readouterr()
    assert (
        "  position.lat and position.lon (degrees, required for orders): complete\n" in output.out
    )
    assert "  state.armed (true or false, required for orders): missing in 2 of 2\n" in output.out
    assert "  battery.remaining_pct (%, required for orders): missing in 2 of 2\n" in output.out
    assert "  velocity.groundspeed_mps (m/s): missing in 2 of 2\n" in output.out
    assert "  position.alt_m (m): missing in 1 of 2\n" in output.out
    assert "  state.mode (text): missing in 2 of 2\n" in output.out
    assert "WX-DRN-002: position.alt_m is 48000.0; it must be -500 to 20000." in output.err


def test_skipped_entries_in_the_picture_are_limited():
    many = [(f"WX-{n}", "It is bad. " * 100) for n in range(picture.MAX_SKIPPED_IN_PICTURE + 5)]

    picture.write(Decoded(NOON, [], many), NOON)

    kept = picture.read().skipped
    assert len(kept) == picture.MAX_SKIPPED_IN_PICTURE
    assert {len(reason) for reason in kept.values()} == {picture.MAX_REASON_CHARACTERS}


def test_poll_fleet_without_a_url_fails(settings):
    settings.FLEET_API_URL = ""

    with pytest.raises(CommandError, match=r"FLEET_API_URL is not set.*\(fleet_api_not_config"):
        call_command("poll_fleet")


@pytest.mark.django_db
def test_a_fresh_picture_is_ready():
    show(TelemetryFactory())

    assert picture.check() == (True, "1 drones, 0 s old, at most 15 s allowed.")


@pytest.mark.django_db
def test_without_a_fresh_picture_we_are_not_ready():
    assert picture.check() == (
        False,
        "There is no picture of the fleet: the Fleet API has never answered.",
    )
    show(TelemetryFactory(), fetched_at=seconds_ago(40))
    assert picture.check() == (False, "1 drones, 40 s old, at most 15 s allowed.")


@pytest.mark.django_db
def test_a_wrong_fleet_api_clock_is_reported_by_the_readiness_check():
    picture.write(answer(seconds_ago(3600)), timezone.now())

    ready, text = picture.check()

    assert not ready
    assert text.endswith("The Fleet API's clock differs from ours by -3600 s.")


# --- completeness --------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_picture_without_registered_drones_is_not_ready():
    show(TelemetryFactory(drone_id="WX-UNREGISTERED"))

    assert drone_status.check_fields() == (
        False,
        "The fleet picture has no drone that is registered and in service.",
    )


@pytest.mark.django_db
def test_one_complete_drone_is_enough_and_gaps_are_listed():
    complete, incomplete = DroneFactory(), DroneFactory()
    show(TelemetryFactory(drone_id=complete.pk))
    assert drone_status.check_fields() == (True, "1 drones, no value is missing.")

    show(
        TelemetryFactory(drone_id=complete.pk),
        TelemetryFactory(drone_id=incomplete.pk, battery_pct=None, speed_mps=None),
    )

    assert drone_status.check_fields() == (
        True,
        "1 of 2 drones lacks battery.remaining_pct; 1 of 2 drones lacks velocity.groundspeed_mps.",
    )


@pytest.mark.django_db
def test_the_production_plugins_telemetry_is_not_ready_for_dispatch():
    for drone_id in ("WX-DRN-001", "WX-DRN-002"):
        DroneFactory(drone_id=drone_id)
    picture.write(decode_answer(json.dumps(PLUGIN).encode()), timezone.now())

    ready, text = drone_status.check_fields()

    assert not ready
    assert "2 of 2 drones lack state.armed" in text
    assert "2 of 2 drones lack battery.remaining_pct" in text
    lacking = list(metrics.picture_metrics(timezone.now()))[-1]
    assert {s.labels["field"]: s.value for s in lacking.samples} == {
        "position": 0,
        "armed": 2,
        "battery": 2,
        "speed": 2,
        "altitude": 1,
        "mode": 2,
    }
