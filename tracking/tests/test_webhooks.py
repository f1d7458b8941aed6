"""Writing webhook deliveries: which endpoints get them, their bodies, cost and secrets."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings as current_settings
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from jsonschema import Draft202012Validator
from pytest_django import Settings
from referencing import Registry, Resource

from dispatch.missions import delays
from fleet.tests.factories import DroneFactory, HubFactory
from orders import lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import CancelReason, EventType, Happened, JobStatus, Status
from orders.tests.factories import OrderFactory, order_in
from tracking.models import WebhookDelivery, WebhookEndpoint
from tracking.tests.deliveries import DRONE_ID, OPERATOR, secret_order
from tracking.tests.receiver import SECRET, WebhookFactory
from tracking.webhooks import endpoints
from tracking.webhooks import events as webhooks
from wingxtra.accounts.identity import DISPATCHER, SYSTEM
from wingxtra.accounts.tests.factories import MerchantFactory
from wingxtra.tests.openapi import closed
from wingxtra.webhooks import secrets as webhook_secrets

pytestmark = pytest.mark.django_db
PLACED = ["order.created", "order.validated", "order.queued"]


@cache
def contract() -> Draft202012Validator:
    schemas = [
        json.loads(path.read_text())
        for path in (Path(current_settings.BASE_DIR) / "docs" / "contracts").glob("*.schema.json")
    ]
    registry = Registry().with_resources(
        (schema["$id"], Resource.from_contents(closed(schema))) for schema in schemas
    )
    own = next(schema for schema in schemas if schema["$id"].endswith("/webhook.schema.json"))
    Draft202012Validator.check_schema(own)
    checker = Draft202012Validator.FORMAT_CHECKER
    return Draft202012Validator(closed(own), registry=registry, format_checker=checker)


def types_of(**wanted: Any) -> list[str]:
    rows = WebhookDelivery.objects.filter(**wanted).order_by("event_id")
    return list(rows.values_list("type", flat=True))


def bodies() -> Iterator[dict[str, Any]]:
    for row in WebhookDelivery.objects.order_by("event_id"):
        assert len(row.body.encode()) <= 20_000
        yield json.loads(row.body)


# --- endpoints -----------------------------------------------------------------------------------


def test_every_event_gets_a_delivery_to_each_endpoint_of_the_merchant() -> None:
    one, other, strangers = WebhookFactory(), WebhookFactory(), WebhookFactory()
    WebhookEndpoint.objects.filter(pk=other.pk).update(merchant=one.merchant)
    order_in(Status.ASSIGNED, merchant=one.merchant)
    assert types_of(endpoint=one) == [*PLACED, "order.assigned"]
    assert types_of(endpoint=other) == types_of(endpoint=one)
    assert types_of(endpoint=strangers) == []


def test_an_endpoint_gets_only_the_types_it_wants() -> None:
    endpoint = WebhookFactory(events=["order.delivered", "order.canceled"])
    order_in(Status.CANCELED, merchant=endpoint.merchant)
    order_in(Status.DELIVERED, merchant=endpoint.merchant)
    assert types_of() == ["order.canceled", "order.delivered"]


def test_live_and_test_orders_have_separate_endpoints() -> None:
    live = WebhookFactory()
    test = WebhookFactory(merchant=live.merchant, live_mode=False)
    for endpoint in (live, test):
        order = OrderFactory(merchant=live.merchant, live_mode=endpoint.live_mode)
        assert types_of(endpoint=endpoint) == PLACED
        assert types_of(order=order) == PLACED


def test_an_endpoint_that_is_off_gets_nothing() -> None:
    endpoint = WebhookFactory(enabled=False)
    order_in(Status.QUEUED, merchant=endpoint.merchant)
    assert types_of() == []


def test_a_rolled_back_event_gets_no_delivery() -> None:
    endpoint = WebhookFactory()
    order = order_in(Status.QUEUED, merchant=endpoint.merchant)
    before = types_of()
    with transaction.atomic():
        lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.OTHER)
        assert types_of() == [*before, "order.canceled"]
        transaction.set_rollback(True)
    assert types_of() == before


def test_a_refused_transition_gets_no_delivery() -> None:
    endpoint = WebhookFactory()
    order = order_in(Status.DELIVERED, merchant=endpoint.merchant)
    before = types_of()
    with pytest.raises(lifecycle.Refused):
        lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.OTHER)
    assert types_of() == before


# --- bodies --------------------------------------------------------------------------------------


def test_each_body_follows_the_contract_and_names_its_event() -> None:
    endpoint = WebhookFactory()
    order = order_in(Status.DELIVERED, merchant=endpoint.merchant, external_id="A-1")
    lifecycle.note(order.pk, Happened(EventType.LINK_LOST, "Silent."), by=SYSTEM)
    other = order_in(Status.ASSIGNED, merchant=endpoint.merchant)
    lifecycle.mission_over(
        other.pk, ended=JobStatus.FAILED, by=SYSTEM, why="Battery.", max_attempts=3
    )
    sent = list(bodies())
    assert {one["type"] for one in sent} >= {"order.delivered", "order.link_lost", "order.requeued"}
    for one in sent:
        contract().validate(one)
        assert one["type"] == f"order.{one['data']['event']['type'].lower()}"
    delivered = next(one for one in sent if one["type"] == "order.delivered")
    assert delivered["data"]["order"]["status"] == "DELIVERED"
    assert delivered["data"]["order"]["external_id"] == "A-1"
    assert delivered["data"]["event"]["order_id"] == str(order.pk)
    event = DeliveryEvent.objects.get(order=order, type=EventType.DELIVERED)
    assert delivered["data"]["event"]["id"] == event.pk
    assert delivered["timestamp"] == delivered["data"]["event"]["occurred_at"]


def test_contract_and_code_have_the_same_types() -> None:
    types = set(contract().schema["properties"]["type"]["examples"])
    assert types == {*webhooks.EVENT_TYPES, webhooks.TEST_TYPE}


def test_the_body_of_a_test_event_follows_the_contract() -> None:
    endpoints.make_test(WebhookFactory())
    (sent,) = bodies()
    contract().validate(sent)
    assert sent["type"] == "webhook.test"


def test_no_body_has_a_drone_id_or_an_operator() -> None:
    WebhookFactory(merchant=MerchantFactory(name="Shop by the sea"))
    merchant = WebhookEndpoint.objects.get().merchant
    DroneFactory(drone_id=DRONE_ID)
    order = OrderFactory(merchant=merchant)
    lifecycle.assign(order.pk, DRONE_ID, by=OPERATOR, why=f"{DRONE_ID} is the best.")
    lifecycle.cancel(order.pk, by=OPERATOR, reason=CancelReason.OTHER, note="Said Efua.")
    sent = "".join(WebhookDelivery.objects.values_list("body", flat=True))
    assert "masked" in sent
    for secret in (DRONE_ID, OPERATOR.ref, "Efua"):
        assert secret not in sent


def test_a_message_is_never_longer_than_20_kb() -> None:
    endpoint = WebhookFactory()
    order = order_in(
        Status.QUEUED,
        merchant=endpoint.merchant,
        customer_name="\U0001f681" * 120,
        pickup_name="\U0001f681" * 120,
        external_id="x" * 64,
    )
    long = Happened(EventType.DETAILS_CHANGED, "Long.", {"reason": "x" * 30_000})
    lifecycle.note(order.pk, long, by=SYSTEM)
    sent = list(bodies())
    assert sent[-1]["data"]["event"]["payload"] == {}
    assert sent[-1]["data"]["order"]["customer_name"] == "\U0001f681" * 120


# --- cost ----------------------------------------------------------------------------------------


def webhook_statements(captured: CaptureQueriesContext) -> list[str]:
    return [one["sql"] for one in captured.captured_queries if "tracking_webhook" in one["sql"]]


def test_one_statement_when_no_endpoint_listens() -> None:
    WebhookFactory()
    order = order_in(Status.QUEUED)
    with CaptureQueriesContext(connection) as captured:
        lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.OTHER)
    assert len(webhook_statements(captured)) == 1


@pytest.mark.parametrize("count", [1, 12])
def test_two_statements_for_any_number_of_orders_and_endpoints(count: int) -> None:
    merchant = MerchantFactory()
    WebhookFactory.create_batch(count, merchant=merchant)
    orders = [order_in(Status.QUEUED, merchant=merchant) for _ in range(count)]
    pairs = [lifecycle.Assignment(order.pk, DroneFactory().pk, "Best.") for order in orders]
    with CaptureQueriesContext(connection) as captured:
        lifecycle.assign_many(pairs, by=DISPATCHER)
    assert len(webhook_statements(captured)) == 2
    assert len(types_of(type="order.assigned")) == count * count


def test_only_the_first_delivery_of_each_order_is_enqueued() -> None:
    endpoint = WebhookFactory()
    order = order_in(Status.QUEUED, merchant=endpoint.merchant)
    events = list(DeliveryEvent.objects.filter(order=order).select_related("order").order_by("id"))
    WebhookDelivery.objects.all().delete()
    (first,) = webhooks.write_deliveries(events)
    assert WebhookDelivery.objects.get(pk=first).event_id == events[0].pk


# --- the secret ----------------------------------------------------------------------------------


def test_a_secret_is_stored_sealed_and_can_be_read_under_a_former_key(settings: Settings) -> None:
    stored = webhook_secrets.sealed(SECRET)
    assert SECRET.encode() not in stored
    assert webhook_secrets.opened(stored) == SECRET
    former, settings.SECRET_KEY = settings.SECRET_KEY, "another one"
    with pytest.raises(webhook_secrets.Unreadable):
        webhook_secrets.opened(stored)
    settings.SECRET_KEY_FALLBACKS = [former]
    assert webhook_secrets.opened(stored) == SECRET


def test_secrets_are_long_and_never_the_same() -> None:
    secrets = {webhook_secrets.new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(one.startswith("whsec_") and len(one) == 6 + 32 for one in secrets)


# --- removed endpoints ---------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_removing_an_endpoint_at_the_same_time_does_not_fail_the_transition() -> None:
    endpoint = WebhookFactory()
    order = order_in(Status.QUEUED, merchant=endpoint.merchant)

    def remove(endpoint_id: UUID) -> None:
        endpoints.remove(endpoint_id)
        connections.close_all()

    thread = threading.Thread(target=remove, args=[endpoint.pk])
    with transaction.atomic():
        lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.OTHER)
        thread.start()
        thread.join(timeout=0.3)
        assert thread.is_alive()  # it waits for this transaction
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert Order.objects.get(pk=order.pk).status == Status.CANCELED
    assert not WebhookEndpoint.objects.exists()
    assert not WebhookDelivery.objects.exists()


def test_the_merchant_gets_the_customers_name() -> None:
    order = secret_order(Status.ENROUTE)
    WebhookFactory(merchant=order.merchant)
    lifecycle.note(order.pk, Happened(EventType.LINK_LOST, f"{DRONE_ID} is silent."), by=SYSTEM)
    (sent,) = bodies()
    assert sent["data"]["order"]["customer_name"] == "Ama Mensah"
    assert sent["data"]["event"]["message"] == "Link lost"


# --- custody -------------------------------------------------------------------------------------


def test_bodies_about_custody_and_corrections_have_no_drone_id() -> None:
    endpoint = WebhookFactory()
    order = order_in(Status.LAUNCHED, merchant=endpoint.merchant)
    drone_id = str(order.assigned_drone_id)
    lifecycle.loaded(order.pk, by=OPERATOR)
    lifecycle.mission_over(
        order.pk,
        ended=JobStatus.FAILED,
        by=OPERATOR,
        why=f"{drone_id} burned.",
        max_attempts=3,
        parcel_astray=f"{drone_id} landed in a field.",
    )
    lifecycle.unloaded(order.pk, HubFactory(name="East").pk, by=OPERATOR)
    lifecycle.given_back(order.pk, by=OPERATOR, received_by="Kofi of the shop")
    lifecycle.correct(order.pk, outcome=Status.DELIVERED, by=OPERATOR, why="Kofi was wrong.")

    sent = {body["type"]: body["data"] for body in bodies()}
    for body in bodies():
        contract().validate(body)
        assert drone_id not in json.dumps(body)
        assert "Kofi" not in json.dumps(body)
    picked_up = sent["order.parcel_loaded"]
    assert picked_up["event"]["message"] == "Picked up"
    assert picked_up["order"]["custody"]["drone"] == "masked"
    assert sent["order.parcel_unknown"]["event"]["message"] == "Looking for the parcel"
    requeued = sent["order.requeued"]
    assert requeued["event"]["payload"]["hold"] == "PARCEL_UNKNOWN"
    assert requeued["order"]["hold"]["message"] == "It is not known where the parcel is."
    assert sent["order.parcel_unloaded"]["order"]["custody"]["place"] == "East"
    assert sent["order.failed"]["order"]["reason"]["code"] == "RETURNED_TO_SENDER"
    corrected = sent["order.corrected"]
    assert corrected["event"]["payload"]["outcome"] == "DELIVERED"
    assert corrected["order"]["custody"]["holder"] == "RECIPIENT"


def test_a_predicted_delay_is_told_once_with_the_expectation():
    order = order_in(Status.ENROUTE)
    WebhookFactory(merchant=order.merchant, events=["order.delay_predicted"])
    job = lifecycle.job_of(order)
    for late_min in (12, 0, 15):
        job.eta_at = order.deliver_by + timedelta(minutes=late_min)
        job.save(update_fields=["eta_at"])
        delays.tell(timezone.now())
    delivery = WebhookDelivery.objects.get()
    data = json.loads(delivery.body)["data"]
    assert data["event"]["message"] == "Predicted to be late"
    assert set(data["event"]["payload"]) == {"deliver_by", "expected_at"}
    assert data["order"]["status"] == Status.ENROUTE
