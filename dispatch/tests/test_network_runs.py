"""Runs and manual assignment in an area with a network: the hub of each mission and its pads."""

import threading
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dispatch.api.run_serializers import CandidateAnswer
from dispatch.console import landings as moved
from dispatch.missions import before_launch, intent, mission_watch, publishing
from dispatch.models import DispatchDecision, DispatchRun, Mission
from dispatch.planning import area_locks, candidates, manual_assignment, runs
from dispatch.planning.limits import landings
from dispatch.planning.limits.landings import Pads
from fleet import policy, registry
from fleet.airspace import rulebook
from fleet.live import picture
from fleet.models import Drone, Hub, ServiceArea
from fleet.simulator.run import Simulator
from fleet.tests.factories import (
    ACCRA,
    METRE_DEG,
    DroneFactory,
    HubFactory,
    ServiceAreaFactory,
    TelemetryFactory,
    show,
)
from orders import placement
from orders.models import DeliveryJob, Order
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import DISPATCHER, SYSTEM
from wingxtra.console.look import Look
from wingxtra.problems import Conflict

pytestmark = pytest.mark.django_db

# The drop point of orders is 100 m from Osu, and 1.9 km from Ridge.
OSU = (5.6155, -0.1742)
Outcome = DispatchDecision.Outcome


@pytest.fixture(autouse=True)
def _intents_name_a_hub(settings: Any) -> None:
    settings.GCS_INTENT_VERSION = 2


@pytest.fixture
def area() -> ServiceArea:
    return ServiceAreaFactory(network=True)


@pytest.fixture
def ridge(area: ServiceArea) -> Hub:
    return HubFactory(name="Ridge", lat=ACCRA[0], lng=ACCRA[1], service_area=area)


@pytest.fixture
def osu(area: ServiceArea, ridge: Hub) -> Hub:
    return HubFactory(name="Osu", lat=OSU[0], lng=OSU[1], service_area=area, pads=2)


def drones_at(hub: Hub, count: int, **telemetry: Any) -> list[Drone]:
    drones = DroneFactory.create_batch(count, hub=hub)
    show(*[TelemetryFactory(drone_id=d.pk, **telemetry) for d in drones])
    return drones


def run(**options: Any) -> runs.Outcome:
    return runs.run(trigger=DispatchRun.Trigger.COMMAND, by=DISPATCHER, **options)


def landed() -> dict[str, tuple[Hub | None, Hub | None]]:
    missions = Mission.objects.select_related("return_to", "alternate")
    return {m.drone_id: (m.return_to, m.alternate) for m in missions}


def test_the_hub_near_the_door_receives_the_drone_and_the_decision_says_so(
    ridge: Hub, osu: Hub
) -> None:
    (drone,) = drones_at(ridge, 1)
    order = OrderFactory()
    run()
    assert landed() == {drone.pk: (osu, ridge)}
    decision = DispatchDecision.objects.get(order=order)
    assert "It lands at Osu: 2 of 2 pads free, 2 min nearer than its base." in decision.why
    assert order.events.get(type="ASSIGNED").message == f"{decision.why}"
    assert (decision.figures["lands_at"], decision.figures["alternate"]) == ("Osu", "Ridge")


def test_without_a_network_a_drone_flies_home(area: ServiceArea, ridge: Hub, osu: Hub) -> None:
    ServiceArea.objects.update(network=False)
    (drone,) = drones_at(ridge, 1)
    order = OrderFactory()
    run()
    assert landed()[drone.pk][0] == ridge
    decision = DispatchDecision.objects.get(order=order)
    assert "lands" not in decision.why
    assert "lands_at" not in decision.figures


def test_with_intents_of_version_1_a_drone_flies_home(settings: Any, ridge: Hub, osu: Hub) -> None:
    settings.GCS_INTENT_VERSION = 1
    (drone,) = drones_at(ridge, 1)
    order = OrderFactory()
    run()
    assert landed()[drone.pk][0] == ridge
    assert "lands" not in DispatchDecision.objects.get(order=order).why


def test_pads_are_reserved_until_the_drones_have_landed(ridge: Hub, osu: Hub) -> None:
    drones = drones_at(ridge, 4)
    OrderFactory.create_batch(3)
    run()
    assert sorted(hub.name for hub, _ in landed().values() if hub) == ["Osu", "Osu", "Ridge"]
    OrderFactory()
    run()
    assert [hub.name for hub, _ in landed().values() if hub].count("Osu") == 2
    Mission.objects.filter(return_to=osu).update(landed_at=timezone.now())
    assert len(drones) == Mission.objects.count()


