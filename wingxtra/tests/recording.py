"""The track of a flight for the replay's tests and picture, with a minute in which nothing came."""

from datetime import timedelta

from django.utils import timezone

from dispatch.models import TrackPiece
from orders.models import DeliveryJob, Order

BEGAN_AGO = timedelta(minutes=9)
FLIGHT_S, GAP_S = 480, (200, 260)
IN_THE_GAP_S = 230
FIRST_FRAME = "performance.getEntriesByName('wx-first-frame')"
FIRST_FRAME_IS_DRAWN = f"{FIRST_FRAME}.length === 1"


def of_a_flight(order: Order) -> tuple[DeliveryJob, float]:
    """Stores it; returns the job and the start as POSIX seconds."""
    start = (timezone.now() - BEGAN_AGO).timestamp()
    points = []
    for second in range(0, FLIGHT_S, 3):
        if GAP_S[0] < second < GAP_S[1]:
            continue
        share = second / FLIGHT_S
        bend = 0.004 * share * (1 - share)
        lat = order.pickup_lat + share * (order.dropoff_lat - order.pickup_lat) + bend
        lng = order.pickup_lng + share * (order.dropoff_lng - order.pickup_lng)
        height_m, charge_pct = min(60.0, 5.0 * second), 90.0 - 40 * share
        points.append([round(start + second, 1), lat, lng, height_m, 15.0, charge_pct])
    job = order.current_job
    assert job is not None
    TrackPiece.objects.create(job=job, points=points)
    return job, points[0][0]
