"""An order with its mission, and an able drone."""

from datetime import UTC, datetime
from typing import Any

from dispatch.missions import publishing
from dispatch.models import Mission, MissionPart
from fleet.models import Drone
from fleet.tests.factories import DroneFactory, TelemetryFactory, show
from orders.models import DeliveryEvent, Order
from orders.states import Status
from orders.tests.factories import order_in


def able_drone(**telemetry: Any) -> Drone:
    """WX-DRN-001, registered and charged, with fresh telemetry."""
    drone = Drone.objects.filter(pk="WX-DRN-001").first() or DroneFactory(drone_id="WX-DRN-001")
    seen(**telemetry)
    return drone


def seen(**telemetry: Any) -> None:
    """Set the newest telemetry of WX-DRN-001."""
    show(TelemetryFactory(drone_id="WX-DRN-001", **telemetry), fetched_at=datetime.now(UTC))


def assigned(**attributes: Any) -> tuple[Order, Mission]:
    """An order just assigned to WX-DRN-001, and its mission."""
    order = order_in(Status.ASSIGNED, drone=able_drone(), **attributes)
    return order, mission_of(order)


def submitted(**attributes: Any) -> tuple[Order, Mission]:
    """The same, with the mission accepted by the bridge."""
    order, mission = assigned(**attributes)
    publishing.publish(mission.pk)
    order = stored(order)
    assert order.status == Status.MISSION_SUBMITTED
    return order, mission_of(order)


def stored(order: Order) -> Order:
    return Order.objects.select_related("current_job").get(pk=order.pk)


def mission_of(order: Order) -> Mission:
    return Mission.objects.get(parts__job=stored(order).current_job_id)


def part_of(order: Order) -> MissionPart:
    return MissionPart.objects.with_related().get(job=stored(order).current_job_id)


def timeline(order: Order) -> list[str]:
    return list(DeliveryEvent.objects.filter(order=order).values_list("type", flat=True))
