"""Filters of the lists of orders and jobs, and query parameters that do not exist."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from fleet.models import ServiceArea
from orders.api.serializers import OrderInput
from orders.models import Order
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import MerchantFactory, key_client

pytestmark = pytest.mark.django_db

ORDERS, JOBS = "/api/v1/orders", "/api/v1/jobs"


@pytest.fixture
def ops() -> APIClient:
    return key_client(role=Role.OPS)


def ids(client: APIClient, path: str = ORDERS, **query: str) -> list[str]:
    answer = client.get(path, query)
    assert answer.status_code == 200, answer.json()
    return [item["id"] for item in answer.json()["items"]]


def refusal(client: APIClient, query: dict[str, str], path: str = ORDERS) -> dict[str, Any]:
    answer = client.get(path, query)
    assert answer.status_code == 400
    return answer.json()


# --- unknown parameters --------------------------------------------------------------------------


def test_an_unknown_query_parameter_is_refused_by_name(ops: APIClient) -> None:
    body = refusal(ops, {"external_ids": "X", "status": "QUEUED"})
    assert body["code"] == "unknown_parameter"
    assert [(each["field"], each["code"]) for each in body["errors"]] == [
        ("external_ids", "unknown_parameter")
    ]
    assert "external_id" in body["detail"]


@pytest.mark.parametrize(
    "path",
    [JOBS, "/api/v1/drones", "/api/v1/webhooks", "/api/v1/dispatch/runs", "/api/v1/tracking/x"],
)
def test_every_call_refuses_unknown_query_parameters(path: str) -> None:
    client = key_client(role=Role.ADMIN)
    assert refusal(client, {"no_such": "1"}, path)["code"] == "unknown_parameter"


def test_a_call_without_parameters_says_so(ops: APIClient) -> None:
    order = OrderFactory()
    body = refusal(ops, {"full": "1"}, f"{ORDERS}/{order.pk}")
    assert "It takes none." in body["detail"]


def test_hundreds_of_unknown_parameters_get_a_short_answer(ops: APIClient) -> None:
    body = refusal(ops, {f"x{n}" * 200: "1" for n in range(100)})
    assert len(body["errors"]) == 20
    assert all(len(each["field"]) == 100 for each in body["errors"])


def test_the_page_of_ground_control_may_send_what_it_likes(ops: APIClient) -> None:
    assert ops.get("/gcs/orders", {"_": "17"}).status_code == 200


# --- filters of orders ---------------------------------------------------------------------------


def test_external_id_is_exact_and_within_ones_own_orders() -> None:
    mine = OrderFactory(external_id="A-1", merchant=MerchantFactory())
    OrderFactory(external_id="A-11", merchant=mine.merchant)
    OrderFactory(external_id="A-1", merchant=MerchantFactory())
    assert ids(key_client(merchant=mine.merchant), external_id="A-1") == [str(mine.pk)]


def test_updated_since_needs_an_offset(ops: APIClient) -> None:
    old, new = OrderFactory(), OrderFactory()
    Order.objects.filter(pk=old.pk).update(updated_at=datetime(2026, 3, 1, 11, tzinfo=UTC))
    Order.objects.filter(pk=new.pk).update(updated_at=datetime(2026, 3, 1, 12, tzinfo=UTC))
    assert ids(ops, updated_since="2026-03-01T13:00:00+01:00") == [str(new.pk)]
    for bad, code in (("2026-03-01T12:00:00", "naive"), ("yesterday", "invalid")):
        [error] = refusal(ops, {"updated_since": bad})["errors"]
        assert (error["field"], error["code"]) == ("updated_since", code)


def test_a_day_is_that_of_the_orders_area(ops: APIClient) -> None:
    accra, berlin = OrderFactory(), OrderFactory()
    ServiceArea.objects.update(time_zone="Africa/Accra")
    area = ServiceArea.objects.create(
        name="Berlin", time_zone="Europe/Berlin", polygon=accra.service_area.polygon
    )
    # The clocks of Berlin go forward on 29 March: that day has 23 hours.
    late = datetime(2026, 3, 29, 22, 30, tzinfo=UTC)
    Order.objects.update(created_at=late)
    Order.objects.filter(pk=berlin.pk).update(service_area=area)
    assert ids(ops, **{"from": "2026-03-29", "to": "2026-03-29"}) == [str(accra.pk)]
    assert ids(ops, **{"from": "2026-03-30"}) == [str(berlin.pk)]
    Order.objects.update(created_at=late - timedelta(hours=1))
    assert len(ids(ops, **{"from": "2026-03-29", "to": "2026-03-29"})) == 2
    assert len(ids(ops, **{"from": "0001-01-01"})) == 2


def test_from_and_to_take_whole_days_or_instants(ops: APIClient) -> None:
    first, second, third = OrderFactory(), OrderFactory(), OrderFactory()
    for order, at in (
        (first, datetime(2026, 3, 1, 0, 0, tzinfo=UTC)),
        (second, datetime(2026, 3, 2, 23, 59, 59, 999_999, tzinfo=UTC)),
        (third, datetime(2026, 3, 3, 0, 0, tzinfo=UTC)),
    ):
        Order.objects.filter(pk=order.pk).update(created_at=at)
    both = {"from": "2026-03-01", "to": "2026-03-02"}
    assert ids(ops, **both) == [str(second.pk), str(first.pk)]
    assert ids(ops, **{"from": "2026-03-03"}) == [str(third.pk)]
    assert ids(ops, to="2026-03-01T00:00:00Z") == [str(first.pk)]
    assert len(ids(ops, to="9999-12-31")) == 3
    for bad, code in (("2026-03-01T12:00:00", "naive"), ("2026-02-30", "invalid")):
        [error] = refusal(ops, {"to": bad})["errors"]
        assert error["code"] == code


# --- jobs ----------------------------------------------------------------------------------------


def test_active_false_is_no_filter(ops: APIClient) -> None:
    active, ended = order_in(Status.ASSIGNED), order_in(Status.DELIVERED)
    jobs = {str(active.current_job_id), str(ended.current_job_id)}
    assert ids(ops, JOBS, active="true") == [str(active.current_job_id)]
    assert set(ids(ops, JOBS, active="false")) == set(ids(ops, JOBS)) == jobs


# --- input ---------------------------------------------------------------------------------------


def test_one_coordinate_alone_moves_nothing() -> None:
    order = OrderFactory()
    client = key_client(merchant=order.merchant)
    answer = client.patch(f"{ORDERS}/{order.pk}", {"dropoff_lat": 5.6}, format="json")
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert (error["field"], error["code"]) == ("dropoff_lng", "required")
    assert Order.objects.get(pk=order.pk).dropoff_lat == order.dropoff_lat


def test_a_payload_type_is_taken_in_any_letter_case_and_an_unknown_one_names_the_choices() -> None:
    values, _ = OrderInput.read({"payload_type": "cold_chain"})
    assert values["payload_type"] == "COLD_CHAIN"
    _, problems = OrderInput.read({"payload_type": "ROCKS"})
    [problem] = [each for each in problems if each.field == "payload_type"]
    assert problem.code == "invalid_choice"
    assert problem.message == "Must be one of PARCEL, FOOD, MEDICINE, BLOOD, COLD_CHAIN."
