"""Runs and manual assignment where pilots are required: no pilot gets more drones than the cap."""

import random
import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dispatch.console import presentation
from dispatch.missions import before_launch, publishing
from dispatch.missions.reposition import verbs
from dispatch.models import DispatchDecision, DispatchRun, Mission, PilotChange
from dispatch.planning import candidates, manual_assignment, runs
from dispatch.planning.limits import handover
from dispatch.planning.limits import pilots as limit
from dispatch.planning.limits.pilots import OnDuty, places
from dispatch.tests.support import mission_of, stored
from fleet.airworthiness import pilots
from fleet.models import Drone, Hub, Pilot, ServiceArea, Shift
from fleet.simulator.run import Simulator
from fleet.tests.factories import (
    DroneFactory,
    HubFactory,
    PilotFactory,
    ServiceAreaFactory,
    ShiftFactory,
    TelemetryFactory,
    show,
)
from orders.models import Order
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import DISPATCHER, SYSTEM
from wingxtra.problems import Conflict, Invalid

pytestmark = pytest.mark.django_db
Outcome = DispatchDecision.Outcome


@pytest.fixture
def area() -> ServiceArea:
    return ServiceAreaFactory(name="Accra", pilots_required=True)


@pytest.fixture
def hub(area: ServiceArea) -> Hub:
    return HubFactory(name="Ridge", service_area=area)


def on_duty(name: str, at_once: int, **times: Any) -> Pilot:
    return ShiftFactory(pilot__name=name, at_once=at_once, **times).pilot


def drones(count: int) -> list[Drone]:
    made = DroneFactory.create_batch(count)
    show(*[TelemetryFactory(drone_id=drone.pk) for drone in made])
    return made


def run(**options: Any) -> runs.Outcome:
    return runs.run(trigger=DispatchRun.Trigger.COMMAND, by=DISPATCHER, **options)


def supervised() -> Counter[str]:
    return Counter(Mission.objects.values_list("pilot_name", flat=True))


def landed(order: Order) -> None:
    Mission.objects.filter(parts__order=order).update(
        over_at=timezone.now(), over_by="TEST", landed_at=timezone.now()
    )


# --- the rule, without a database ----------------------------------------------------------------


def test_the_least_loaded_pilot_is_first() -> None:
    ama, kofi = OnDuty(1, "Ama", 1, 4), OnDuty(2, "Kofi", 0, 2)
    assert [pilot.name for pilot in places([ama, kofi])] == ["Kofi", "Ama", "Ama", "Kofi", "Ama"]


def test_a_pilot_over_a_lowered_cap_gets_none() -> None:
    assert places([OnDuty(1, "Ama", 5, 4)]) == []


def test_a_million_assignments_in_random_worlds_never_exceed_a_cap() -> None:
    chance = random.Random(59)
    given = 0
    while given < 1_000_000:
        caps = [chance.randint(1, 30) for _ in range(chance.randint(1, 6))]
        flying = [0] * len(caps)
        for _ in range(chance.randint(1, 40)):
            flying = [chance.randint(0, count) for count in flying]
            here = [
                OnDuty(i, f"{i}", count, cap)
                for i, (count, cap) in enumerate(zip(flying, caps, strict=True))
            ]
            wanted, free = chance.randint(0, 120), places(here)
            for pilot in free[:wanted]:
                flying[pilot.pilot_id] += 1
            given += min(wanted, len(free))
            assert all(count <= cap for count, cap in zip(flying, caps, strict=True))
            assert len(free) == sum(pilot.room for pilot in here)


# --- runs ----------------------------------------------------------------------------------------


def test_where_no_pilot_is_required_a_run_asks_for_none(area: ServiceArea, hub: Hub) -> None:
    ServiceArea.objects.update(pilots_required=False)
    ServiceAreaFactory(name="Kumasi", pilots_required=True)
    on_duty("Ama", 1, service_area=area)
    drones(2)
    OrderFactory.create_batch(2, service_area=area)
    with CaptureQueriesContext(connection) as asked:
        assert run(service_area_id=area.pk).run.assigned == 2
    tables = ("fleet_pilot", "fleet_shift")
    assert not [each["sql"] for each in asked if any(table in each["sql"] for table in tables)]
    assert supervised() == {"": 2}


