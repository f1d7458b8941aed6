"""Asks for the clearance of a mission before it is published, and writes what the answer was.

A refused flight waits with its mission, and is declared anew after a pause: a refusal is about a
place and a time and seldom about a drone, so an order back in the queue would get the same answer
with the next drone a few seconds later (docs/decisions/0060-clearance.md). No attempt is used up.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db.models import F

from dispatch.missions.clearance import port
from dispatch.missions.clearance.planned import PlannedFlight, flight
from dispatch.missions.clearance.timeline import note
from dispatch.models import Clearance, Mission
from fleet import policy
from fleet.models import Drone
from wingxtra import outbox

State = Clearance.State

PAUSES_S = (1, 2, 4, 8, 16, 32, 60)  # after calls without an answer
WAIT_S = 5.0  # between questions about a declaration that waits
NEW_AFTER_S = (60, 120, 300)  # from a refusal to a new declaration
LATE = timedelta(minutes=1)
CHECK_EVERY = timedelta(seconds=15)  # while a cleared mission is live

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a mission may not be published, and when to ask again."""

    code: str
    why: str
    again_at: datetime


def clear(mission: Mission, now: datetime) -> Hold | None:
    """None: the mission may be published. Idempotent: what a crash left behind is found again.

    Call it with the claim of the mission, outside any transaction.
    """
    service = port.service()
    if service is None:
        return None
    planned = _planned(mission, now)
    row, _ = Clearance.objects.get_or_create(mission=mission)
    is_open = row.state in (State.ASKED, State.WAITING, State.GRANTED)
    is_unclear = row.state == State.ASKED and row.asks > 0
    known_as = row.known_as if is_open else ""
    # Stored first: after a crash during the call the declaration is looked for.
    row.asks, row.known_as = row.asks + 1, known_as
    row.state = row.state if is_open else State.ASKED
    if not known_as:
        row.starts_at, row.ends_at = planned.starts_at, planned.ends_at
        row.legs = [[leg.start, leg.end] for leg in planned.legs]
    row.save(update_fields=["asks", "known_as", "state", "starts_at", "ends_at", "legs"])
    try:
        answer = service.ask(planned, known_as, look_first=is_unclear)
        if (
            isinstance(answer, port.Granted)
            and _ends_at(answer, row, planned) < now + planned.takes
        ):
            service.ended(mission.pk, answer.known_as, flown=False)
            why = f"{service.name}: the granted time is too short for the flight."
            answer = port.Refused("clearance_too_short", why)
        if isinstance(answer, port.Granted) and _begins_late(answer, now):
            why = f"{service.name} cleared the flight from {answer.starts_at:%d %b %H:%M:%S} UTC."
            answer = port.Wait(answer.known_as, "clearance_not_begun", why)
    except port.ClearanceUnavailable as problem:
        return _no_answer(row, mission, problem, now)
    return _record(row, mission, answer, planned, service.name, now)


def reason(mission: Mission) -> str:
    """Why it waits for a clearance; empty if it does not."""
    row = Clearance.objects.missing().filter(mission=mission.pk).first()
    return row.answer if row else ""


def _planned(mission: Mission, now: datetime) -> PlannedFlight:
    drone = Drone.objects.select_related("hub", "kind").get(pk=mission.drone_id)
    lands, rules = mission.return_to or drone.hub, policy.current()
    return flight(
        mission.pk,
        mission.body,
        takes_off=(drone.hub.lat, drone.hub.lng),
        lands=(lands.lat, lands.lng),
        speed_mps=drone.kind.cruise_speed_mps,
        on_ground_s=rules.launch_time_s + rules.load_time_s + rules.delivery_time_s,
        now=now,
    )


def _ends_at(answer: port.Granted, row: Clearance, planned: PlannedFlight) -> datetime:
    return answer.ends_at or row.ends_at or planned.ends_at


def _begins_late(answer: port.Granted, now: datetime) -> bool:
    """Later than we asked for: the flight waits, and is shown to wait."""
    return answer.starts_at is not None and answer.starts_at > now + LATE


def _no_answer(
    row: Clearance, mission: Mission, problem: port.ClearanceUnavailable, now: datetime
) -> Hold:
    again_at = now + outbox.pause(row.failures + 1, PAUSES_S)
    _write(row, code=problem.code, answer=problem.detail, failures=F("failures") + 1)
    if row.code != problem.code:
        note(mission, problem.code, f"{problem.detail} It is asked again automatically.")
    log.warning("clearance_not_answered", intent_id=str(mission.pk), code=problem.code)
    return Hold(problem.code, problem.detail, again_at)


def _record(
    row: Clearance,
    mission: Mission,
    answer: port.Answer,
    planned: PlannedFlight,
    name: str,
    now: datetime,
) -> Hold | None:
    match answer:
        case port.Granted():
            return _granted(row, mission, answer, planned, name, now)
        case port.Wait(known_as, code, why):
            again_at = now + timedelta(seconds=WAIT_S)
            columns = {"state": State.WAITING, "known_as": known_as}
        case port.Refused(code, why):
            again_at = now + outbox.pause(row.asks, NEW_AFTER_S)
            columns = {"state": State.REFUSED, "known_as": ""}
    _write(row, code=code, answer=why, failures=0, answered_at=now, **columns)
    if row.code != code:
        note(mission, code, why)
    log.info("clearance_awaited", intent_id=str(mission.pk), code=code)
    return Hold(code, why, again_at)


def _granted(
    row: Clearance,
    mission: Mission,
    answer: port.Granted,
    planned: PlannedFlight,
    name: str,
    now: datetime,
) -> Hold | None:
    was_granted = row.state == State.GRANTED
    starts_at = answer.starts_at or row.starts_at or planned.starts_at
    ends_at = _ends_at(answer, row, planned)
    _write(
        row,
        state=State.GRANTED,
        known_as=answer.known_as,
        code="",
        answer="",
        failures=0,
        answered_at=now,
        starts_at=starts_at,
        ends_at=ends_at,
        lost_at=None,
        next_try_at=now + CHECK_EVERY,
    )
    if not was_granted:
        times = f"{starts_at:%H:%M:%S} to {ends_at:%H:%M:%S} UTC"
        note(mission, "clearance_granted", f"{name} cleared the flight, {times}.")
        log.info("clearance_granted", intent_id=str(mission.pk))
    if starts_at > now:
        why = f"{name} cleared the flight from {starts_at:%H:%M:%S} UTC."
        return Hold("clearance_not_begun", why, starts_at)
    return None


def _write(row: Clearance, **columns: object) -> None:
    Clearance.objects.filter(pk=row.pk).update(**columns)
