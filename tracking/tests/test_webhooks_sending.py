"""Sending webhooks: signatures, retries, order, claims, and endpoints that are switched off."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import dramatiq
import pytest
import time_machine
from django.db import connections
from django.utils import timezone
from pytest_django import Settings
from standardwebhooks import Webhook, WebhookVerificationError

from orders import lifecycle
from orders.models import Order
from orders.states import EventType, Happened, Status
from orders.tests.factories import order_in
from tracking.models import (
    MAX_CLAIMED_PER_ENDPOINT,
    SWEEP_PER_ENDPOINT,
    WebhookDelivery,
    WebhookEndpoint,
)
from tracking.tests.receiver import (
    SECRET,
    Received,
    Receiver,
    WebhookFactory,
    deliver,
    receiving,
)
from tracking.webhooks import deliveries, endpoints
from wingxtra import outbox
from wingxtra.accounts.identity import SYSTEM
from wingxtra.outbox import Claim
from wingxtra.tests.test_broker import wait_until
from wingxtra.webhooks import secrets

pytestmark = pytest.mark.django_db
State = WebhookDelivery.State
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
# A busy machine stalls for seconds; a barrier that breaks makes a control fail.
TOGETHER_WITHIN_S = 30


@pytest.fixture(autouse=True)
def _loopback_is_trusted(settings: Settings) -> None:
    settings.WEBHOOK_TRUSTED_HOSTS = ["127.0.0.1"]
    settings.WEBHOOK_TIMEOUT_S = 30.0  # the receiver answers when its thread gets its turn


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def endpoint(receiver: Receiver) -> WebhookEndpoint:
    return WebhookFactory(url=receiver.url)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def placed(endpoint: WebhookEndpoint) -> Order:
    """An order with one waiting delivery, of type order.queued."""
    row = WebhookEndpoint.objects.filter(pk=endpoint.pk)
    row.update(events=["order.queued"])
    order = order_in(Status.QUEUED, merchant=endpoint.merchant)
    row.update(events=[])
    return order


def one(**wanted: Any) -> WebhookDelivery:
    return WebhookDelivery.objects.select_related("endpoint").get(**wanted)


def due_now() -> list[UUID]:
    return list(
        WebhookDelivery.objects.due_per_endpoint(timezone.now()).values_list("pk", flat=True)
    )


def sweep() -> list[bool]:
    """One round of the scheduler and the workers. Returns which deliveries arrived."""
    return [deliver(pk) for pk in due_now()]


def drain() -> None:
    while any(sweep()):
        pass


# --- signatures ----------------------------------------------------------------------------------


def test_the_public_library_verifies_what_arrives(
    receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    order_in(Status.ASSIGNED, merchant=endpoint.merchant)
    drain()
    assert len(receiver.received) == 4
    for message in receiver.received:
        verified = Webhook(SECRET).verify(message.body, message.headers)
        assert verified["type"].startswith("order.")
        assert message.headers["content-type"] == "application/json"
        assert message.path == "/hooks?shop=7"
    assert receiver.ids == [str(row.pk) for row in WebhookDelivery.objects.order_by("event_id")]


def test_the_signature_matches_the_schemes_example() -> None:
    signed = secrets.signatures(
        [SECRET],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1614265330, tz=UTC),
        '{"test": 2432232314}',
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_changed_body_or_another_secret_fails_verification(
    receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    placed(endpoint)
    drain()
    (message,) = receiver.received
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(message.body + b" ", message.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secrets.new_secret()).verify(message.body, message.headers)


def test_for_a_day_after_a_rotation_either_secret_verifies(
    receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    _, secret = endpoints.rotate_secret(endpoint.pk)
    placed(endpoint)
    drain()
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        placed(endpoint)
        drain()
        within, after = receiver.received
        Webhook(secret).verify(after.body, after.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(after.body, after.headers)
    for key in (SECRET, secret):
        Webhook(key).verify(within.body, within.headers)
    assert within.headers["webhook-signature"].count("v1,") == 2


def test_an_unreadable_secret_is_reported_and_fixed_by_rotation(
    receiver: Receiver, endpoint: WebhookEndpoint, settings: Settings
) -> None:
    placed(endpoint)
    settings.SECRET_KEY = "lost the former one"
    drain()
    assert "Rotate the secret" in one().attempts[0]["answer"]
    assert not receiver.received
    _, secret = endpoints.rotate_secret(endpoint.pk)
    endpoints.replay(one())
    drain()
    Webhook(secret).verify(receiver.received[0].body, receiver.received[0].headers)


# --- retries -------------------------------------------------------------------------------------


def test_retries_have_growing_pauses_and_end_after_three_days(
    receiver: Receiver, endpoint: WebhookEndpoint, clock: time_machine.Traveller
) -> None:
    receiver.respond = lambda _: 500
    placed(endpoint)
    tried_at = []
    for _ in range(12):
        sweep()
        if one().state != State.WAITING:
            break
        tried_at.append(timezone.now())
        assert sweep() == []  # not due yet
        clock.move_to(one().next_try_at)
    pauses = [(after - before).total_seconds() for before, after in pairwise(tried_at)]
    pauses.append((timezone.now() - tried_at[-1]).total_seconds())
    assert len(receiver.received) == 10
    for pause, planned in zip(pauses, deliveries.PAUSES_S, strict=True):
        assert planned <= pause <= 1.1 * planned
    delivery = one()
    assert (delivery.state, delivery.tries) == (State.GIVEN_UP, 10)
    assert len(set(receiver.ids)) == 1
    stamps = [message.headers["webhook-timestamp"] for message in receiver.received]
    assert len(set(stamps)) == 10


def test_a_failed_delivery_arrives_once_the_receiver_works(
    receiver: Receiver, endpoint: WebhookEndpoint, clock: time_machine.Traveller
) -> None:
    answers = iter([503, 500, 200])
    receiver.respond = lambda _: next(answers)
    placed(endpoint)
    for seconds in (0, 6, 331):
        clock.shift(seconds)
        sweep()
    delivery = one()
    assert delivery.state == State.DELIVERED
    assert [attempt["status"] for attempt in delivery.attempts] == [503, 500, 200]
    assert delivery.endpoint.last_success_at == timezone.now()
    for message in receiver.received[-1:]:
        Webhook(SECRET).verify(message.body, message.headers)


def test_every_try_records_time_status_and_start_of_the_answer(
    receiver: Receiver, endpoint: WebhookEndpoint, clock: time_machine.Traveller
) -> None:
    receiver.respond = lambda _: (500, {}, b"Database\0 is \xff down. " + b"x" * 100_000)
    placed(endpoint)
    sweep()
    (attempt,) = one().attempts
    assert (attempt["at"], attempt["status"]) == ("2026-03-01T12:00:00.000Z", 500)
    assert attempt["answer"].startswith("Database� is � down. xxx")
    assert len(attempt["answer"]) == 1000
    assert attempt["took_ms"] >= 0


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_a_failure_and_not_followed(
    receiver: Receiver, endpoint: WebhookEndpoint, status: int
) -> None:
    receiver.respond = lambda _: (status, {"Location": receiver.url}, b"")
    placed(endpoint)
    drain()
    assert len(receiver.received) == 1
    assert one().state == State.WAITING


def test_a_receiver_that_never_answers_takes_one_timeout_and_then_rests(
    receiver: Receiver, endpoint: WebhookEndpoint, settings: Settings
) -> None:
    settings.WEBHOOK_TIMEOUT_S = 1.1
    stop = threading.Event()
    receiver.respond = lambda _: 200 if stop.wait(30) else 500
    placed(endpoint)
    placed(endpoint)
    deliver(due_now()[0])
    stop.set()
    tried = one(tries=1)
    assert tried.attempts[0]["status"] is None
    assert tried.attempts[0]["answer"] == "No answer within 1.1 s."
    assert due_now() == []
    with time_machine.travel(timezone.now() + timedelta(seconds=20)):
        assert len(due_now()) == 2


# --- order ---------------------------------------------------------------------------------------


def test_a_later_event_of_an_order_waits_for_the_earlier_one(
    receiver: Receiver, endpoint: WebhookEndpoint, clock: time_machine.Traveller
) -> None:
    receiver.respond = lambda _: 500
    order = order_in(Status.QUEUED, merchant=endpoint.merchant)
    created, validated, queued = WebhookDelivery.objects.order_by("event_id")
    sweep()
    assert not deliver(queued.pk)
    assert not deliver(validated.pk)
    assert receiver.ids == [str(created.pk)]
    other = placed(endpoint)  # another order does not wait
    sweep()
    assert receiver.ids == [str(created.pk), str(one(order=other).pk)]
    receiver.respond = lambda _: 204
    clock.shift(6)
    drain()
    own = [i for i in receiver.ids if UUID(i) in {created.pk, validated.pk, queued.pk}]
    assert own == [str(pk) for pk in (created.pk, created.pk, validated.pk, queued.pk)]
    assert not WebhookDelivery.objects.filter(order=order).waiting().exists()


def types_of(receiver: Receiver) -> list[str]:
    return [json.loads(message.body)["type"] for message in receiver.received]


def live_through(clock: time_machine.Traveller, minutes: float) -> None:
    """Sweeps every five seconds."""
    for _ in range(round(minutes * 12)):
        drain()
        clock.shift(5)


def refuses(status: int, *types: str) -> Callable[[Received], int]:
    return lambda got: status if json.loads(got.body)["type"] in types else 204


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refused_event_holds_back_the_later_ones_until_it_is_refused_again(
    receiver: Receiver, endpoint: WebhookEndpoint, clock: time_machine.Traveller, status: int
) -> None:
    receiver.respond = refuses(status, "order.validated")
    order_in(Status.ASSIGNED, merchant=endpoint.merchant)
    drain()
    assert types_of(receiver) == ["order.created", "order.validated"]
    live_through(clock, minutes=0.5)
    assert types_of(receiver)[2:] == ["order.validated", "order.queued", "order.assigned"]
    live_through(clock, minutes=6)  # its own retries go on
    assert types_of(receiver)[5:] == ["order.validated"]
    receiver.respond = lambda _: 204
    clock.shift(35 * 60)
    drain()
    assert types_of(receiver)[6:] == ["order.validated"]
    assert not WebhookDelivery.objects.waiting().exists()


def test_an_order_whose_every_event_is_refused_goes_on_within_three_minutes(
    receiver: Receiver, endpoint: WebhookEndpoint, clock: time_machine.Traveller
) -> None:
    receiver.respond = lambda got: 204 if b'"order.delivered"' in got.body[:40] else 422
    order_in(Status.DELIVERED, merchant=endpoint.merchant)
    live_through(clock, minutes=3)
    assert "order.delivered" in types_of(receiver)
    firsts = list(dict.fromkeys(types_of(receiver)))
    events = WebhookDelivery.objects.order_by("event_id").values_list("type", flat=True)
    assert firsts == list(dict.fromkeys(events))


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_an_event_that_fails_holds_back_the_later_ones_for_five_minutes(
    receiver: Receiver, endpoint: WebhookEndpoint, clock: time_machine.Traveller, status: int
) -> None:
    receiver.respond = refuses(status, "order.created")
    order_in(Status.QUEUED, merchant=endpoint.merchant)
    live_through(clock, minutes=4.9)
    assert set(types_of(receiver)) == {"order.created"}
    live_through(clock, minutes=0.3)
    rest = [kind for kind in types_of(receiver) if kind != "order.created"]
    assert rest == ["order.validated", "order.queued"]


@pytest.mark.parametrize(
    ("answers", "held_s"),
    [
        ([422], 60),
        ([422, 422], 0),
        ([422, 503], 60),
        ([503], 300),
        ([503, 503], 300),
        ([503, 422], 0),
        ([408, 429], 300),
        ([301], 300),
    ],
)
def test_how_long_an_event_holds_back_the_later_ones(
    receiver: Receiver,
    endpoint: WebhookEndpoint,
    clock: time_machine.Traveller,
    answers: list[int],
    held_s: int,
) -> None:
    left = iter(answers)
    receiver.respond = lambda _: next(left)
    placed(endpoint)
    for _ in answers:
        sweep()
        tried_at = timezone.now()
        clock.shift(6)
    began_at = START if held_s else tried_at
    assert one().holds_until == began_at + timedelta(seconds=held_s)


def test_a_replayed_event_goes_before_the_later_ones_again(
    receiver: Receiver, endpoint: WebhookEndpoint, clock: time_machine.Traveller
) -> None:
    receiver.respond = refuses(422, "order.created")
    order_in(Status.VALIDATED, merchant=endpoint.merchant)
    live_through(clock, minutes=0.5)
    created = one(type="order.created")
    assert created.holds_until is not None
    endpoints.replay(created)
    assert one(pk=created.pk).holds_until is None
    WebhookDelivery.objects.filter(type="order.validated").update(state=State.WAITING)
    assert due_now() == [created.pk]


def test_the_next_event_is_sent_once_the_earlier_one_is_given_up(
    receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    receiver.respond = lambda _: 500
    order_in(Status.QUEUED, merchant=endpoint.merchant)
    created, validated, _ = WebhookDelivery.objects.order_by("event_id")
    WebhookDelivery.objects.filter(pk=created.pk).update(tries=9)
    sweep()
    assert one(pk=created.pk).state == State.GIVEN_UP
    assert due_now() == [validated.pk]


def test_one_endpoint_does_not_wait_for_another(receiver: Receiver) -> None:
    broken = WebhookFactory(url="http://127.0.0.1:1/")
    well = WebhookFactory(url=receiver.url, merchant=broken.merchant)
    order_in(Status.QUEUED, merchant=well.merchant)
    for _ in range(3):
        sweep()
    assert len(receiver.received) == 3
    assert not WebhookDelivery.objects.waiting().filter(endpoint=well).exists()
    assert WebhookDelivery.objects.waiting().filter(endpoint=broken).count() == 3


# --- switched off --------------------------------------------------------------------------------


def test_410_switches_the_endpoint_off_at_once(
    receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    receiver.respond = lambda _: 410
    order_in(Status.QUEUED, merchant=endpoint.merchant)
    sweep()
    off = WebhookEndpoint.objects.switched_off().get()
    assert (off.enabled, off.switched_off_because) == (False, "It answered 410 (Gone).")
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {State.GIVEN_UP}
    order_in(Status.QUEUED, merchant=endpoint.merchant)
    assert WebhookDelivery.objects.count() == 3
    assert sweep() == []


def test_an_endpoint_that_fails_for_three_days_is_switched_off_and_says_so(
    receiver: Receiver, endpoint: WebhookEndpoint, clock: time_machine.Traveller
) -> None:
    receiver.respond = lambda _: (500, {}, b"Out of order.")
    placed(endpoint)
    while sweep():
        clock.move_to(one().next_try_at)
    off = WebhookEndpoint.objects.switched_off().get()
    assert timedelta(days=3) <= off.switched_off_at - START < timedelta(days=3.5)
    assert off.switched_off_because == (
        "Nothing has arrived there since 01 March 2026, 12:00 UTC. Last: 500 Out of order."
    )
    assert not WebhookDelivery.objects.waiting().exists()


def test_an_endpoint_that_refuses_one_message_and_takes_others_stays_on(
    receiver: Receiver, endpoint: WebhookEndpoint, clock: time_machine.Traveller
) -> None:
    poison = one(order=placed(endpoint))
    receiver.respond = lambda got: 500 if got.headers["webhook-id"] == str(poison.pk) else 200
    while one(pk=poison.pk).state == State.WAITING:
        sweep()
        clock.move_to(one(pk=poison.pk).next_try_at)
        placed(endpoint)
        sweep()
    assert one(pk=poison.pk).given_up_because == "All ten tries failed."
    assert WebhookEndpoint.objects.get().enabled
    assert not WebhookEndpoint.objects.switched_off().exists()


def test_an_endpoint_that_was_switched_on_again_gets_deliveries(
    receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    receiver.respond = lambda _: 410
    placed(endpoint)
    sweep()
    endpoints.change(endpoint.pk, {"enabled": True})
    receiver.respond = lambda _: 204
    endpoints.replay(one())
    drain()
    assert one().state == State.DELIVERED
    assert not WebhookEndpoint.objects.switched_off().exists()


# --- replays and test events ---------------------------------------------------------------------


def test_a_replay_sends_the_same_message_under_the_same_id(
    receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    placed(endpoint)
    drain()
    endpoints.replay(one())
    drain()
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert len(one().attempts) == 2


def test_a_test_event_is_tried_once(receiver: Receiver, endpoint: WebhookEndpoint) -> None:
    endpoints.make_test(endpoint)
    drain()
    assert Webhook(SECRET).verify(receiver.received[0].body, receiver.received[0].headers)
    receiver.respond = lambda _: 500
    failed = endpoints.make_test(endpoint)
    sweep()
    assert one(pk=failed.pk).state == State.GIVEN_UP


# --- concurrency ---------------------------------------------------------------------------------


def at_once(count: int, work: Callable[[], Any]) -> list[Any]:
    barrier = threading.Barrier(count)

    def run() -> Any:
        barrier.wait(TOGETHER_WITHIN_S)
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return [done.result(90) for done in [pool.submit(run) for _ in range(count)]]


@pytest.mark.django_db(transaction=True)
def test_one_of_many_workers_sends(receiver: Receiver, endpoint: WebhookEndpoint) -> None:
    placed(endpoint)
    pk = one().pk
    assert sorted(at_once(8, lambda: deliver(pk))) == [False] * 7 + [True]
    assert len(receiver.received) == 1


@pytest.mark.django_db(transaction=True)
def test_control_without_the_claim_all_workers_send(
    receiver: Receiver, endpoint: WebhookEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows that the test above would fail without the claim."""
    placed(endpoint)
    pk = one().pk
    shared = Claim(WebhookDelivery, pk, uuid4())
    WebhookDelivery.objects.filter(pk=pk).update(claim_id=shared.id)
    monkeypatch.setattr(outbox.Claims, "claim", lambda *_, **__: shared)
    # A worker that comes later must not see the claim of another one here either.
    monkeypatch.setattr(deliveries._is_unblocked, "first", lambda **_: True)
    all_have_claimed = threading.Barrier(8)
    send = deliveries._send

    def send_together(*arguments: Any) -> Any:
        all_have_claimed.wait(TOGETHER_WITHIN_S)
        return send(*arguments)

    monkeypatch.setattr(deliveries, "_send", send_together)
    at_once(8, lambda: deliver(pk))
    assert len(receiver.received) == 8


