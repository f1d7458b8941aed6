"""Random verbs and reports against a small fleet keep the invariants of orders."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import transaction
from django.db.models import Count
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from fleet.models import Drone, Hub
from fleet.tests.factories import DroneFactory, HubFactory
from orders import lifecycle
from orders.models import DeliveryJob, Order
from orders.states import (
    FLOWN_FROM,
    MISSION_STEPS,
    TERMINAL,
    TRANSITIONS,
    WITH_A_JOB,
    CancelReason,
    EventType,
    Holder,
    JobStatus,
    Status,
)
from orders.tests.factories import OrderFactory
from wingxtra.accounts.identity import DISPATCHER, GCS, SYSTEM
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory
from wingxtra.problems import Conflict

# (event, from, to) of the state diagram.
STEPS = {
    (edge.event.value, source.value, edge.target.value)
    for edge in TRANSITIONS.values()
    for source in edge.sources
}
# An order on hold that was delivered after all.
STEPS.add(("DELIVERED", "QUEUED", "DELIVERED"))
STEP_EVENTS = {event for event, _, _ in STEPS}
FIRST_EVENT = ("CREATED", "CREATED")  # of every timeline: type and status
CHOICE = st.integers(min_value=0, max_value=99)


CustodyVerb = Callable[[UUID, Hub], Order]
CUSTODY_VERBS: list[CustodyVerb] = [
    lambda pk, hub: lifecycle.ready(pk, by=SYSTEM),
    lambda pk, hub: lifecycle.loaded(pk, by=SYSTEM),
    lambda pk, hub: lifecycle.sight_lost(pk, by=SYSTEM, why="It went silent."),
    lambda pk, hub: lifecycle.unloaded(pk, hub.pk, by=SYSTEM),
    lambda pk, hub: lifecycle.never_left(pk, by=SYSTEM, note="It is on the shelf."),
    lambda pk, hub: lifecycle.given_back(pk, by=SYSTEM, received_by="The shop."),
    lambda pk, hub: lifecycle.lost(pk, by=SYSTEM, note="It burned."),
    lambda pk, hub: lifecycle.delivered_after_all(pk, by=SYSTEM, why="They have it."),
]


class Deliveries(RuleBasedStateMachine):
    """At most four orders, three drones, two hubs; every example is rolled back at its end."""

    merchant: Merchant
    drones: list[Drone]
    hubs: list[Hub]

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.orders: list[Order] = []
        self.ended: dict[object, tuple[str, int]] = {}

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    def order(self, choice: int) -> Order | None:
        return self.orders[choice % len(self.orders)] if self.orders else None

    # --- actions of people and machines ----------------------------------------------------------

    @rule(later=st.booleans())
    def place(self, later: bool) -> None:
        if len(self.orders) < 4:
            start = timezone.now() + timedelta(hours=2) if later else None
            deliver_by = timezone.now() + timedelta(hours=3)
            self.orders.append(
                OrderFactory(merchant=self.merchant, not_before=start, deliver_by=deliver_by)
            )

    @rule(choice=CHOICE, drone=CHOICE, again=st.booleans())
    def assign(self, choice: int, drone: int, again: bool) -> None:
        verb = lifecycle.reassign if again else lifecycle.assign
        self.attempt(
            choice,
            lambda order: verb(
                order.pk, self.drones[drone % 3].pk, by=DISPATCHER, why="It is near."
            ),
        )

    @rule(pairs=st.lists(st.tuples(CHOICE, CHOICE), max_size=5))
    def assign_many(self, pairs: list[tuple[int, int]]) -> None:
        if self.orders:
            lifecycle.assign_many(
                [
                    lifecycle.Assignment(
                        self.orders[order % len(self.orders)].pk, self.drones[drone % 3].pk, "Best."
                    )
                    for order, drone in pairs
                ],
                by=DISPATCHER,
            )

    @rule(choice=CHOICE, to=st.sampled_from(MISSION_STEPS))
    def report(self, choice: int, to: Status) -> None:
        self.attempt(choice, lambda order: lifecycle.advance(order.pk, to, by=GCS))

    @rule(
        choice=CHOICE,
        how=st.sampled_from([JobStatus.FAILED, JobStatus.ABORTED]),
        max_attempts=st.integers(1, 3),
        final=st.booleans(),
        astray=st.sampled_from(["", "It landed in a field."]),
    )
    def mission_over(
        self, choice: int, how: JobStatus, max_attempts: int, final: bool, astray: str
    ) -> None:
        self.attempt(
            choice,
            lambda order: lifecycle.mission_over(
                order.pk,
                ended=how,
                by=GCS,
                why="Wind.",
                max_attempts=max_attempts,
                final=final,
                parcel_astray=astray,
            ),
        )

    @rule(choice=CHOICE, verb=st.sampled_from(CUSTODY_VERBS))
    def report_custody(self, choice: int, verb: CustodyVerb) -> None:
        self.attempt(choice, lambda order: verb(order.pk, self.hubs[choice % 2]))

    @rule(choice=CHOICE)
    def reports_contradict(self, choice: int) -> None:
        self.attempt(
            choice, lambda order: lifecycle.sight_lost(order.pk, why="Who knows.", by=SYSTEM)
        )

    @rule(choice=CHOICE, outcome=st.sampled_from([Status.DELIVERED, Status.FAILED]))
    def correct(self, choice: int, outcome: Status) -> None:
        self.attempt(
            choice,
            lambda order: lifecycle.correct(order.pk, outcome=outcome, by=SYSTEM, why="Asked."),
        )

    @rule(choice=CHOICE)
    def requeue(self, choice: int) -> None:
        self.attempt(choice, lambda order: lifecycle.requeue(order.pk, by=SYSTEM, why="Again."))

    @rule(choice=CHOICE, later=st.booleans())
    def reschedule(self, choice: int, later: bool) -> None:
        start = timezone.now() + timedelta(hours=1) if later else None
        deliver_by = timezone.now() + timedelta(hours=5)
        self.attempt(
            choice,
            lambda order: lifecycle.reschedule(
                order.pk, not_before=start, deliver_by=deliver_by, by=SYSTEM
            ),
        )

    @rule(hours=st.integers(0, 3))
    def time_passes(self, hours: int) -> None:
        lifecycle.enqueue_due(timezone.now() + timedelta(hours=hours))

    @rule(choice=CHOICE)
    def cancel(self, choice: int) -> None:
        self.attempt(
            choice,
            lambda order: lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.OTHER),
        )

    def attempt(self, choice: int, verb) -> None:  # type: ignore[no-untyped-def]
        """A refusal is allowed; any other exception fails the test."""
        order = self.order(choice)
        if order is not None:
            with suppress(Conflict):
                verb(order)

    # --- invariants ------------------------------------------------------------------------------

    @invariant()
    def at_most_one_active_job(self) -> None:
        active = DeliveryJob.objects.active()
        for side in ("order", "drone"):
            assert not active.values(side).annotate(jobs=Count("pk")).filter(jobs__gt=1)

    @invariant()
    def an_order_has_an_active_job_only_in_a_status_with_a_job(self) -> None:
        active = dict(DeliveryJob.objects.active().values_list("order_id", "pk"))
        for order in Order.objects.all():
            on_it = order.status in WITH_A_JOB
            assert active.get(order.pk) == (order.current_job_id if on_it else None)

    @invariant()
    def the_timeline_is_a_path_of_the_diagram(self) -> None:
        for order in Order.objects.prefetch_related("events"):
            events = [(event.type, event.status) for event in order.events.all()]
            assert events[0] == FIRST_EVENT
            here = Status.CREATED.value
            for kind, status in events[1:]:
                assert (kind, here, status) in STEPS if kind in STEP_EVENTS else status == here
                here = status
            assert here == order.status

    @invariant()
    def an_order_that_has_ended_changes_only_by_a_correction(self) -> None:
        for order in Order.objects.filter(pk__in=self.ended):
            status, corrections = self.ended[order.pk]
            now = order.events.filter(type=EventType.CORRECTED).count()
            assert order.status == status if now == corrections else order.status in TERMINAL
        for order in Order.objects.filter(status__in=TERMINAL):
            corrections = order.events.filter(type=EventType.CORRECTED).count()
            self.ended[order.pk] = (order.status, corrections)

    @invariant()
    def every_parcel_has_exactly_one_holder(self) -> None:
        for order in Order.objects.all():
            assert (order.holder_drone_id is not None) == (order.holder == Holder.DRONE)
            assert (order.holder_hub_id is not None) == (order.holder == Holder.HUB)
            assert (order.holder == Holder.RECIPIENT) == (order.status == Status.DELIVERED)

    @invariant()
    def no_drone_carries_two_parcels_or_carries_one_and_flies_for_another(self) -> None:
        carried = Order.objects.filter(holder_drone__isnull=False)
        by_drone = dict(carried.values_list("holder_drone_id", "pk"))
        assert len(by_drone) == carried.count()
        for drone_id, order_id in DeliveryJob.objects.active().values_list("drone_id", "order_id"):
            assert by_drone.get(drone_id, order_id) == order_id

    @invariant()
    def a_drone_is_sent_only_to_the_place_of_the_parcel(self) -> None:
        for order in Order.objects.filter(status__in=(Status.ASSIGNED, Status.MISSION_SUBMITTED)):
            assert order.holder in (*FLOWN_FROM, Holder.DRONE)
        for order in Order.objects.dispatchable():
            assert order.holder in FLOWN_FROM


@pytest.mark.django_db
def test_random_verbs_keep_the_invariants() -> None:
    Deliveries.merchant = MerchantFactory()
    Deliveries.drones = DroneFactory.create_batch(3)
    Deliveries.hubs = HubFactory.create_batch(2)
    run_state_machine_as_test(
        Deliveries,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
