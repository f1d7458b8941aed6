"""The decisions about an order by API, for staff."""

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


def test_a_decision_has_the_chosen_drone_and_the_next_three_with_their_costs(ops):
    fleet_of(5)
    order = OrderFactory()
    run_id = str(run().run.pk)
    (decision,) = decisions(ops, order)
    figures = decision["figures"]
    assert (decision["run_id"], decision["outcome"]) == (run_id, "ASSIGNED")
    assert decision["dry_run"] is False
    assert {"delivery_s", "busy_s", "energy_pct", "distance_m", "cost"} < set(figures)
    assert len(decision["runners_up"]) == 3
    assert decision["drone_id"] not in [other["drone_id"] for other in decision["runners_up"]]
    for other in decision["runners_up"]:
        assert other["regret"] == pytest.approx(other["cost"] - figures["cost"], abs=0.2)
    assert decision["nearest"] is None


def test_a_decision_without_a_drone_has_the_figures_of_the_closest_one(ops):
    near, _ = DroneFactory.create_batch(2)
    show(
        TelemetryFactory(drone_id=near.pk, battery_pct=31),
        TelemetryFactory(drone_id="WX-DRN-X", battery_pct=5),
    )
    order = OrderFactory()
    run()
    (decision,) = decisions(ops, order)
    nearest = decision["nearest"]
    assert nearest["drone_id"] == near.pk
    (reason,) = nearest["reasons"]
    assert (reason["code"], reason["has"]) == ("not_enough_energy", 31)
    assert nearest["short_pct"] == pytest.approx(reason["needed"] - 31, abs=0.1)
    assert nearest["charging_s"] == pytest.approx(nearest["short_pct"] * 24, abs=2)
    assert decision["reasons"] == [
        {"code": "no_telemetry", "drones": 1},
        {"code": "not_enough_energy", "drones": 1},
    ]


def test_decisions_are_newest_first_and_an_unplanned_order_has_none(ops):
    order = OrderFactory()
    assert decisions(ops, order) == []
    first, second = run(dry_run=True).run, run(dry_run=True).run
    assert [decision["run_id"] for decision in decisions(ops, order)] == [
        str(second.pk),
        str(first.pk),
    ]


def test_merchants_and_anonymous_callers_see_no_decisions():
    order = OrderFactory()
    path = f"/api/v1/orders/{order.pk}/decisions"
    assert api_client().get(path).status_code == 401
    assert api_client(UserFactory(merchant=order.merchant)).get(path).status_code == 403
