"""Overdue maintenance, defects and unattested checks keep drones out of every dispatch."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection
from django.utils import timezone

from dispatch.missions import publishing
from dispatch.missions.reposition import judging
from dispatch.models import DispatchRun
from dispatch.planning import candidates, manual_assignment, runs
from dispatch.planning.inputs import engagements
from dispatch.tests.support import able_drone, assigned, stored
from fleet.airworthiness import counters, records
from fleet.models import Checklist, Drone, MaintenanceRule, ServiceArea
from fleet.tests.factories import HubFactory
from orders.states import Status
from orders.tests.factories import OrderFactory
from wingxtra.accounts.identity import SYSTEM, Actor, ActorKind
from wingxtra.problems import Problem

pytestmark = pytest.mark.django_db

AMA = Actor(ActorKind.USER, "ama")


def overdue(drone: Drone) -> None:
    MaintenanceRule.objects.create(kind=drone.kind, name="50 h inspection", every_hours=50)
    counters.add(drone.pk, flights=90, seconds=53 * 3600)


def defect(drone: Drone) -> None:
    records.report_defect(drone.pk, by=AMA, description="Cracked arm.", grounds=True)


def unattested(drone: Drone) -> None:
    ServiceArea.objects.update(preflight_required=True)
    Checklist.objects.create(name="Morning checks", items=["Props"], hub=drone.hub)


AGAINST = pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (overdue, "maintenance_overdue", "overdue: 50 h inspection since 3 h"),
        (defect, "grounded", "Cracked arm"),
        (unattested, "not_attested", "Morning checks"),
    ],
)


@AGAINST
def test_a_run_names_why_the_drone_is_ruled_out(
    make: Callable[[Drone], None], code: str, says: str
) -> None:
    make(able_drone())
    OrderFactory()
    outcome = runs.run(trigger=DispatchRun.Trigger.COMMAND, by=SYSTEM)
    (decision,) = outcome.unassigned
    assert decision.ruled_out == [{"code": code, "drones": 1}]
    assert says in decision.why


@AGAINST
def test_no_person_assigns_it_either(make: Callable[[Drone], None], code: str, says: str) -> None:
    drone, order = able_drone(), OrderFactory()
    make(drone)
    (candidate,) = candidates.candidates(order)
    (reason,) = candidate.reasons
    assert (reason.code, candidate.overridable) == (code, False)
    assert says in reason.message
    with pytest.raises(Problem):
        manual_assignment.assign(order.pk, drone.pk, by=AMA, override_reason="Only this once.")
    assert stored(order).status == Status.QUEUED


@AGAINST
def test_an_assigned_drone_is_not_sent(make: Callable[[Drone], None], code: str, says: str) -> None:
    order, mission = assigned()
    make(Drone.objects.get())
    publishing.publish(mission.pk)
    assert stored(order).status == Status.QUEUED


@AGAINST
def test_it_does_not_fly_to_its_base(make: Callable[[Drone], None], code: str, says: str) -> None:
    drone = able_drone()
    Drone.objects.update(base=HubFactory(name="Osu", lat=5.61))
    make(drone)
    drone = Drone.objects.with_home().get()
    found = judging.reasons_against(drone, timezone.now())
    assert [reason.code for reason in found] == [code]


def test_engaged_drones_take_two_statements(django_assert_num_queries) -> None:
    for make in (overdue, defect, unattested):
        make(able_drone())
    with django_assert_num_queries(2):
        engagements.current(timezone.now())


@pytest.mark.django_db(transaction=True)
def test_two_flights_that_end_at_once_both_count() -> None:
    """The control reads the counter first, as an object's `save` would: it loses a flight."""
    able_drone()

    def add_by_saving(drone: Drone) -> None:
        drone.flights += 1
        drone.save(update_fields=["flights"])

    first, second = Drone.objects.get(), Drone.objects.get()
    add_by_saving(first)
    add_by_saving(second)
    assert Drone.objects.get().flights == 1
    _at_once(*[lambda: counters.add("WX-DRN-001", flights=1, seconds=60)] * 8)
    counters.count_the_rest()  # of those that found the drone locked
    found = Drone.objects.get()
    assert (found.flights, found.flight_seconds) == (9, 480)


@pytest.mark.django_db(transaction=True)
def test_of_two_people_who_release_at_once_one_is_told() -> None:
    row = records.report_defect(able_drone().pk, by=AMA, description="Arm.", grounds=True)
    told: list[str] = []

    def release() -> None:
        try:
            records.release_defect(row.pk, by=AMA, done="New arm.")
        except Problem as problem:
            told.append(problem.code)

    _at_once(release, release)
    assert told == ["already_released"]


def _at_once(*calls: Callable[[], None]) -> None:
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], None]) -> None:
        start.wait(timeout=10)
        try:
            call()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
