"""Address, instructions, metadata and size of an order, and what PATCH may change of it."""

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from fleet.models import DroneKind
from fleet.tests.factories import DroneFactory, DroneKindFactory
from orders.changes import details
from orders.models import DeliveryEvent, Order
from orders.states import EventType, Status
from orders.tests.factories import OrderFactory, order_in
from orders.tests.test_api import ORDERS, body, errors_of
from wingxtra.accounts.identity import CUSTOMER
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client
from wingxtra.problems import Conflict

pytestmark = pytest.mark.django_db

FIELDS = {
    "dropoff_address": "12 Ring Road, East Legon",
    "dropoff_instructions": "Behind the house.\nMind the dog.",
    "payload_size_cm": {"l": 30, "w": 20.5, "h": 12},
    "metadata": {"basket": "B-88", " Größe ": ""},
}


@pytest.fixture
def merchant() -> Merchant:
    DroneFactory(kind=DroneKindFactory(max_size_cm=[40, 30, 20]))
    return MerchantFactory()


@pytest.fixture
def client(merchant: Merchant) -> APIClient:
    return api_client(UserFactory(merchant=merchant))


def problems_of(answer: Any) -> list[str]:
    return [error["message"] for error in answer.json()["errors"]]


# --- placing and reading -------------------------------------------------------------------------


def test_an_order_keeps_address_instructions_size_and_metadata(client: APIClient) -> None:
    placed = client.post(ORDERS, body(**FIELDS)).json()
    read = client.get(f"{ORDERS}/{placed['id']}").json()
    for shown in (placed, read):
        assert {name: shown[name] for name in FIELDS} == FIELDS


def test_without_them_it_has_null_and_empty_metadata(client: APIClient) -> None:
    empty = {"dropoff_address": "", "dropoff_instructions": None, "metadata": None}
    for given in ({}, empty):
        placed = client.post(ORDERS, body() | given).json()
        assert {name: placed[name] for name in FIELDS} == {
            "dropoff_address": None,
            "dropoff_instructions": None,
            "payload_size_cm": None,
            "metadata": {},
        }


def test_lists_mask_address_and_instructions_and_show_metadata(client: APIClient) -> None:
    client.post(ORDERS, body(**FIELDS))
    (listed,) = client.get(ORDERS).json()["items"]
    assert (listed["dropoff_address"], listed["dropoff_instructions"]) == ("***", "***")
    assert listed["metadata"] == FIELDS["metadata"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dropoff_address", "x" * 201, "Ensure this field has no more than 200 characters."),
        ("dropoff_instructions", "x" * 301, "Ensure this field has no more than 300 characters."),
        ("metadata", ["a"], "Must be an object of texts."),
        ("metadata", {"a": 1}, "The value of “a”: Must be a string."),
        ("metadata", {"a": "null\u0000"}, "The value of “a”: Null characters are not allowed."),
        ("metadata", {"": "x"}, "The name “”: This field may not be blank."),
        (
            "metadata",
            {f"n{i}": "x" for i in range(21)},
            "Has 21 members; at most 20 are possible.",
        ),
        (
            "metadata",
            {f"n{i}": "x" * 500 for i in range(20)},
            "Takes 10171 bytes as JSON; at most 8000 are possible.",
        ),
    ],
)
def test_a_field_that_is_too_long_or_of_another_form_is_refused(
    client: APIClient, field: str, value: Any, message: str
) -> None:
    answer = client.post(ORDERS, body(**{field: value}))
    assert (answer.status_code, problems_of(answer)) == (400, [message])
    assert not Order.objects.exists()


def test_every_problem_of_metadata_is_named(client: APIClient) -> None:
    metadata = {"a" * 41: "x", "long": "x" * 501, "number": 7, "fine": "x"}
    answer = client.post(ORDERS, body(metadata=metadata))
    assert problems_of(answer) == [
        f"The name “{'a' * 40}…”: Ensure this field has no more than 40 characters.",
        "The value of “long”: Ensure this field has no more than 500 characters.",
        "The value of “number”: Must be a string.",
    ]
    assert {error["field"] for error in answer.json()["errors"]} == {"metadata"}


