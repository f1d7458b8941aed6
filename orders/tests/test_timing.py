"""Operating hours, closings that come too early, and windows that no drone can keep."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from rest_framework.test import APIClient

from fleet import policy
from fleet.models import ServiceArea
from fleet.tests.factories import DroneFactory, square
from orders.models import Order
from orders.tests.factories import StoreFactory
from orders.tests.test_api import ORDERS, body, errors_of
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, key_client

pytestmark = pytest.mark.django_db
QUOTES = "/api/v1/quotes"
EVERY_DAY = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
ACCRA, LONDON, LORD_HOWE = "Africa/Accra", "Europe/London", "Australia/Lord_Howe"


def at(text: str) -> Any:
    return time_machine.travel(datetime.fromisoformat(text), tick=False)


def daily(opens: str, closes: str, **exceptions: list[dict[str, str]]) -> dict[str, Any]:
    """`exceptions`: by date, as d2026_12_25."""
    return {
        "weekly": [{"weekday": day, "opens": opens, "closes": closes} for day in EVERY_DAY],
        "exceptions": [
            {"date": name[1:].replace("_", "-"), "intervals": intervals}
            for name, intervals in exceptions.items()
        ],
    }


def works(hours: dict[str, Any] | None, zone: str = ACCRA) -> ServiceArea:
    """Set the operating hours of the area."""
    area = ServiceArea.objects.get()
    area.hours, area.time_zone = hours, zone
    area.save()
    return area


@pytest.fixture
def merchant() -> Merchant:
    DroneFactory()
    return MerchantFactory()


@pytest.fixture
def client(merchant: Merchant) -> APIClient:
    return key_client(merchant=merchant)


def refusal(client: APIClient, path: str = ORDERS, **sent: Any) -> dict[str, Any]:
    answer = client.post(path, body(**sent))
    assert answer.status_code == 400, answer.content
    (error,) = answer.json()["errors"]
    return dict(error)


# --- operating hours of the area -----------------------------------------------------------------


def test_outside_the_operating_hours_nothing_is_accepted_for_now(client: APIClient) -> None:
    works(daily("08:00", "18:00"))
    with at("2026-11-30T22:10Z"):
        found = refusal(client)
        assert (found["field"], found["code"]) == ("not_before", "closed")
        assert found["until"] == "2026-12-01T08:00:00Z"
        assert found["message"].endswith(
            "is closed on Monday 30 November at 22:10 (Africa/Accra). "
            "It opens on Tuesday 1 December at 08:00."
        )
        quote = client.post(QUOTES, body()).json()
        assert quote["serviceable"] is False
        assert [(one["code"], one["until"]) for one in quote["reasons"]] == [
            ("closed", "2026-12-01T08:00:00Z")
        ]
        ahead = client.post(ORDERS, body(not_before=found["until"]))
        assert (ahead.status_code, ahead.json()["status"]) == (201, "VALIDATED")
        ready = client.post(ORDERS, body(ready_at="2026-12-01T09:00:00Z")).json()
        # The promise counts from when the parcel can be picked up.
        assert ready["deliver_by"] == "2026-12-01T10:00:00Z"
    works(None)
    with at("2026-11-30T22:10Z"):
        assert client.post(ORDERS, body()).status_code == 201


def test_a_test_order_is_taken_at_any_hour(merchant: Merchant) -> None:
    works(daily("08:00", "18:00"))
    with at("2026-11-30T22:10Z"):
        of_tests = key_client(merchant=merchant, live_mode=False)
        assert of_tests.post(ORDERS, body()).status_code == 201


def test_another_area_has_its_own_hours(client: APIClient) -> None:
    closed = ServiceArea.objects.create(
        name="Tema", polygon=square(7.0, 0.0, 1000), hours=daily("01:00", "01:30")
    )
    with at("2026-11-30T12:00Z"):
        assert client.post(ORDERS, body()).status_code == 201
    assert closed.opening_hours is not None


def test_the_next_opening_is_one_of_store_and_area(client: APIClient, merchant: Merchant) -> None:
    works(daily("08:00", "18:00"))
    store = StoreFactory(
        merchant=merchant, name="Osu", hours={"timezone": ACCRA, **daily("10:00", "23:00")}
    )
    mine = {"pickup_lat": None, "pickup_lng": None, "store_id": str(store.pk)}
    with at("2026-11-30T19:00Z"):
        # The store is open. It is not at 08:00, when the area opens.
        assert refusal(client, **mine)["until"] == "2026-12-01T10:00:00Z"
    with at("2026-11-30T23:30Z"):
        answer = client.post(ORDERS, body(**mine))
        assert [(e["code"], e["until"]) for e in answer.json()["errors"]] == [
            ("closed", "2026-12-01T10:00:00Z")
        ] * 2


@pytest.mark.parametrize(
    ("zone", "now", "until"),
    [
        # London's clock goes forward in the night to 29 March 2026 and back on 25 October.
        (LONDON, "2026-03-28T18:30Z", "2026-03-29T07:00:00Z"),
        (LONDON, "2026-10-24T17:30Z", "2026-10-25T08:00:00Z"),
        # Lord Howe: +10:30, and +11 in summer; back on 5 April 2026, forward on 4 October.
        (LORD_HOWE, "2026-04-04T08:00Z", "2026-04-04T21:30:00Z"),
        (LORD_HOWE, "2026-10-03T08:00Z", "2026-10-03T21:00:00Z"),
    ],
)
def test_eight_in_the_morning_is_eight_after_the_clock_was_changed(
    client: APIClient, zone: str, now: str, until: str
) -> None:
    works(daily("08:00", "18:00"), zone)
    with at(now):
        found = refusal(client)
        assert found["until"] == until
        assert "at 08:00." in found["message"]
        assert client.post(ORDERS, body(not_before=until)).status_code == 201
        early = datetime.fromisoformat(until) - timedelta(minutes=1)
        assert refusal(client, not_before=early.isoformat())["until"] == until


def test_a_holiday_ends_the_night_before_it_at_midnight(client: APIClient) -> None:
    works({"weekly": [], "exceptions": [{"date": "2026-12-25", "intervals": []}]}, LONDON)
    with at("2026-12-24T23:59Z"):
        found = refusal(client)
        assert (
            "closes on Friday 25 December at 00:00 (Europe/London), and a drone is"
            in (found["message"])
        )
        assert found["until"] == "2026-12-26T00:00:00Z"
    # Hours that begin before the holiday end as they do.
    works(daily("20:00", "02:00", d2026_12_25=[]), LONDON)
    with at("2026-12-25T01:00Z"):
        assert client.post(ORDERS, body()).status_code == 201
    with at("2026-12-25T21:00Z"):
        assert refusal(client)["until"] == "2026-12-26T20:00:00Z"


# --- closings that come too early ----------------------------------------------------------------


def test_a_store_that_closes_before_any_drone_is_loaded(
    client: APIClient, merchant: Merchant
) -> None:
    store = StoreFactory(
        merchant=merchant, name="Osu", hours={"timezone": ACCRA, **daily("08:00", "18:00")}
    )
    mine = {"pickup_lat": None, "pickup_lng": None, "store_id": str(store.pk)}
    with at("2026-11-30T17:59Z"):
        found = refusal(client, **mine)
    assert found["code"] == "closed"
    assert found["until"] == "2026-12-01T08:00:00Z"
    assert found["message"].startswith(
        "Osu closes on Monday 30 November at 18:00 (Africa/Accra), and a drone is loaded at 18:0"
    )
    with at("2026-11-30T17:40Z"):
        assert client.post(ORDERS, body(**mine)).status_code == 201


def test_an_area_that_closes_before_any_drone_is_home(client: APIClient) -> None:
    works(daily("08:00", "18:00"))
    with at("2026-11-30T17:56Z"):
        assert "a drone is home again at 18:0" in refusal(client)["message"]
    with at("2026-11-30T17:40Z"):
        assert client.post(ORDERS, body()).status_code == 201


# --- too soon ------------------------------------------------------------------------------------


def soonest(client: APIClient) -> timedelta:
    return timedelta(seconds=client.post(QUOTES, body()).json()["eta_seconds"]["low"])


def test_a_window_that_no_drone_can_keep_is_refused_with_the_numbers(client: APIClient) -> None:
    now = datetime(2026, 11, 30, 14, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        first = now + soonest(client)
        due = now + timedelta(minutes=2)
        found = refusal(client, deliver_by=due.isoformat())
        assert (found["field"], found["code"]) == ("deliver_by", "too_soon")
        assert found["message"].startswith(
            f"The soonest is {first:%H:%M}; deliver_by is 14:02 (UTC)."
        )
        quote = client.post(QUOTES, body(deliver_by=due.isoformat())).json()
        assert [one["code"] for one in quote["reasons"]] == ["too_soon"]
        kept = first + timedelta(seconds=1)
        assert client.post(ORDERS, body(deliver_by=kept.isoformat())).status_code == 201


@pytest.mark.parametrize("later", ["not_before", "ready_at"])
def test_the_soonest_counts_from_the_start_and_the_parcel(client: APIClient, later: str) -> None:
    now = datetime(2026, 11, 30, 14, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        takes = soonest(client)
        sent = {later: (now + timedelta(hours=2)).isoformat()}
        late = now + timedelta(hours=2) + takes + timedelta(seconds=1)
        assert client.post(ORDERS, body(**sent, deliver_by=late.isoformat())).status_code == 201
        # With `ready_at` the drone may fly to the pickup before.
        soon = now + timedelta(hours=2, seconds=30)
        assert refusal(client, **sent, deliver_by=soon.isoformat())["code"] == "too_soon"


def test_our_own_promise_is_never_too_soon(client: APIClient) -> None:
    policy.change(by=SYSTEM, promise_medical_min=1)
    assert client.post(ORDERS, body(priority="MEDICAL")).status_code == 201


def test_a_window_that_is_over_is_named_once(client: APIClient) -> None:
    past = client.post(ORDERS, body(deliver_by="2020-01-01T00:00:00Z"))
    assert errors_of(past) == {("deliver_by", "window_invalid")}


@pytest.mark.parametrize("scenario", ["late", "at_risk"])
def test_a_test_order_may_play_a_late_delivery(merchant: Merchant, scenario: str) -> None:
    of_tests = key_client(merchant=merchant, live_mode=False)
    assert of_tests.post(ORDERS, body(test_scenario=scenario)).status_code == 201


def test_a_new_window_is_checked_too(client: APIClient) -> None:
    order = client.post(ORDERS, body()).json()
    path = f"{ORDERS}/{order['id']}/reschedule"
    soon = datetime.now(UTC) + timedelta(seconds=20)
    assert errors_of(client.post(path, {"deliver_by": soon.isoformat()})) == {
        ("deliver_by", "too_soon")
    }
    assert Order.objects.get().deliver_by.isoformat()[:16] == order["deliver_by"][:16]
