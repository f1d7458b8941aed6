"""`/track/<id>/position`, which the page asks each second, and the facts that watchers share."""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from dispatch import testmode
from dispatch.missions import discrepancies
from dispatch.models import Discrepancy
from fleet.live import picture
from fleet.tests.factories import TelemetryFactory, seconds_ago, show
from orders import lifecycle
from orders.models import Order
from orders.states import TERMINAL, EventType, Happened, Scenario, Status
from orders.tests.factories import order_in
from orders.tracking_ids import new_tracking_id
from tracking.page import cache, facts
from tracking.tests.deliveries import DRONE_ID, LAT, LNG, secret_order, secrets_of
from wingxtra.accounts.identity import GCS, SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)

WATCHERS = 50
VERSION = re.compile(r'data-version="([^"]*)"')


def path_of(order: Order) -> str:
    return f"/track/{order.public_tracking_id}/"


def look(order: Order, query: str = "", **headers: str) -> Any:
    return Client().get(f"{path_of(order)}position{query}", headers=headers)


def version_of_the_page(order: Order) -> str:
    found = VERSION.search(Client().get(path_of(order)).content.decode())
    assert found
    return found[1]


def fly_to(lat: float, lng: float) -> datetime:
    """The newest telemetry, and when it was measured."""
    at = timezone.now()
    show(TelemetryFactory(drone_id=DRONE_ID, lat=lat, lng=lng, heading_deg=12.0, measured_at=at))
    return at


# --- the answer ----------------------------------------------------------------------------------


def test_it_is_the_position_of_the_newest_picture_in_the_words_of_the_page() -> None:
    order = secret_order(Status.ENROUTE)
    version = look(order).json()["page"]

    at = fly_to(LAT + 0.003, LNG)

    assert look(order).json() == {
        "page": version,
        "position": {
            "lat": 5.6182,
            "lng": -0.1752,
            "heading_deg": 12.0,
            "at": at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        },
        "at": at.isoformat(timespec="milliseconds"),
        "eta_seconds": None,
        "expected": None,
        "left": "350 m",
        "bearing": "The drone is 350 m north of the drop point.",
    }
    assert look(order, "?lang=fr").json()["bearing"].startswith("Le drone est à 350 m au nord")
    assert look(order, **{"Accept-Language": "fr"}).json() == look(order, "?lang=fr").json()


