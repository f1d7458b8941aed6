"""The customer's page while the store or the service area is closed."""

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.test import Client

from fleet.tests.factories import ServiceAreaFactory
from orders.tests.factories import OrderFactory, StoreFactory

pytestmark = pytest.mark.django_db

TUESDAYS = {
    "weekly": [{"weekday": "TUESDAY", "opens": "08:00", "closes": "18:00"}],
    "exceptions": [],
}


@pytest.mark.parametrize(
    ("now", "opens_at"),
    [
        # Tuesdays before and after London's clock is changed on 29 March and 25 October 2026.
        ("2026-03-24T12:00", None),
        ("2026-03-29T12:00", "2026-03-31T07:00:00Z"),
        ("2026-10-20T18:00", "2026-10-27T08:00:00Z"),
    ],
)
@pytest.mark.parametrize("of_store", [False, True])
def test_the_page_says_when_it_goes_on(now: str, opens_at: str | None, of_store: bool) -> None:
    zone = "Europe/London"
    area = ServiceAreaFactory(hours=None if of_store else TUESDAYS, time_zone=zone)
    hours = {**TUESDAYS, "timezone": zone} if of_store else None
    with time_machine.travel(datetime.fromisoformat(now).replace(tzinfo=UTC), tick=False):
        order = OrderFactory(service_area=area, store=StoreFactory(hours=hours))
        shown: dict[str, Any] = Client().get(f"/api/v1/tracking/{order.public_tracking_id}").json()
        page = Client().get(f"/track/{order.public_tracking_id}/").content.decode()
    assert shown["opens_at"] == opens_at
    assert ("closed now, it goes on from" in page) == (opens_at is not None)