@pytest.mark.parametrize(
    ("size", "problems"),
    [
        ({"l": 30, "w": 20}, {("payload_size_cm.h", "required")}),
        (
            {"l": 0, "w": "20", "h": 5, "d": 5},
            {
                ("payload_size_cm.l", "not_positive"),
                ("payload_size_cm.w", "invalid"),
                ("payload_size_cm.d", "unknown_field"),
            },
        ),
        ({"l": 1001, "w": 20, "h": 5}, {("payload_size_cm.l", "payload_too_large")}),
        ([30, 20, 5], {("payload_size_cm", "invalid")}),
    ],
)
def test_a_size_has_three_sides(client: APIClient, size: Any, problems: set[Any]) -> None:
    assert errors_of(client.post(ORDERS, body(payload_size_cm=size))) == problems


# --- larger than the drones take -----------------------------------------------------------------


@pytest.mark.parametrize("size", [{"l": 20, "w": 30, "h": 40}, {"l": 40, "w": 20, "h": 30}])
def test_a_parcel_may_be_turned(client: APIClient, size: dict[str, float]) -> None:
    assert client.post(ORDERS, body(payload_size_cm=size)).status_code == 201


def test_a_parcel_larger_than_every_drone_takes_is_refused_with_the_numbers(
    client: APIClient,
) -> None:
    trip = body(payload_size_cm={"l": 41, "w": 10, "h": 10})
    says = "The parcel measures 41 × 10 × 10 cm; at most 40 × 30 × 20 cm can be carried here."
    quoted = client.post("/api/v1/quotes", trip).json()
    assert quoted["reasons"] == [{"code": "payload_too_large", "message": says, "until": None}]
    refused = client.post(ORDERS, trip)
    assert errors_of(refused) == {("payload_size_cm", "payload_too_large")}
    # Also where no area is near, with the other problems.
    both = client.post(ORDERS, {**trip, "pickup_lat": 1.0})
    assert ("payload_size_cm", "payload_too_large") in errors_of(both)


def test_a_kind_without_a_limit_takes_any_size(client: APIClient) -> None:
    DroneKind.objects.update(max_size_cm=None)
    large = body(payload_size_cm={"l": 400, "w": 300, "h": 200})
    assert client.post(ORDERS, large).status_code == 201


# --- changing ------------------------------------------------------------------------------------

CHANGES = {
    "customer_name": "Kofi Boateng",
    "customer_language": "fr",
    "dropoff_address": "14 Ring Road",
    "dropoff_instructions": "On the lawn.",
    "metadata": {"basket": "B-89"},
    "priority": "URGENT",
}


def test_a_patch_changes_the_details_and_replaces_metadata(
    client: APIClient, merchant: Merchant
) -> None:
    order = OrderFactory(merchant=merchant, metadata={"former": "x"}, dropoff_address="12 Ring Rd")
    shown = client.patch(f"{ORDERS}/{order.pk}", CHANGES).json()
    assert {name: shown[name] for name in CHANGES} == CHANGES
    event = DeliveryEvent.objects.last()
    assert set(event.payload["fields"]) == set(CHANGES)
    said = event.message + json.dumps(event.payload)
    for private in ("Kofi", "Ring Road", "lawn", "B-89"):
        assert private not in said
    cleared = {"metadata": None, "dropoff_address": None, "dropoff_instructions": ""}
    shown = client.patch(f"{ORDERS}/{order.pk}", cleared).json()
    assert [shown[name] for name in cleared] == [{}, None, None]


def test_details_can_be_changed_until_launch(client: APIClient, merchant: Merchant) -> None:
    submitted = order_in(Status.MISSION_SUBMITTED, merchant=merchant)
    assert client.patch(f"{ORDERS}/{submitted.pk}", {"metadata": {"a": "b"}}).status_code == 200
    launched = order_in(Status.LAUNCHED, merchant=merchant)
    refused = client.patch(f"{ORDERS}/{launched.pk}", {"metadata": {"a": "b"}})
    assert (refused.status_code, refused.json()["code"]) == (409, "invalid_transition")
    assert Order.objects.get(pk=launched.pk).metadata == {}


def test_a_customer_changes_the_instructions_at_most_20_times() -> None:
    order = OrderFactory()
    for turn in range(details.MAX_CUSTOMER_CHANGES):
        details.change_details(order.pk, {"dropoff_instructions": f"{turn}"}, by=CUSTOMER)
    with pytest.raises(Conflict) as refused:
        details.change_details(order.pk, {"dropoff_instructions": "again"}, by=CUSTOMER)
    assert refused.value.code == "changed_too_often"
    changes = DeliveryEvent.objects.filter(type=EventType.DETAILS_CHANGED)
    assert changes.count() == details.MAX_CUSTOMER_CHANGES
