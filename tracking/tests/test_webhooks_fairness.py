"""A slow receiver delays no other: limits per endpoint, merchant and speed, over real HTTP."""

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import dramatiq
import pytest
import time_machine
from django.db import connections
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from orders import lifecycle
from orders.states import EventType, Happened, Status
from orders.tests.factories import order_in
from tracking import actors
from tracking.models import (
    MAX_CLAIMED_PER_ENDPOINT,
    MAX_CLAIMED_PER_MERCHANT,
    MAX_CLAIMED_PER_QUICK_ENDPOINT,
    WebhookDelivery,
    WebhookEndpoint,
)
from tracking.tests.receiver import Received, Receiver, WebhookFactory, deliver, receiving
from tracking.webhooks import deliveries, endpoints
from wingxtra import outbox
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory
from wingxtra.tests.test_broker import manage, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
State = WebhookDelivery.State
# A busy machine stalls for seconds; a barrier that breaks makes a control fail.
TOGETHER_WITHIN_S = 30


@pytest.fixture(autouse=True)
def _loopback_is_trusted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.WEBHOOK_TRUSTED_HOSTS = ["127.0.0.1"]
    monkeypatch.setenv("WEBHOOK_TRUSTED_HOSTS", "127.0.0.1")  # for processes


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def waiting(endpoint: WebhookEndpoint, count: int = 1) -> list[UUID]:
    """Deliveries of as many orders."""
    row = WebhookEndpoint.objects.filter(pk=endpoint.pk)
    row.update(events=["order.queued"])
    others = endpoint.merchant.webhooks.exclude(pk=endpoint.pk)
    others.update(events=["order.lost"])
    for _ in range(count):
        order_in(Status.QUEUED, merchant=endpoint.merchant, live_mode=endpoint.live_mode)
    return list(WebhookDelivery.objects.filter(endpoint=endpoint).values_list("pk", flat=True))


def due() -> set[UUID]:
    return {row.endpoint_id for row in WebhookDelivery.objects.due(timezone.now())}


def under_way() -> int:
    return WebhookDelivery.objects.filter(claimed_until__gt=timezone.now()).count()


def together(works: list[Callable[[], Any]]) -> list[Any]:
    ready = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        ready.wait(TOGETHER_WITHIN_S)
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as pool:
        return [done.result(90) for done in [pool.submit(run, work) for work in works]]


# --- the limits ----------------------------------------------------------------------------------


def claims_of_eight_workers() -> int:
    pks = waiting(WebhookFactory(), 8)
    together([lambda pk=pk: deliveries.take(pk) for pk in pks])
    return under_way()


def test_workers_that_claim_at_the_same_time_keep_the_limit_per_endpoint() -> None:
    assert claims_of_eight_workers() == MAX_CLAIMED_PER_ENDPOINT


def test_control_without_the_lock_they_exceed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    all_have_claimed = threading.Barrier(8)
    claim = outbox.Claims.claim

    def claim_together(*arguments: Any, **values: Any) -> Any:
        claimed = claim(*arguments, **values)
        all_have_claimed.wait(TOGETHER_WITHIN_S)
        return claimed

    monkeypatch.setattr(deliveries._lock_merchant, "first", lambda **_: None)
    monkeypatch.setattr(outbox.Claims, "claim", claim_together)
    assert claims_of_eight_workers() == 8


def test_a_quick_endpoint_gets_more_and_leaves_some_to_the_others_of_its_merchant() -> None:
    merchant = MerchantFactory()
    quick = WebhookFactory(merchant=merchant, is_quick=True)
    pks = waiting(quick, MAX_CLAIMED_PER_QUICK_ENDPOINT + 2)
    taken = [deliveries.take(pk) is not None for pk in pks]
    assert sum(taken) == MAX_CLAIMED_PER_QUICK_ENDPOINT
    other = WebhookFactory(merchant=merchant)
    others = waiting(other, 3)
    taken = [deliveries.take(pk) is not None for pk in others]
    assert sum(taken) == MAX_CLAIMED_PER_MERCHANT - MAX_CLAIMED_PER_QUICK_ENDPOINT


