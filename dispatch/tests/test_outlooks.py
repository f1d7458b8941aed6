"""The forecast of an area, as quotes, orders, pages and customers see it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from dispatch.missions import delays
from dispatch.planning import outlooks
from fleet.models import Drone, Hub, Policy, ServiceArea
from fleet.tests.factories import (
    DroneFactory,
    DroneKindFactory,
    ServiceAreaFactory,
    ShiftFactory,
    TelemetryFactory,
    show,
)
from orders import lifecycle
from orders.models import Order
from orders.promises import memory
from orders.promises.outlook import MAX_AGE
from orders.states import CancelReason, HoldCode, Status
from orders.tests.factories import OrderFactory
from orders.tests.test_api import ORDERS, body, contract
from orders.tests.test_quotes import QUOTES
from wingxtra import redis_client
from wingxtra.accounts.identity import DISPATCHER, Role
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, key_client
from wingxtra.opening_hours import WEEKDAYS

pytestmark = pytest.mark.django_db


@pytest.fixture
def merchant() -> Merchant:
    """A merchant, and one drone that is ready."""
    show(TelemetryFactory(drone_id=DroneFactory().pk))
    return MerchantFactory()


def refresh(now: datetime | None = None) -> None:
    for area_id in outlooks.areas():
        outlooks.refresh(area_id, now or timezone.now())


def quoted(merchant: Merchant, **changes: Any) -> dict[str, Any]:
    answer = key_client(merchant=merchant).post(QUOTES, body(**changes))
    assert answer.status_code == 200, answer.json()
    found: dict[str, Any] = answer.json()
    return found


def shown(order: Order) -> dict[str, Any]:
    found: dict[str, Any] = key_client(merchant=order.merchant).get(f"{ORDERS}/{order.pk}").json()
    return found


def seconds(later: str, earlier: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


# --- quotes --------------------------------------------------------------------------------------


def test_a_quote_for_an_idle_fleet_is_narrow(merchant: Merchant) -> None:
    wide = quoted(merchant)
    refresh()
    narrow = quoted(merchant)
    assert (wide["busy"], narrow["busy"]) == (True, False)
    low, high = narrow["eta_seconds"]["low"], narrow["eta_seconds"]["high"]
    assert 120 < low < high < 600
    assert wide["eta_seconds"]["high"] == 3600
    assert seconds(narrow["eta_at"]["high"], narrow["eta_at"]["low"]) == pytest.approx(
        high - low, abs=2
    )


def test_a_quote_knows_the_queue(merchant: Merchant) -> None:
    """Ten orders wait for the one drone. A MEDICAL order passes them, a NORMAL one does not."""
    OrderFactory.create_batch(10, merchant=merchant)
    refresh()
    normal, medical = quoted(merchant), quoted(merchant, priority="MEDICAL")
    assert normal["busy"] is True
    assert normal["eta_seconds"]["low"] > medical["eta_seconds"]["high"]
    assert medical["busy"] is False


def test_a_quote_knows_the_charge(merchant: Merchant) -> None:
    refresh()
    charged = quoted(merchant)["eta_seconds"]
    with time_machine.travel(timezone.now() + timedelta(seconds=5)):
        show(TelemetryFactory(drone_id=Drone.objects.get().pk, battery_pct=5.0))
        refresh()
        empty = quoted(merchant)
    assert empty["busy"] is True
    assert empty["eta_seconds"]["low"] > charged["high"]


def test_a_quote_knows_the_launches_of_the_hub(merchant: Merchant) -> None:
    """One drone waits for take-off, and the hub launches one at once."""
    refresh()
    before = quoted(merchant)["eta_seconds"]["low"]
    other = DroneFactory(hub=Drone.objects.get().hub)
    show(*(TelemetryFactory(drone_id=drone.pk) for drone in Drone.objects.all()))
    lifecycle.assign(OrderFactory().pk, other.pk, by=DISPATCHER, why="Next.")
    refresh()
    assert quoted(merchant)["eta_seconds"]["low"] == pytest.approx(before, abs=5)
    Hub.objects.update(launches_at_once=1)
    refresh()
    waits_s = quoted(merchant)["eta_seconds"]["low"] - before
    assert waits_s == pytest.approx(Policy().rules().launch_time_s, rel=0.15)


def test_a_quote_knows_the_chargers_of_a_network(merchant: Merchant, settings: Settings) -> None:
    """Both drones are flat. The one that carries food only is fuller, so it charges first."""
    settings.GCS_INTENT_VERSION = 2
    ServiceArea.objects.update(network=True)
    ours = Drone.objects.get()
    other = DroneFactory(hub=ours.hub, kind=DroneKindFactory(payload_types=["FOOD"]))
    show(
        TelemetryFactory(drone_id=ours.pk, battery_pct=15),
        TelemetryFactory(drone_id=other.pk, battery_pct=20),
    )
    refresh()
    any_number = quoted(merchant)["eta_seconds"]["low"]
    Hub.objects.update(chargers=1)
    refresh()
    assert quoted(merchant)["eta_seconds"]["low"] > any_number + 600


def test_an_old_forecast_is_not_quoted(merchant: Merchant) -> None:
    refresh(timezone.now() - MAX_AGE - timedelta(seconds=1))
    assert quoted(merchant)["busy"] is True
    assert quoted(merchant)["eta_seconds"]["high"] == 3600


def test_a_quote_for_later_is_wide_and_not_busy(merchant: Merchant) -> None:
    OrderFactory.create_batch(10, merchant=merchant)
    refresh()
    start = timezone.now() + timedelta(hours=5)
    answer = quoted(merchant, not_before=start.isoformat())
    assert answer["busy"] is False
    assert answer["eta_seconds"]["high"] == 3600
    assert datetime.fromisoformat(answer["eta_at"]["low"]) > start


def test_a_parcel_that_is_ready_later_is_quoted_from_then(merchant: Merchant) -> None:
    refresh()
    ready_at = timezone.now() + timedelta(minutes=20)
    low, high = (
        quoted(merchant, ready_at=ready_at.isoformat())["eta_at"][e] for e in ("low", "high")
    )
    assert datetime.fromisoformat(low) > ready_at
    assert seconds(high, low) < 300


def test_an_area_without_its_pilot_on_duty_is_quoted_without_a_time(merchant: Merchant) -> None:
    ServiceArea.objects.update(pilots_required=True)
    refresh()
    answer = quoted(merchant)
    assert (answer["busy"], answer["eta_at"]) == (True, {"low": None, "high": None})
    assert answer["held_up"]["code"] == "no_drone"
    ShiftFactory()
    refresh()
    assert quoted(merchant)["held_up"] is None


def test_a_paused_area_is_quoted_without_a_time(merchant: Merchant) -> None:
    area = ServiceArea.objects.get()
    area.dispatch_paused = True
    area.save()
    answer = quoted(merchant)
    assert answer["serviceable"] is True
    assert (answer["busy"], answer["eta_at"]) == (True, {"low": None, "high": None})
    assert answer["held_up"]["code"] == "dispatch_paused"
    assert area.name in answer["held_up"]["message"]


def closing(at: datetime) -> ServiceArea:
    """Let the area be open until then by the clock, and again on the next day from 08:00."""
    weekly = [{"weekday": day, "opens": "08:00", "closes": f"{at:%H:%M}"} for day in WEEKDAYS]
    area = ServiceArea.objects.get()
    area.hours, area.time_zone = {"weekly": weekly, "exceptions": []}, "Africa/Accra"
    area.save()
    return area


EVENING = datetime(2026, 11, 30, 17, 30, tzinfo=UTC)


def test_a_quote_names_no_time_after_the_area_has_closed(merchant: Merchant) -> None:
    """Ten orders wait for the one drone; the next one would be home long after closing."""
    with time_machine.travel(EVENING, tick=False):
        show(TelemetryFactory(drone_id=Drone.objects.get().pk))
        closing(EVENING + timedelta(minutes=20))
        refresh()
        soon = quoted(merchant)
        assert soon["held_up"] is None
        OrderFactory.create_batch(10, merchant=merchant)
        refresh()
        answer = quoted(merchant)
        assert (answer["serviceable"], answer["busy"]) == (True, True)
        assert answer["eta_at"] == {"low": None, "high": None}
        assert answer["held_up"]["code"] == "closed"
        assert answer["held_up"]["until"] == "2026-12-01T08:00:00Z"
        assert "closes on Monday 30 November at 17:50" in answer["held_up"]["message"]


def test_a_range_that_goes_beyond_closing_ends_after_the_next_opening(merchant: Merchant) -> None:
    """What does not fly before 17:50 flies at 08:00 on the next day, and not within the promise."""
    with time_machine.travel(EVENING, tick=False):
        closing(EVENING + timedelta(minutes=20))
        wide = quoted(merchant)["eta_at"]
    assert "2026-11-30T17:32" < wide["low"] < "2026-11-30T17:40"
    assert "2026-12-01T08:02" < wide["high"] < "2026-12-01T08:10"


def test_a_quote_without_a_drone_that_is_ready_names_no_time(merchant: Merchant) -> None:
    show()
    refresh()
    answer = quoted(merchant)
    assert (answer["serviceable"], answer["busy"]) == (True, True)
    assert answer["eta_at"] == {"low": None, "high": None}
    assert answer["held_up"]["code"] == "no_drone"


def test_an_order_whose_turn_comes_after_closing_has_no_time(merchant: Merchant) -> None:
    with time_machine.travel(EVENING, tick=False):
        show(TelemetryFactory(drone_id=Drone.objects.get().pk))
        closing(EVENING + timedelta(minutes=20))
        OrderFactory.create_batch(10, merchant=merchant)
        refresh()
        ranges = [shown(order)["eta_range"] for order in Order.objects.all()]
        latest = max(found["low"] for found in ranges if found)
        assert latest < "2026-11-30T17:50"
        assert sum(1 for found in ranges if found is None) >= 3
        waiting = Order.objects.order_by("pk")
        late = [order for order in waiting if shown(order)["eta_range"] is None][-1]
        assert shown(late)["queue"]["held_up"]["code"] == "closed"
        view = Client().get(f"/api/v1/tracking/{late.public_tracking_id}").json()
        assert (view["queue"], view["eta_range"]) == (None, None)
        assert view["headline"].startswith("Delayed: ")
        shown_places = [shown(order)["queue"]["place"] for order in Order.objects.all()]
        found = sorted(place for place in shown_places if place is not None)
        assert found == list(range(1, len(found) + 1))
        assert 0 < delays.tell(EVENING) <= shown_places.count(None)


def test_wind_is_quoted_without_a_time(merchant: Merchant, settings: Settings) -> None:
    settings.WEATHER_SOURCE = "/nowhere/weather.json"  # never read: the wind is not known
    answer = quoted(merchant)
    assert answer["held_up"]["code"] == "weather_unknown"
    assert answer["eta_seconds"] == {"low": None, "high": None}


def test_a_quote_reads_redis_once_more_and_takes_no_statement_more(merchant: Merchant) -> None:
    client = key_client(merchant=merchant)
    client.post(QUOTES, body())
    with CaptureQueriesContext(connection) as before:
        client.post(QUOTES, body())
    refresh()
    with CaptureQueriesContext(connection) as after, round_trips() as trips:
        client.post(QUOTES, body())
    assert len(after) == len(before)
    assert sum("outlook" in key for trip in trips for key in trip) == 1


@contextmanager
def round_trips() -> Iterator[list[set[str]]]:
    """The texts of the commands of each round trip to Redis."""
    trips: list[set[str]] = []
    original = redis_client.RoundTrip.send

    def noted(trip: redis_client.RoundTrip) -> None:
        trips.append({part for answer in trip.answers for part in map(str, answer.command)})
        original(trip)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_client.RoundTrip, "send", noted)
        yield trips


# --- orders --------------------------------------------------------------------------------------


def test_an_order_keeps_what_it_was_told(merchant: Merchant) -> None:
    refresh()
    answer = key_client(merchant=merchant).post(ORDERS, body()).json()
    order = Order.objects.get(pk=answer["id"])
    assert order.quoted_case == "NORMAL/0/0"
    assert order.quoted_low_at < order.quoted_expected_at < order.quoted_high_at
    assert seconds(answer["quoted"]["high"], answer["quoted"]["low"]) < 300
    contract("order").validate(answer)


def test_an_order_without_a_forecast_keeps_the_wide_range_without_a_case(
    merchant: Merchant,
) -> None:
    order = Order.objects.get(pk=key_client(merchant=merchant).post(ORDERS, body()).json()["id"])
    assert (order.quoted_case, order.quoted_expected_at) == ("", None)
    assert order.quoted_high_at - order.quoted_low_at > timedelta(minutes=45)


def test_orders_in_line_have_a_place_and_a_time(merchant: Merchant) -> None:
    normal, medical = (OrderFactory(merchant=merchant, priority=p) for p in ("NORMAL", "MEDICAL"))
    assert shown(normal)["queue"] is None
    refresh()
    first, second = shown(medical), shown(normal)
    assert first["queue"] == {"place": 1, "of": 2, "held_up": None}
    assert second["queue"] == {"place": 2, "of": 2, "held_up": None}
    assert first["eta_range"]["low"] < second["eta_range"]["low"]
    contract("order").validate(second)
    listed = key_client(merchant=merchant).get(ORDERS).json()["items"]
    assert {order["id"]: order["queue"]["place"] for order in listed} == {
        str(medical.pk): 1,
        str(normal.pk): 2,
    }


def test_places_are_forgotten_when_the_forecast_is_old(merchant: Merchant) -> None:
    order = OrderFactory(merchant=merchant)
    refresh()
    with time_machine.travel(timezone.now() + MAX_AGE + timedelta(seconds=1)):
        assert shown(order)["queue"] is None
        assert shown(order)["eta_range"] is None


def test_an_assigned_order_is_no_longer_in_line(merchant: Merchant) -> None:
    order = OrderFactory(merchant=merchant)
    refresh()
    lifecycle.assign(order.pk, DroneFactory().pk, by=DISPATCHER, why="The only one.")
    assert shown(order)["queue"] is None


def test_an_order_on_hold_has_no_place(merchant: Merchant) -> None:
    order = OrderFactory(merchant=merchant)
    refresh()
    Order.objects.filter(pk=order.pk).update(
        hold_code=HoldCode.PARCEL_UNKNOWN, hold_since=timezone.now()
    )
    assert shown(order)["queue"] is None


def test_a_paused_area_says_why_its_orders_wait(merchant: Merchant) -> None:
    order = OrderFactory(merchant=merchant)
    Policy.objects.update(dispatch_paused=True)
    refresh()
    answer = shown(order)
    assert answer["queue"] == {
        "place": None,
        "of": 1,
        "held_up": {"code": "dispatch_paused", "message": "Flights are paused."},
    }
    assert answer["eta_range"] is None


def test_an_order_that_no_drone_can_fly_now_says_so(merchant: Merchant) -> None:
    order = OrderFactory(merchant=merchant, payload_weight_kg=50)
    refresh()
    assert shown(order)["queue"]["held_up"]["code"] == "no_drone"
    assert shown(order)["eta_range"] is None


def test_unknown_wind_is_not_told_as_too_much_wind(merchant: Merchant, settings: Settings) -> None:
    settings.WEATHER_SOURCE = "/nowhere/weather.json"  # never read: the wind is not known
    order = OrderFactory(merchant=merchant)
    refresh()
    assert shown(order)["queue"]["held_up"]["code"] == "weather_unknown"
    page = Client().get(f"/track/{order.public_tracking_id}/").content.decode()
    assert "We cannot read the weather at the moment." in page
    assert "windy" not in page


def test_the_place_of_an_order_that_was_read_before_takes_no_round_trip_of_its_own(
    merchant: Merchant,
) -> None:
    order = OrderFactory(merchant=merchant)
    refresh()
    first = shown(order)["queue"]
    with round_trips() as trips:
        assert shown(order)["queue"] == first
    [with_line] = [trip for trip in trips if "HMGET" in trip]
    assert "EVALSHA" in with_line, "the one that counts the call"
    assert first["place"] == 1
    lifecycle.cancel(order.pk, by=DISPATCHER, reason=CancelReason.OTHER)
    shown(order)
    with round_trips() as trips:
        shown(order)
    assert not any("HMGET" in trip for trip in trips), "it waits no more"


def test_an_order_that_has_moved_to_another_area_is_not_shown_in_the_line_of_the_former(
    merchant: Merchant,
) -> None:
    order = OrderFactory(merchant=merchant)
    refresh()
    assert shown(order)["queue"]["of"] == 1
    Order.objects.filter(pk=order.pk).update(service_area=ServiceAreaFactory())
    assert shown(order)["queue"] is None
    assert shown(order)["queue"] is None, "also once the new area is known"


def test_a_merchants_second_order_reads_the_outlook_with_its_call(merchant: Merchant) -> None:
    client = key_client(merchant=merchant)
    refresh()
    quoted_of = [client.post(ORDERS, body(external_id="first")).json()["quoted"]]
    with round_trips() as trips:
        quoted_of.append(client.post(ORDERS, body(external_id="second")).json()["quoted"])
    [with_outlook] = [trip for trip in trips if any("outlook" in key for key in trip)]
    assert "EVALSHA" in with_outlook, "the one that counts the call"
    assert seconds(quoted_of[1]["high"], quoted_of[1]["low"]) < 300, "the narrow range of it"


def test_what_is_noted_of_areas_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_NOTED", 3)
    for _ in range(10):
        memory.note_area(uuid4(), uuid4())
        assert len(memory._last_area) <= 3


def test_an_order_that_no_drone_can_fly_takes_no_place(merchant: Merchant) -> None:
    OrderFactory(merchant=merchant, priority="MEDICAL", payload_weight_kg=50)
    order = OrderFactory(merchant=merchant)
    refresh()
    queue = shown(order)["queue"]
    assert (queue["place"], queue["of"]) == (1, 2)


def test_without_redis_there_is_no_place_and_orders_are_still_placed(
    merchant: Merchant, settings: Settings
) -> None:
    order = OrderFactory(merchant=merchant)
    client = key_client(merchant=merchant)
    refresh()
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    refresh()  # logged
    assert memory.in_line([order], timezone.now()) == {}
    assert memory.outlook_of(order.service_area_id) is None
    assert client.get(f"{ORDERS}/{order.pk}").json()["queue"] is None
    answer = client.post(ORDERS, body())
    assert answer.status_code == 201
    assert answer.json()["quoted"] is not None


def test_statements_do_not_grow_with_the_queue(merchant: Merchant) -> None:
    OrderFactory(merchant=merchant)
    refresh()
    with CaptureQueriesContext(connection) as few:
        refresh()
    OrderFactory.create_batch(9, merchant=merchant)
    with CaptureQueriesContext(connection) as many:
        refresh()
    assert len(many) == len(few)


def test_another_merchants_place_is_a_404(merchant: Merchant) -> None:
    order = OrderFactory(merchant=merchant)
    refresh()
    other = key_client(merchant=MerchantFactory())
    assert other.get(f"{ORDERS}/{order.pk}").status_code == 404


# --- people --------------------------------------------------------------------------------------


def test_the_console_shows_place_and_time(merchant: Merchant) -> None:
    order = OrderFactory(merchant=merchant)
    refresh()
    browser = Client()
    browser.force_login(UserFactory(role=Role.OPS))
    listed = browser.get(reverse("admin:orders_order_changelist") + "?tab=queued").content.decode()
    page = browser.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()
    assert "1st in line</span><br>" in listed
    assert "1st in line of 1, about " in page


def test_a_customer_reads_place_and_time(merchant: Merchant) -> None:
    OrderFactory(merchant=merchant, priority="MEDICAL")
    order = OrderFactory(merchant=merchant)
    refresh()
    view = Client().get(f"/api/v1/tracking/{order.public_tracking_id}").json()
    assert view["status"] == Status.QUEUED
    assert view["queue"] == {"place": 2}
    assert view["eta_range"]["low"] < view["eta_range"]["high"]
    assert view["eta_at"] is None
    page = Client().get(f"/track/{order.public_tracking_id}/").content.decode()
    assert "number 2" in page


def test_a_customer_reads_why_there_is_no_time(merchant: Merchant) -> None:
    order = OrderFactory(merchant=merchant, payload_weight_kg=50)
    refresh()
    view = Client().get(f"/api/v1/tracking/{order.public_tracking_id}").json()
    assert (view["queue"], view["eta_range"]) == (None, None)
    page = Client().get(f"/track/{order.public_tracking_id}/").content.decode()
    assert "No drone can fly it at the moment." in page