def test_a_drone_that_stands_at_a_hub_has_a_pad_there(ridge: Hub, osu: Hub) -> None:
    drones_at(ridge, 1)
    DroneFactory.create_batch(2, hub=osu, active=True)
    OrderFactory()
    run()
    assert [hub.name for hub, _ in landed().values() if hub] == ["Ridge"]


def test_a_drone_at_a_full_hub_returns_to_its_own_pad(ridge: Hub, osu: Hub) -> None:
    Hub.objects.filter(pk=ridge.pk).update(pads=1)
    Hub.objects.filter(pk=osu.pk).update(pads=1)
    (drone, _) = [*drones_at(osu, 1, lat=OSU[0], lng=OSU[1]), DroneFactory(hub=ridge)]
    order = OrderFactory()
    run()
    assert landed()[drone.pk] == (osu, None)
    why = DispatchDecision.objects.get(order=order).why
    assert "0 of 1 pads free, its base, no second hub with a free pad within its reach." in why


def test_an_order_that_no_hub_can_receive_says_so(osu: Hub) -> None:
    """After the trip the drones reach Osu, with one pad, and not the hub that they came from."""
    tema = HubFactory(name="Tema", lat=ACCRA[0] - 0.08, lng=ACCRA[1], service_area=osu.service_area)
    Hub.objects.filter(pk=osu.pk).update(pads=1)
    Hub.objects.get(name="Ridge").delete()
    drones_at(tema, 2, lat=tema.lat, lng=tema.lng, battery_pct=68.0)
    OrderFactory.create_batch(2)
    outcome = run()
    assert [hub for hub, _ in landed().values()] == [osu]
    (left,) = outcome.unassigned
    assert left.outcome == Outcome.UNASSIGNED
    assert "could reach after this delivery has a free pad." in left.why
    (now_far,) = run().unassigned
    assert "too little battery" in now_far.why


@pytest.mark.parametrize("count", [1, 120])
def test_a_network_adds_three_statements_to_a_run(ridge: Hub, osu: Hub, count: int) -> None:
    drones_at(ridge, 2 * count)
    statements = []
    for network in (False, True):
        ServiceArea.objects.update(network=network)
        OrderFactory.create_batch(count)
        with CaptureQueriesContext(connection) as found:
            assert run().run.assigned == count
        statements.append(len(found))
        Mission.objects.update(tries=1)
    assert statements[1] <= statements[0] + 3


def test_a_drone_on_its_way_is_expected_at_the_hub_of_its_mission(ridge: Hub, osu: Hub) -> None:
    """In the air it has one pad, at Osu. Before the take-off it still stands at Ridge too."""
    (drone,) = drones_at(ridge, 1)
    OrderFactory()
    run()
    now = timezone.now()
    book = rulebook.load(now)

    def pads() -> Pads:
        return landings.pads(book, picture.read(), now)

    assert (pads().hubs.taken.tolist(), pads().hubs.charging.tolist()) == ([0, 1], [0, 1])
    Drone.objects.update(stands_at=ridge)
    assert pads().hubs.taken.tolist() == [1, 1]
    stands = pads().stands([drone])
    table = registry.drone_table(Drone.objects.with_home(), None, registry.FREE, book, now)
    there = landings.at_their_hubs(table, pads().hubs, stands)
    assert (there.home_lat[0], there.home_lng[0]) == OSU
    Mission.objects.update(landed_at=now)
    assert pads().hubs.taken.tolist() == [1, 0], "its hub is changed by what telemetry shows"


def test_a_drone_of_another_area_has_the_pad_on_which_it_stands(ridge: Hub, osu: Hub) -> None:
    kumasi = HubFactory(lat=6.69, service_area=ServiceAreaFactory(name="Ashanti"))
    DroneFactory(hub=kumasi, stands_at=osu)
    now = timezone.now()
    assert landings.pads(rulebook.load(now), None, now).hubs.taken.tolist() == [0, 1, 0]
    assert [landings.taken_at(hub, now) for hub in (osu, kumasi)] == [1, 0]


