"""What merchants are told of proofs: the member of the order, and the event of a missing proof."""

import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from fleet import policy
from orders import actors, lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import PodRequirement, Scenario, Status
from orders.tests.factories import OrderFactory, order_in
from pod import proofs
from pod.proofs import Evidence
from wingxtra.accounts.identity import CUSTOMER, SYSTEM, Actor, ActorKind
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client

pytestmark = pytest.mark.django_db

OPS = Actor(ActorKind.USER, "efua")
LATER = timedelta(minutes=11)  # the policy says 10 minutes


def told(order: Order) -> dict[str, Any]:
    """The member `proof`, as its merchant reads it."""
    answer = api_client(UserFactory(merchant=order.merchant)).get(f"/api/v1/orders/{order.pk}")
    return answer.json()["proof"]


def missing(order: Order) -> int:
    return DeliveryEvent.objects.filter(order=order, type="PROOF_MISSING").count()


@pytest.mark.parametrize("requirement", PodRequirement)
def test_the_order_says_whether_a_proof_is_required_and_received(
    requirement: PodRequirement,
) -> None:
    order = order_in(Status.DELIVERED, pod_requirement=requirement)
    is_required = requirement != PodRequirement.NONE
    assert told(order) == {"required": is_required, "received": False, "method": None, "at": None}

    proof = proofs.record(order.pk, Evidence.confirmation("Kofi"), by=OPS).proof

    stamp = proof.created_at.isoformat().replace("+00:00", "Z")
    after = {"required": is_required, "received": True, "method": "OPERATOR_CONFIRM", "at": stamp}
    assert told(order) == after


def test_a_list_says_it_without_further_statements(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    merchant = MerchantFactory()
    client = api_client(UserFactory(merchant=merchant))
    order_in(Status.DELIVERED, merchant=merchant, pod_requirement=PodRequirement.OTP)
    with django_assert_num_queries(2):
        client.get("/api/v1/orders")
    for _ in range(3):
        order = order_in(Status.DELIVERED, merchant=merchant, pod_requirement=PodRequirement.PHOTO)
        proofs.record(order.pk, Evidence.confirmation("Kofi"), by=OPS)
    with django_assert_num_queries(2):
        items = client.get("/api/v1/orders").json()["items"]
    assert [item["proof"]["received"] for item in items] == [True, True, True, False]


def test_a_missing_proof_is_told_once_and_after_the_policys_time() -> None:
    order = order_in(Status.DELIVERED, pod_requirement=PodRequirement.OTP)
    lifecycle.miss_proofs(timezone.now())
    assert missing(order) == 0
    with time_machine.travel(timezone.now() + LATER):
        actors.miss_proofs.fn()
        actors.miss_proofs.fn()
    assert missing(order) == 1
    event = order.events.get(type="PROOF_MISSING")
    assert (event.actor, event.payload) == ("system", {"needed": "OTP"})


def test_zero_seconds_tell_it_at_once() -> None:
    policy.change(by=SYSTEM, proof_missing_after_s=0)
    order = order_in(Status.DELIVERED, pod_requirement=PodRequirement.SIGNATURE)
    assert lifecycle.miss_proofs(timezone.now()) == 1
    assert missing(order) == 1


def test_a_test_order_that_plays_it_is_told_without_waiting() -> None:
    orders = [
        OrderFactory(live_mode=False, test_scenario=scenario, pod_requirement=PodRequirement.PHOTO)
        for scenario in (Scenario.PROOF_MISSING, Scenario.DELIVERED)
    ]
    for order in orders:
        lifecycle.assign(order.pk, None, by=SYSTEM, why="A test order.")
        lifecycle.advance(order.pk, Status.DELIVERED, by=SYSTEM)
    lifecycle.miss_proofs(timezone.now())
    assert [missing(order) for order in orders] == [1, 0]


def test_nothing_is_missing_where_none_is_needed_or_where_it_came() -> None:
    needs_none = order_in(Status.DELIVERED)
    in_time = order_in(Status.DELIVERED, pod_requirement=PodRequirement.PHOTO)
    proofs.record(in_time.pk, Evidence.confirmation("Kofi"), by=CUSTOMER)
    flying = order_in(Status.DELIVERING, pod_requirement=PodRequirement.PHOTO)
    assert lifecycle.miss_proofs(timezone.now() + LATER) == 0
    assert [missing(order) for order in (needs_none, in_time, flying)] == [0, 0, 0]


def test_a_proof_that_comes_after_all_is_told_as_recorded() -> None:
    order = order_in(Status.DELIVERED, pod_requirement=PodRequirement.PHOTO)
    lifecycle.miss_proofs(timezone.now() + LATER)
    proofs.record(order.pk, Evidence.confirmation("Kofi"), by=OPS)
    types = list(order.events.order_by("id").values_list("type", flat=True))
    assert types[-2:] == ["PROOF_MISSING", "PROOF_RECORDED"]
    assert told(order)["received"]


def test_an_outcome_that_is_corrected_back_keeps_its_proof() -> None:
    order = order_in(Status.DELIVERING, pod_requirement=PodRequirement.PHOTO)
    proofs.record(order.pk, Evidence.confirmation("Kofi"), by=OPS)
    for outcome in (Status.FAILED, Status.DELIVERED):
        lifecycle.correct(order.pk, outcome=outcome, by=OPS, why="Looked again.")
    assert not Order.objects.missing_proof().exists()
    assert lifecycle.miss_proofs(timezone.now() + LATER) == 0


@pytest.mark.django_db(transaction=True)
def test_two_workers_tell_it_once() -> None:
    order = order_in(Status.DELIVERED, pod_requirement=PodRequirement.OTP)
    barrier = threading.Barrier(2)

    def work() -> None:
        try:
            barrier.wait()
            lifecycle.miss_proofs(timezone.now() + LATER)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missing(order) == 1


@pytest.mark.parametrize("columns", [{"proof_method": "OTP"}, {"proof_awaited_since": True}])
def test_the_database_refuses_half_a_proof(columns: dict[str, Any]) -> None:
    order = order_in(Status.ARRIVED)
    values = {name: timezone.now() if v is True else v for name, v in columns.items()}
    with pytest.raises(IntegrityError), transaction.atomic():
        Order.objects.filter(pk=order.pk).update(**values)
