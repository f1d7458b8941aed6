"""Log lines and error reports: their context, and no personal data or secrets."""

import io
import json
import logging
import logging.config
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import dramatiq
import pytest
import structlog
from django.conf import settings as real_settings
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from dispatch.missions import publishing
from dispatch.models import DispatchRun
from dispatch.planning import runs
from dispatch.tests.support import able_drone, mission_of, stored
from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.models import Order
from orders.states import Status
from orders.tests.factories import order_in
from tracking.models import WebhookDelivery
from tracking.tests.receiver import deliver
from tracking.webhooks import endpoints
from wingxtra import secrecy
from wingxtra.accounts.identity import DISPATCHER, GCS, Role
from wingxtra.accounts.models import ApiKey
from wingxtra.accounts.tests.factories import PASSWORD, MerchantFactory, UserFactory, key_client
from wingxtra.observability import logs
from wingxtra.tests.probe.actors import note
from wingxtra.tests.test_broker import wait_until

Lines = Callable[[], list[dict[str, Any]]]
# Parts of secrets and of personal data.
SIGNS = (
    "wx_live_",
    "wx_test_",
    "whsec_",
    "eyJ",
    "@",
    "+2",
    "+",
    "://",
    "/track/",
    "DETAIL:",
    "abc",
)


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Every log line of production, down to INFO."""
    config = logs.config(level="INFO", json_lines=True)
    formatter = logging.config.DictConfigurator(config).configure_formatter(
        config["formatters"]["line"]
    )
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(handler)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.removeHandler(handler)


def named(lines: Lines, event: str) -> list[dict[str, Any]]:
    return [line for line in lines() if line["event"] == event]


# --- one id finds everything ---------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_all_lines_of_a_request_have_its_id_and_order(lines: Lines) -> None:
    order = order_in(Status.ASSIGNED)
    job = order.current_job
    ops = key_client(role=Role.OPS)
    body = {"event_type": "LAUNCHED", "source": "gcs"}
    path = f"/api/v1/orders/{order.pk}/events"
    assert ops.post(path, body, headers={"X-Request-ID": "r-17"}).status_code == 200
    (request,) = named(lines, "request")
    assert (request["request_id"], request["order_id"]) == ("r-17", str(order.pk))
    assert request["route"] == "api/v1/orders/<uuid:order_id>/events"
    assert (request["method"], request["status"]) == ("POST", 200)
    assert request["took_ms"] > 0
    events = [line for line in named(lines, "order_event") if line.get("request_id") == "r-17"]
    assert [line["type"] for line in events] == ["MISSION_SUBMITTED", "LAUNCHED"]
    for line in events:
        assert line["order_id"] == str(order.pk)
        assert (line["job_id"], line["drone_id"]) == (str(job.pk), job.drone_id)


@pytest.mark.django_db(transaction=True)
def test_rolled_back_events_are_not_logged(lines: Lines) -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    before = len(named(lines, "order_event"))
    with transaction.atomic():
        lifecycle.advance(order.pk, Status.LAUNCHED, by=GCS)
        transaction.set_rollback(True)
    assert len(named(lines, "order_event")) == before


@pytest.mark.django_db(transaction=True)
def test_the_id_travels_with_the_message_into_the_worker(lines: Lines) -> None:
    broker = dramatiq.get_broker()
    structlog.contextvars.clear_contextvars()
    note.send("without a request")
    with structlog.contextvars.bound_contextvars(request_id="r-18"):
        note.send("of a request")
    worker = dramatiq.Worker(broker, queues={"probe"}, worker_threads=1, worker_timeout=50)
    worker.start()
    try:
        wait_until(lambda: len(named(lines, "noted")) == 2)
    finally:
        worker.stop()
    first, second = named(lines, "noted")
    assert "request_id" not in first
    assert second["request_id"] == "r-18"
    assert (second["actor"], bool(second["message_id"])) == ("note", True)


@pytest.mark.django_db
def test_probes_do_not_fill_the_log(lines: Lines) -> None:
    Client().get("/health")
    assert named(lines, "request") == []


@pytest.mark.django_db
def test_a_failed_mission_is_logged_with_order_job_and_drone(lines: Lines) -> None:
    able_drone()
    order = order_in(Status.ASSIGNED, drone=able_drone())
    publishing.publish(mission_of(order).pk)
    (line,) = named(lines, "bridge_unavailable")
    assert line["order_id"] == str(order.pk)
    assert (line["job_id"], line["drone_id"]) == (str(order.current_job.pk), "WX-DRN-001")
    structlog.contextvars.clear_contextvars()


# --- personal data and secrets -------------------------------------------------------------------

NAME, PHONE, EMAIL = "Xavierina Quaqua", "+233247654321", "xq.quaqua@example.org"
NOTE = "Zanzibar gate, ask for Xavierina"
PERSONAL = ("Xavierina", "Quaqua", "247654321", "24 765 4321", "xq.quaqua", "Zanzibar")


def body(**changes: Any) -> dict[str, Any]:
    return {
        "pickup_lat": 5.6037,
        "pickup_lng": -0.1870,
        "dropoff_lat": 5.6150,
        "dropoff_lng": -0.1750,
        "payload_weight_kg": 0.8,
        "customer_name": NAME,
        "customer_phone": PHONE,
        "customer_email": EMAIL,
        **changes,
    }


@pytest.mark.django_db(transaction=True)
def test_the_main_flows_log_no_personal_data_and_no_secrets(lines: Lines, settings: Any) -> None:
    settings.GCS_BRIDGE_URL, settings.GCS_BRIDGE_KEY = "http://127.0.0.1:9", "bridge-key-qqq"
    settings.METRICS_TOKEN = "metrics-token-qqq"
    DroneFactory()
    merchant = MerchantFactory()
    _, key = ApiKey.issue(name="till", role=Role.MERCHANT, merchant=merchant)
    shop = APIClient(headers={"X-API-Key": key})
    _, ops_key = ApiKey.issue(name="ops", role=Role.OPS)
    ops = APIClient(headers={"x-de-api-key": ops_key})
    user = UserFactory(ops=True)
    _, secret = endpoints.create(merchant.pk, "https://hooks.example.invalid/qqq")

    token = shop.post("/api/v1/auth/token", {"username": user.username, "password": PASSWORD})
    shop.post("/api/v1/auth/token", {"username": user.username, "password": "wrong-qqq"})
    secrets = [key, ops_key, PASSWORD, "qqq", secret, *token.json().values()]

    shop.post("/api/v1/quotes", body())
    made = shop.post("/api/v1/orders", body(external_id="Q-1", pod_requirement="OTP")).json()
    code, tracking_id = made["otp_code"], made["public_tracking_id"]
    secrets += [f'"{code}"', f" {code}", tracking_id]
    shop.post("/api/v1/orders", body(external_id="Q-1"))  # a conflict
    shop.post("/api/v1/orders", body(dropoff_lat="north", customer_phone="024 765 4321"))
    order = Order.objects.get(pk=made["id"])
    one = f"/api/v1/orders/{order.pk}"
    shop.patch(one, {"customer_phone": "+233 24 765 4321"})
    shop.get("/api/v1/orders", {"q": NAME})
    ops.get("/gcs/orders", {"search": PHONE})
    ops.get("/gcs/orders", {"search": NAME, "status": "nonsense"})
    Client().get("/api/v1/orders", headers={"X-API-Key": key + "x"})

    drone = able_drone()
    runs.run(trigger=DispatchRun.Trigger.COMMAND, by=DISPATCHER)
    assert stored(order).status == Status.ASSIGNED
    publishing.publish(mission_of(order).pk)  # no answer
    ops.post(f"{one}/submit-mission-intent")
    ops.post(f"{one}/cancel", {"reason": "OTHER", "note": NOTE})
    for event in ("LAUNCHED", "ENROUTE", "ARRIVED"):
        ops.post(f"{one}/events", {"event_type": event, "message": "As planned."})
    link = f"/api/v1/tracking/{tracking_id}"
    Client().get(link)
    Client().get(f"/track/{tracking_id}/")
    for tried in ("000000", code):
        Client().post(f"{link}/otp", {"otp_code": tried}, content_type="application/json")
        Client().post(f"{link}/otp", {"code": tried}, content_type="application/json")
    assert stored(order).status == Status.DELIVERED
    for row in WebhookDelivery.objects.due(timezone.now() + timedelta(hours=1)):
        deliver(row.pk)
    other = shop.post("/api/v1/orders", body(external_id="Q-2")).json()
    shop.post(f"/api/v1/orders/{other['id']}/cancel", {"note": NOTE})
    assert drone.pk

    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines())
    assert "order_event" in text
    assert "bridge_unavailable" in text
    for word in (*PERSONAL, *secrets):
        assert word not in text, next(line for line in text.splitlines() if word in line)


@pytest.mark.django_db
def test_a_row_quoted_by_the_database_is_removed(lines: Lines) -> None:
    first = order_in(Status.QUEUED, customer_name=NAME, customer_phone=PHONE, external_id="Q-3")
    with pytest.raises(IntegrityError, match="Xavierina") as caught, transaction.atomic():
        Order.objects.filter(pk=first.pk).update(payload_weight_kg=-1)
    error = caught.value
    structlog.get_logger(__name__).error("broken", exc_info=error, error=str(error))
    (line,) = named(lines, "broken")
    assert "order_weight_sensible" in line["exception"]
    assert not any(word in json.dumps(line) for word in PERSONAL)


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("Key wx_live_AbC-123_x is unknown.", "Key wx_live_… is unknown."),
        ("Secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw==", "Secret whsec_…"),
        ("Bearer eyJhbGciOi.eyJzdWIiOi.s1g-n_ed", "Bearer (token)"),
        ("postgresql://wingxtra:hunter2@db:5432/x", "postgresql://…@db:5432/x"),
        ("Mail to ama.mensah+1@example.com.gh bounced.", "Mail to (e-mail) bounced."),
        ("Called +233 24 123 4567 twice", "Called (phone) twice"),
        ("Bad Request: /api/v1/tracking/7K3M9QTZ4W8XB/otp", "Bad Request: /api/v1/tracking/…/otp"),
        ("x\nDETAIL:  Key (name)=(Ama\nMensah) exists.", "x\nDETAIL: (left out)"),
        # These must stay readable.
        ("2026-03-01T12:00:00+00:00", "2026-03-01T12:00:00+00:00"),
        ("needs 46 % battery, has +38 %", "needs 46 % battery, has +38 %"),
        ("https://gcs.example.com:8080/api", "https://gcs.example.com:8080/api"),
        ("8b1f6f9e-7a80-4d5b-b1f5-4d6c1f1a2b3c", "8b1f6f9e-7a80-4d5b-b1f5-4d6c1f1a2b3c"),
    ],
)
def test_secrets_are_found_by_their_pattern(text: str, scrubbed: str) -> None:
    assert secrecy.scrubbed(text) == scrubbed


@given(st.lists(st.sampled_from([*SIGNS, "Ama", " ", "1", "24 123 4567", "x.gh", ":", "/", "\n"])))
def test_a_text_is_searched_by_all_patterns_or_has_none(parts: list[str]) -> None:
    text = expected = "".join(parts)
    for pattern, replacement in secrecy.PATTERNS:
        expected = pattern.sub(replacement, expected)
    assert secrecy.scrubbed(text) == expected


def test_the_pool_of_connections_writes_no_line_for_each_request() -> None:
    assert not logging.getLogger("psycopg.pool").isEnabledFor(logging.INFO)


# --- error reports -------------------------------------------------------------------------------

FAILS_AND_REPORTS = """
import json, sys
import django
from sentry_sdk.transport import Transport
from wingxtra.observability import sentry