def test_a_drone_has_a_pad_where_it_lands_now_and_where_it_lands_next(ridge: Hub, osu: Hub) -> None:
    """It flies one mission, and the next one waits for its end."""
    drone = DroneFactory(hub=ridge)
    now = timezone.now()
    order_in(Status.ENROUTE, drone=drone)
    assert Mission.objects.update(return_to=osu, tries=1, live=True) == 1
    earlier = timezone.now() - timedelta(minutes=5)
    Mission.objects.update(created_at=earlier)
    Mission.objects.create(id=uuid4(), drone=drone, body={}, return_to=ridge, created_at=now)
    pads = landings.pads(rulebook.load(now), None, now)
    assert pads.hubs.taken.tolist() == [1, 1]
    assert [landings.taken_at(hub, now) for hub in (ridge, osu)] == [1, 1]
    assert pads.of[drone.pk] == 0, "after both it is at Ridge"


# --- by hand -------------------------------------------------------------------------------------


def test_a_manual_assignment_reserves_a_pad_too(ridge: Hub, osu: Hub) -> None:
    first, second, third = drones_at(ridge, 3)
    for drone in (first, second, third):
        order = OrderFactory()
        manual_assignment.assign(order.pk, drone.pk, by=SYSTEM)
    assert [landed()[d.pk][0] for d in (first, second, third)] == [osu, osu, ridge]
    assert (
        "it lands at Osu: 2 of 2 pads free"
        in Order.objects.order_by("created_at")[0].events.get(type="ASSIGNED").message
    )


def test_a_manual_assignment_is_refused_when_the_last_pad_has_just_been_taken(osu: Hub) -> None:
    tema = HubFactory(name="Tema", lat=ACCRA[0] - 0.08, lng=ACCRA[1], service_area=osu.service_area)
    Hub.objects.get(name="Ridge").delete()
    (drone,) = drones_at(tema, 1, lat=tema.lat, lng=tema.lng, battery_pct=68.0)
    order, chosen = manual_assignment.may_fly(OrderFactory().pk, drone.pk, "")
    DroneFactory.create_batch(2, hub=osu)
    with pytest.raises(Conflict, match=f"No hub can receive {drone.pk} now") as refused:
        manual_assignment.with_its_pad(order, chosen)
    assert refused.value.code == "no_free_pad"


def test_another_drone_gets_its_own_hub(ridge: Hub, osu: Hub) -> None:
    first, second = drones_at(ridge, 2)
    order = OrderFactory()
    manual_assignment.assign(order.pk, first.pk, by=SYSTEM)
    before_launch.reassign(order.pk, second.pk, by=SYSTEM)
    assert landed()[second.pk] == (osu, ridge)


def test_an_order_that_gets_another_drone_gives_back_its_pad(ridge: Hub, osu: Hub) -> None:
    Hub.objects.filter(pk=osu.pk).update(pads=1)
    first, second = drones_at(ridge, 2)
    order = OrderFactory()
    manual_assignment.assign(order.pk, first.pk, by=SYSTEM)
    assert landed() == {first.pk: (osu, ridge)}
    before_launch.reassign(order.pk, second.pk, by=SYSTEM)
    assert landed()[second.pk] == (osu, ridge)


def test_candidates_name_the_hub_that_would_receive_each(ridge: Hub, osu: Hub) -> None:
    drones_at(ridge, 3)
    found = candidates.candidates(OrderFactory())
    assert [c.landing.hub for c in found if c.landing] == [osu] * 3
    answer = [CandidateAnswer(candidate).data["lands_at"] for candidate in found]
    assert answer == ["Osu"] * 3
    ServiceArea.objects.update(network=False)
    home = candidates.candidates(OrderFactory())
    assert [CandidateAnswer(candidate).data["lands_at"] for candidate in home] == [None] * 3


def test_the_hub_of_the_mission_counts_right_before_it_is_sent(ridge: Hub, osu: Hub) -> None:
    drones_at(ridge, 1)
    order = OrderFactory()
    run()
    job = Order.objects.select_related("current_job").get(pk=order.pk).current_job
    assert job is not None
    assert candidates.still_able(job.part) == []
    Hub.objects.filter(pk=osu.pk).update(lat=ACCRA[0] + 0.08, lng=ACCRA[1] + 0.08)
    Mission.objects.update(return_to=osu)
    show(TelemetryFactory(drone_id=job.drone_id, battery_pct=45.0))
    assert [reason.code for reason in candidates.still_able(job.part)] == ["not_enough_energy"]


