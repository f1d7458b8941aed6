"""A proof stores the drone's position, if it is recent enough."""

import pytest
import redis
from django.conf import settings as current_settings
from pytest_django import Settings

from fleet.tests.factories import METRE_DEG, DroneFactory, TelemetryFactory, seconds_ago, show
from orders.models import Order
from orders.states import PodRequirement, Status
from orders.tests.factories import order_in
from pod import codes, proofs
from pod.models import ProofOfDelivery
from wingxtra.accounts.identity import CUSTOMER, SYSTEM

pytestmark = pytest.mark.django_db


def order_with_its_drone(
    north_m: float, *, status: Status = Status.ARRIVED, age_s: float = 1, **attributes: object
) -> Order:
    order = order_in(status, drone=DroneFactory(drone_id="WX-PROOF-1"), **attributes)
    at = seconds_ago(age_s)
    lat = order.dropoff_lat + north_m * METRE_DEG
    show(TelemetryFactory(drone_id="WX-PROOF-1", lat=lat, lng=order.dropoff_lng, measured_at=at))
    return order


def proved(order: Order) -> ProofOfDelivery:
    return proofs.record(order.pk, proofs.Evidence.confirmation("Kofi"), by=CUSTOMER).proof


def test_the_proof_stores_the_distance_of_the_drone_from_the_drop_point():
    order = order_with_its_drone(north_m=12)
    proof = proved(order)
    assert proof.drone_distance_m == pytest.approx(12, abs=0.1)
    assert proof.drone_lat == pytest.approx(order.dropoff_lat + 12 * METRE_DEG)
    assert proof.drone_seen_at == pytest.approx(seconds_ago(1), abs=seconds_ago(0) - seconds_ago(5))


def test_a_code_stores_the_distance_as_well():
    order = order_with_its_drone(north_m=3, pod_requirement=PodRequirement.OTP)
    code = codes.renew(order.pk, by=SYSTEM)
    recorded = proofs.record(order.pk, proofs.Evidence.code(code), by=CUSTOMER)
    assert recorded.proof.drone_distance_m == pytest.approx(3, abs=0.1)


def test_a_stale_position_is_not_stored():
    assert proved(order_with_its_drone(north_m=0, age_s=300)).drone_distance_m is None


def test_a_position_after_the_delivery_is_not_stored():
    order = order_with_its_drone(north_m=0, status=Status.DELIVERED)
    assert proved(order).drone_lat is None


def test_a_proof_is_accepted_without_fleet_telemetry():
    with redis.Redis.from_url(current_settings.REDIS_URL) as client:
        client.delete("fleet:picture")
    assert proved(order_in(Status.ARRIVED)).drone_lat is None


def test_a_proof_is_accepted_without_redis(settings: Settings):
    settings.REDIS_URL = "redis://127.0.0.1:1"
    assert proved(order_in(Status.ARRIVED)).drone_lat is None
