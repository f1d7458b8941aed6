"""The track that an order's drone flew, for the record of the delivery."""

from dispatch.missions.following import tracks
from orders.models import Order


def way_of(order: Order) -> list[tuple[float, float]]:
    """(lat, lng) of the latest flight, oldest first. Empty once the customer's data is removed."""
    job = order.current_job
    return [(point.lat, point.lng) for point in tracks.track_of(job)] if job else []