def test_back_at_version_1_an_unsent_mission_is_sent_as_version_1(
    ridge: Hub, osu: Hub, bridge: Simulator, settings: Any
) -> None:
    """Ground control may not know version 2. The drone then returns to where it took off."""
    show(TelemetryFactory(drone_id=DroneFactory(drone_id="WX-DRN-001", hub=ridge).pk))
    OrderFactory()
    run()
    mission = Mission.objects.get()
    assert (mission.return_to, mission.body["schema_version"]) == (osu, 2)
    settings.GCS_INTENT_VERSION = 1
    publishing.publish(mission.pk)
    mission = Mission.objects.get()
    assert (mission.return_to, mission.alternate, mission.state) == (ridge, None, "ACCEPTED")
    assert intent.version_of(mission.body) == 1
    assert mission.body["actions"] == intent.ACTIONS
    assert len(bridge.missions()) == 1


def test_a_hub_that_is_moved_under_a_sent_mission_is_a_line(
    ridge: Hub, osu: Hub, bridge: Simulator
) -> None:
    """The drone is watched on its way to the former place, which ground control has."""
    show(TelemetryFactory(drone_id=DroneFactory(drone_id="WX-DRN-001", hub=ridge).pk))
    OrderFactory()
    run()
    publishing.publish(Mission.objects.get().pk)
    former = osu.lat, osu.lng
    Hub.objects.filter(pk=osu.pk).update(lat=osu.lat + 300 * METRE_DEG)
    (line,) = moved.moved_hubs(Look(timezone.now()))
    assert line.text == "WX-DRN-001 lands 300 m away from Osu, which was moved"
    assert [button.label for button in line.remedies] == ["Requeue…"]
    job = DeliveryJob.objects.select_related("order", "drone__kind", "part__mission").get()
    now = timezone.now()
    assert mission_watch.live_mission(job, policy.current(), now).lands == former


def test_the_hub_of_the_mission_counts_also_after_the_network_was_switched_off(
    ridge: Hub, osu: Hub
) -> None:
    """The mission is sent with the hub that was chosen, so that hub is judged."""
    drones_at(ridge, 1)
    order = OrderFactory()
    run()
    job = Order.objects.select_related("current_job").get(pk=order.pk).current_job
    assert job is not None
    Hub.objects.filter(pk=osu.pk).update(lat=ACCRA[0] + 0.08, lng=ACCRA[1] + 0.08)
    ServiceArea.objects.update(network=False)
    show(TelemetryFactory(drone_id=job.drone_id, battery_pct=55.0))
    assert [reason.code for reason in candidates.still_able(job.part)] == ["not_enough_energy"]


def test_a_quote_knows_the_hub_that_receives_the_drone(area: ServiceArea, ridge: Hub) -> None:
    """A trip that is too long with the way home, and not with a hub at the door."""
    DroneFactory(hub=ridge)
    there = {"dropoff_lat": ACCRA[0] + 0.08, "dropoff_lng": ACCRA[1] + 0.03}
    kind = Drone.objects.select_related("kind").get().kind
    kind.battery_wh = 400.0
    kind.save()
    order = OrderFactory.build(**there)
    assert [p.code for p in placement.quote(order)[0].problems] == ["out_of_range"]
    HubFactory(name="Far", lat=there["dropoff_lat"], lng=there["dropoff_lng"], service_area=area)
    assert placement.quote(order)[0].problems == []


# --- two at once ---------------------------------------------------------------------------------


def assign_both(ridge: Hub, osu: Hub) -> int:
    """Two people assign at the same time with one free pad at Osu; returns the missions there."""
    Hub.objects.filter(pk=osu.pk).update(pads=1)
    drones = drones_at(ridge, 2)
    orders = OrderFactory.create_batch(2)
    start = threading.Barrier(2)

    def assign(order: Order, drone: Drone) -> None:
        try:
            start.wait(30)
            manual_assignment.assign(order.pk, drone.pk, by=SYSTEM)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=assign, args=pair) for pair in zip(orders, drones, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert Mission.objects.count() == 2
    return Mission.objects.filter(return_to=osu).count()


@pytest.mark.django_db(transaction=True)
def test_two_people_never_get_the_same_pad(ridge: Hub, osu: Hub) -> None:
    assert assign_both(ridge, osu) == 1


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_of_the_area_two_people_get_the_same_pad(
    ridge: Hub, osu: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)
    judged = manual_assignment.judged

    def judge_together(*args: Any) -> Any:
        found = judged(*args)
        both.wait(30)
        return found

    monkeypatch.setattr(area_locks, "wait_for", lambda areas: None)
    monkeypatch.setattr(manual_assignment, "judged", judge_together)
    assert assign_both(ridge, osu) == 2
