"""A bad request gets every problem at once, with stable codes, and writes nothing."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from fleet.tests.factories import (
    ACCRA,
    METRE_DEG,
    DroneFactory,
    GeoZoneFactory,
    ServiceAreaFactory,
    square,
)
from orders.api.serializers import NewOrder
from orders.models import DeliveryEvent, Order
from orders.tests.factories import OrderFactory
from orders.tests.test_api import ORDERS, body, errors_of
from orders.tests.test_quotes import QUOTES
from pod.models import OneTimeCode
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client

pytestmark = pytest.mark.django_db


@pytest.fixture
def merchant() -> Merchant:
    DroneFactory()
    return MerchantFactory()


@pytest.fixture
def client(merchant: Merchant) -> Iterator[APIClient]:
    yield api_client(UserFactory(merchant=merchant))
    assert not Order.objects.exists()
    assert not DeliveryEvent.objects.exists()
    assert not OneTimeCode.objects.exists()


def north_of_the_hub(metres: float) -> float:
    return ACCRA[0] + metres * METRE_DEG


def in_minutes(minutes: float) -> str:
    return (timezone.now() + timedelta(minutes=minutes)).isoformat()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"customer_name": None, "deliver_by": None, "external_id": "a-1"},
        {"priority": "URGENT", "payload_weight_kg": 1, "dropoff_accuracy_m": 3.5},
        {"pickup_lat": "5.6", "payload_weight_kg": -1, "priority": "SOON"},
        {
            "customer_phone": 3,
            "customer_email": "no-address",
            "unknown": "field",
            "external_id": "ä",
        },
        {"deliver_by": "2026-02-30T12:00:00Z", "quote_id": "1", "dropoff_lng": None},
    ],
)
def test_input_is_read_as_rest_framework_would_read_it(changes: dict[str, Any]) -> None:
    data = body(**changes)
    whole = NewOrder(data=data)
    values, problems = NewOrder.read(data)
    if whole.is_valid():
        assert (values, problems) == (whole.validated_data, [])
        return
    assert {(p.field, p.code, p.message) for p in problems} == {
        (name, error.code, str(error)) for name, errors in whole.errors.items() for error in errors
    }
    refused = whole.errors.keys() & whole.fields.keys()
    sound = {name: value for name, value in data.items() if name not in whole.errors}
    rest = NewOrder(data=sound, partial=True)
    assert rest.is_valid()
    assert values == {**rest.validated_data, **dict.fromkeys(refused)}


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("pickup_lat", "missing", "required"),
        ("dropoff_lng", "missing", "required"),
        ("payload_weight_kg", "missing", "required"),
        ("pickup_lat", None, "required"),
        ("dropoff_lat", None, "null"),
        ("payload_weight_kg", None, "null"),
        ("priority", None, "null"),
        ("pickup_lat", "5.6037", "invalid"),
        ("dropoff_lng", True, "invalid"),
        ("dropoff_lng", [1], "invalid"),
        ("pickup_lat", 91, "out_of_bounds"),
        ("dropoff_lat", -90.01, "out_of_bounds"),
        ("pickup_lng", 181, "out_of_bounds"),
        ("dropoff_lng", 10**400, "overflow"),
        ("payload_weight_kg", -1, "not_positive"),
        ("payload_weight_kg", 0, "not_positive"),
        ("payload_weight_kg", 2.6, "payload_too_heavy"),
        ("payload_weight_kg", 5000, "payload_too_heavy"),
        ("payload_weight_kg", 1e300, "payload_too_heavy"),
        ("payload_type", "BLOOD", "payload_type_unsupported"),
        ("payload_type", "ROCKS", "invalid_choice"),
        ("priority", "SOON", "invalid_choice"),
        ("priority", {}, "invalid_choice"),
        ("pod_requirement", "", "invalid_choice"),
        ("dropoff_lat", 6.9, "outside_service_area"),
        ("pickup_lat", 0, "outside_service_area"),
        ("dropoff_accuracy_m", 51, "dropoff_too_inaccurate"),
        ("dropoff_accuracy_m", -1, "min_value"),
        ("deliver_by", "2026-03-01T12:00:00", "naive"),
        ("deliver_by", "tomorrow", "invalid"),
        ("deliver_by", 1700000000, "invalid"),
        ("not_before", "2026-02-30T12:00:00Z", "invalid"),
        ("not_before", "9999-12-31T23:59:59Z", "window_invalid"),
        ("deliver_by", "9999-12-31T23:59:59Z", "window_invalid"),
        ("deliver_by", "2020-01-01T00:00:00Z", "window_invalid"),
        ("customer_phone", "0241234567", "invalid_phone"),
        ("customer_phone", "+1", "invalid_phone"),
        ("customer_phone", 233241234567, "invalid"),
        ("customer_email", "ama", "invalid"),
        ("customer_language", "tlh", "invalid_choice"),
        ("customer_name", "x" * 121, "max_length"),
        ("external_id", "a b", "invalid"),
        ("external_id", "", "blank"),
        ("external_id", "x" * 65, "max_length"),
        ("color", "red", "unknown_field"),
        ("status", "DELIVERED", "unknown_field"),
    ],
)
def test_one_bad_field_is_named_with_its_code(
    client: APIClient, field: str, value: Any, code: str
) -> None:
    sent = body()
    if value == "missing":
        del sent[field]
    else:
        sent[field] = value
    assert errors_of(client.post(ORDERS, sent)) == {(field, code)}


def test_every_problem_is_reported_at_once(client: APIClient) -> None:
    sent = body(
        pickup_lat=91,
        dropoff_lat=6.9,
        payload_weight_kg=5000,
        priority="SOON",
        dropoff_accuracy_m=80,
        not_before=in_minutes(90),
        deliver_by=in_minutes(60),
        color="red",
    )
    answer = client.post(ORDERS, sent)
    assert errors_of(answer) == {
        ("pickup_lat", "out_of_bounds"),
        ("dropoff_lat", "outside_service_area"),
        ("payload_weight_kg", "payload_too_heavy"),
        ("priority", "invalid_choice"),
        ("dropoff_accuracy_m", "dropoff_too_inaccurate"),
        ("deliver_by", "window_invalid"),
        ("color", "unknown_field"),
    }
    detail = answer.json()["detail"]
    assert "pickup_lat: Must be between -90 and 90 degrees." in detail
    assert "color: There is no such field here." in detail


def test_a_duplicate_reference_is_reported_with_other_problems(merchant: Merchant) -> None:
    OrderFactory(merchant=merchant, external_id="A-1")
    client = api_client(UserFactory(merchant=merchant))
    answer = client.post(ORDERS, body(external_id="A-1", dropoff_accuracy_m=80))
    assert errors_of(answer) == {
        ("external_id", "duplicate_external_id"),
        ("dropoff_accuracy_m", "dropoff_too_inaccurate"),
    }
    assert Order.objects.count() == 1


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'{"pickup_lat": NaN}', 400),
        (b'{"pickup_lat": Infinity}', 400),
        (b'{"customer_name": "\xff"}', 400),
        (b'{"customer_name": "' + b"x" * 2_000_000 + b'"}', 413),
    ],
)
def test_a_body_that_is_not_a_json_object_is_refused(
    client: APIClient, raw: bytes, status: int
) -> None:
    answer = client.post(ORDERS, raw, content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["detail"]


def test_text_that_postgresql_cannot_store_is_refused(client: APIClient) -> None:
    for name in ("a\0b", "\ud800"):
        raw = json.dumps(body(customer_name=name))
        answer = client.post(ORDERS, raw, content_type="application/json")
        assert answer.status_code == 400, answer.content


# --- where ---------------------------------------------------------------------------------------


def test_pickup_and_drop_must_lie_in_one_common_area(client: APIClient) -> None:
    ServiceAreaFactory(name="Tema", polygon=square(ACCRA[0], 0.0, 10_000))
    answer = client.post(ORDERS, body(dropoff_lat=ACCRA[0], dropoff_lng=0.0))
    assert errors_of(answer) == {("dropoff_lat", "outside_service_area")}
    assert "Tema" in answer.json()["detail"]


def test_an_area_that_is_switched_off_is_not_served(client: APIClient) -> None:
    ServiceAreaFactory._meta.model.objects.update(active=False)
    assert errors_of(client.post(ORDERS, body())) == {
        ("pickup_lat", "outside_service_area"),
        ("dropoff_lat", "outside_service_area"),
    }


def test_a_drop_point_in_a_no_fly_zone_is_refused(client: APIClient) -> None:
    zone = GeoZoneFactory(name="Kotoka airport", polygon=square(5.6150, -0.1750, 500))
    answer = client.post(ORDERS, body())
    assert errors_of(answer) == {("dropoff_lat", "in_no_fly_zone")}
    assert zone.name in answer.json()["detail"]


@pytest.mark.parametrize(
    ("starts_min", "ends_min", "refused"),
    [
        (None, None, True),
        (None, 20, False),
        (30, 120, False),
        (None, 60, True),
        (3, 120, True),
        (61, 120, False),
        (-120, -1, False),
    ],
)
def test_a_zone_counts_if_it_leaves_no_time_of_the_window_to_fly(
    merchant: Merchant, starts_min: int | None, ends_min: int | None, refused: bool
) -> None:
    def moment(minutes: int | None) -> datetime | None:
        return None if minutes is None else datetime.now(UTC) + timedelta(minutes=minutes)

    GeoZoneFactory(
        polygon=square(5.6150, -0.1750, 500),
        starts_at=moment(starts_min),
        ends_at=moment(ends_min),
    )
    client = api_client(UserFactory(merchant=merchant))
    answer = client.post(ORDERS, body(deliver_by=in_minutes(60)))
    assert answer.status_code == (400 if refused else 201)


@pytest.mark.parametrize(("hour", "refused"), [(10, True), (18, False)])
@pytest.mark.parametrize("days", [3, 30])
def test_the_hours_of_a_zone_count_for_orders_of_any_day(
    merchant: Merchant, days: int, hour: int, refused: bool
) -> None:
    school = {"days": ["ANY"], "from": "08:00", "until": "14:00"}
    GeoZoneFactory(polygon=square(5.6150, -0.1750, 500), schedule=[school])
    day = datetime.now(UTC) + timedelta(days=days)
    start = day.replace(hour=hour, minute=0, second=0, microsecond=0)
    times = {"not_before": start, "deliver_by": start + timedelta(hours=1)}
    client = api_client(UserFactory(merchant=merchant))
    answer = client.post(ORDERS, body(**{name: at.isoformat() for name, at in times.items()}))
    assert answer.status_code == (400 if refused else 201)


def test_an_order_is_taken_for_the_time_between_two_closings_of_a_zone(
    merchant: Merchant,
) -> None:
    """A school's zone, closed but for noon; the window is from 08:00 to 18:00."""
    lessons = [
        {"days": ["ANY"], "from": "07:00", "until": "12:00"},
        {"days": ["ANY"], "from": "13:00", "until": "19:00"},
    ]
    zone = GeoZoneFactory(polygon=square(5.6150, -0.1750, 500), schedule=lessons)
    day = datetime.now(UTC) + timedelta(days=2)
    at = {hour: day.replace(hour=hour, minute=0, second=0, microsecond=0) for hour in (8, 12, 18)}
    sent = body(not_before=at[8].isoformat(), deliver_by=at[18].isoformat())
    client = api_client(UserFactory(merchant=merchant))
    quote = client.post(QUOTES, sent).json()
    assert at[12] < datetime.fromisoformat(quote["eta_at"]["low"]) < at[12] + timedelta(minutes=30)
    assert client.post(ORDERS, sent).status_code == 201
    in_the_lesson = sent | {"deliver_by": at[12].isoformat()}
    assert errors_of(client.post(ORDERS, in_the_lesson)) == {("dropoff_lat", "in_no_fly_zone")}
    zone.schedule = [{"days": ["ANY"], "from": "07:00", "until": "19:00"}]
    zone.save()
    assert errors_of(client.post(ORDERS, sent)) == {("dropoff_lat", "in_no_fly_zone")}


