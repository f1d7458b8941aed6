"""The record of a delivery shows the track that its drone flew."""

import re

import pytest

from dispatch.models import TrackPiece
from orders import lifecycle
from orders.models import Order
from orders.personal_data import retention
from orders.states import Status
from orders.tests.factories import order_in
from wingxtra.accounts.tests.factories import UserFactory, api_client

pytestmark = pytest.mark.django_db

# A detour, not the straight line.
FLOWN = [(5.6037, -0.1870), (5.6120, -0.1868), (5.6150, -0.1750)]


def map_of(order: Order) -> str:
    client = api_client(UserFactory(merchant=order.merchant))
    return client.get(f"/api/v1/orders/{order.pk}/record").content.decode()


def flown_order() -> Order:
    order = order_in(Status.DELIVERED)
    points = [[1_800_000_000.0 + n, lat, lng, 60.0, 12.0] for n, (lat, lng) in enumerate(FLOWN)]
    TrackPiece.objects.create(job=lifecycle.job_of(order), points=points)
    return order


def test_the_flown_track_is_drawn() -> None:
    shown = map_of(flown_order())

    (line,) = re.findall(r'<polyline class="flown" points="([^"]*)"', shown)
    pixels = [tuple(map(int, point.split(","))) for point in line.split()]
    assert len(pixels) == len(FLOWN)
    (pickup_x, pickup_y), (_, around_y), (door_x, door_y) = pixels
    assert (pickup_x < door_x, door_y < around_y < pickup_y) == (True, True)
    assert "Solid: the measured path of the drone" in shown


def test_a_record_without_a_track_says_so() -> None:
    shown = map_of(order_in(Status.DELIVERED))

    assert 'class="flown"' not in shown
    assert "No measured flight is stored" in shown


def test_the_track_of_a_forgotten_customer_is_not_drawn() -> None:
    order = flown_order()
    retention.forget(order.pk)

    assert 'class="flown"' not in map_of(order)
