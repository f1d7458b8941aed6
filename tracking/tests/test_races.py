"""Two tabs, double taps, and a connection that breaks: one proof, and every try counts."""

import json
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import IntegrityError, connection

from orders import unit_of_work
from orders.models import Order
from orders.states import EventType, PodRequirement, Status
from orders.tests.factories import order_in
from pod import codes, images, whereabouts
from pod.models import OneTimeCode, ProofOfDelivery
from tracking.page import customer
from wingxtra.accounts.identity import SYSTEM
from wingxtra.problems import Conflict
from wingxtra.tests.serving import served

pytestmark = pytest.mark.django_db(transaction=True)

TABS = 8


def strokes_of(tab: int) -> list[images.Stroke]:
    """Nobody signs twice alike."""
    return [[[0.0, 0.0], [30.0, 20.0 + tab], [60.0, 5.0]]]


def at_once(act: Callable[[int], None]) -> list[str]:
    """What each tab heard; they all start together."""
    ready = Barrier(TABS)

    def tab(number: int) -> str:
        ready.wait()
        try:
            act(number)
        except Conflict as refused:
            return refused.code
        except IntegrityError:
            return "an accident"
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(TABS) as pool:
        return list(pool.map(tab, range(TABS)))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long enough between looking for a proof and writing one for the others to come between."""

    def nowhere(*_: Any) -> None:
        time.sleep(0.1)

    monkeypatch.setattr(whereabouts, "of_the_drone", nowhere)


def signed_in_all_tabs() -> tuple[Order, list[str]]:
    order = order_in(Status.DELIVERING, pod_requirement=PodRequirement.SIGNATURE)
    return order, at_once(lambda tab: customer.sign(order, strokes_of(tab)))


@pytest.mark.usefixtures("slow")
def test_of_signatures_in_many_tabs_one_is_the_proof_and_the_others_hear_so(media: Path) -> None:
    order, heard = signed_in_all_tabs()

    assert sorted(heard) == ["done"] + ["proof_exists"] * (TABS - 1)
    for type_ in (EventType.DELIVERED, EventType.PROOF_RECORDED):
        assert order.events.filter(type=type_).count() == 1
    assert len(list((media / "proofs").iterdir())) == 1


@pytest.mark.usefixtures("slow")
def test_control_without_the_row_lock_the_tabs_run_into_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unit_of_work, "locked", lambda ids: list(Order.objects.filter(pk__in=ids)))

    order, heard = signed_in_all_tabs()

    assert "an accident" in heard
    # The database has the last word also then.
    assert ProofOfDelivery.objects.filter(order=order).count() == 1


def test_i_have_it_said_in_many_tabs_is_one_delivery_and_all_are_thanked() -> None:
    order = order_in(Status.DELIVERING)

    heard = at_once(lambda _: customer.confirm(order))

    assert heard == ["done"] * TABS
    assert order.events.filter(type=EventType.DELIVERED).count() == 1


def test_a_try_counts_also_when_the_connection_breaks() -> None:
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
    """As a phone in a lift: the request gets out, and nobody is there for the answer."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port)) as phone:
        phone.sendall(
            f"POST {path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        # Broken off, not ended: a reset instead of a goodbye.
        phone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(0.01)
