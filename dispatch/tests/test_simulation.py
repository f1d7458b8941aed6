"""Simulated days: the same demand for every strategy, and every order is delivered."""

from dataclasses import replace
from io import StringIO
from xml.etree import ElementTree

import numpy as np
import pytest
from django.core.management import call_command

from dispatch.evaluation import chart
from dispatch.whatif import city, simulation
from dispatch.whatif.city import Day
from dispatch.whatif.strategies import FIRST_COME, PLANNED, STRATEGIES
from fleet.policy import Policy

RULES = Policy().rules()
SVG = "{http://www.w3.org/2000/svg}"
SMALL = Day("small", orders=60, drones=4, hubs=2)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_a_day_ends_with_every_order_delivered(strategy):
    outcome = simulation.simulate(SMALL, 1, RULES, strategy)
    assert len(outcome.minutes) == 60
    assert (outcome.minutes > 2).all()
    assert outcome.drone_km > 60


def test_the_same_seed_is_the_same_day():
    once, again = (simulation.simulate(SMALL, 7, RULES, PLANNED) for _ in range(2))
    other = simulation.simulate(SMALL, 8, RULES, PLANNED)
    np.testing.assert_array_equal(once.minutes, again.minutes)
    assert not np.array_equal(once.minutes, other.minutes)


@pytest.mark.parametrize("strategy", [FIRST_COME, PLANNED], ids=lambda strategy: strategy.name)
def test_a_network_brings_the_orders_sooner(strategy):
    day = Day("busy", orders=120, drones=4, hubs=4)
    home, network = (
        simulation.simulate(replace(day, network=on), 5, RULES, strategy) for on in (False, True)
    )
    assert network.minutes.mean() < home.minutes.mean()
    assert network.drone_km < home.drone_km


def fly(hubs, strategy=PLANNED, seed=3):
    drones, demand = city.city(Day("busy", orders=150, drones=4, hubs=2), seed, RULES)
    return simulation.fly_day(drones, demand, RULES, strategy, hubs=hubs(drones))


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_with_as_many_pads_as_drones_each_drone_keeps_its_own(strategy):
    def full(drones):
        hubs = city.hubs_of(drones, network=True)
        return replace(hubs, pads=np.full(len(hubs), 2.0))

    home = fly(lambda drones: city.hubs_of(drones, network=False), strategy)
    np.testing.assert_array_equal(fly(full, strategy).minutes, home.minutes)


def test_fewer_chargers_make_orders_wait_longer():
    def with_chargers(chargers):
        def hubs(drones):
            hubs = city.hubs_of(drones, network=False)
            return replace(hubs, chargers=np.full(len(hubs), float(chargers)))

        return fly(hubs)

    one, two, any_number = with_chargers(1), with_chargers(2), with_chargers(np.inf)
    assert one.minutes.mean() > two.minutes.mean()
    # Two drones stand at each hub: a third charger would be idle.
    np.testing.assert_allclose(two.minutes, any_number.minutes)


def test_a_drone_flies_one_order_at_a_time():
    """With one drone the orders are delivered one after the other."""
    day = Day("one", orders=12, drones=1, hubs=1)
    _, demand = city.city(day, 3, RULES)
    outcome = simulation.simulate(day, 3, RULES, FIRST_COME)
    at_door_s = np.sort(demand.placed_s + 60 * outcome.minutes)
    assert (np.diff(at_door_s) > 200).all()


def test_medical_orders_wait_less_when_planned():
    day = Day("busy", orders=150, drones=3, hubs=1)
    by_turn, by_plan = (simulation.simulate(day, 5, RULES, s) for s in (FIRST_COME, PLANNED))
    medical = by_turn.priority == "MEDICAL"
    assert by_plan.minutes[medical].max() < by_turn.minutes[medical].max()


def test_the_command_compares_the_strategies(db, monkeypatch):
    monkeypatch.setattr(city, "DAYS", (SMALL,))
    out = StringIO()
    call_command("simulate_day", seeds=[1], days=["small"], stdout=out)
    text = out.getvalue()
    assert "small: 60 orders, 4 drones, 1 seeds" in text
    assert all(strategy.name in text for strategy in STRATEGIES)


def test_the_command_draws_a_chart(db, monkeypatch, tmp_path):
    monkeypatch.setattr(city, "DAYS", (SMALL, replace(SMALL, name="other")))
    picture = tmp_path / "days.svg"
    call_command("simulate_day", plot=picture, stdout=StringIO())
    drawn = ElementTree.parse(picture).getroot()
    labels = [text.text for text in drawn.iter(f"{SVG}text")]
    assert {"small, 60 orders", "other, 60 orders", "minutes (logarithmic)"} <= set(labels)
    curves = [curve.get("points").split() for curve in drawn.iter(f"{SVG}polyline")]
    assert len(curves) == 2 * 4
    for curve in curves:  # monotonic, from 0 % to 100 %
        points = np.array([point.split(",") for point in curve], float)
        assert (np.diff(points[:, 0]) >= 0).all()
        assert (points[0, 1], points[-1, 1]) == (chart.HEIGHT, 0)