def test_two_zones_that_are_never_open_together_are_refused(merchant: Merchant) -> None:
    """One at the pickup, closed until 12:00, and one at the door, closed from then on."""
    day = datetime.now(UTC) + timedelta(days=2)
    noon = day.replace(hour=12, minute=0, second=0, microsecond=0)
    pickup = GeoZoneFactory(polygon=square(5.6037, -0.1870, 100), ends_at=noon)
    GeoZoneFactory(polygon=square(5.6150, -0.1750, 100), starts_at=noon)
    hours = timedelta(hours=3)
    sent = body(not_before=(noon - hours).isoformat(), deliver_by=(noon + hours).isoformat())
    client = api_client(UserFactory(merchant=merchant))
    assert errors_of(client.post(ORDERS, sent)) == {("dropoff_lat", "in_no_fly_zone")}
    pickup.ends_at = noon - timedelta(hours=1)
    pickup.save()
    assert client.post(ORDERS, sent).status_code == 201


@pytest.mark.parametrize(("ends_min", "refused"), [(None, True), (20, False), (90, True)])
def test_a_zone_across_the_path_is_refused_unless_it_ends_in_time(
    merchant: Merchant, ends_min: int | None, refused: bool
) -> None:
    ends_at = ends_min and datetime.now(UTC) + timedelta(minutes=ends_min)
    halfway = square((5.6037 + 5.6150) / 2, -0.1810, 300)
    GeoZoneFactory(polygon=halfway, ends_at=ends_at or None)
    client = api_client(UserFactory(merchant=merchant))
    answer = client.post(ORDERS, body(deliver_by=in_minutes(60)))
    if refused:
        assert errors_of(answer) == {("dropoff_lat", "in_no_fly_zone")}
    else:
        assert answer.status_code == 201