def test_a_run_gives_pilots_no_more_drones_than_they_may_supervise(
    area: ServiceArea, hub: Hub
) -> None:
    on_duty("Ama", 2), on_duty("Kofi", 1)
    drones(5)
    OrderFactory.create_batch(5)
    assert run().run.assigned == 3
    assert supervised() == {"Ama": 2, "Kofi": 1}
    waiting = DispatchDecision.objects.filter(outcome=Outcome.UNASSIGNED)
    told = (
        "2 pilots on duty in Accra supervise 0 drones and may supervise 3 more, which this run "
        "gives to other orders."
    )
    assert [decision.why for decision in waiting] == [told] * 2


def test_a_drone_counts_until_it_has_landed(area: ServiceArea, hub: Hub) -> None:
    on_duty("Ama", 1)
    drones(2)
    first = OrderFactory()
    run()
    second = OrderFactory()
    assert run().run.assigned == 0
    decision = DispatchDecision.objects.filter(order=second).latest("id")
    assert (decision.outcome, decision.ruled_out[0]["code"]) == (
        Outcome.UNASSIGNED,
        "pilots_at_their_cap",
    )
    assert decision.why == (
        "1 pilot on duty in Accra supervises 1 drone, as many as they may. No later shift is "
        "planned there."
    )
    landed(first)
    assert run().run.assigned == 1


def test_without_a_pilot_on_duty_the_next_shift_is_named(area: ServiceArea, hub: Hub) -> None:
    ServiceArea.objects.update(time_zone="Europe/Paris")
    starts_at = timezone.now().replace(hour=6, minute=0) + timedelta(days=2)
    on_duty("Ama", 4, starts_at=starts_at)
    on_duty("Kofi", 4, service_area=ServiceAreaFactory(name="Kumasi"))
    drones(1)
    order = OrderFactory()
    assert run().run.assigned == 0
    decision = DispatchDecision.objects.get(order=order)
    local = starts_at.astimezone(ServiceArea.objects.get(pk=area.pk).zone)
    told = f"The next shift there starts on {local:%a %d %b at %H:%M}."
    assert decision.why == f"No pilot is on duty in Accra. {told}"
    cause = presentation.main_cause(decision.ruled_out)
    assert presentation.cause_text(cause) == "drones without a pilot on duty in their area"
    (candidate,) = candidates.candidates(order)
    assert [reason.code for reason in candidate.reasons] == ["no_pilot_on_duty"]
    assert not candidate.overridable


def test_an_order_that_gets_a_better_drone_keeps_its_pilot(area: ServiceArea, hub: Hub) -> None:
    on_duty("Ama", 1)
    far = drones(1)[0]
    order = OrderFactory()
    run()
    near = DroneFactory()
    show(
        TelemetryFactory(drone_id=near.pk),
        TelemetryFactory(drone_id=far.pk, lat=5.65, lng=-0.22),
    )
    run()
    assert stored(order).assigned_drone_id == near.pk
    assert mission_of(order).pilot_name == "Ama"


def test_random_worlds_of_runs_never_exceed_a_cap(area: ServiceArea, hub: Hub) -> None:
    chance = random.Random(7)
    caps = {name: chance.randint(1, 4) for name in ("Ama", "Kofi", "Esi")}
    for name, cap in caps.items():
        on_duty(name, cap)
    drones(12)
    for _ in range(6):
        OrderFactory.create_batch(chance.randint(1, 5))
        run(max_assignments=chance.choice([None, 3]))
        flying = Mission.objects.coming(timezone.now())
        counted = Counter(flying.values_list("pilot_name", flat=True))
        assert "" not in counted
        assert all(counted[name] <= cap for name, cap in caps.items()), counted
        for mission in flying:
            if chance.random() < 0.4:
                Mission.objects.filter(pk=mission.pk).update(landed_at=timezone.now())


