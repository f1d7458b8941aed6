"""Invariants of the simulated world under random faults and actions."""

import contextlib
import json
import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.simulator import staff
from fleet.simulator.faults.board import OF_A_DRONE, Fault
from fleet.simulator.missions import Refused
from fleet.simulator.telemetry import latest
from fleet.simulator.world import World
from fleet.tests.flown import SECOND_DRONE, two_drones
from fleet.tests.simulated import DRONE_ID, mission_intent, second_intent

HUB = (5.6037, -0.1870)
DRONES = st.sampled_from([DRONE_ID, SECOND_DRONE])
ORDERS = [str(uuid.uuid5(uuid.NAMESPACE_URL, name)) for name in "ab"]
FAULTS = st.builds(
    lambda kind, drone_id, in_s: Fault(
        kind, drone_id, in_s=in_s, field="velocity" if kind == "bad_value" else None
    ),
    st.sampled_from(sorted(OF_A_DRONE)),
    DRONES,
    st.integers(0, 120),
)
ACTS = st.one_of(
    st.tuples(st.just("fault"), FAULTS),
    st.tuples(st.just("fly"), DRONES, st.sampled_from(ORDERS), st.booleans()),
    st.tuples(st.just("cancel"), st.sampled_from(["withdraw", "abort"])),
    st.tuples(st.just("staff"), st.sampled_from(["unload", "home", "collect"]), DRONES),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 60.0, 400.0])),
    st.tuples(st.just("restart")),
)


def act(world: World, what: str, *how: object) -> World:
    match what, *how:
        case "fault", Fault() as fault:
            world.faults.add(fault, world.elapsed_s)
        case "fly", str(drone_id), str(order_id), bool(form_2):
            form = second_intent if form_2 else mission_intent
            intent_id = str(uuid.uuid5(uuid.NAMESPACE_URL, str(len(world.missions))))
            world.accept(form(intent_id=intent_id, order_id=order_id, drone_id=drone_id))
        case "cancel", str(mode):
            for intent_id in list(world.missions)[-1:]:
                world.cancel(intent_id, mode)
        case "staff", "unload", str(drone_id):
            staff.unload(world, drone_id, HUB)
        case "staff", "home", str(drone_id):
            staff.bring_home(world, drone_id)
        case "staff", "collect", _:
            staff.collect(world, ORDERS[0], HUB)
        case "wait", float(seconds):
            for _ in range(int(seconds)):
                world.step(1)
        case _:
            again = two_drones()
            again.restore(json.loads(world.to_json()))
            assert staff.truth(again) == staff.truth(world)
            return again
    return world


def check(world: World) -> None:
    truth = staff.truth(world)
    for drone in truth["drones"]:
        aboard = [p["order_id"] for p in truth["parcels"] if p["drone_id"] == drone["drone_id"]]
        assert drone["aboard"] == aboard
        assert world.aircraft[drone["drone_id"]].payload_kg == 1.2 * len(aboard)
        assert drone["airborne"] or drone["alt_m"] == 0
    for parcel in truth["parcels"]:
        assert (parcel["where"] == "ABOARD") == (parcel["drone_id"] is not None)
    for mission in truth["missions"]:
        flies = any(drone["intent_id"] == mission["intent_id"] for drone in truth["drones"])
        assert flies or not mission["live"]
        assert mission["over_why"] != "landed"
    json.dumps(latest(world.samples(), world.now, broken=set()))


@settings(max_examples=100, deadline=None)
@given(st.lists(ACTS, min_size=10, max_size=40))
def test_parcels_drones_and_missions_stay_consistent(acts):
    world = two_drones()
    for one in acts:
        with contextlib.suppress(Refused):  # busy drone, low battery, unknown parcel
            world = act(world, *one)
        check(world)
