"""Anybody on the staff can ask by API why an order got its drone, or none."""

import pytest
from rest_framework.test import APIClient

from dispatch.tests.test_runs import fleet_of, run
from fleet.tests.factories import DroneFactory, TelemetryFactory, show
from orders.models import Order
from orders.tests.factories import OrderFactory
from wingxtra.accounts.tests.factories import UserFactory, api_client

pytestmark = pytest.mark.django_db


@pytest.fixture
def ops() -> APIClient:
    return api_client(UserFactory(ops=True, username="ama"))


def decisions(client: APIClient, order: Order) -> list[dict]:
    answer = client.get(f"/api/v1/orders/{order.pk}/decisions")
    assert answer.status_code == 200
    return answer.json()["items"]


def test_the_chosen_drone_and_the_next_three_with_what_they_would_have_cost(ops):
    fleet_of(5)
    order = OrderFactory()
    made = run().run
    (told,) = decisions(ops, order)
    assert (told["run_id"], told["outcome"], told["dry_run"]) == (str(made.pk), "ASSIGNED", False)
    assert {"delivery_s", "busy_s", "energy_pct", "distance_m", "cost"} < set(told["figures"])
    assert len(told["runners_up"]) == 3
    assert told["drone_id"] not in [other["drone_id"] for other in told["runners_up"]]
    for other in told["runners_up"]:
        assert other["regret"] == pytest.approx(other["cost"] - told["figures"]["cost"], abs=0.2)
    assert told["nearest"] is None


def test_the_closest_miss_of_an_order_without_a_drone_is_told_in_numbers(ops):
    near, _ = DroneFactory.create_batch(2)
    show(
        TelemetryFactory(drone_id=near.pk, battery_pct=31),
        TelemetryFactory(drone_id="WX-DRN-X", battery_pct=5),
    )
    order = OrderFactory()
    run()
    (told,) = decisions(ops, order)
    nearest = told["nearest"]
    assert nearest["drone_id"] == near.pk
    (reason,) = nearest["reasons"]
    assert (reason["code"], reason["has"]) == ("not_enough_energy", 31)
    assert nearest["short_pct"] == pytest.approx(reason["needed"] - 31, abs=0.1)
    assert nearest["charging_s"] == pytest.approx(nearest["short_pct"] * 24, abs=2)
    assert told["reasons"] == [
        {"code": "no_telemetry", "drones": 1},
        {"code": "not_enough_energy", "drones": 1},
    ]


def test_the_newest_decision_comes_first_and_an_order_nobody_looked_at_has_none(ops):
    order = OrderFactory()
    assert decisions(ops, order) == []
    first, second = run(dry_run=True).run, run(dry_run=True).run
    assert [told["run_id"] for told in decisions(ops, order)] == [str(second.pk), str(first.pk)]


def test_merchants_and_strangers_see_none_of_it():
    order = OrderFactory()
    path = f"/api/v1/orders/{order.pk}/decisions"
    assert api_client().get(path).status_code == 401
    assert api_client(UserFactory(merchant=order.merchant)).get(path).status_code == 403
