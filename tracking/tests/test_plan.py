"""The drawn plan: scale, directions, and nothing that is not public."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from fleet.tests.factories import METRE_DEG
from orders.states import Status
from tracking.page import plan
from tracking.tests.deliveries import secret_order

DROP = {"lat": 0.0, "lng": 0.0}


def view(north_m: float | None = None, east_m: float = 0) -> dict[str, Any]:
    """A public view at the equator, where a degree of longitude is as long as one of latitude."""
    if north_m is None:
        return {"position": None, "dropoff": DROP}
    at = {"lat": north_m * METRE_DEG, "lng": east_m * METRE_DEG, "heading_deg": None}
    return {"position": at, "dropoff": DROP}


def metres_per_unit(drawn: plan.Plan) -> float:
    number, unit = drawn.square_label.split()
    return float(number) * (1000 if unit == "km" else 1) / float(drawn.square)


def test_without_a_drone_the_drop_point_is_in_the_middle() -> None:
    drawn = plan.of(view())

    assert (drawn.drop, drawn.drone) == ("-0.0 0.0", "")
    assert drawn.bearing == "The drop point is inside the circle."
    assert drawn.square_label == "50 m"
    assert float(drawn.around) * metres_per_unit(drawn) == pytest.approx(70, abs=0.5)


@pytest.mark.parametrize("away_m", [30, 400, 1_500, 7_000, 60_000])
@pytest.mark.parametrize(("north", "east"), [(1, 0), (0, 1), (-1, -1), (0.6, -0.8)])
def test_the_way_fits_and_is_to_scale(away_m: float, north: float, east: float) -> None:
    drawn = plan.of(view(north * away_m, east * away_m))

    (x, y), (to_x, to_y) = (map(float, point.split()) for point in (drawn.drone, drawn.drop))
    assert all(abs(one) <= plan.ROOM[0] / 2 + 0.1 for one in (x, to_x))
    assert all(abs(one) <= plan.ROOM[1] / 2 + 0.1 for one in (y, to_y))
    per_unit = metres_per_unit(drawn)
    assert ((to_y - y) * per_unit, (x - to_x) * per_unit) == pytest.approx(
        (north * away_m, east * away_m), rel=0.02, abs=0.3 * per_unit
    )
    assert plan.SMALLEST_SQUARE <= float(drawn.square) <= 2.5 * plan.SMALLEST_SQUARE


@pytest.mark.parametrize(
    ("north", "east", "words"),
    [
        (300, 10, "The drone is 300 m north of the drop point."),
        (-860, 830, "The drone is 1.2 km south-east of the drop point."),
        (0, -500, "The drone is 500 m west of the drop point."),
        (300, -300, "The drone is 400 m north-west of the drop point."),
        (60, 60, "The drop point is inside the circle."),
    ],
)
def test_the_direction_is_told_in_words(north: float, east: float, words: str) -> None:
    assert plan.of(view(north, east)).bearing == words


@pytest.mark.django_db
@pytest.mark.parametrize("status", [Status.QUEUED, Status.ENROUTE, Status.ARRIVED])
def test_the_drawing_writes_numbers_with_a_point_in_every_language(status: Status) -> None:
    path = f"/track/{secret_order(status).public_tracking_id}/"

    html = Client().get(f"{path}?lang=fr").content.decode()

    (drawing,) = re.findall(r'<svg class="drawn".*?</svg>', html, re.DOTALL)
    assert "," not in drawing
    with translation.override("fr"):
        assert plan.of(view(2_000, 0)).bearing == "Le drone est à 2,0 km au nord du point de dépôt."
