"""Background jobs of dispatch: planning, sending missions and recalls, following flights."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import dramatiq
import structlog
from django.utils import timezone

from dispatch import forgetting, testmode
from dispatch.missions import delays, live_missions, mission_watch, publishing, recalls
from dispatch.missions.clearance import following
from dispatch.missions.following import progress
from dispatch.missions.reposition import publishing as reposition
from dispatch.models import Clearance, WhatIf
from dispatch.planning import outlooks, runs
from dispatch.whatif import worker
from fleet.live import picture
from orders.models import DeliveryEvent
from orders.states import EventType
from wingxtra import outbox
from wingxtra.broker import enqueue, every

STALE_AFTER_MS = 30_000
OLD_PICTURE_S = 3.0
# Dramatiq takes higher numbers later: simulations run last.
LAST = 100

log = structlog.get_logger(__name__)


def enqueue_sends(events: Sequence[DeliveryEvent], **_: Any) -> None:
    """Receives `lifecycle.recorded`: enqueue sends after commit; `sweep_missions` is the retry."""
    for event in events:
        if event.type in (EventType.ASSIGNED, EventType.REASSIGNED) and event.job:
            enqueue(publish_intent, str(event.job.mission_intent_id))
    sends_a_recall = live_missions.JOB_ENDING_EVENTS | {EventType.ABORT_REQUESTED}
    if any(event.type in sends_a_recall for event in events):
        enqueue(sweep_missions)


# The sweep is the retry.
@dramatiq.actor(max_retries=0, max_age=STALE_AFTER_MS)
def publish_intent(intent_id: str) -> None:
    publishing.publish(UUID(intent_id))


@dramatiq.actor(max_retries=0, max_age=STALE_AFTER_MS)
def send_recall(intent_id: str) -> None:
    recalls.send_recall(UUID(intent_id))


@every(5)
@dramatiq.actor(max_retries=0)
def plan_areas() -> None:
    """Plan every service area with waiting orders, each in a run of its own."""
    for area_id in runs.areas_with_work():
        plan_area.send(str(area_id))


@dramatiq.actor(max_retries=0, max_age=STALE_AFTER_MS)
def plan_area(service_area_id: str) -> None:
    runs.run_by_schedule(UUID(service_area_id))


@every(5)
@dramatiq.actor(max_retries=0)
def forecast_areas() -> None:
    """Forecast the queue of every service area, for quotes and for orders in line."""
    for area_id in outlooks.areas():
        forecast_area.send(str(area_id))


# The next tick is the retry.
@dramatiq.actor(max_retries=0, max_age=STALE_AFTER_MS)
def forecast_area(service_area_id: str) -> None:
    outlooks.refresh(UUID(service_area_id), timezone.now())


@every(2)
@dramatiq.actor(max_retries=0)
def sweep_missions() -> None:
    """Send due rows of the outbox: intents, withdrawals, aborts."""
    now = timezone.now()
    outbox.sweep(publishing.unsent(now), publish_intent)
    outbox.sweep(recalls.recalls_due(now), send_recall)
    recalls.sweep_abandoned(now)


@dramatiq.actor(max_retries=0, max_age=STALE_AFTER_MS)
def publish_reposition(intent_id: str) -> None:
    reposition.publish(UUID(intent_id))


@dramatiq.actor(max_retries=0, max_age=STALE_AFTER_MS)
def recall_reposition(intent_id: str) -> None:
    reposition.send_recall(UUID(intent_id))


@every(2)
@dramatiq.actor(max_retries=0)
def sweep_repositions() -> None:
    """Send due flights to the base, and their recalls."""
    now = timezone.now()
    outbox.sweep(reposition.unsent(now), publish_reposition)
    outbox.sweep(reposition.recalls_due(now), recall_reposition)


# The sweep is the retry.
@dramatiq.actor(max_retries=0, max_age=STALE_AFTER_MS)
def follow_clearance(mission_id: str) -> None:
    following.follow(UUID(mission_id))


@every(2)
@dramatiq.actor(max_retries=0)
def sweep_clearances() -> None:
    """Check the clearances of live missions, and give back those of ended ones."""
    outbox.sweep(Clearance.objects.to_follow(timezone.now()), follow_clearance)


def follow_new_picture(**_: Any) -> None:
    """Receives `picture.renewed`."""
    follow_flights.send()


# The next picture is the retry.
@dramatiq.actor(max_retries=0, max_age=2_000)
def follow_flights() -> None:
    """Update the flights of every service area from the newest fleet picture."""
    for area_id in progress.areas():
        follow_area.send(str(area_id))


@every(2)
@dramatiq.actor(max_retries=0)
def follow_without_pictures() -> None:
    """The same while no new picture comes: the silence of drones must be noticed."""
    seen = picture.read()
    if seen is not None and seen.age_s(timezone.now()) > OLD_PICTURE_S:
        follow_flights()


# The next picture is the retry.
@dramatiq.actor(max_retries=0, max_age=2_000)
def follow_area(service_area_id: str) -> None:
    seen = picture.read()
    if seen is not None:
        progress.follow_area(UUID(service_area_id), seen, timezone.now())


@every(15)
@dramatiq.actor(max_retries=0)
def tell_of_delays() -> None:
    """Tell merchants and customers of orders that are predicted late."""
    delays.tell(timezone.now())


@every(2)
@dramatiq.actor(max_retries=0)
def watch_missions() -> None:
    """Judge submitted and flying missions by the zones, wind and charge of now."""
    for area_id in mission_watch.areas():
        watch_area.send(str(area_id))


# The next tick is the retry.
@dramatiq.actor(max_retries=0, max_age=2_000)
def watch_area(service_area_id: str) -> None:
    mission_watch.watch_area(UUID(service_area_id), timezone.now())


@every(1)
@dramatiq.actor(max_retries=0)
def fly_test_orders() -> None:
    testmode.fly(timezone.now())


# The sweep is the retry.
@dramatiq.actor(
    queue_name="what_ifs",
    priority=LAST,
    max_retries=0,
    max_age=STALE_AFTER_MS,
    time_limit=worker.TIME_LIMIT.seconds * 1000,
    notify_shutdown=True,
)
def compute_what_if(what_if_id: str) -> None:
    worker.compute(UUID(what_if_id))


@every(5)
@dramatiq.actor(max_retries=0)
def sweep_what_ifs() -> None:
    """Simulate the next what-if, also one whose worker died; one at a time."""
    now = timezone.now()
    worker.give_up_dead(now)
    outbox.sweep(WhatIf.objects.due(now), compute_what_if, at_most=1)


@every(3600)
@dramatiq.actor(max_retries=0)
def forget_decisions() -> None:
    """Delete runs, what-ifs and flight records past their retention."""
    now = timezone.now()
    if count := forgetting.forget_runs(now):
        log.info("runs_forgotten", count=count)
    if count := forgetting.forget_what_ifs(now):
        log.info("what_ifs_forgotten", count=count)
    if count := forgetting.forget_records(now):
        log.info("flight_records_forgotten", count=count)
