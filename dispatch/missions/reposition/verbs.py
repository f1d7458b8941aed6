"""Send a drone to its base, call it back, and end its mission."""

from dataclasses import asdict
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from dispatch.missions.records import errands as records
from dispatch.missions.reposition import contract, judging
from dispatch.models import Mission
from dispatch.planning import area_locks
from dispatch.planning.limits import landings, pilots
from fleet import policy
from fleet.airspace import rulebook
from fleet.airspace.areas import intents_name_a_hub
from fleet.models import Drone, ServiceArea
from orders import unit_of_work
from orders.states import JobStatus
from wingxtra.accounts.identity import Actor
from wingxtra.problems import Conflict, NotFound

log = structlog.get_logger(__name__)
State = Mission.State
Recall = Mission.Recall
LAUNCHED = "LAUNCHED"


@transaction.atomic
def send_to_base(drone_id: str, *, by: Actor) -> Mission:
    """Store a mission from the hub where the drone stands to its base; the sweep publishes it.

    Locks its area, so that no run gives away the same pad, and the drone, so that no order is
    assigned to it at the same time. Raises NotFound, and Conflict: `needs_intent_version_2`,
    `drone_busy`, `at_its_base`, `hub_full`, `no_pilot_on_duty`, `pilots_at_their_cap`, or
    `drone_not_able` with the reasons.
    """
    if not intents_name_a_hub():
        raise Conflict(
            "needs_intent_version_2",
            "Ground control cannot be told where to land: set GCS_INTENT_VERSION=2 first.",
        )
    area_id = Drone.objects.filter(pk=drone_id).values_list("hub__service_area", flat=True).first()
    if area_id is None:
        raise NotFound("drone")
    area_locks.wait_for([area_id])
    pilot = pilots.reserve_one(ServiceArea.objects.get(pk=area_id))
    is_free = bool(unit_of_work.free_drones([drone_id]))
    drone = Drone.objects.with_home().get(pk=drone_id)
    if not is_free:
        detail = f"{drone_id} has a mission, an active job or a parcel aboard."
        raise Conflict("drone_busy", detail)
    now = timezone.now()
    _refuse_without_a_place(drone)
    if reasons := judging.reasons_against(drone, now):
        text = " ".join(reason.message for reason in reasons)
        detail = f"{drone_id} may not fly to {drone.base}. {text}"
        raise Conflict("drone_not_able", detail, reasons=[asdict(reason) for reason in reasons])
    intent_id = uuid4()
    version = rulebook.airspace_version()
    mission = Mission.objects.create(
        id=intent_id,
        kind=Mission.Kind.REPOSITION,
        drone=drone,
        return_to=drone.base,
        alternate=drone.hub,
        pilot_id=pilot.pilot_id if pilot else None,
        pilot_name=pilot.name if pilot else "",
        body=contract.build(intent_id, drone, policy.current(), version, now, settings.OPERATOR_ID),
        created_at=now,
        next_try_at=now,
    )
    log.info("drone_sent_to_base", drone_id=drone_id, base=drone.base.name, by=str(by))
    return mission


def _refuse_without_a_place(drone: Drone) -> None:
    base = drone.base
    if drone.hub_id == base.pk:
        raise Conflict("at_its_base", f"{drone} stands at its base, {base}.")
    if base.pads is None:
        return
    taken = landings.taken_at(base, timezone.now())
    if taken >= base.pads:
        raise Conflict(
            "hub_full",
            f"{base} has {base.pads} pads; {taken} drones stand there or have still to land.",
        )


def call_back(mission_id: UUID, *, by: Actor, reason: str) -> Mission:
    """Withdraw the mission, or ask for an abort once ground control has launched it.

    One that was never sent is over at once. Raises NotFound, and Conflict `mission_over`.
    """
    mission = errand(mission_id)
    if mission.over_at is not None:
        raise Conflict("mission_over", f"It is over: {mission.over_because}")
    unsent = Mission.objects.errands().filter(pk=mission_id, tries=0)
    if unsent.revoke(
        state=State.WITHDRAWN,
        over_at=timezone.now(),
        over_by=str(by)[:180],
        over_because=reason[:300],
    ):
        return errand(mission_id)
    flies = mission.said == LAUNCHED or mission.recall_state == Recall.TOO_LATE
    Mission.objects.errands().filter(pk=mission_id).update(
        recall_state=Recall.WANTED,
        recall_mode="abort" if flies else "withdraw",
        recall_by=str(by)[:180],
        recall_reason=reason[:300],
        next_try_at=timezone.now(),
    )
    return errand(mission_id)


@transaction.atomic
def confirm_over(mission_id: UUID, *, by: Actor, note: str) -> None:
    """End it because a person has confirmed that it does not fly. Raises NotFound, and Conflict
    `mission_over`.
    """
    mission = errand(mission_id)
    confirmed = Mission.objects.errands().filter(pk=mission_id)
    if not confirmed.revoke(
        live=False,
        state=State.WITHDRAWN,
        recall_state=Recall.DONE,
        over_at=timezone.now(),
        over_by=str(by)[:180],
        over_because=note[:300],
    ):
        raise Conflict("mission_over", f"It is over: {mission.over_because}")
    at_base = mission.drone.stands_at_id == mission.return_to_id
    records.write([mission_id], JobStatus.COMPLETED if at_base else JobStatus.ABORTED)
    log.info("way_home_confirmed_over", intent_id=str(mission_id), by=str(by), note=note)


def errand(mission_id: UUID) -> Mission:
    """Raises NotFound."""
    found = Mission.objects.filter(pk=mission_id, kind=Mission.Kind.REPOSITION)
    mission = found.select_related("drone", "return_to").first()
    if mission is None:
        raise NotFound("mission")
    return mission


@transaction.atomic
def end(missions: QuerySet[Mission], *, by: Actor, because: str, outcome: JobStatus) -> int:
    """Mark those that are not over as over, with a record for each that flew; the first source
    wins. Returns how many ended.
    """
    going_on = missions.filter(over_at__isnull=True).select_for_update(no_key=True)
    ids = list(going_on.order_by("pk").values_list("pk", flat=True))
    Mission.objects.filter(pk__in=ids).update(
        live=False,
        over_at=timezone.now(),
        over_by=str(by)[:180],
        over_because=because[:300],
    )
    records.write(ids, outcome)
    return len(ids)