# --- by hand -------------------------------------------------------------------------------------


def test_a_person_cannot_exceed_a_cap(area: ServiceArea, hub: Hub) -> None:
    on_duty("Ama", 1)
    one, other = drones(2)
    first, second = OrderFactory.create_batch(2)
    manual_assignment.assign(first.pk, one.pk, by=SYSTEM)
    assert supervised() == {"Ama": 1}
    with pytest.raises(Conflict) as refusal:
        manual_assignment.assign(second.pk, other.pk, by=SYSTEM, override_reason="In a hurry.")
    assert refusal.value.code == "drone_not_able"
    assert "supervises 1 drone, as many as they may" in refusal.value.detail


def test_a_reassigned_order_needs_no_second_place(area: ServiceArea, hub: Hub) -> None:
    on_duty("Ama", 1)
    one, other = drones(2)
    order = OrderFactory()
    manual_assignment.assign(order.pk, one.pk, by=SYSTEM)
    before_launch.reassign(order.pk, other.pk, by=SYSTEM)
    mission = mission_of(order)
    assert (mission.drone_id, mission.pilot_name) == (other.pk, "Ama")


def test_a_mission_is_not_sent_after_the_shift_of_its_pilot(
    area: ServiceArea, hub: Hub, bridge: Simulator
) -> None:
    ama = on_duty("Ama", 1)
    drones(1)
    order = OrderFactory()
    run()
    Shift.objects.filter(pilot=ama).update(ends_at=timezone.now())
    publishing.publish(mission_of(order).pk)
    assert stored(order).status == Status.QUEUED
    assert "No pilot is on duty in Accra." in order.events.get(type="REQUEUED").message


def test_a_flight_to_the_base_has_a_pilot(settings: Any, area: ServiceArea, hub: Hub) -> None:
    settings.GCS_INTENT_VERSION = 2
    drone = DroneFactory(hub=hub, base=HubFactory(name="Osu", lat=5.6155, lng=-0.1742))
    show(TelemetryFactory(drone_id=drone.pk))
    with pytest.raises(Conflict, match="No pilot is on duty in Accra"):
        verbs.send_to_base(drone.pk, by=SYSTEM)
    on_duty("Ama", 1)
    assert verbs.send_to_base(drone.pk, by=SYSTEM).pilot_name == "Ama"


# --- two at once ---------------------------------------------------------------------------------


