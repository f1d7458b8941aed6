"""Random verbs, reports, telemetry and dispatch: no order gets a drone that may not fly."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from dispatch.missions import reports
from dispatch.missions.reports import MissionEvent
from dispatch.models import DispatchRun, Mission
from dispatch.planning import runs
from fleet import registry
from fleet.models import Drone
from fleet.tests.factories import (
    ACCRA,
    DroneFactory,
    HubFactory,
    TelemetryFactory,
    seconds_ago,
    show,
)
from orders.models import DeliveryJob
from orders.states import JobStatus, Status
from orders.tests.test_lifecycle_machine import CHOICE, Deliveries
from wingxtra.accounts.identity import DISPATCHER, GCS, SYSTEM
from wingxtra.accounts.tests.factories import MerchantFactory

# Far apart from what a trip in these tests takes (about 10 %): 20 is below the policy's minimum.
BATTERIES = (None, 20, 60, 100)
AGES_S = (0, 30, 300)


class Dispatching(Deliveries):
    """The deliveries of `orders`, with telemetry, grounding and the dispatcher itself."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: dict[str, dict[str, Any]] = {
            drone.pk: {"battery_pct": 100, "armed": False, "age_s": 0} for drone in self.drones
        }

    @rule(
        drone=CHOICE,
        battery_pct=st.sampled_from(BATTERIES),
        armed=st.sampled_from([None, False, False, True]),
        age_s=st.sampled_from(AGES_S),
    )
    def telemetry(self, drone: int, **look: Any) -> None:
        self.looks[self.drones[drone % 3].pk] = look

    @rule(drone=CHOICE)
    def ground_or_release(self, drone: int) -> None:
        row = Drone.objects.get(pk=self.drones[drone % 3].pk)
        if row.is_grounded:
            registry.unground(row.pk, by=SYSTEM)
        else:
            registry.ground(row.pk, by=SYSTEM, reason="A bent propeller.")

    @rule(dry_run=st.booleans())
    def dispatch(self, dry_run: bool) -> None:
        show(*[self._sample(drone_id) for drone_id in self.looks])
        busy = set(DeliveryJob.objects.active().values_list("drone_id", flat=True))
        grounded = set(Drone.objects.filter(grounded_at__isnull=False).values_list("pk", flat=True))
        outcome = runs.run(trigger=DispatchRun.Trigger.COMMAND, by=DISPATCHER, dry_run=dry_run)
        assert not (dry_run and outcome.assigned)
        for order in outcome.assigned:
            drone_id = order.assigned_drone_id
            assert drone_id is not None
            look = self.looks[drone_id]
            assert drone_id not in busy | grounded
            assert look["armed"] is False
            assert (look["battery_pct"] or 0) >= 60
            assert look["age_s"] == 0

    @rule(choice=CHOICE, kind=st.sampled_from(list(reports.ReportType)), event_id=st.integers(0, 5))
    def gcs_reports(self, choice: int, kind: Status, event_id: int) -> None:
        event = MissionEvent(type=kind, event_id=str(event_id))
        self.attempt(choice, lambda order: reports.report(order.pk, event, by=GCS))

    @invariant()
    def every_job_has_its_intent_and_none_waits_for_a_job_that_is_over(self) -> None:
        jobs = DeliveryJob.objects.select_related("part__mission")
        for job in jobs:
            assert job.part.mission_id == job.mission_intent_id
            if job.status != JobStatus.ACTIVE:
                assert job.part.mission.state != Mission.State.PENDING

    def _sample(self, drone_id: str) -> Any:
        look = dict(self.looks[drone_id])
        return TelemetryFactory(
            drone_id=drone_id,
            lat=ACCRA[0],
            lng=ACCRA[1],
            measured_at=seconds_ago(look.pop("age_s")),
            **look,
        )


@pytest.mark.django_db
def test_whatever_happens_only_able_drones_are_chosen_and_the_promises_hold() -> None:
    Dispatching.merchant = MerchantFactory()
    Dispatching.drones = DroneFactory.create_batch(3)
    Dispatching.hubs = HubFactory.create_batch(2)
    run_state_machine_as_test(
        Dispatching,
        settings=settings(
            max_examples=10,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