def test_it_takes_no_statement_and_one_round_trip_while_the_facts_are_kept(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    order = secret_order(Status.ENROUTE)
    look(order)
    with django_assert_num_queries(0):
        for number in range(3):
            lat = LAT + 0.0102 + number / 1000
            fly_to(lat, LNG)
            assert look(order).json()["position"]["lat"] == round(lat, 4)


def test_at_the_door_it_is_no_more_exact_before_the_drone_is_known_to_have_arrived() -> None:
    order = secret_order(Status.ENROUTE)
    fly_to(LAT + 0.0004, LNG)
    assert look(order).json()["position"]["lat"] == round(LAT + 0.0004, 3)


def test_a_drone_that_loses_its_position_asks_for_the_whole_page() -> None:
    order = secret_order(Status.ENROUTE)
    fly_to(LAT + 0.0102, LNG)
    told = look(order).json()
    show(TelemetryFactory(drone_id=DRONE_ID, lat=None, lng=None))
    lost = look(order).json()
    assert (lost["position"], lost["at"]) == (None, None)
    assert lost["page"] != told["page"]


def test_a_copy_of_another_release_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    order = secret_order(Status.ENROUTE)
    key = cache.key_of(order.public_tracking_id)
    monkeypatch.setattr(cache, "_LAYOUT", "former")
    assert cache.key_of(order.public_tracking_id) != key


@pytest.mark.parametrize("status", Status)
def test_it_tells_no_secret_and_no_position_but_in_flight(status: Status) -> None:
    order = secret_order(status)

    answer = look(order)

    told = answer.content.decode() + str(dict(answer.headers))
    assert [secret for secret in secrets_of(order) if secret in told] == []
    flies = Status.LAUNCHED, Status.ENROUTE, Status.ARRIVED, Status.DELIVERING
    assert (answer.json()["position"] is not None) == (status in flies)
    assert answer.headers["Cache-Control"] == "public, max-age=1"
    assert answer.headers["Vary"] == "Accept-Language"
    assert "Set-Cookie" not in answer.headers


def test_a_test_order_has_a_position_too() -> None:
    order = order_in(Status.QUEUED, live_mode=False, test_scenario=Scenario.STEP_BY_STEP)
    for _ in ("assigned", "accepted", "launched", "en route"):
        testmode.advance(order.pk)
    assert look(order).json()["position"]


# --- the version of the page ---------------------------------------------------------------------


def _doubt(order: Order) -> None:
    job = order.current_job
    assert job
    discrepancies.raise_(job, Discrepancy.Code.UNCLEAR_LANDING, "It landed somewhere.")


CHANGES: dict[str, Callable[[Order], object]] = {
    "a step": lambda order: lifecycle.advance(order.pk, Status.ARRIVED, by=GCS),
    "a doubt": _doubt,
    "silence": lambda order: show(
        TelemetryFactory(drone_id=DRONE_ID, measured_at=seconds_ago(120), lat=LAT, lng=LNG)
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_another_version_at_once_and_the_page_has_it(change: str) -> None:
    order = secret_order(Status.ENROUTE)
    before = look(order).json()
    assert before["page"] == version_of_the_page(order)
    assert before["position"]

    CHANGES[change](order)

    after = look(order).json()
    assert after["page"] != before["page"]
    if change == "silence":  # no change of the order: the page's copy ends by itself
        time.sleep(cache.MAX_AGE_S)
    assert after["page"] == version_of_the_page(order)
    assert bool(after["position"]) == (change == "a step")


def test_a_new_position_is_no_other_version() -> None:
    order = secret_order(Status.ENROUTE)
    versions = {look(order).json()["page"]}
    for number in range(3):
        fly_to(LAT + number / 1000, LNG)
        versions |= {look(order).json()["page"], version_of_the_page(order)}
    assert len(versions) == 1


@pytest.mark.parametrize("status", Status)
def test_only_a_page_in_flight_asks_for_the_position(status: Status) -> None:
    html = Client().get(path_of(secret_order(status))).content.decode()
    in_flight = (Status.LAUNCHED, Status.ENROUTE, Status.ARRIVED, Status.DELIVERING)
    assert ("data-position=" in html) == (status in in_flight)
    assert ('data-every="0"' in html) == (status in TERMINAL)


def test_the_page_asks_in_its_language() -> None:
    order = secret_order(Status.ENROUTE)
    path = path_of(order)
    assert (
        f'data-position="{path}position?lang=fr"'
        in Client().get(f"{path}?lang=fr").content.decode()
    )


# --- one read for all who watch ------------------------------------------------------------------


@pytest.fixture
def crowd() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(WATCHERS) as pool:
        yield pool


def all_look(crowd: ThreadPoolExecutor, order: Order, watchers: int = WATCHERS) -> set[str]:
    """The versions that watchers see who ask at the same moment."""

    drawn = cache.redis_client.client().hget(picture.KEY, picture.NAME)

    def one(_: int) -> str:
        try:
            return cache.glimpse(order.public_tracking_id, None, drawn, timezone.now()).version
        finally:
            connections.close_all()

    return set(crowd.map(one, range(watchers)))


def test_fifty_watchers_make_one_read_for_each_change(
    reads: list[str], crowd: ThreadPoolExecutor
) -> None:
    order = secret_order(Status.ENROUTE)
    seen = [all_look(crowd, order)]
    assert len(reads) == 1

    fly_to(LAT + 0.001, LNG)
    assert all_look(crowd, order) == seen[0]
    assert len(reads) == 1  # a new position is none

    for number, status in enumerate((Status.ARRIVED, Status.DELIVERING), start=2):
        lifecycle.advance(order.pk, status, by=GCS)
        seen.append(all_look(crowd, order))
        assert len(reads) == number
    assert [len(versions) for versions in seen] == [1, 1, 1]
    assert len(set.union(*seen)) == 3


def test_without_the_claim_each_of_them_reads(
    reads: list[str], crowd: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control for the test above."""
    each_reads = cache.redis_client.Script("return {redis.call('GET', KEYS[1]), 1}")
    monkeypatch.setattr(cache, "_FACTS_OR_READ", each_reads)
    all_look(crowd, secret_order(Status.ENROUTE), watchers=5)
    assert len(reads) >= 5


def test_a_change_while_the_facts_are_read_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    order, read = secret_order(Status.ENROUTE), facts.read

    def read_and_arrive(canonical: str, now: datetime) -> facts.Facts:
        found = read(canonical, now)
        monkeypatch.setattr(facts, "read", read)
        lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)
        return found

    monkeypatch.setattr(facts, "read", read_and_arrive)
    assert cache.fetch(order.public_tracking_id).view["status"] == "ARRIVED"
    assert cache.fetch(order.public_tracking_id).view["status"] == "ARRIVED"


def test_a_note_that_is_rolled_back_changes_nothing(reads: list[str]) -> None:
    order = secret_order(Status.ENROUTE)
    look(order)
    with transaction.atomic():
        lifecycle.note(order.pk, Happened(EventType.LINK_LOST, "Silence."), by=SYSTEM)
        transaction.set_rollback(True)
    look(order)
    assert len(reads) == 1


# --- refusals ------------------------------------------------------------------------------------


def test_an_unknown_link_is_not_found_and_counts_as_a_guess(settings: Settings) -> None:
    settings.API_RATE_LINKS = "2/minute"
    guesses = [Client().get(f"/track/{new_tracking_id()}/position") for _ in range(3)]
    assert [answer.status_code for answer in guesses] == [404, 404, 429]
    assert int(guesses[2].headers["Retry-After"]) >= 1


@pytest.mark.parametrize("limit", ["API_RATE_LINK_POSITIONS", "API_RATE_POSITIONS"])
def test_positions_are_limited_apart_from_pages(limit: str, settings: Settings) -> None:
    setattr(settings, limit, "3/minute")
    order = secret_order(Status.ENROUTE)
    answers = [look(order) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[3].headers["Retry-After"]) >= 1
    assert Client().get(path_of(order)).status_code == 200


def test_without_redis_the_page_is_to_be_asked_and_not_soon(settings: Settings) -> None:
    order = secret_order(Status.ENROUTE)
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    answer = look(order)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert Client().get(path_of(order)).status_code == 200


def test_facts_end_by_themselves() -> None:
    order, waiting = secret_order(Status.ENROUTE), order_in(Status.QUEUED)
    for one, at_most_s in ((order, cache.FLIGHT_S), (waiting, cache.FACTS_S)):
        look(one)
        left = cache.redis_client.ask(
            lambda client, one=one: client.ttl(cache.facts_key(one.public_tracking_id))
        )
        assert 0 < left <= at_most_s