def assign_two(monkeypatch: pytest.MonkeyPatch, *, together: bool) -> int:
    """A person and a run give one pilot drones at once. Returns how many she has then.

    together: both have counted before one writes.
    """
    on_duty("Ama", 1)
    far, near = DroneFactory.create_batch(2)
    show(TelemetryFactory(drone_id=far.pk, lat=5.61), TelemetryFactory(drone_id=near.pk))
    first, second = OrderFactory.create_batch(2)
    both, choose, start = threading.Barrier(2), limit.choose, threading.Barrier(2)

    def choose_slowly(*args: Any) -> Any:
        if together:
            both.wait(30)
        return choose(*args)

    monkeypatch.setattr(limit, "choose", choose_slowly)

    def work(verb: Any) -> None:
        try:
            start.wait(30)
            verb()
        except Conflict:
            pass
        finally:
            connection.close()

    threads = [
        threading.Thread(target=work, args=(verb,))
        for verb in (
            lambda: manual_assignment.assign(first.pk, far.pk, by=SYSTEM),
            lambda: run(only=[second.pk]),
        )
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return Mission.objects.coming(timezone.now()).filter(pilot__name="Ama").count()


@pytest.mark.django_db(transaction=True)
def test_a_person_and_a_run_at_once_never_exceed_a_cap(
    area: ServiceArea, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert assign_two(monkeypatch, together=False) == 1


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_of_the_pilot_they_exceed_it(
    area: ServiceArea, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pilots, "lock", lambda pilot_ids: None)
    assert assign_two(monkeypatch, together=True) == 2


# --- handover ------------------------------------------------------------------------------------


def test_a_handover_moves_the_flights_and_keeps_a_record(area: ServiceArea, hub: Hub) -> None:
    ama = on_duty("Ama", 2)
    drones(2)
    orders = OrderFactory.create_batch(2)
    run()
    kofi = on_duty("Kofi", 2)
    handover.hand_over(ama, kofi, note="Both are on their way out.", by=SYSTEM)
    assert supervised() == {"Kofi": 2}
    changes = PilotChange.objects.filter(mission__parts__order__in=orders)
    assert {(c.former_name, c.pilot_name, c.note) for c in changes} == {
        ("Ama", "Kofi", "Both are on their way out.")
    }
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        changes.update(note="Other words.")
    assert pilots.supervised(ama.pk, timezone.now()) == []


def test_a_handover_needs_a_pilot_on_duty_there_with_room(area: ServiceArea, hub: Hub) -> None:
    ama = on_duty("Ama", 2)
    drones(2)
    OrderFactory.create_batch(2)
    run()
    kumasi = ServiceAreaFactory(name="Kumasi")
    refusals = [
        (ama, "Ama has these flights already."),
        (PilotFactory(name="Esi"), "Esi is not on duty in Accra now."),
        (on_duty("Yaw", 9, service_area=kumasi), "Yaw is not on duty in Accra now."),
        (on_duty("Kofi", 1), "may supervise 1 drones at once, has 0 and would get 2 more"),
    ]
    for to, text in refusals:
        with pytest.raises(Conflict, match=text):
            handover.hand_over(ama, to, note="Please.", by=SYSTEM)
    with pytest.raises(Invalid):
        handover.hand_over(ama, on_duty("Akua", 2), note=" ", by=SYSTEM)
    assert supervised() == {"Ama": 2}


def test_a_shift_with_drones_is_not_ended_early(area: ServiceArea, hub: Hub) -> None:
    ama = on_duty("Ama", 2)
    (drone,) = drones(1)
    order = OrderFactory()
    run()
    shift = Shift.objects.get(pilot=ama)
    with pytest.raises(Conflict) as refusal:
        pilots.end_shift(shift.pk, by=SYSTEM)
    assert refusal.value.detail == (
        f"Ama supervises 1 drone now: {drone.pk}. Hand them over first."
    )
    landed(order)
    assert pilots.end_shift(shift.pk, by=SYSTEM).ends_at <= timezone.now()


def test_a_cap_is_not_lowered_below_the_drones_under_way(area: ServiceArea, hub: Hub) -> None:
    ama = on_duty("Ama", 2)
    drones(2)
    OrderFactory.create_batch(2)
    run()
    shift = Shift.objects.get(pilot=ama)
    shift.at_once = 1
    with pytest.raises(Conflict, match="Ama supervises 2 drones now"):
        pilots.save_shift(shift, by=SYSTEM)


def test_flights_whose_pilot_is_off_duty_are_given_to_another(area: ServiceArea, hub: Hub) -> None:
    ama = on_duty("Ama", 2)
    drones(2)
    order_in(Status.ASSIGNED, drone=Drone.objects.first())  # before pilots were required
    OrderFactory()
    run()
    Shift.objects.filter(pilot=ama).update(ends_at=timezone.now())
    flights = handover.without_a_pilot(timezone.now())
    assert {flight.pilot_name for flight in flights} == {"", "Ama"}
    handover.supervise(area, on_duty("Kofi", 2), note="Taken over.", by=SYSTEM)
    assert not handover.without_a_pilot(timezone.now()).exists()
    with pytest.raises(Conflict, match="Each flight in Accra has a pilot on duty"):
        handover.supervise(area, Pilot.objects.get(name="Kofi"), note="Again.", by=SYSTEM)