def test_a_trip_longer_than_a_battery_is_out_of_range(client: APIClient) -> None:
    ServiceAreaFactory._meta.model.objects.update(polygon=square(*ACCRA, 100_000))
    answer = client.post(ORDERS, body(dropoff_lat=north_of_the_hub(40_000)))
    assert errors_of(answer) == {("dropoff_lat", "out_of_range")}


def test_an_area_without_drones_is_out_of_range() -> None:
    ServiceAreaFactory()
    client = api_client(UserFactory(merchant=MerchantFactory()))
    assert errors_of(client.post(ORDERS, body())) == {("dropoff_lat", "out_of_range")}


# --- when ----------------------------------------------------------------------------------------


def test_a_window_that_ends_before_it_starts_is_refused(client: APIClient) -> None:
    sent = body(not_before=in_minutes(60), deliver_by=in_minutes(30))
    assert errors_of(client.post(ORDERS, sent)) == {("deliver_by", "window_invalid")}


def test_a_start_that_has_passed_means_now(merchant: Merchant) -> None:
    client = api_client(UserFactory(merchant=merchant))
    answer = client.post(ORDERS, body(not_before=in_minutes(-60)))
    assert answer.json()["status"] == "QUEUED"
    ahead = Order.objects.get().deliver_by - timezone.now()
    assert timedelta(minutes=59) < ahead <= timedelta(minutes=60)
