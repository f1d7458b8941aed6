"""Orders from a file: previewed row by row, placed together, and never twice."""

import itertools
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework import serializers

from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.api.serializers import NewOrder
from orders.files import imports
from orders.models import DeliveryEvent, Order
from orders.tests.factories import OrderFactory
from orders.tests.test_api import ORDERS, body
from orders.tests.test_lifecycle_races import at_once
from pod.models import OneTimeCode
from wingxtra import redis_client
from wingxtra.accounts.models import ApiKey, Merchant, User
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client
from wingxtra.api.serializers import Number, StrictSerializer, Text
from wingxtra.problems import NotFound

pytestmark = pytest.mark.django_db
TRIP = {name: value for name, value in body().items() if name != "payload_weight_kg"}


@pytest.fixture
def merchant() -> Merchant:
    DroneFactory()
    return MerchantFactory()


@pytest.fixture
def user(merchant: Merchant) -> User:
    return UserFactory(merchant=merchant)


def csv_of(*rows: dict[str, Any]) -> bytes:
    """A CSV file of orders over 1.9 km; each row adds to them or changes them."""
    rows = tuple({**TRIP, "payload_weight_kg": 0.8, **row} for row in rows)
    names = list(dict.fromkeys(itertools.chain(*rows)))
    lines = [names, *[[row.get(name) for name in names] for row in rows]]
    return "\n".join(
        ",".join("" if cell is None else str(cell) for cell in line) for line in lines
    ).encode()


def kept(user: User | ApiKey, *rows: dict[str, Any]) -> uuid.UUID:
    return imports.keep("orders.csv", csv_of(*rows), user)


def codes_of(rows: list[imports.Row]) -> dict[int, set[tuple[str, str]]]:
    return {row.number: {(one.field, one.code) for one in row.problems} for row in rows}


# --- the preview ---------------------------------------------------------------------------------

BAD: list[dict[str, Any]] = [
    {"customer_phone": "12", "payload_weight_kg": "heavy"},
    {"dropoff_lat": 48.8, "dropoff_lng": 2.3},
    {"priority": "TODAY", "pickup_lat": None},
    {"external_id": "A 1", "payload_weight_kg": 900},
    {"deliver_by": "2020-01-01T00:00:00Z", "not_before": "yesterday"},
    {"merchant_id": "00000000-0000-4000-8000-000000000000"},
    {"test_scenario": "delivered"},
    {"external_id": "taken", "quote_id": "00000000-0000-4000-8000-000000000000"},
]


@pytest.mark.parametrize("row", BAD, ids=lambda row: "+".join(row))
def test_a_row_has_the_problems_that_the_api_reports(user: User, row: dict[str, Any]) -> None:
    OrderFactory(merchant=user.merchant, external_id="taken")
    [found] = imports.preview(kept(user, row), user).rows

    answer = api_client(user).post(ORDERS, body(**row), format="json")

    assert answer.status_code == 400
    assert {(one.field, one.code, one.message) for one in found.problems} == {
        (one["field"], one["code"], one["message"]) for one in answer.json()["errors"]
    }


def test_each_problem_is_at_its_line_and_nothing_is_placed(user: User) -> None:
    OrderFactory(merchant=user.merchant, external_id="A-1")
    OrderFactory(external_id="A-4")  # another merchant's
    import_id = kept(
        user,
        {"external_id": "A-1"},
        {"external_id": "A-2"},
        {"external_id": "A-2", "payload_type": "COMET"},
        {"external_id": "A-4"},
    )
    preview = imports.preview(import_id, user)
    duplicate = ("external_id", "duplicate_external_id")
    assert codes_of(preview.rows) == {
        2: {duplicate},
        3: set(),
        4: {("payload_type", "invalid_choice"), duplicate},
        5: set(),
    }
    assert "Row 3" in preview.bad[1].problems[-1].message
    assert len(preview.good) == 2
    assert Order.objects.count() == 2


