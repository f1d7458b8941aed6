"""A what-if keeps hours, ready times and pilots' caps as a run does."""

from collections import Counter
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from dispatch.models import WhatIf
from dispatch.planning.limits import pilots
from dispatch.tests.whatif_day import NOON_S, asked, placed, rush, yesterday
from dispatch.whatif import questions, worker
from dispatch.whatif.day_figures import ALL
from dispatch.whatif.limits import Limits
from fleet.models import Pilot, Policy, ServiceArea, Shift
from fleet.tests.factories import DroneFactory
from orders.models import Order
from orders.tests.factories import StoreFactory
from orders.timing.opening import Place
from wingxtra.opening_hours import WEEKDAYS, OpeningHours
from wingxtra.problems import Invalid

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def daily(opens: str, closes: str) -> dict[str, Any]:
    days = [{"weekday": day, "opens": opens, "closes": closes} for day in WEEKDAYS]
    return {"weekly": days, "exceptions": []}


def simulated(area: ServiceArea) -> dict[str, Any]:
    """The figures of all orders of the day as it is."""
    what_if = asked(area, rules={"promise_normal_min": 61})
    worker.compute(what_if.pk)
    what_if = WhatIf.objects.get(pk=what_if.pk)
    assert what_if.results, what_if.problem
    figures: dict[str, Any] = what_if.results["now"]["orders"][ALL]
    return figures


def median_minutes(area: ServiceArea) -> float:
    return float(simulated(area)["median_min"])


def change(area: ServiceArea, **values: Any) -> ServiceArea:
    ServiceArea.objects.filter(pk=area.pk).update(**values)
    return ServiceArea.objects.get(pk=area.pk)


def on_duty(area: ServiceArea, *, from_s: float, hours: float, at_once: int) -> Shift:
    start = questions.starts_at(yesterday()) + timedelta(seconds=from_s)
    pilot = Pilot.objects.create(name=f"Pilot {Pilot.objects.count()}")
    return Shift.objects.create(
        pilot=pilot,
        service_area=area,
        starts_at=start,
        ends_at=start + timedelta(hours=hours),
        at_once=at_once,
    )


def test_an_order_waits_until_the_area_opens() -> None:
    area = rush(3, drones=3)
    flight = median_minutes(area)
    waits = median_minutes(change(area, hours=daily("14:00", "20:00")))
    assert waits == pytest.approx(flight + 120, abs=2)


def test_a_drone_is_home_before_the_area_closes_and_flies_on_the_next_day() -> None:
    area = rush(1, drones=1)
    flight = median_minutes(area)
    waits = median_minutes(change(area, hours=daily("08:00", "12:05")))
    assert waits == pytest.approx(flight + 20 * 60, abs=2), "it takes longer than five minutes"


def test_an_order_waits_until_its_store_opens() -> None:
    """Its parcel has left the store on the real day; in the simulation it is there again."""
    DroneFactory()
    store = StoreFactory(hours=daily("13:00", "20:00") | {"timezone": "Africa/Accra"})
    order = placed(store=store, merchant=store.merchant)
    flight = median_minutes(order.service_area)
    Order.objects.filter(pk=order.pk).update(holder="RECIPIENT")
    assert median_minutes(order.service_area) == pytest.approx(flight, abs=0.1)
    assert flight > 55


def test_a_drone_is_not_at_the_pickup_before_the_parcel_is_ready() -> None:
    DroneFactory()
    order = placed()
    at_once = median_minutes(order.service_area)
    Order.objects.filter(pk=order.pk).update(ready_at=order.created_at + 45 * MINUTE)
    later = median_minutes(order.service_area)
    assert 45 < later < 45 + at_once
    Order.objects.filter(pk=order.pk).update(parcel_ready_at=order.created_at + 20 * MINUTE)
    assert 20 < median_minutes(order.service_area) < later, "it was reported ready sooner"


def test_where_the_report_is_required_the_parcel_waits_for_it() -> None:
    DroneFactory.create_batch(2)
    reported, _never = placed(), placed()
    at = reported.created_at + 15 * MINUTE
    Order.objects.filter(pk=reported.pk).update(parcel_ready_at=at)
    Policy.objects.update(ready_required=True)
    figures = simulated(reported.service_area)
    assert (figures["orders"], figures["delivered"]) == (2, 1)


def test_a_pilot_supervises_no_more_drones_than_the_shift_allows() -> None:
    area = rush(6, drones=6, apart_s=0.0)
    together = simulated(area)["p95_min"]
    area = change(area, pilots_required=True)
    on_duty(area, from_s=NOON_S, hours=10, at_once=1)
    one_by_one = simulated(area)["p95_min"]
    assert one_by_one > 4 * together
    on_duty(area, from_s=NOON_S, hours=10, at_once=5)
    assert simulated(area)["p95_min"] == pytest.approx(together)


def test_without_a_pilot_no_drone_starts_until_the_next_shift() -> None:
    area = rush(1, drones=1)
    flight = median_minutes(area)
    area = change(area, pilots_required=True)
    on_duty(area, from_s=NOON_S + 5400, hours=1, at_once=1)
    assert median_minutes(area) == pytest.approx(flight + 90, abs=1)


def test_a_day_without_pilots_is_refused() -> None:
    area = change(rush(1, drones=1), pilots_required=True)
    with pytest.raises(Invalid) as refused:
        asked(area, rules={"look_ahead_s": 10.0})
    assert [problem.code for problem in refused.value.errors] == ["no_pilots"]
    assert "No pilot was on duty" in refused.value.errors[0].message


# --- the limits alone ----------------------------------------------------------------------------


def test_the_first_start_is_when_area_and_pilots_allow_it() -> None:
    area = rush(1, drones=1)
    start = questions.starts_at(yesterday())
    hours = OpeningHours.from_json(daily("08:00", "20:00") | {"timezone": area.time_zone})
    place = Place("Accra", hours, is_area=True)
    shifts = [on_duty(area, from_s=h * 3600, hours=2, at_once=1) for h in (7, 12)]
    limits = Limits(start, [[place]], np.zeros(1), place, shifts)
    hour = [limits.may_start_s(h * 3600.0) / 3600 for h in (0, 8.5, 9, 13, 14.5)]
    assert hour == [8, 8.5, 12, 13, np.inf]
    finer_than_microseconds = 5.0000004
    assert (
        Limits(start, [[]], np.zeros(1)).may_start_s(finer_than_microseconds)
        == finer_than_microseconds
    )


def test_the_places_are_those_that_a_run_has() -> None:
    area = rush(1, drones=1)
    first, second = (on_duty(area, from_s=0, hours=24, at_once=n) for n in (2, 1))
    limits = Limits(questions.starts_at(yesterday()), [[]], np.zeros(1), None, [first, second])
    in_the_air = Counter({first.pilot_id: 1})
    found = limits.pilots(NOON_S, in_the_air)
    assert found == pilots.places(pilots.on_duty_by([first, second], in_the_air))
    assert [on.pilot_id for on in found or []] == [second.pilot_id, first.pilot_id]