def test_one_statement_tells_that_an_endpoint_has_no_room(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    """A busy endpoint causes many calls that find nothing to do."""
    *taken, third = waiting(WebhookFactory(), MAX_CLAIMED_PER_ENDPOINT + 1)
    assert all(deliveries.take(pk) for pk in taken)
    with django_assert_num_queries(1):
        assert deliveries.take(third) is None


def test_the_endpoints_of_one_merchant_share_a_limit() -> None:
    merchant = MerchantFactory()
    own = WebhookFactory.create_batch(6, merchant=merchant)
    pks = [pk for endpoint in own for pk in waiting(endpoint, 2)]
    assert sum(deliveries.take(pk) is not None for pk in pks) == MAX_CLAIMED_PER_MERCHANT
    other = WebhookFactory()
    waiting(other)
    assert due() == {other.pk}


def test_endpoints_that_are_not_quick_get_half_of_the_tries(settings: Settings) -> None:
    settings.WEBHOOK_AT_ONCE = 4
    quick = WebhookFactory(is_quick=True)
    slow = WebhookFactory.create_batch(3)
    pks = [pk for endpoint in slow for pk in waiting(endpoint, 2)]
    assert sum(deliveries.take(pk) is not None for pk in pks) == 2
    waiting(quick)
    assert due() == {quick.pk}


def test_an_endpoint_is_quick_after_an_answer_within_a_second(receiver: Receiver) -> None:
    endpoint = WebhookFactory(url=receiver.url)
    first, second = waiting(endpoint, 2)
    assert deliver(first)
    assert WebhookEndpoint.objects.get().is_quick
    receiver.respond = lambda _: time.sleep(1.05) or 204
    assert deliver(second)
    assert not WebhookEndpoint.objects.get().is_quick


def test_the_sweep_takes_turns() -> None:
    busy, calm = WebhookFactory(), WebhookFactory()
    waiting(busy, 4)
    waiting(calm, 2)
    found = WebhookDelivery.objects.due_per_endpoint(timezone.now())
    of_calm = [row.endpoint_id == calm.pk for row in found]
    assert len(of_calm) == 6
    assert sum(of_calm[:2]) == 1
    assert sum(of_calm[:4]) == 2


def test_switching_off_while_a_result_is_written_is_no_deadlock(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = WebhookFactory(url=receiver.url, last_success_at=None)
    (pk,) = waiting(endpoint)
    has_endpoint = threading.Event()
    give_up = deliveries.give_up_waiting

    def slowly(endpoint: WebhookEndpoint) -> None:
        has_endpoint.set()
        time.sleep(0.3)
        give_up(endpoint)

    monkeypatch.setattr(endpoints, "give_up_waiting", slowly)
    receiver.respond = lambda _: 204 if has_endpoint.wait(10) else 500
    together([lambda: deliver(pk), lambda: endpoints.change(endpoint.pk, {"enabled": False})])
    assert WebhookDelivery.objects.get().state == State.DELIVERED
    assert not WebhookEndpoint.objects.get().enabled


# --- with real workers ---------------------------------------------------------------------------


@contextmanager
def working(threads: int, sweep_every_s: float) -> Iterator[None]:
    """A worker of this process, and the sweep."""
    worker = dramatiq.Worker(
        dramatiq.get_broker(),
        queues={"webhooks", "default"},
        worker_threads=threads,
        worker_timeout=50,
    )
    stop = threading.Event()

    def sweep() -> None:
        while not stop.wait(sweep_every_s):
            actors.sweep_webhooks.send()

    sweeper = threading.Thread(target=sweep)
    worker.start()
    sweeper.start()
    try:
        yield
    finally:
        stop.set()
        sweeper.join()
        WebhookDelivery.objects.all().delete()
        worker.stop()


def busy_merchant(slow: Receiver, orders: int) -> Merchant:
    """Two slow endpoints, and test orders with three events each."""
    merchant = MerchantFactory()
    WebhookFactory.create_batch(2, merchant=merchant, live_mode=False, url=slow.url)
    for _ in range(orders):
        order_in(Status.QUEUED, merchant=merchant, live_mode=False)
    return merchant


def delays_s(quick: Receiver, *, events: int, every_s: float) -> list[float]:
    """How long each event of another merchant took to arrive; infinite if it did not."""
    endpoint = WebhookFactory(url=quick.url)
    order = order_in(Status.ASSIGNED, merchant=endpoint.merchant)
    arrived_at: dict[str, datetime] = {}

    def note(got: Received) -> int:
        arrived_at.setdefault(got.headers["webhook-id"], timezone.now())
        return 204

    quick.respond = note
    for _ in range(events):
        lifecycle.note(order.pk, Happened(EventType.LINK_LOST, "Silent."), by=SYSTEM)
        time.sleep(every_s)
    sent = WebhookDelivery.objects.filter(endpoint=endpoint, type="order.link_lost")
    return [
        (arrived_at[str(pk)] - at).total_seconds() if str(pk) in arrived_at else float("inf")
        for pk, at in sent.values_list("pk", "created_at")
    ]


def p95(delays: list[float]) -> float:
    return sorted(delays)[math.ceil(0.95 * len(delays)) - 1]


# 9 s for an answer and 120 s for 40 events, divided by 7.5. The limit is the real one.
SLOW_S, EVERY_S, P95_S = 1.2, 0.4, 5.0


def delays_beside_slow_endpoints(events: int) -> list[float]:
    with receiving() as slow, receiving() as quick:
        slow.respond = lambda _: time.sleep(SLOW_S) or 204
        busy_merchant(slow, orders=60)
        with working(threads=2, sweep_every_s=0.67):
            delays = delays_s(quick, events=events, every_s=EVERY_S)
        assert len(slow.received) > events * EVERY_S  # they were busy all the time
    return delays


def test_one_merchants_slow_endpoints_do_not_delay_another_merchant() -> None:
    delays = delays_beside_slow_endpoints(40)
    assert len(delays) == 40
    assert p95(delays) < P95_S


def test_control_in_the_threads_of_the_worker_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors, "beside", lambda work, *arguments: work(*arguments))
    assert p95(delays_beside_slow_endpoints(8)) > P95_S


def test_a_worker_that_is_terminated_writes_the_result_of_what_it_sends(
    receiver: Receiver,
) -> None:
    go_on = threading.Event()
    receiver.respond = lambda _: 204 if go_on.wait(10) else 500
    (pk,) = waiting(WebhookFactory(url=receiver.url))
    with manage("worker", settings_module="wingxtra.settings") as worker:
        actors.send_webhook.send(str(pk))
        wait_until(lambda: receiver.received)
        worker.send_signal(signal.SIGTERM)
        time.sleep(1.5)  # longer than the worker's own threads need to end
        assert worker.poll() is None
        go_on.set()
        wait_until(lambda: worker.poll() is not None)
    assert WebhookDelivery.objects.get().state == State.DELIVERED
    assert len(receiver.received) == 1


def test_the_claims_of_a_killed_worker_end_by_themselves(receiver: Receiver) -> None:
    go_on = threading.Event()
    receiver.respond = lambda _: 204 if go_on.wait(10) else 500
    pks = waiting(WebhookFactory(url=receiver.url), 3)
    with manage("worker", settings_module="wingxtra.settings") as worker:
        for pk in pks:
            actors.send_webhook.send(str(pk))
        wait_until(lambda: len(receiver.received) == MAX_CLAIMED_PER_ENDPOINT)
        children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
        worker.kill()  # first, or it would replace them
        for child in children:
            os.kill(int(child), signal.SIGKILL)
    assert under_way() == MAX_CLAIMED_PER_ENDPOINT
    assert due() == set()
    go_on.set()
    with time_machine.travel(timezone.now() + timedelta(seconds=26)):
        assert under_way() == 0
        assert all(deliver(pk) for pk in pks)