def test_every_member_of_a_new_order_is_a_column() -> None:
    names = [*imports.COLUMNS.names, *imports.COLUMNS.objects]
    assert {name.partition(".")[0] for name in names} == set(NewOrder().fields)
    assert {"pickup_lat", "dropoff_lng", "payload_weight_kg"} < imports.COLUMNS.numbers


def test_members_of_members_are_columns_with_a_dot() -> None:
    class Size(StrictSerializer):
        height = Number()
        note = Text()

    class Whole(StrictSerializer):
        name = Text()
        size = Size()
        labels = serializers.DictField()

    columns = imports.columns_of(Whole().fields)
    assert columns.names == ("name", "size.height", "size.note")
    assert columns.numbers == {"size.height"}
    assert columns.objects == ("labels",)


def test_a_preview_takes_as_many_statements_for_a_hundred_rows_as_for_one(user: User) -> None:
    def statements(rows: int) -> int:
        import_id = kept(user, *[{"external_id": f"A-{n}"} for n in range(rows)])
        with CaptureQueriesContext(connection) as sent:
            imports.preview(import_id, user)
        return len(sent)

    statements(1)  # loads the rulebook
    assert statements(1) == statements(100) <= 7


# --- placing -------------------------------------------------------------------------------------


def test_all_rows_are_placed_like_orders_of_the_api(user: User) -> None:
    later = {"not_before": "2099-01-01T08:00:00Z"}
    import_id = kept(user, {"external_id": "A-1", "pod_requirement": "otp"}, {"external_id": "A-2"})
    after = imports.place(import_id, user, only_good=False)
    assert [row.number for row in after.placed] == [2, 3]
    first, second = (Order.objects.get(external_id=name) for name in ("A-1", "A-2"))
    assert (first.merchant, first.live_mode, first.status) == (user.merchant, True, "QUEUED")
    assert list(second.events.values_list("type", flat=True)) == ["CREATED", "VALIDATED", "QUEUED"]
    assert {event.actor for event in DeliveryEvent.objects.all()} == {str(user.actor)}
    assert OneTimeCode.objects.get().order == first
    assert len(after.placed[0].order.otp_code or "") == 6
    assert [row.order.otp_code for row in imports.preview(import_id, user).placed] == [None, None]
    assert imports.preview(kept(user, later), user).bad  # more than a year ahead


def test_columns_with_a_dot_fill_size_and_metadata(user: User) -> None:
    size = {"payload_size_cm.l": 30, "payload_size_cm.w": 20, "payload_size_cm.h": 10}
    import_id = kept(user, {**size, "metadata.shelf": "B 4"}, {**size, "payload_size_cm.h": "flat"})
    preview = imports.preview(import_id, user)
    assert codes_of(preview.bad) == {3: {("payload_size_cm.h", "invalid")}}
    imports.place(import_id, user, only_good=True)
    order = Order.objects.get()
    assert (order.payload_size_cm, order.metadata) == ([30, 20, 10], {"shelf": "B 4"})


def test_one_bad_row_keeps_all_from_being_placed_if_so_chosen(user: User) -> None:
    import_id = kept(user, {"external_id": "A-1"}, {"priority": "TODAY"})
    with pytest.raises(imports.NotPlaced) as refused:
        imports.place(import_id, user, only_good=False)
    assert "1 of 2 rows" in refused.value.detail
    assert not Order.objects.exists()

    after = imports.place(import_id, user, only_good=True)
    assert [row.number for row in after.placed] == [2]
    assert codes_of(after.bad) == {3: {("priority", "invalid_choice")}}
    assert Order.objects.get().external_id == "A-1"


def test_a_repeated_confirmation_places_nothing(user: User) -> None:
    import_id = kept(user, {}, {}, {"priority": "TODAY"})
    for _ in range(3):
        after = imports.place(import_id, user, only_good=True)
        assert (len(after.placed), len(after.bad), len(after.good)) == (2, 1, 0)
    assert Order.objects.count() == 2


