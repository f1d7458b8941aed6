"""Tries with processes that are killed, hang, or are full."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import requests

from orders.states import PodRequirement, Status
from orders.tests.factories import order_in
from pod import codes
from tracking.tests.receiver import WebhookFactory
from tracking.webhooks.endpoints import MAX_PER_MERCHANT
from wingxtra.accounts.identity import SYSTEM, Role
from wingxtra.accounts.models import ApiKey
from wingxtra.accounts.tests.factories import MerchantFactory
from wingxtra.redis_client import client
from wingxtra.tests.attack.bodies import order_body
from wingxtra.tests.attack.stack import Seen, Stack, Visitor, valkey
from wingxtra.tests.edge import killed_and_replaced, master_of

# The other processes serve in between, so no call may fail. A new one loads Django, which takes 2 s
# on an idle machine and 5 s on a busy one.
REPLACED_WITHIN_S = 10.0
# Hints are given up within 0.5 s in total; the rest is the work itself on a busy machine.
ORDER_WITHIN_S = 2.0
HEALTH_WITHIN_S = 0.5
AT_ONCE = 8
STROKES = [[[0, 0], [30, 20], [60, 5]]]


def a_killed_web_process(stack: Stack) -> Seen:
    """kill -9 of one web process"""
    took_s, failed = killed_and_replaced(master_of(stack.behind), stack.edge, REPLACED_WITHIN_S)
    return Seen(
        f"replaced after {took_s:.1f} s, {failed} calls failed",
        took_s < REPLACED_WITHIN_S and failed == 0,
    )


def valkey_hangs(stack: Stack) -> Seen:
    """Valkey is stopped; a merchant with 16 webhooks places 8 orders at once"""
    merchant = MerchantFactory()
    WebhookFactory.create_batch(MAX_PER_MERCHANT, merchant=merchant)
    _, key = ApiKey.issue(name="till", role=Role.MERCHANT, merchant=merchant)
    visitors = [Visitor(stack.behind, **{"X-API-Key": key}) for _ in range(AT_ONCE)]
    visitors[0].post("/api/v1/orders", json=order_body())  # its key and the rules are known now
    with _paused_valkey(), ThreadPoolExecutor(AT_ONCE) as threads:
        placed = [threads.submit(_place, visitor) for visitor in visitors]
        time.sleep(0.2)
        health = Visitor(stack.behind).timed("GET", "/health")[1]
        answers = [one.result() for one in placed]
    slowest_s = max(seconds for _, seconds in answers)
    statuses = sorted({status for status, _ in answers})
    back_s = _seconds_until_ready(stack)
    return Seen(
        f"orders {statuses} within {slowest_s:.1f} s, /health {1000 * health:.0f} ms, "
        f"ready {back_s:.1f} s after it goes on",
        statuses == [201] and slowest_s < ORDER_WITHIN_S and health < HEALTH_WITHIN_S,
    )


def valkey_is_full(stack: Stack) -> Seen:
    """Valkey is full: code, signature, drop point, tracking JSON"""
    coded = order_in(Status.ARRIVED, pod_requirement=PodRequirement.OTP)
    code = codes.renew(coded.pk, by=SYSTEM)
    signed = order_in(Status.ARRIVED, pod_requirement=PodRequirement.SIGNATURE)
    moved = order_in(Status.QUEUED)
    drop = {"lat": moved.dropoff_lat, "lng": moved.dropoff_lng, "accuracy_m": 5}
    asked = {
        "code": ("POST", f"{coded.public_tracking_id}/otp", {"otp_code": code}),
        "signature": ("POST", f"{signed.public_tracking_id}/signature", {"signature": STROKES}),
        "drop point": ("POST", f"{moved.public_tracking_id}/dropoff", drop),
        "tracking": ("GET", moved.public_tracking_id, None),
    }
    visitor = Visitor(stack.behind)
    with _full_valkey():
        statuses = {
            what: visitor.request(method, f"/api/v1/tracking/{path}", json=body).status_code
            for what, (method, path, body) in asked.items()
        }
    return Seen(
        ", ".join(f"{what} {status}" for what, status in statuses.items()),
        set(statuses.values()) == {200},
    )


def _place(visitor: Visitor) -> tuple[int | str, float]:
    started = time.monotonic()
    try:
        answer: int | str = visitor.post("/api/v1/orders", json=order_body()).status_code
    except requests.Timeout:
        answer = "no answer"
    return answer, time.monotonic() - started


def _seconds_until_ready(stack: Stack) -> float:
    started = time.monotonic()
    visitor = Visitor(stack.behind)
    while not visitor.get("/ready").ok and time.monotonic() - started < 30:
        time.sleep(0.05)
    return time.monotonic() - started


@contextmanager
def _paused_valkey() -> Iterator[None]:
    process = valkey()
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@contextmanager
def _full_valkey() -> Iterator[None]:
    """Each command that may need memory is refused."""
    before = client().config_get("maxmemory")["maxmemory"]
    client().config_set("maxmemory", 1)
    try:
        yield
    finally:
        client().config_set("maxmemory", before)
