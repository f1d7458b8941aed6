"""Rows of several querysets in one statement: the same objects as one by one."""

from datetime import date, timedelta
from math import inf, isnan, nan
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count, DurationField, ExpressionWrapper, F, Model, QuerySet, Value
from django.db.models.functions import JSONObject, Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dispatch.models import DispatchRun, MissionPart
from fleet.airworthiness.models import Attestation, Checklist, Defect
from fleet.models import Drone, Hub
from fleet.tests.factories import DroneFactory
from orders.models import DeliveryEvent, Order
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from tracking.tests.receiver import WebhookFactory
from wingxtra.database import together

pytestmark = pytest.mark.django_db


def values_of(row: Model, *above: int) -> dict[str, Any]:
    """All loaded columns, with those of related rows."""
    found = {name: value for name, value in vars(row).items() if not name.startswith("_")}
    cached: dict[str, Any] = row._state.fields_cache
    return found | {
        name: values_of(other, id(row), *above) if isinstance(other, Model) else other
        for name, other in cached.items()
        if id(other) not in above
    }


def assert_same(querysets: list[QuerySet[Any, Any]]) -> list[list[Any]]:
    with CaptureQueriesContext(connection) as taken:
        found = together.read(*querysets)
    assert len(taken) == 1
    for rows, queryset in zip(found, querysets, strict=True):
        expected = list(queryset)
        assert expected
        if isinstance(expected[0], Model):
            assert [values_of(row) for row in rows] == [values_of(row) for row in expected]
            assert [type(row) for row in rows] == [type(row) for row in expected]
            assert not any(row._state.adding for row in rows)
            assert {row._state.db for row in rows} == {"default"}
        else:
            assert rows == expected
    return found


def test_objects_are_those_of_their_querysets() -> None:
    order = order_in(Status.ASSIGNED)
    order_in(Status.DELIVERED)
    assert_same(
        [
            Order.objects.select_related("merchant", "current_job__drone", "store"),
            DeliveryEvent.objects.order_by("-id")[:3],
            MissionPart.objects.select_related("mission__clearance", "job", "order"),
            Drone.objects.with_home().order_by("pk"),
            order.events.filter(type="ASSIGNED"),
        ]
    )


def test_chosen_columns_and_annotations() -> None:
    for _ in range(3):
        order_in(Status.QUEUED)
    orders = Order.objects.order_by("pk")
    lean, counted, tuples = assert_same(
        [
            orders.only("public_tracking_id", "merchant__name").select_related("merchant"),
            orders.annotate(happened=Count("events")),
            orders.values_list("pk", "merchant__name", "deliver_by", "dropoff_lat"),
        ]
    )
    assert "customer_name" in lean[0].get_deferred_fields()
    assert counted[0].happened == 3
    assert type(tuples[0][3]) is float


def test_unions_days_lists_and_json() -> None:
    drone = DroneFactory()
    for n in range(2):
        Defect.objects.create(drone=drone, description=f"Loud, {n}", grounds=False, reported_by="x")
    checklist = Checklist.objects.create(name="Daily", hub=drone.hub, items=["Winch", "Battery"])
    Attestation.objects.create(
        checklist=checklist, hub=drone.hub, day=date(2026, 11, 30), items=["Winch"], attested_by="x"
    )

    def labelled(label: str, rows: QuerySet[Any]) -> Any:
        facts = JSONObject(text=F("description"), more=JSONObject(grounds=F("grounds")))
        return rows.order_by().values_list(Value(label), F("drone_id"), facts)

    both = labelled("a", Defect.objects.filter(description__endswith="0")).union(
        labelled("b", Defect.objects.filter(description__endswith="1")), all=True
    )
    found = assert_same([both, Checklist.objects.all(), Attestation.objects.all()])
    assert found[0][0] == ("a", drone.pk, {"text": "Loud, 0", "more": {"grounds": False}})
    assert found[2][0].day == date(2026, 11, 30)


def test_texts_numbers_and_times_stay_as_they_are() -> None:
    at = timezone.now().replace(microsecond=120_000)
    name = 'Ama "the quick" \\ Mensah\n™ 🚁'
    OrderFactory(customer_name=name, metadata={"n": [1, 2.5, None]}, dropoff_lat=1 / 3)
    OrderFactory(deliver_by=at + timedelta(microseconds=7))
    (orders,) = assert_same([Order.objects.order_by("created_at")])
    assert (orders[0].customer_name, orders[0].dropoff_lat) == (name, 1 / 3)


def test_numbers_that_json_does_not_have() -> None:
    for n, number in enumerate((nan, inf, -inf)):
        DispatchRun.objects.create(trigger="API", actor="x", policy_version=n, value=number)
    runs = DispatchRun.objects.order_by("policy_version")
    (rows,) = together.read(runs.values_list("value"))
    assert isnan(rows[0][0])
    assert rows[1:] == [(inf,), (-inf,)]


def test_a_queryset_without_rows_is_an_empty_list() -> None:
    OrderFactory()
    with CaptureQueriesContext(connection) as taken:
        assert together.read() == []
        assert together.read(Drone.objects.none(), Drone.objects.filter(pk__in=[])) == [[], []]
    assert not taken.captured_queries
    found = together.read(Drone.objects.none(), Order.objects.all(), Hub.objects.filter(pk=0))
    assert [len(rows) for rows in found] == [0, 1, 0]
    assert together.read_groups([[], [Order.objects.all(), Drone.objects.none()]]) == [
        [],
        [list(Order.objects.all()), []],
    ]


def test_bytes_are_read_as_bytes() -> None:
    endpoint = WebhookFactory()
    ((found,),) = together.read(type(endpoint).objects.all())
    assert (found.secret, found.former_secret) == (bytes(endpoint.secret), None)


def test_what_cannot_be_read_is_refused() -> None:
    age = ExpressionWrapper(Now() - F("created_at"), output_field=DurationField())
    with pytest.raises(TypeError, match="DurationField"):
        together.read(Order.objects.annotate(age=age))
    with pytest.raises(TypeError, match="prefetch"):
        together.read(Order.objects.prefetch_related("events"))