def test_the_same_file_again_is_refused_by_its_external_ids(user: User) -> None:
    imports.place(kept(user, {"external_id": "A-1"}), user, only_good=False)
    again = imports.preview(kept(user, {"external_id": "A-1"}), user)
    assert codes_of(again.rows) == {2: {("external_id", "duplicate_external_id")}}


def test_a_reference_that_is_taken_in_between_is_left_out_or_stops_all(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = kept(user, {"external_id": "A-1"}, {"external_id": "A-2"})
    place_many = lifecycle.place_many

    def late(orders: Any, *, by: Any) -> list[Order]:
        OrderFactory(merchant=user.merchant, external_id="A-1")
        return place_many(orders, by=by)

    monkeypatch.setattr(lifecycle, "place_many", late)
    with pytest.raises(imports.NotPlaced):
        imports.place(import_id, user, only_good=False)
    assert not Order.objects.exists()  # the transaction took the other order along
    after = imports.place(import_id, user, only_good=True)
    assert codes_of(after.bad) == {2: {("external_id", "duplicate_external_id")}}
    assert [row.number for row in after.placed] == [3]


def test_placing_takes_one_more_statement_for_each_hundred_rows(user: User) -> None:
    def statements(rows: int) -> int:
        import_id = kept(user, *[{"pod_requirement": "OTP"}] * rows)
        with CaptureQueriesContext(connection) as sent:
            imports.place(import_id, user, only_good=False)
        return len(sent)

    statements(10)  # loads the rulebook
    assert statements(200) - statements(20) == 1


# --- who may see it ------------------------------------------------------------------------------


def test_a_file_is_only_its_callers_own_in_its_mode(user: User) -> None:
    import_id = kept(user, {})
    others = [
        UserFactory(merchant=user.merchant),
        UserFactory(merchant=MerchantFactory()),
        ApiKey(role=user.role, merchant=user.merchant, name=user.username, live_mode=False),
    ]
    for other in others:
        with pytest.raises(NotFound):
            imports.preview(import_id, other)
        with pytest.raises(NotFound):
            imports.place(import_id, other, only_good=True)
    assert imports.preview(import_id, user).good


def test_a_file_goes_after_a_day_or_when_the_next_one_comes(user: User) -> None:
    first = kept(user, {})
    [name] = redis_client.client().keys("import:*")
    assert 0 < redis_client.client().ttl(name) <= timedelta(days=1).total_seconds()
    kept(user, {})
    with pytest.raises(NotFound) as refused:
        imports.preview(first, user)
    assert "upload it again" in refused.value.detail


def test_rows_of_a_test_key_are_test_orders(merchant: Merchant) -> None:
    key, _ = ApiKey.issue(name="till", role="MERCHANT", merchant=merchant, live_mode=False)
    imports.place(kept(key, {"test_scenario": "WRONG_OTP"}, {}), key, only_good=True)
    [order] = Order.objects.all()
    assert (order.live_mode, order.test_scenario) == (False, "delivered")


# --- races ---------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_confirmations_at_once_place_each_row_once(user: User) -> None:
    import_id = kept(user, {"external_id": "A-2"}, {"external_id": "A-1"}, *[{}] * 7)
    raised = at_once(*[lambda: imports.place(import_id, user, only_good=True)] * 4)
    assert raised == [None] * 4
    assert Order.objects.count() == 9
    assert DeliveryEvent.objects.filter(type="CREATED").count() == 9


@pytest.mark.django_db(transaction=True)
def test_control_without_the_rows_own_ids_they_are_placed_twice(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uuid, "uuid5", lambda *_: uuid.uuid4())
    import_id = kept(user, {}, {})
    raised = at_once(*[lambda: imports.place(import_id, user, only_good=True)] * 2)
    assert raised == [None] * 2
    assert Order.objects.count() == 4
