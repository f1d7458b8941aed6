"""How many customers one web process serves who look where their parcel is."""

import pytest
import requests

from orders.states import Status
from tracking.tests import looks
from wingxtra.tests.test_bench import credentials, measure, server  # noqa: F401 (fixtures)

pytestmark = pytest.mark.bench


def test_how_fast_deliveries_are_tracked(server: str) -> None:  # noqa: F811 (the fixture)
    tracking_id = looks.flying(Status.ENROUTE, share=0.3, minutes=20).public_tracking_id
    address = f"{server}/api/v1/tracking/{tracking_id}"

    measure("GET /api/v1/tracking/{id}", lambda session: session.get(address))
    # A waiting order's tag stays; that of a flight changes with each position.
    waiting = f"{server}/api/v1/tracking/{looks.waiting().public_tracking_id}"
    known = {"If-None-Match": requests.get(waiting, timeout=5).headers["ETag"]}
    measure(
        "GET /api/v1/tracking/{id}, known already",
        lambda session: session.get(waiting, headers=known),
    )
    measure("GET /track/{id}/", lambda session: session.get(f"{server}/track/{tracking_id}/"))