@pytest.mark.django_db(transaction=True)
def test_a_slow_endpoint_takes_at_most_two_workers(
    receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    go_on = threading.Event()
    receiver.respond = lambda _: 204 if go_on.wait(30) else 500
    for _ in range(5):
        placed(endpoint)
    with ThreadPoolExecutor(5) as pool:

        def run(pk: UUID) -> bool:
            try:
                return deliver(pk)
            finally:
                connections.close_all()

        first = [pool.submit(run, pk) for pk in due_now()[:2]]
        wait_until(lambda: len(receiver.received) == MAX_CLAIMED_PER_ENDPOINT)
        assert due_now() == []
        go_on.set()
        assert all(sent.result(60) for sent in first)
    assert len(due_now()) == 3


def test_the_number_of_parallel_tries_is_limited(settings: Settings) -> None:
    settings.WEBHOOK_AT_ONCE = 3
    for _ in range(4):
        placed(WebhookFactory())
    pks = due_now()
    assert len(pks) == 4
    soon = timezone.now() + timedelta(minutes=1)
    WebhookDelivery.objects.filter(pk__in=pks[:3]).update(claimed_until=soon)
    assert due_now() == []


def test_an_expired_claim_is_taken_by_another_worker(
    receiver: Receiver, endpoint: WebhookEndpoint, clock: time_machine.Traveller
) -> None:
    placed(endpoint)
    WebhookDelivery.objects.update(claimed_until=timezone.now() + timedelta(seconds=70))
    assert sweep() == []
    clock.shift(71)
    assert sweep() == [True]


def test_a_busy_merchant_does_not_delay_others(receiver: Receiver) -> None:
    busy, quiet = WebhookFactory(url=receiver.url), WebhookFactory(url=receiver.url)
    for _ in range(15):
        placed(busy)
    last = one(order=placed(quiet))
    pks = due_now()
    assert last.pk in pks
    assert len(pks) == SWEEP_PER_ENDPOINT + 1


# --- with a real worker --------------------------------------------------------------------------


@pytest.fixture
def _worker() -> Iterator[None]:
    worker = dramatiq.Worker(
        dramatiq.get_broker(), queues={"webhooks"}, worker_threads=2, worker_timeout=50
    )
    worker.start()
    yield
    worker.stop()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_worker")
def test_a_worker_sends_all_events_in_order(receiver: Receiver, endpoint: WebhookEndpoint) -> None:
    order = order_in(Status.DELIVERED, merchant=endpoint.merchant)
    lifecycle.note(order.pk, Happened(EventType.LINK_LOST, "Silent."), by=SYSTEM)
    count = WebhookDelivery.objects.count()
    wait_until(lambda: len(receiver.received) == count)
    messages = [Webhook(SECRET).verify(got.body, got.headers) for got in receiver.received]
    ids = [message["data"]["event"]["id"] for message in messages]
    assert ids == sorted(ids)
    assert [message["type"] for message in messages[-2:]] == ["order.delivered", "order.link_lost"]
