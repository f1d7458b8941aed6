"""Rate limits and idempotency are exact across several processes."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from threading import Barrier

import pytest
import requests

from fleet.tests.factories import DroneFactory, TelemetryFactory, show
from orders.models import Order
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey
from wingxtra.accounts.tests.factories import MerchantFactory
from wingxtra.tests.serving import served

pytestmark = pytest.mark.django_db(transaction=True)

ORDER = {
    "pickup_lat": 5.6037,
    "pickup_lng": -0.1870,
    "dropoff_lat": 5.6150,
    "dropoff_lng": -0.1750,
    "payload_weight_kg": 0.8,
    "external_id": "INV-1",
}
PATIENCE_S = 60


@pytest.fixture
def key(transactional_db: None) -> str:
    return ApiKey.issue(name="till 3", role=Role.MERCHANT, merchant=MerchantFactory())[1]


def test_exactly_fifty_of_two_hundred_calls_to_two_processes_pass(key: str) -> None:
    def call(url: str) -> requests.Response:
        return requests.get(f"{url}/api/v1/orders", headers={"X-API-Key": key}, timeout=60)

    with (
        served(servers=2, API_RATE_AUTHENTICATED="50/hour") as urls,
        ThreadPoolExecutor(8) as threads,
    ):
        answers = list(threads.map(call, islice(cycle(urls), 200)))

    passed = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert (len(passed), len(refused)) == (50, 150)
    assert sorted(int(one.headers["RateLimit-Remaining"]) for one in passed)[0] == 0
    assert all(1 <= int(one.headers["Retry-After"]) <= 3600 for one in refused)
    assert {one.json()["code"] for one in refused} == {"throttled"}


def test_fifty_concurrent_orders_under_one_key_create_one_order_and_all_get_its_answer(
    key: str,
) -> None:
    drone = DroneFactory()
    show(TelemetryFactory(drone_id=drone.pk))
    together = Barrier(50)
    headers = {"X-API-Key": key, "Idempotency-Key": "once"}

    def place(url: str) -> list[requests.Response]:
        """All answers to this client, up to the final one."""
        together.wait(PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        heard = []
        while time.monotonic() < deadline:
            heard.append(
                requests.post(f"{url}/api/v1/orders", json=ORDER, headers=headers, timeout=60)
            )
            if heard[-1].status_code != 409:
                break
            time.sleep(0.05)
        return heard

    with served(servers=4) as urls, ThreadPoolExecutor(50) as threads:
        heard = list(threads.map(place, islice(cycle(urls), 50)))

    order = Order.objects.get()
    last = [answers[-1] for answers in heard]
    assert {answer.status_code for answer in last} == {201}
    assert {answer.content for answer in last} == {last[0].content}
    assert last[0].json()["id"] == str(order.pk)
    assert sum("Idempotency-Replayed" not in answer.headers for answer in last) == 1
    waited = [answer for answers in heard for answer in answers[:-1]]
    assert {answer.json()["code"] for answer in waited} <= {"idempotency_in_progress"}
    assert all("Retry-After" in answer.headers for answer in waited)
