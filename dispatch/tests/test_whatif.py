"""What-ifs: results, selected orders and drones, refusals, texts, and the simulation loop."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from dispatch.models import WhatIf
from dispatch.tests.whatif_day import NOON_S, asked, delivered, placed, rush, yesterday
from dispatch.whatif import presentation, questions, simulation, worker
from dispatch.whatif.city import Day, Demand, city, hubs_of
from dispatch.whatif.day_figures import ALL, figures
from dispatch.whatif.strategies import PLANNED
from fleet import policy, registry
from fleet.models import Drone, Hub, Policy
from fleet.tests.factories import (
    ACCRA,
    METRE_DEG,
    DroneFactory,
    DroneKindFactory,
    GeoZoneFactory,
    HubFactory,
    ServiceAreaFactory,
    square,
)
from orders import lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import CancelReason
from wingxtra.accounts.identity import SYSTEM
from wingxtra.problems import Invalid

pytestmark = pytest.mark.django_db

RULES = Policy().rules()


def done(what_if: WhatIf) -> WhatIf:
    """The what-if after a worker has simulated it."""
    worker.compute(what_if.pk)
    computed = WhatIf.objects.get(pk=what_if.pk)
    assert (computed.state, computed.problem) == (WhatIf.State.DONE, "")
    return computed


def refused(*args: Any, **kwargs: Any) -> list[str]:
    with pytest.raises(Invalid) as problem:
        asked(*args, **kwargs)
    assert not WhatIf.objects.exists()
    return [error.code for error in problem.value.errors]


# --- results -------------------------------------------------------------------------------------


def test_more_drones_deliver_sooner_and_keep_more_promises():
    area = rush(40, drones=2)
    answer = done(asked(area, more_drones=2, hub=Hub.objects.get()))
    now, then = (answer.results[side] for side in ("now", "then"))
    assert (now["drones"], then["drones"]) == (2, 4)
    assert then["orders"][ALL]["p95_min"] < now["orders"][ALL]["p95_min"]
    assert then["orders"][ALL]["kept_pct"] > now["orders"][ALL]["kept_pct"]
    assert now["orders"][ALL]["delivered"] == then["orders"][ALL]["delivered"] == 40
    assert presentation.tone(answer) == "good"
    text = presentation.headline(answer)
    assert text.startswith(f"With 2 more drones at {Hub.objects.get()}: 95 in 100 orders within ")
    assert "of promises kept instead of" in text


def test_the_day_is_simulated_with_the_network_of_the_area(settings: Any):
    """The second hub is at the door of every order."""
    settings.GCS_INTENT_VERSION = 2
    area = rush(20, drones=2)
    door = Order.objects.all()[0]
    HubFactory(lat=door.dropoff_lat, lng=door.dropoff_lng, service_area=area)
    home_km = done(asked(area, rules={"look_ahead_s": 0.0})).results["now"]["drone_km"]
    area.network = True
    area.save()
    network_km = done(asked(area, rules={"look_ahead_s": 0.0})).results["now"]["drone_km"]
    assert network_km < home_km


def test_fewer_drones_are_taken_from_their_hub():
    area = rush(20, drones=3)
    answer = done(asked(area, more_drones=-1, hub=Hub.objects.get()))
    assert (answer.results["now"]["drones"], answer.results["then"]["drones"]) == (3, 2)
    assert presentation.tone(answer) == "bad"


def test_a_changed_rule_is_compared_with_the_current_one():
    area = rush(15, drones=2)
    answer = done(asked(area, rules={"full_charge_s": 600.0, "look_ahead_s": 180.0}))
    assert answer.changes == {"full_charge_s": [2400.0, 600.0]}
    before, after = (answer.results[side]["orders"][ALL] for side in ("now", "then"))
    assert after["longest_min"] < before["longest_min"]
    assert "“Charging from empty to full (s)” at 600 instead of 2400" in presentation.headline(
        answer
    )


def test_the_base_is_the_policy_at_the_time_of_asking():
    area = rush(2, drones=1)
    what_if = asked(area, rules={"promise_normal_min": 1.0})
    policy.change(by=SYSTEM, promise_normal_min=2.0)
    now, then = questions.rules_of(what_if)
    assert (now.promise_s["NORMAL"], then.promise_s["NORMAL"]) == (3600, 60)


def test_a_changed_promise_applies_to_orders_without_their_own():
    DroneFactory.create_batch(2)
    at = questions.starts_at(yesterday()) + timedelta(seconds=NOON_S)
    area = placed().service_area
    placed(deliver_by=at + timedelta(minutes=90))
    answer = done(asked(area, rules={"promise_normal_min": 1.0}))
    assert answer.results["now"]["orders"][ALL]["kept_pct"] == 100
    assert answer.results["then"]["orders"][ALL]["kept_pct"] == 50


def test_the_results_have_the_real_day():
    delivered(NOON_S, 12)
    delivered(NOON_S + 600, 24, priority="URGENT")
    order = delivered(NOON_S + 1200, 70)
    placed(NOON_S + 1800)
    answer = done(asked(order.service_area, more_drones=1, hub=Hub.objects.get()))
    real = answer.results["real"]
    assert (real[ALL]["orders"], real[ALL]["median_min"], real[ALL]["longest_min"]) == (3, 24, 70)
    assert real[ALL]["kept_pct"] == pytest.approx(66.67)
    assert real["URGENT"]["orders"] == 1
    assert "On the real day, 3 of 4 orders were delivered." in presentation.notes(answer.results)


def test_another_choice_for_late_normal_orders_is_simulated():
    """More orders come than two drones can fly: kept promises first keeps at least as many."""
    area = rush(60, drones=2, apart_s=60.0)
    answer = done(asked(area, rules={"late_normal": "KEPT_FIRST"}))
    text = presentation.headline(answer)
    assert "“Late normal orders” at Kept promises first instead of Balanced" in text
    now, then = (answer.results[side]["orders"][ALL] for side in ("now", "then"))
    assert then["kept_pct"] >= now["kept_pct"]
    assert then["mean_min"] > 0


def test_orders_that_no_drone_could_fly_are_left_out_and_counted():
    area = rush(3, drones=1)
    placed(payload_weight_kg=40)
    answer = done(asked(area, rules={"look_ahead_s": 0.0}))
    assert answer.results["now"]["unflyable"] == answer.results["then"]["unflyable"] == 1
    assert answer.results["now"]["orders"][ALL]["orders"] == 3
    note = "1 order that no drone could fly, as it is or with the change, is left out."
    assert note in presentation.notes(answer.results)


def test_orders_that_become_impossible_are_counted():
    area = rush(3, drones=1)
    placed(dropoff_lat=ACCRA[0] + 6000 * METRE_DEG)
    answer = done(asked(area, rules={"reserve_pct": 65.0}))
    assert answer.results["then"]["unflyable"] - answer.results["now"]["unflyable"] == 1
    assert "1 more order that no drone can fly." in presentation.headline(answer)
    assert presentation.tone(answer) == "bad"


def test_a_temporary_zone_delays_an_order():
    area = rush(1, drones=1)
    opens = questions.starts_at(yesterday()) + timedelta(hours=15)
    GeoZoneFactory(polygon=square(5.6150, -0.1750, 500), ends_at=opens)
    answer = done(asked(area, rules={"look_ahead_s": 0.0}))
    assert answer.results["now"]["unflyable"] == 0
    assert 180 < answer.results["now"]["orders"][ALL]["longest_min"] < 200


def test_an_order_that_is_never_delivered_counts_as_a_broken_promise():
    """A permanent zone opens before the second order is flown."""
    area = rush(2, drones=1, apart_s=1.0)
    closes = questions.starts_at(yesterday()) + timedelta(seconds=NOON_S + 800)
    GeoZoneFactory(polygon=square(5.6150, -0.1750, 500), starts_at=closes)
    answer = done(asked(area, rules={"look_ahead_s": 0.0}))
    everything = answer.results["now"]["orders"][ALL]
    assert (everything["orders"], everything["delivered"], everything["kept_pct"]) == (2, 1, 50)
    rows = dict(presentation.groups(answer.results))["All orders (2)"]
    assert [row.now for row in rows if row.label == "Not at the door a day later"] == ["1"]


def test_a_what_if_changes_no_real_row_and_stores_nothing_personal():
    area = rush(5, drones=2)
    before = [
        list(model.objects.order_by("pk").values())
        for model in (Order, Drone, Policy, DeliveryEvent)
    ]
    answer = done(asked(area, more_drones=1, hub=Hub.objects.get(), rules={"busy_weight": 1.0}))
    after = [
        list(model.objects.order_by("pk").values())
        for model in (Order, Drone, Policy, DeliveryEvent)
    ]
    assert before == after
    kept = f"{answer.results} {answer.changes} {answer.actor}"
    for personal in ("Ama", "233", "Ridge", "5.615"):
        assert personal not in kept


# --- selected orders and drones ------------------------------------------------------------------


def test_the_orders_of_a_day_are_selected_by_their_start():
    at_noon = placed()
    tomorrow = questions.starts_at(yesterday()) + timedelta(days=1)
    placed(not_before=tomorrow, deliver_by=tomorrow + timedelta(hours=1))
    placed(-60.0)
    later = questions.starts_at(yesterday()) + timedelta(hours=9)
    agreed = placed(-9000.0, not_before=later, deliver_by=later + timedelta(hours=1))
    placed(live_mode=False)
    for reason in (CancelReason.CUSTOMER_REQUEST, CancelReason.NO_DRONE):
        lifecycle.cancel(placed(NOON_S + 1).pk, by=SYSTEM, reason=reason)
    area = at_noon.service_area
    found = questions.orders_of(yesterday(), area)
    assert {order.pk for order in found} >= {at_noon.pk, agreed.pk}
    assert [order.cancel_reason for order in found if order.status == "CANCELED"] == ["NO_DRONE"]
    assert len(found) == 3
    assert not questions.orders_of(yesterday(), ServiceAreaFactory()).exists()


def test_grounded_and_inactive_drones_are_left_out():
    here = DroneFactory()
    registry.ground(DroneFactory().pk, by=SYSTEM, reason="Bent propeller.")
    DroneFactory(active=False)
    DroneFactory(hub=HubFactory(service_area=ServiceAreaFactory()))
    assert list(questions.fleet_of(here.hub.service_area)) == [here]


def test_new_drones_have_the_hubs_usual_kind_or_the_chosen_one():
    area = rush(1, drones=2)
    rare = DroneFactory(kind=DroneKindFactory(name="Rare")).kind
    hub = Hub.objects.get()
    assert asked(area, more_drones=1, hub=hub).kind.name != "Rare"
    assert asked(area, more_drones=1, hub=hub, kind=rare).kind == rare


# --- refusals ------------------------------------------------------------------------------------


def test_a_day_without_orders_is_refused():
    area = rush(1, drones=1)
    with pytest.raises(Invalid, match=r"There are no orders for .* Choose another day"):
        asked(area, day=yesterday() - timedelta(days=7), rules={"look_ahead_s": 0.0})


def test_a_day_with_too_many_orders_is_refused(monkeypatch):
    area = rush(4, drones=1)
    monkeypatch.setattr(questions, "MAX_ORDERS", 3)
    assert refused(area, rules={"look_ahead_s": 0.0}) == ["too_many_orders"]


def test_a_question_without_a_change_is_refused():
    area = rush(1, drones=1)
    present = {"look_ahead_s": 180.0, "detours_allowed": False}
    assert refused(area, rules=present) == ["nothing_changed"]


def test_drones_need_a_hub_of_the_area_and_a_kind():
    area = rush(1, drones=2)
    elsewhere = HubFactory(service_area=ServiceAreaFactory())
    empty = HubFactory(service_area=area)
    hub = Hub.objects.exclude(pk__in=[elsewhere.pk, empty.pk]).get()
    assert refused(area, more_drones=1) == ["hub_needed"]
    assert refused(area, more_drones=1, hub=elsewhere) == ["hub_needed"]
    assert refused(area, more_drones=1, hub=empty) == ["kind_needed"]
    assert refused(area, more_drones=-3, hub=hub) == ["too_few_drones"]
    assert refused(area, more_drones=-2, hub=hub) == ["no_drones"]


def test_a_fleet_without_a_drone_is_refused():
    area = placed().service_area
    assert refused(area, rules={"look_ahead_s": 0.0}) == ["no_drones"]


def test_the_number_of_queued_questions_is_limited(monkeypatch):
    area = rush(1, drones=1)
    monkeypatch.setattr(questions, "MAX_QUEUED", 1)
    asked(area, rules={"look_ahead_s": 0.0})
    with pytest.raises(Invalid, match="1 what-ifs wait already"):
        asked(area, rules={"look_ahead_s": 0.0})


# --- figures and texts ---------------------------------------------------------------------------


def test_figures_with_an_undelivered_order():
    minutes = np.array([10.0, 20.0, 30.0, np.nan])
    found = figures(minutes, np.array([True, True, False, False]))
    assert (found.orders, found.delivered) == (4, 3)
    assert (found.median_min, found.p95_min, found.longest_min) == (20, 29, 30)
    assert found.kept_pct == 50


def test_figures_without_a_delivery_have_no_minutes():
    found = figures(np.array([np.nan]), np.array([False]))
    assert (found.median_min, found.p95_min, found.longest_min) == (None, None, None)


@pytest.mark.parametrize(
    ("now", "then", "text", "tone"),
    [
        (12.34, 10.21, "2.1 min sooner", "good"),
        (10.2, 12.3, "2.1 min later", "bad"),
        (10.01, 10.04, "the same", "idle"),
        (125.4, 45.2, "80 min sooner", "good"),
        (None, 10.0, "", "idle"),
    ],
)
def test_a_difference_has_a_text_and_a_tone(now, then, text, tone):
    difference = presentation._compared(now, then, presentation._minutes, "later", "sooner")
    assert (difference.text, difference.tone) == (text, tone)


def test_a_share_below_all_is_never_shown_as_100_percent():
    assert presentation._percent(99.97) == "99.9 %"
    assert presentation._percent(100.0) == "100 %"
    assert presentation._percent(88.4) == "88 %"


# --- the simulation loop -------------------------------------------------------------------------


def test_a_simulation_ends_at_until_s():
    drones, demand = city(Day("one", orders=30, drones=1), 3, RULES)
    outcome = simulation.fly_day(
        drones, demand, RULES, PLANNED, hubs=hubs_of(drones, network=False), until_s=6 * 3600
    )
    in_time = np.isfinite(outcome.minutes)
    assert 0 < in_time.sum() < 30
    assert not outcome.kept[~in_time].any()


def test_progress_grows_to_one():
    drones, demand = city(Day("one", orders=30, drones=2), 3, RULES)
    shares: list[float] = []
    simulation.fly_day(
        drones,
        demand,
        RULES,
        PLANNED,
        hubs=hubs_of(drones, network=False),
        on_progress=shares.append,
    )
    assert shares == sorted(shares)
    assert (shares[0] < 0.1, shares[-1]) == (True, 1.0)


def test_an_orders_own_promise_overrides_the_policys():
    _, demand = city(Day("one", orders=3, drones=1), 3, RULES)
    own = Demand(
        demand.trips,
        ["NORMAL", "URGENT", "MEDICAL"],
        demand.placed_s,
        demand.error,
        np.array([np.nan, 600.0, np.nan]),
    )
    assert own.promise_s(RULES).tolist() == [3600, 600, 900]


def test_old_what_ifs_are_deleted_with_the_decisions():
    from dispatch import actors

    area = rush(1, drones=1)
    old = asked(area, rules={"look_ahead_s": 0.0})
    young = asked(area, rules={"look_ahead_s": 1.0})
    WhatIf.objects.filter(pk=old.pk).update(asked_at=timezone.now() - timedelta(days=90.1))
    actors.forget_decisions.fn()
    assert list(WhatIf.objects.all()) == [young]
