"""Parallel tabs and broken connections: one proof, and every try counts."""

import json
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from django.db import IntegrityError, connection

from orders import unit_of_work
from orders.models import Order
from orders.states import EventType, PodRequirement, Status
from orders.tests.factories import order_in
from pod import codes, whereabouts
from pod.models import OneTimeCode, ProofOfDelivery
from pod.pictures import images
from tracking.page import customer
from wingxtra.accounts.identity import SYSTEM
from wingxtra.problems import Conflict
from wingxtra.tests.serving import served

pytestmark = pytest.mark.django_db(transaction=True)

TABS = 8


def strokes_of(tab: int) -> list[images.Stroke]:
    """A different signature per tab."""
    return [[[0.0, 0.0], [30.0, 20.0 + tab], [60.0, 5.0]]]


def at_once(act: Callable[[int], None]) -> list[str]:
    """Run `act` in all tabs at the same time. Returns the outcome of each tab."""
    ready = Barrier(TABS)

    def tab(number: int) -> str:
        ready.wait()
        try:
            act(number)
        except Conflict as refused:
            return refused.code
        except IntegrityError:
            return "integrity error"
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(TABS) as pool:
        return list(pool.map(tab, range(TABS)))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds a pause between the check for a proof and its INSERT, so that the tabs collide."""

    def nowhere(*_: Any) -> None:
        time.sleep(0.1)

    monkeypatch.setattr(whereabouts, "of_the_drone", nowhere)


def signed_in_all_tabs() -> tuple[Order, list[str]]:
    order = order_in(Status.DELIVERING, pod_requirement=PodRequirement.SIGNATURE)

    def sign(tab: int) -> None:
        body = {"signature": strokes_of(tab)}
        customer.sign(order, msgspec.json.encode(body), lambda: body)

    return order, at_once(sign)


@pytest.mark.usefixtures("slow")
def test_signatures_in_many_tabs_make_one_proof_and_the_others_are_refused() -> None:
    order, outcomes = signed_in_all_tabs()

    assert sorted(outcomes) == ["done"] + ["proof_exists"] * (TABS - 1)
    for type_ in (EventType.DELIVERED, EventType.PROOF_RECORDED):
        assert order.events.filter(type=type_).count() == 1


@pytest.mark.usefixtures("slow")
def test_control_without_the_row_lock_the_tabs_collide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orders = Order.objects.select_related("current_job")
    monkeypatch.setattr(unit_of_work, "lock", lambda pk: unit_of_work.Locked(orders.get(pk=pk)))

    order, outcomes = signed_in_all_tabs()

    assert "integrity error" in outcomes
    # The constraint of the database still holds.
    assert ProofOfDelivery.objects.filter(order=order).count() == 1


def test_confirming_in_many_tabs_delivers_once_and_succeeds_in_all() -> None:
    order = order_in(Status.DELIVERING)

    outcomes = at_once(lambda _: customer.confirm(order))

    assert outcomes == ["done"] * TABS
    assert order.events.filter(type=EventType.DELIVERED).count() == 1


def test_a_try_counts_when_the_connection_breaks() -> None:
    order = order_in(Status.ARRIVED, pod_requirement=PodRequirement.OTP)
    code = codes.renew(order.pk, by=SYSTEM)
    body = json.dumps({"otp_code": f"{(int(code) + 1) % 1_000_000:06d}"})

    with served() as (url,):
        for _ in range(2):
            send_and_hang_up(url, f"/api/v1/tracking/{order.public_tracking_id}/otp", body)
        deadline = time.monotonic() + 20
        while OneTimeCode.objects.get(pk=order.pk).tries < 2:
            assert time.monotonic() < deadline, "a try was not counted"
            time.sleep(0.05)


def send_and_hang_up(url: str, path: str, body: str) -> None:
    """Send a request and close the connection before the answer."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port)) as phone:
        phone.sendall(
            f"POST {path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        # SO_LINGER 0: close() sends a reset.
        phone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(0.01)
