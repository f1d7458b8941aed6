"""What a plan reads of an order that waits. A run reads thousands, and a third of the columns."""

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from orders.models.order import Order


class WaitingOrder(NamedTuple):
    """A row of `values_list(*WAITING)`, or of WITH_ITS_JOB for an order that has a drone already.

    hub_lat, hub_lng: of the hub that has the parcel. assigned_drone_id, mission_id: of its job.
    """

    pk: UUID
    service_area_id: UUID
    status: str
    priority: str
    created_at: datetime
    not_before: datetime | None
    deliver_by: datetime
    ready_at: datetime | None
    parcel_ready_at: datetime | None
    holder: str
    store_id: UUID | None
    live_mode: bool
    pickup_lat: float
    pickup_lng: float
    dropoff_lat: float
    dropoff_lng: float
    payload_weight_kg: float
    payload_type: str
    payload_size_cm: list[float] | None
    current_job_id: UUID | None
    hub_lat: float | None
    hub_lng: float | None
    assigned_drone_id: str | None = None
    mission_id: UUID | None = None

    @property
    def flown_from(self) -> tuple[float, float]:
        """As that of Order."""
        if self.hub_lat is not None and self.hub_lng is not None:
            return self.hub_lat, self.hub_lng
        return self.pickup_lat, self.pickup_lng

    @classmethod
    def of(cls, order: "Order") -> "WaitingOrder":
        """The same of an order that was read as a whole."""
        hub, job = order.holder_hub, order.current_job
        return cls(
            *(getattr(order, name) for name in _OWN),
            *((hub.lat, hub.lng) if hub else (None, None)),
            *((job.drone_id, job.mission_intent_id) if job else ()),
        )


_OWN = WaitingOrder._fields[: WaitingOrder._fields.index("hub_lat")]
# A queued order has no job: without that join PostgreSQL does not look at the jobs.
WAITING = (*_OWN, "holder_hub__lat", "holder_hub__lng")
WITH_ITS_JOB = (*WAITING, "current_job__drone_id", "current_job__mission_intent_id")
