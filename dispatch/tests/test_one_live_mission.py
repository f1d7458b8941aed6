"""Bridge, ground control, telemetry, staff and dispatch in any order: never two live missions.

Each example is a new sky with three drones and a few orders, in which every source can be late,
silent or wrong. The simulator's truth is the reference.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from uuid import UUID

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from pytest_django import Settings

from dispatch.console.orders import actions as order_actions
from dispatch.missions import (
    answers,
    before_launch,
    discrepancies,
    publishing,
    publishing_pause,
    recalls,
)
from dispatch.models import Discrepancy, Mission, MissionPart
from dispatch.planning import eligibility
from dispatch.tests.sky import START, Sky, held_drones
from fleet import registry
from fleet.models import Hub
from fleet.simulator.run import Simulator
from fleet.simulator.truth import Where
from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.models import Order
from orders.states import FLOWN_FROM, TERMINAL, WITH_A_JOB, CancelReason, Status
from orders.tests.factories import OrderFactory
from wingxtra import outbox
from wingxtra.accounts.identity import Actor, ActorKind
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory
from wingxtra.problems import Problem

STAFF = Actor(ActorKind.USER, "ama")
NOTE = "Looked on site."
MOST_ORDERS = 3
CHOICE = st.integers(0, 999)
PARTS, EXAMPLES, STEPS = 4, 25, 100
# Faults of one drone, with settings where the defaults are too weak.
OF_A_DRONE = [
    ("mission_fail", {}),
    ("abort", {}),
    ("land_short", {"report": True}),
    ("land_short", {}),
    ("land_short", {"drop": True}),
    ("motor_failure", {}),
    ("carry_home", {}),
    ("carry_home", {"report": True}),
    ("stay_at_drop", {"seconds": 400}),
    ("stay_at_drop", {"drop": False, "report": False}),
    ("lie_failed", {"report": True}),
    ("lie_failed", {}),
    ("silent_reports", {}),
    ("clock", {"seconds": -86400}),
    ("clock", {"at": "1970-01-01T00:00:00Z"}),
    ("lose_link", {"for_s": 120}),
    ("lose_link", {"for_s": 900}),
    ("freeze", {"for_s": 200}),
    ("glitch_armed", {"times": 1}),
    ("glitch_armed", {"times": 2}),
    ("glitch_altitude", {"times": 1, "metres": -60}),
    ("null_position", {"for_s": 300}),
    ("one_bad_drone", {"times": 2}),
    ("bad_value", {"times": 2, "field": "armed", "value": "yes"}),
]
# Faults of the bridge: answers lost before and after their effect, refusals, meaningless texts.
OF_THE_BRIDGE = [
    ("bridge_down", {"after": False}),
    ("bridge_down", {"after": True}),
    ("bridge_500", {"after": False}),
    ("bridge_500", {"after": True}),
    ("bridge_reject", {}),
    ("refuse_form", {}),
    ("no_cancel_route", {}),
    ("cancel_word", {"word": "accepted"}),
    ("cancel_word", {"word": "unknown"}),
    ("cancel_word", {"after": True}),
]

# Weight of each step; they add up to about 40.
HAPPENS = [
    *["look"] * 13,
    *["reports_come"] * 5,
    *["dispatch"] * 3,
    *["sweep", "place", "any_report_comes", "a_drone_fails"] * 2,
    *["the_bridge_fails", "a_worker_dies_while_it_sends", "resume_publishing"],
    *["cancel", "requeue", "ask_for_an_abort", "say_that_no_mission_flies"],
    *["look_for_the_parcel", "release_drones", "settle", *["people_answer"] * 3],
]


class Deliveries(RuleBasedStateMachine):
    """Each example is rolled back at its end."""

    merchant: Merchant
    drones: list[str]
    hub: Hub
    simulator: Simulator
    clock: time_machine.Traveller

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.sky = Sky(self.simulator, self.clock, self.drones)
        self.ids: list[UUID] = []
        for _ in range(MOST_ORDERS - 1):
            self.place(0)

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    def order(self, choice: int) -> Order | None:
        """A random order, fetched again; None without orders."""
        if not self.ids:
            return None
        return Order.objects.select_related("current_job", "holder_hub").get(
            pk=self.ids[choice % len(self.ids)]
        )

    # --- steps -----------------------------------------------------------------------------------

    # One rule for all steps, so that our weights decide, not Hypothesis.
    @rule(choice=CHOICE, what=st.sampled_from(HAPPENS))
    def something_happens(self, choice: int, what: str) -> None:
        getattr(self, what)(choice)

    def place(self, _: int) -> None:
        if len(self.ids) < MOST_ORDERS:
            # Ids by number, so that a failing example is reproducible: runs sort by order id.
            order_id = UUID(int=len(self.ids) + 1)
            self.ids.append(OrderFactory(pk=order_id, merchant=self.merchant, **TRIP).pk)

    def dispatch(self, _: int) -> None:
        held = held_drones()
        for order in self.sky.dispatch():
            assert order.assigned_drone_id not in held
            assert self.sky.lies_at(order, order.flown_from)
            assert not self.sky.flies(order)
        self.sky.sweep()

    def sweep(self, _: int) -> None:
        self.sky.sweep()

    def look(self, _: int) -> None:
        self.sky.poll()

    def reports_come(self, choice: int) -> None:
        for mission, event in list(self.sky.undelivered())[: choice % 6]:
            self.sky.deliver(mission, event)

    def any_report_comes(self, choice: int) -> None:
        """Any report ever sent: early, late, or again."""
        sent = [(m, e) for m in self.sky.world.missions.values() for e in m.events]
        if sent:
            self.sky.deliver(*sent[choice % len(sent)])

    def a_drone_fails(self, choice: int) -> None:
        which, drone = divmod(choice, len(self.drones))
        kind, how = OF_A_DRONE[which % len(OF_A_DRONE)]
        self.sky.fault(kind, self.drones[drone], **how)

    def the_bridge_fails(self, choice: int) -> None:
        which, times = divmod(choice, 3)
        kind, how = OF_THE_BRIDGE[which % len(OF_THE_BRIDGE)]
        self.sky.fault(kind, times=times + 1, **how)

    def a_worker_dies_while_it_sends(self, choice: int) -> None:
        """A publisher dies after counting the try: nothing is sent, and its claim expires."""
        order = self.order(choice)
        part = order and MissionPart.objects.with_related().filter(job=order.current_job_id).first()
        if part and part.mission.state == publishing.State.PENDING:
            rows = Mission.objects.all()
            claim = outbox.claim(rows, part.mission_id, until=timezone.now())
            publishing._count_try(claim, part)

    # --- staff -----------------------------------------------------------------------------------

    def cancel(self, choice: int) -> None:
        def verb(order: Order) -> None:
            sure = NOTE if not self.sky.flies(order) else ""
            why = CancelReason.CUSTOMER_REQUEST
            before_launch.cancel(order.pk, by=STAFF, reason=why, override=sure)

        self.attempt(choice, verb)

    def requeue(self, choice: int) -> None:
        def verb(order: Order) -> None:
            order_actions._requeue(
                order, {"reason": NOTE, "override": ""}, SimpleNamespace(actor=STAFF)
            )

        self.attempt(choice, verb)

    def ask_for_an_abort(self, choice: int) -> None:
        self.attempt(choice, lambda o: recalls.request_abort(o.pk, by=STAFF, reason=NOTE))

    def say_that_no_mission_flies(self, choice: int) -> None:
        order = self.order(choice)
        if order and not self.sky.flies(order):
            self.attempt(choice, lambda o: recalls.confirm_over(o.pk, by=STAFF, note=NOTE))

    def look_for_the_parcel(self, choice: int) -> None:
        """Staff who know the truth answer what the order asks."""
        order = self.order(choice)
        if order is None or self.sky.flies(order):
            return
        asked = Order.objects.awaiting_staff().filter(pk=order.pk).exists()
        if not asked and order.status not in WITH_A_JOB:
            return
        self.sky.bring_to_the_hub(order)
        if self.sky.where(order) == Where.ABOARD and order.status not in WITH_A_JOB:
            return  # the drone flies another order with it aboard: staff cannot check
        self.attempt(choice, ANSWERS[self.sky.where(order)](self, choice % 4 == 0))

    def release_drones(self, _: int) -> None:
        self.sky.bring_drones_home()
        for drone_id in held_drones():
            if self.sky.stands_at_home(drone_id):
                registry.release(drone_id, by=STAFF, note=NOTE)

    def settle(self, choice: int) -> None:
        """Settle discrepancies once nothing flies and the parcel is where the order says."""
        order = self.order(choice)
        if order and not self.sky.flies(order) and self.custody_is_true(order):
            for one in order.discrepancies.filter(settled_at__isnull=True):
                discrepancies.settle(one.pk, by=STAFF, note=NOTE)

    def people_answer(self, choice: int) -> None:
        self.look_for_the_parcel(choice)
        self.settle(choice)
        self.release_drones(choice)

    def resume_publishing(self, _: int) -> None:
        with suppress(Problem):
            publishing_pause.resume(by=STAFF)

    def attempt(self, choice: int, verb: Callable[[Order], object]) -> None:
        """Refusals are valid answers; other exceptions fail the test."""
        order = self.order(choice)
        if order is not None:
            with suppress(Problem), transaction.atomic():
                verb(order)

    # --- invariants after each step --------------------------------------------------------------

    def custody_is_true(self, order: Order) -> bool:
        where = self.sky.where(order)
        if order.holder in FLOWN_FROM:
            return self.sky.lies_at(order, order.flown_from)
        return where == (Where.AT_DROP if order.status == Status.DELIVERED else Where.ABOARD)

    @invariant()
    def the_promises_hold(self) -> None:
        """One query for all invariants: there are thousands of steps."""
        # Never two live missions, never a flight to a pickup without its parcel.
        assert self.sky.world.ledger.violations == []
        orders = list(Order.objects.select_related("holder_hub"))
        asked = set(Order.objects.awaiting_staff().values_list("pk", flat=True))
        ready = eligibility.may_be_planned(Order.objects.dispatchable())
        planned = set(ready.values_list("pk", flat=True))
        parts = MissionPart.objects.live().values_list("order_id", "mission_id")
        live = dict(parts)
        standing = Discrepancy.objects.filter(settled_at__isnull=True)
        doubted = set(standing.values_list("order_id", flat=True))
        assert len(live) == len(parts)
        self.what_may_still_fly_is_known_to_be_live(set(live.values()))
        for order in orders:
            if order.pk in planned:  # the mission starts where the parcel is
                assert self.sky.lies_at(order, order.flown_from), self.sky.story(order)
                assert not order.hold_code
            elif order.status not in (
                *TERMINAL,
                *WITH_A_JOB,
            ):  # no order is stuck without a question
                assert order.pk in asked or order.pk in doubted or order.pk in live, order.status
            if order.status in TERMINAL:
                assert (order.pk in asked) == (order.holder in ("DRONE", "UNKNOWN"))

    def what_may_still_fly_is_known_to_be_live(self, live: set[UUID]) -> None:
        """Unless ground control reported its end."""
        for mission in self.sky.world.missions.values():
            if mission.over_at is None and not mission.ended:
                assert UUID(mission.intent_id) in live, mission.truth()


TRIP = {
    "pickup_lat": 5.6070,
    "pickup_lng": -0.1885,
    "dropoff_lat": 5.6110,
    "dropoff_lng": -0.1830,
}


def _delivered(machine: Deliveries, _: bool) -> Callable[[Order], object]:
    return lambda order: answers.confirm_delivered(order.pk, by=STAFF, note=NOTE)


def _at_the_hub(machine: Deliveries, to_the_sender: bool) -> Callable[[Order], object]:
    if to_the_sender:
        return lambda order: lifecycle.given_back(order.pk, by=STAFF, received_by="The shop.")
    return lambda order: lifecycle.unloaded(order.pk, machine.hub.pk, by=STAFF, note=NOTE)


def _never_left(machine: Deliveries, _: bool) -> Callable[[Order], object]:
    def verb(order: Order) -> None:
        if order.status in WITH_A_JOB:
            answers.confirm_failed(order.pk, by=STAFF, note=NOTE)
        else:
            lifecycle.never_left(order.pk, by=STAFF, note=NOTE)

    return verb


ANSWERS: dict[Where, Callable[[Deliveries, bool], Callable[[Order], object]]] = {
    Where.AT_DROP: _delivered,
    Where.AT_HUB: _at_the_hub,
    Where.AT_PICKUP: _never_left,
    Where.ABOARD: _never_left,  # the drone is in the field with the parcel: the flight has failed
    Where.ON_GROUND: _never_left,
}


@pytest.fixture
def ground_control(settings: Settings) -> Iterator[Simulator]:
    with Simulator([], speed=0) as simulator:
        settings.GCS_BRIDGE_URL = simulator.url
        settings.GCS_BRIDGE_TIMEOUT_S = 10.0
        yield simulator


@pytest.mark.django_db
@pytest.mark.parametrize("part", range(PARTS))
def test_an_order_never_has_two_live_missions(ground_control: Simulator, part: int) -> None:
    """10,000 steps in total, in parallel parts."""
    Deliveries.merchant = MerchantFactory()
    drones = DroneFactory.create_batch(3)
    Deliveries.drones = [drone.pk for drone in drones]
    Deliveries.hub = drones[0].hub
    Deliveries.simulator = ground_control
    with time_machine.travel(START, tick=False) as Deliveries.clock:
        run_state_machine_as_test(
            Deliveries,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                derandomize=True,  # random seeds run in `make drill`
                phases=[Phase.generate],  # shrinking a hundred steps takes an hour
                suppress_health_check=list(HealthCheck),
            ),
        )