class Printed(Transport):
    def capture_envelope(self, envelope):
        for item in envelope.items:
            if item.type == "event":
                print(json.dumps(item.payload.json))

sentry.start("https://key@sentry.example.invalid/1", "test", transport=Printed)
django.setup()
from django.test import Client
from django.urls import path
from django.core.exceptions import ValidationError

def breaks(request):
    customer = "Xavierina Quaqua"
    raise RuntimeError("Called +233247654321 for wx_live_secretsecret")

import wingxtra.urls
wingxtra.urls.urlpatterns.insert(0, path("api/breaks", breaks))
Client(raise_request_exception=False).post(
    "/api/breaks?name=Xavierina", {"customer_name": "Xavierina Quaqua"},
    content_type="application/json",
    headers={"X-API-Key": "wx_live_secretsecret", "X-Request-ID": "r-19", "Cookie": "a=Quaqua"},
)
"""


def test_an_error_report_has_no_personal_data() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILS_AND_REPORTS],
        cwd=real_settings.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "wingxtra.settings"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert reports, done.stderr
    for text in (done.stdout, done.stderr):
        assert not any(word in text for word in (*PERSONAL, "secretsecret"))
    assert "RuntimeError" in done.stdout
    assert "breaks" in done.stdout
    assert reports[0]["tags"]["request_id"] == "r-19"
