"""Flight records in the console: list, downloads, page, and the link on the order's page."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dispatch.models import FlightRecord
from dispatch.tests.test_flight_record_exports import records
from dispatch.tests.test_flight_records import record_of
from dispatch.tests.test_tracks import flown
from fleet.simulator.run import Simulator
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory

pytestmark = pytest.mark.django_db

LIST = "/admin/dispatch/flightrecord/"


def test_the_page_of_a_record_shows_log_track_and_what_is_missing(
    bridge: Simulator, client: Any
) -> None:
    record = record_of(flown(bridge))
    client.force_login(UserFactory(role=Role.READONLY, is_staff=True))
    page = client.get(f"{LIST}{record.pk}/change/")
    text = page.content.decode()
    assert page.status_code == 200
    for expected in ("Flown, part 1", "Not known: name of the pilot", "Inside the planned", "Wh"):
        assert expected in text
    order = client.get(f"/admin/orders/order/{record.order_id}/change/").content.decode()
    assert f"{LIST}{record.pk}/change/" in order


def test_the_list_is_downloaded_as_it_is_filtered(client: Any) -> None:
    old, new = records(2)
    client.force_login(UserFactory(role=Role.READONLY, is_staff=True))
    page = client.get(LIST, {"q": old.drone_id}).content.decode()
    assert old.drone_id in page
    assert f"export/csv?q={old.drone_id}" in page
    for fmt in ("csv", "jsonl", "geojson"):
        answer = client.get(f"{LIST}export/{fmt}", {"q": old.drone_id})
        text = b"".join(answer.streaming_content).decode()
        assert str(old.pk) in text
        assert str(new.pk) not in text
    assert client.get(f"{LIST}export/pdf").status_code == 404


def test_the_list_takes_the_same_statements_for_more_records(client: Any) -> None:
    client.force_login(UserFactory(role=Role.READONLY, is_staff=True))
    counts = []
    for _ in range(2):
        records(2)
        with CaptureQueriesContext(connection) as captured:
            assert client.get(LIST).status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_merchants_have_no_way_in(client: Any) -> None:
    records(1)
    client.force_login(UserFactory(merchant=MerchantFactory()))
    for page in (LIST, f"{LIST}export/csv", f"{LIST}{FlightRecord.objects.get().pk}/change/"):
        assert client.get(page).status_code in (302, 403)
