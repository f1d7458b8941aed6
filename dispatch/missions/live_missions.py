"""Missions follow their jobs, in the same transaction.

A mission is stored in the transaction that assigns its job. From the first try to send it, it is
live for its order until it is known to be over; the database refuses a second live mission.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q, prefetch_related_objects
from django.utils import timezone

from dispatch.missions import intent
from dispatch.models import Mission, MissionPart
from fleet import policy
from fleet.airspace import rulebook
from fleet.airspace.areas import intents_name_a_hub
from fleet.feasibility.rules import Rules
from fleet.models import Drone, Hub
from orders.models import DeliveryEvent, Order
from orders.states import EventType, JobStatus
from wingxtra.accounts.identity import ActorKind
from wingxtra.database import bulk
from wingxtra.database.joined import Joined
from wingxtra.database.statements import Statement, Update, Updates

State = Mission.State
Recall = Mission.Recall

JOB_ENDING_EVENTS = {
    EventType.REASSIGNED,
    EventType.REQUEUED,
    EventType.RESCHEDULED,
    EventType.CANCELED,
    EventType.FAILED,
    EventType.ABORTED,
}


def update_missions(events: Sequence[DeliveryEvent], **_: Any) -> None:
    """Receives `lifecycle.recorded`: store, accept or end the missions of these events.

    The number of statements does not grow with the events.
    """
    _store([e for e in events if e.type in (EventType.ASSIGNED, EventType.REASSIGNED)])
    submitted = [e.job for e in events if e.type == EventType.MISSION_SUBMITTED]
    if submitted:
        ids = [job.mission_intent_id for job in submitted if job]
        _ACCEPTED.run(mission_ids=ids, at=timezone.now())
    delivered = [e for e in events if e.type == EventType.DELIVERED]
    if delivered:
        mark_over([e.job_id for e in delivered], by=delivered[0].actor, because="Delivered.")
    _withdraw_ended([e for e in events if e.type in JOB_ENDING_EVENTS])


def _store(events: list[DeliveryEvent]) -> None:
    jobs = [
        (event, event.job, event.job.drone_id)
        for event in events
        if event.job and event.job.drone_id and event.order.live_mode
    ]
    if not jobs:
        return
    rules, drones, surroundings = _read({drone_id for _, _, drone_id in jobs})
    orders = [event.order for event, _, _ in jobs]
    prefetch_related_objects([order for order in orders if order.holder_hub_id], "holder_hub")
    stored = [
        Mission(
            id=job.mission_intent_id,
            drone_id=drone_id,
            **_home(drones[drone_id], event.order, surroundings),
            body=intent.build(
                job.mission_intent_id,
                event.order,
                drones[drone_id],
                rules,
                event.created_at,
                surroundings,
            ),
            state=State.PENDING if rules.auto_submit else State.HELD,
            created_at=event.created_at,
            next_try_at=event.created_at,
        )
        for event, job, drone_id in jobs
    ]
    bulk.insert(stored)
    bulk.insert(
        [
            MissionPart(mission_id=job.mission_intent_id, job=job, order=event.order)
            for event, job, _ in jobs
        ]
    )


def _read(
    drone_ids: Iterable[str],
) -> tuple[Rules, dict[str, Drone], intent.Surroundings | None]:
    """What intents are made of besides the orders. One statement."""
    if intents_name_a_hub():
        of_policy, drones, hubs, *airspace = _NAMING_HUBS.lists(drone_ids=list(drone_ids))
        version = rulebook.version_of(*airspace)
        surroundings = intent.Surroundings(hubs, version, settings.OPERATOR_ID)
    else:
        of_policy, drones = _PLAIN.lists(drone_ids=list(drone_ids))
        surroundings = None
    return policy.rules_in(of_policy), {drone.pk: drone for drone in drones}, surroundings


_DRONES = Statement(
    lambda drone_ids: Drone.objects.select_related("kind").filter(pk__among=drone_ids).order_by(),
    drone_ids=list,
)
_PLAIN = Joined((policy.ROWS, _DRONES))
_NAMING_HUBS = Joined(
    (policy.ROWS, _DRONES, Statement(lambda: Hub.objects.order_by("pk")), *rulebook.AIRSPACE)
)


def _home(
    drone: Drone, order: Order, surroundings: intent.Surroundings | None
) -> dict[str, int | None]:
    """The landing columns of a mission that flies home; dispatch may choose other hubs after."""
    if surroundings is None:
        return {"return_to_id": drone.hub_id, "alternate_id": None}
    home = surroundings.home(drone, order)
    alternate_id = home.alternate.pk if home.alternate else None
    return {"return_to_id": home.return_to.pk, "alternate_id": alternate_id}


def back_to_first_version(mission: Mission) -> dict[str, Any]:
    """What changes in a mission that was stored with version 2 and never sent, when
    GCS_INTENT_VERSION is 1 again: ground control may not know version 2. Empty if nothing does.
    """
    if mission.tries or intents_name_a_hub() or intent.version_of(mission.body) == 1:
        return {}
    body = intent.as_first_version(mission.body)
    return {"body": body, "return_to_id": mission.drone.hub_id, "alternate_id": None}


def _withdraw_ended(events: list[DeliveryEvent]) -> None:
    """Stop publishing for ended jobs, and recall what may have reached the bridge."""
    if not events:
        return
    ended = [e.job_id for e in events if e.type != EventType.REASSIGNED]
    reassigned = [e.order_id for e in events if e.type == EventType.REASSIGNED]
    missions = Mission.objects.filter(
        Q(parts__job__in=ended)
        | Q(parts__order__in=reassigned, parts__job__status=JobStatus.CANCELED)
    )
    missions.filter(state__in=(State.HELD, State.PENDING), tries=0).update(state=State.WITHDRAWN)
    if events[0].actor_kind == ActorKind.GCS:
        mark_over(ended, by=events[0].actor, because=events[0].message)
        missions.filter(state=State.PENDING).update(state=State.WITHDRAWN)
        return
    missions.filter(state__in=(State.PENDING, State.ACCEPTED), over_at__isnull=True).update(
        state=State.WITHDRAWN,
        recall_state=Recall.WANTED,
        recall_mode="withdraw",
        recall_by=events[0].actor[:180],
        recall_reason=events[0].message[:300],
        next_try_at=timezone.now(),
    )


def mark_over(job_ids: Iterable[UUID | None], *, by: str, because: str) -> None:
    """Mark the missions of these jobs as over; the first report wins."""
    _OVER.run(job_ids=list(job_ids), at=timezone.now(), by=by[:180], because=because[:300])


_ACCEPTED = Update(
    lambda mission_ids, at: (
        Mission.objects.filter(pk__among=mission_ids, state=State.PENDING),
        {"state": State.ACCEPTED, "accepted_at": at},
    ),
    mission_ids=list,
    at=datetime,
)
# Missions before their parts, as all who lock both: `publishing` and `recalls` claim the mission.
_OVER = Updates(
    Update(
        lambda job_ids, at, by, because: (
            Mission.objects.filter(
                parts__job__id__among=job_ids, tries__gt=0, over_at__isnull=True
            ),
            {
                "live": False,
                "over_at": at,
                "over_by": by,
                "over_because": because,
                "stands_since": None,
            },
        ),
        job_ids=list,
        at=datetime,
        by=str,
        because=str,
    ),
    Update(
        lambda job_ids: (
            MissionPart.objects.filter(job__id__among=job_ids, live=True),
            {"live": False},
        ),
        job_ids=list,
    ),
)
