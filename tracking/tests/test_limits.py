"""Rate limits of calls with a tracking link: per link, and a high ceiling per address."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
import requests
from django.conf import settings as current_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, RequestFactory
from pytest_django import Settings

from orders.models import Order
from orders.states import PodRequirement, Status
from orders.tests.factories import order_in
from orders.tracking_ids import grouped, new_tracking_id
from pod import codes
from tracking.page.pages import FORM_MAX_BYTES, token_of
from wingxtra.accounts.identity import SYSTEM
from wingxtra.api import throttling
from wingxtra.tests.serving import served

pytestmark = pytest.mark.django_db
PHONES, TURNS = 20, 20
DROP = {"lat": 5.615, "lng": -0.175}


@pytest.fixture(autouse=True)
def _nothing_is_counted_yet() -> Iterator[None]:
    with redis.Redis.from_url(current_settings.REDIS_URL) as client:
        if keys := client.keys("wingxtra:calls:*"):
            client.delete(*keys)
        yield


def counted_keys() -> set[str]:
    with redis.Redis.from_url(current_settings.REDIS_URL) as client:
        return {key.decode().removeprefix("wingxtra:calls:") for key in client.keys("*")}


def api(tracking_id: str, rest: str = "") -> str:
    return f"/api/v1/tracking/{tracking_id}{rest}"


def read(tracking_id: str, **extra: Any) -> Any:
    return Client().get(api(tracking_id), **extra)


def write(tracking_id: str, rest: str = "/dropoff", body: Any = DROP) -> Any:
    return Client().post(api(tracking_id, rest), body, content_type="application/json")


def refused(answer: Any) -> Any:
    assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["RateLimit-Remaining"] == "0"
    return answer


# --- per link ------------------------------------------------------------------------------------


def test_reads_of_one_link_are_limited_and_others_go_on(settings: Settings) -> None:
    settings.API_RATE_LINK_READS = "3/minute"
    order, other = order_in(Status.QUEUED), order_in(Status.QUEUED)
    left = [read(order.public_tracking_id).headers["RateLimit-Remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    answer = refused(read(order.public_tracking_id))
    assert answer.json()["detail"].startswith("More than 3 per 1 minute with this link.")
    assert answer.headers["RateLimit-Limit"] == "3"
    assert read(other.public_tracking_id).status_code == 200


def test_all_spellings_and_the_page_are_the_same_link(settings: Settings) -> None:
    settings.API_RATE_LINK_READS = "3/minute"
    link = order_in(Status.QUEUED).public_tracking_id
    for spelling in (link, grouped(link), link.lower()):
        assert read(spelling).status_code == 200
    assert Client().get(f"/track/{link}/").status_code == 429
    assert Client().get(f"/track/{link}/qr.svg").status_code == 429
    assert int(Client().get(f"/track/{link}/qr.svg").headers["Retry-After"]) >= 1


def test_reads_writes_and_codes_are_counted_apart(settings: Settings) -> None:
    settings.API_RATE_LINK_READS = settings.API_RATE_LINK_WRITES = "2/minute"
    settings.API_RATE_LINK_CODES = "1/minute"
    order = order_in(Status.ARRIVED, pod_requirement=PodRequirement.OTP)
    code, link = codes.renew(order.pk, by=SYSTEM), order.public_tracking_id
    wrong = {"otp_code": f"{(int(code) + 1) % 1_000_000:06d}"}
    for _ in range(2):
        assert read(link).status_code == 200
        assert write(link).status_code == 409
    refused(read(link))
    refused(write(link))
    refused(write(link, "/signature", {"signature": []}))
    refused(write(link, "/confirm", {}))
    assert write(link, "/otp", wrong).json()["code"] == "wrong_code"
    refused(write(link, "/otp", {"otp_code": code}))


def test_a_form_over_the_limit_is_the_page_with_a_reason(settings: Settings) -> None:
    settings.API_RATE_LINK_WRITES = "1/minute"
    link = order_in(Status.ARRIVED).public_tracking_id
    form = {"do": "dropoff", "token": token_of(link), "lat": "5.6", "lng": "-0.17"}
    path = f"/track/{link}/?lang="
    assert Client().post(f"{path}en", form).status_code == 409
    answer = Client().post(f"{path}en", form)
    assert answer.status_code == 429
    seconds = int(answer.headers["Retry-After"])
    assert f"Please try again in {seconds} seconds." in answer.content.decode()
    assert 'id="page"' in answer.content.decode()
    french = Client().post(f"{path}fr", form).content.decode()
    assert re.search(r"Réessayez dans \d+ secondes\.", french)


def test_a_large_form_is_counted_before_it_is_read(settings: Settings) -> None:
    """Reading it costs as much as 30 small calls, also when its token is wrong."""
    settings.API_RATE_LINK_WRITES = "1/minute"
    link = order_in(Status.DELIVERED).public_tracking_id

    def send() -> int:
        photo = SimpleUploadedFile("a.jpg", b"x" * 2 * FORM_MAX_BYTES)
        answer = Client().post(f"/track/{link}/", {"token": "no", "photo": photo})
        return int(answer.status_code)

    assert [send(), send()] == [400, 429]


# --- per address ---------------------------------------------------------------------------------


def test_an_unknown_link_counts_against_the_address_alone(settings: Settings) -> None:
    settings.API_RATE_LINKS = "6/minute"
    before = counted_keys()
    for guess in (new_tracking_id(), new_tracking_id(), "nonsense"):
        assert read(guess).status_code == 404
        assert write(guess).status_code == 404
    assert counted_keys() - before == {"links:127.0.0.1"}
    answer = refused(read(new_tracking_id()))
    assert "from this address" in answer.json()["detail"]
    refused(read(order_in(Status.QUEUED).public_tracking_id))
    assert Client().get(f"/track/{new_tracking_id()}/").status_code == 429


def test_calls_with_links_do_not_use_up_the_others_of_the_address(settings: Settings) -> None:
    settings.API_RATE_PUBLIC = "1/minute"
    link = order_in(Status.QUEUED).public_tracking_id
    assert [read(link).status_code for _ in range(3)] == [200] * 3
    assert Client().get("/api/v1/nothing").status_code == 404
    refused(Client().get("/api/v1/nothing"))


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("41.66.0.1", "41.66.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("::ffff:41.66.0.1", "41.66.0.1"),
        ("", ""),
    ],
)
def test_an_ipv6_network_is_one_address(rf: RequestFactory, address: str, counted_as: str) -> None:
    assert throttling.address_of(rf.get("/", REMOTE_ADDR=address)) == counted_as


def test_the_count_of_the_link_costs_no_round_trip_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    link = order_in(Status.QUEUED).public_tracking_id
    read(link)  # fills the copy
    trips: list[Any] = []
    send = throttling.redis_client.RoundTrip.send
    monkeypatch.setattr(
        throttling.redis_client.RoundTrip, "send", lambda trip: trips.append(trip) or send(trip)
    )
    assert read(link).status_code == 200
    assert len(trips) == 1


# --- over HTTP -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_twenty_phones_behind_one_address_each_read_their_own_link() -> None:
    orders = [order_in(Status.ENROUTE) for _ in range(PHONES)]
    limits = {  # those of production, which a guesser meets at the end
        "API_RATE_PUBLIC": "300/minute",
        "API_RATE_LINK_READS": "120/minute",
        "API_RATE_LINKS": f"{2 * PHONES * TURNS + 10}/minute",
    }
    with served(**limits) as (url,), ThreadPoolExecutor(8) as pool:

        def phone(order: Order) -> list[int]:
            with requests.Session() as session:
                paths = (f"/track/{order.public_tracking_id}/", api(order.public_tracking_id))
                return [
                    session.get(url + path, timeout=60).status_code
                    for _ in range(TURNS)
                    for path in paths
                ]

        statuses = [status for one in pool.map(phone, orders) for status in one]
        assert len(statuses) == 2 * PHONES * TURNS > 300
        assert set(statuses) == {200}
        guesses = [guess(url) for _ in range(20)]
    assert guesses == [404] * 10 + [429] * 10


def guess(url: str) -> int:
    return requests.get(url + api(new_tracking_id()), timeout=60).status_code
