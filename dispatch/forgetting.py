"""What goes of missions, flights and tracks when their customer is forgotten: where exactly the door is."""

from typing import Any

from dispatch.models import Flight, MissionIntent, TrackPiece
from orders.models import Order
from orders.retention import DROPOFF_DECIMALS


def forget(order: Order, **_signal: Any) -> None:
    """Receiver of `retention.forgetting`. Of what was sent, only the drop point is blurred."""
    for intent in MissionIntent.objects.select_for_update().filter(order=order):
        for axis in ("lat", "lng"):
            intent.body["dropoff"][axis] = round(intent.body["dropoff"][axis], DROPOFF_DECIMALS)
        intent.bridge_answer = ""
        intent.save(update_fields=["body", "bridge_answer"])
    Flight.objects.filter(job__order=order).delete()
    TrackPiece.objects.filter(job__order=order).delete()
