"""Orders for tests, placed and advanced by the real lifecycle verbs."""

from datetime import timedelta
from typing import Any

import factory
from django.db import connection
from django.utils import timezone

from fleet.feasibility.rules import PayloadType
from fleet.models import Drone, ServiceArea
from fleet.tests.factories import DroneFactory, ServiceAreaFactory
from orders import lifecycle
from orders.models import Order, Store
from orders.states import MISSION_STEPS, CancelReason, JobStatus, PodRequirement, Status
from wingxtra.accounts.identity import DISPATCHER, GCS, SYSTEM
from wingxtra.accounts.tests.factories import MerchantFactory


class StoreFactory(factory.django.DjangoModelFactory):
    """A store in Accra that is always open."""

    class Meta:
        model = Store

    merchant = factory.SubFactory(MerchantFactory)
    name = factory.Sequence(lambda n: f"Store {n}")
    lat = 5.6037
    lng = -0.1870


class OrderFactory(factory.django.DjangoModelFactory):
    """An order in Accra over about 1.9 km, QUEUED (VALIDATED with a future `not_before`)."""

    class Meta:
        model = Order

    merchant = factory.SubFactory(MerchantFactory)
    service_area = factory.LazyFunction(lambda: ServiceArea.objects.first() or ServiceAreaFactory())
    customer_name = "Ama Mensah"
    customer_phone = "+233241234567"
    pickup_name = "Ridge Pharmacy"
    pickup_lat = 5.6037
    pickup_lng = -0.1870
    dropoff_lat = 5.6150
    dropoff_lng = -0.1750
    payload_weight_kg = 0.8
    payload_type = PayloadType.PARCEL
    pod_requirement = PodRequirement.NONE
    deliver_by = factory.LazyFunction(lambda: timezone.now() + timedelta(hours=1))

    @classmethod
    def _create(cls, model_class: type[Order], *args: Any, **kwargs: Any) -> Order:
        return lifecycle.place(model_class(*args, **kwargs), by=SYSTEM)


def order_in(status: Status, *, drone: Drone | None = None, **attributes: Any) -> Order:
    """An order in `status`, reached by the real verbs. Without `drone` it gets a new one."""
    if status == Status.CREATED:
        # Placing never leaves an order in CREATED, so it is saved directly.
        order = OrderFactory.build(**{"merchant": MerchantFactory(), **attributes})
        order.save(force_insert=True)
        return order
    if status == Status.VALIDATED:
        later = timezone.now() + timedelta(hours=2)
        attributes = {
            "not_before": later,
            "deliver_by": later + timedelta(hours=1),
            **attributes,
        }
    order = OrderFactory(**attributes)
    if status in (Status.VALIDATED, Status.QUEUED):
        return order
    if status == Status.CANCELED:
        return lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.OTHER)
    drone = drone or DroneFactory()
    order = lifecycle.assign(order.pk, drone.pk, by=DISPATCHER, why="The only one.")
    if status in (Status.FAILED, Status.ABORTED):
        return lifecycle.mission_over(
            order.pk, ended=JobStatus(status), by=GCS, why="Battery.", max_attempts=1
        )
    if status in MISSION_STEPS:
        order = lifecycle.advance(order.pk, status, by=GCS).order
    return order


def multiply_orders(times: int, changed: dict[str, str]) -> None:
    """Copy each order `times` times inside the database. `changed`: SQL by column, in which n
    counts the copies from 1.
    """
    columns = [field.column for field in Order._meta.concrete_fields]
    values = ", ".join(changed.get(column, f'"{column}"') for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO orders_order ({', '.join(columns)}) "
            f"SELECT {values} FROM orders_order, generate_series(1, {times}) AS n"
        )
