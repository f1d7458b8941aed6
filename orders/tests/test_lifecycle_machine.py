"""Random verbs and reports against a small fleet: whatever happens, the promises hold."""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models import Count
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from fleet.models import Drone
from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.management.commands.state_machine import EVENT_OF, transitions
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.states import MISSION_PATH, TERMINAL, CancelReason, JobStatus, Status
from orders.tests.factories import OrderFactory
from wingxtra.accounts.identity import DISPATCHER, GCS, SYSTEM
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory
from wingxtra.problems import Conflict

# (event, from, to) of the diagram, and how every timeline begins.
STEPS = {(EVENT_OF[name].value, source.value, to.value) for name, source, to in transitions()}
BEGINNING = ("CREATED", "CREATED")
CHOICE = st.integers(min_value=0, max_value=99)


class Deliveries(RuleBasedStateMachine):
    """Four orders at most, three drones; every example is rolled back at its end."""

    merchant: Merchant
    drones: list[Drone]

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.orders: list[Order] = []
        self.ended: dict[object, dict[str, object]] = {}

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    def order(self, choice: int) -> Order | None:
        return self.orders[choice % len(self.orders)] if self.orders else None

    # --- what people and machines do -------------------------------------------------------------

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

    @rule(choice=CHOICE, to=st.sampled_from(MISSION_PATH[1:]))
    def report(self, choice: int, to: Status) -> None:
        self.attempt(choice, lambda order: lifecycle.advance(order.pk, to, by=GCS))

    @rule(
        choice=CHOICE,
        how=st.sampled_from([JobStatus.FAILED, JobStatus.ABORTED]),
        max_attempts=st.integers(1, 3),
        final=st.booleans(),
    )
    def mission_over(self, choice: int, how: JobStatus, max_attempts: int, final: bool) -> None:
        self.attempt(
            choice,
            lambda order: lifecycle.mission_over(
                order.pk, ended=how, by=GCS, why="Wind.", max_attempts=max_attempts, final=final
            ),
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
        """Refusals are answers; anything else is a fault."""
        order = self.order(choice)
        if order is not None:
            with suppress(Conflict):
                verb(order)

    # --- what must hold after each step ----------------------------------------------------------

    @invariant()
    def one_active_job_at_most(self) -> None:
        active = DeliveryJob.objects.active()
        for side in ("order", "drone"):
            assert not active.values(side).annotate(jobs=Count("pk")).filter(jobs__gt=1)

    @invariant()
    def an_order_has_an_active_job_exactly_while_a_drone_is_on_it(self) -> None:
        active = dict(DeliveryJob.objects.active().values_list("order_id", "pk"))
        for order in Order.objects.all():
            on_it = order.status in MISSION_PATH[:-1]
            assert active.get(order.pk) == (order.current_job_id if on_it else None)

    @invariant()
    def the_timeline_is_a_path_of_the_diagram(self) -> None:
        for order in Order.objects.prefetch_related("events"):
            events = [(event.type, event.status) for event in order.events.all()]
            assert events[0] == BEGINNING
            here = Status.CREATED.value
            for kind, status in events[1:]:
                assert (kind, here, status) in STEPS
                here = status
            assert here == order.status

    @invariant()
    def an_order_that_has_ended_never_changes(self) -> None:
        for row in Order.objects.filter(status__in=TERMINAL).values():
            row["events"] = DeliveryEvent.objects.filter(order=row["id"]).count()
            assert self.ended.setdefault(row["id"], row) == row


@pytest.mark.django_db
def test_whatever_happens_the_promises_hold() -> None:
    Deliveries.merchant = MerchantFactory()
    Deliveries.drones = DroneFactory.create_batch(3)
    run_state_machine_as_test(
        Deliveries,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
