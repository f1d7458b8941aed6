"""What people record about drones: maintenance, defects, releases and attested checks."""

from collections.abc import Collection
from datetime import date, datetime

import structlog
from django.db import transaction
from django.utils import timezone

from fleet.airworthiness import counters
from fleet.airworthiness.fitness import day_at
from fleet.airworthiness.texts import in_writing
from fleet.models import (
    Attestation,
    Checklist,
    Defect,
    Drone,
    Hub,
    Maintenance,
    MaintenanceRule,
)
from fleet.registry import locked
from wingxtra.accounts.identity import Actor, said_by
from wingxtra.problems import Conflict, FieldProblem, Invalid, NotFound

log = structlog.get_logger(__name__)


@transaction.atomic
def record_maintenance(
    drone_id: str, rule_id: int, *, by: Actor, done: str, at: datetime | None = None
) -> Maintenance:
    """Records that a rule was fulfilled on a drone, with the counters that it had then.

    at: when it was done, now by default. Raises NotFound, Invalid without a text, for a rule of
    another kind or for a time in the future or before the last record of the rule.
    """
    done = in_writing("done", done, "what was done")
    # The flights since `at` are subtracted from the counters, so all must be counted.
    counters.count_the_rest_of(drone_id)
    drone = locked(drone_id)
    rule = MaintenanceRule.objects.filter(pk=rule_id).first()
    if rule is None:
        raise NotFound("maintenance rule")
    if rule.kind_id != drone.kind_id:
        message = f"{rule} is no rule of {drone_id}, which is a {drone.kind}."
        raise Invalid([FieldProblem("rule", "another_kind", message)])
    now = timezone.now()
    done_at = at or now
    _check_time(drone, rule, done_at, now)
    flights, seconds = counters.at(drone, done_at)
    row = Maintenance.objects.create(
        drone=drone,
        rule=rule,
        done_at=done_at,
        flights=flights,
        flight_seconds=seconds,
        done=done,
        recorded_by=str(by)[:180],
    )
    log.info("maintenance_recorded", drone_id=drone_id, rule=rule.name, by=str(by), done=done)
    return row


def _check_time(drone: Drone, rule: MaintenanceRule, at: datetime, now: datetime) -> None:
    if at > now:
        message = f"{at:%Y-%m-%d %H:%M} UTC is in the future; it is {now:%Y-%m-%d %H:%M} UTC."
        raise Invalid([FieldProblem("at", "in_the_future", message)])
    last = Maintenance.objects.filter(drone=drone, rule=rule).first()
    if last is not None and at <= last.done_at:
        message = (
            f"{rule.name} was recorded at {last.done_at:%Y-%m-%d %H:%M} UTC by "
            f"{said_by(last.recorded_by)}; a later record cannot lie before it."
        )
        raise Invalid([FieldProblem("at", "before_the_last", message)])


@transaction.atomic
def report_defect(drone_id: str, *, by: Actor, description: str, grounds: bool) -> Defect:
    """Reports what is wrong with a drone. `grounds`: it gets no orders until the release.

    Raises NotFound, and Invalid without a description.
    """
    description = in_writing("description", description, "what is wrong")
    drone = locked(drone_id)
    row = Defect.objects.create(
        drone=drone, description=description, grounds=grounds, reported_by=str(by)[:180]
    )
    log.warning("defect_reported", drone_id=drone_id, grounds=grounds, what=description, by=str(by))
    return row


@transaction.atomic
def release_defect(defect_id: int, *, by: Actor, done: str) -> Defect:
    """Releases a drone from a defect, in writing.

    Raises NotFound, Invalid without a text, and Conflict if it is released already.
    """
    done = in_writing("done", done, "what was done")
    defect = Defect.objects.select_for_update().filter(pk=defect_id).first()
    if defect is None:
        raise NotFound("defect")
    if defect.released_at is not None:
        raise Conflict(
            "already_released",
            f"This defect was released at {defect.released_at:%Y-%m-%d %H:%M} UTC by "
            f"{said_by(defect.released_by)}: {defect.done}",
        )
    defect.released_at, defect.released_by, defect.done = timezone.now(), str(by)[:180], done
    defect.save(update_fields=["released_at", "released_by", "done"])
    log.info("defect_released", drone_id=defect.drone_id, defect=defect_id, by=str(by), done=done)
    return defect


def open_checklists(hub: Hub, day: date) -> list[Checklist]:
    """The checklists of the hub, and of the kinds of its drones, that `day` still lacks."""
    of_hub = Checklist.objects.filter(active=True, hub=hub)
    of_kinds = Checklist.objects.filter(
        active=True, kind__in=Drone.objects.filter(active=True, hub=hub).values("kind")
    )
    done = Attestation.objects.filter(hub=hub, day=day).values("checklist")
    found = (of_hub | of_kinds).exclude(pk__in=done).select_related("kind")
    return list(found.order_by("name", "pk"))


@transaction.atomic
def attest(hub_id: int, checklist_ids: Collection[int], *, by: Actor, now: datetime) -> date:
    """Attests checklists at a hub for the day of its area at `now`, all or none. Returns the day.

    Raises NotFound, and Conflict if there is nothing to attest or one of them needs no attestation
    there, for example because another person was faster.
    """
    hub = Hub.objects.select_for_update(of=("self",), no_key=True).select_related("service_area")
    here = hub.filter(pk=hub_id).first()
    if here is None:
        raise NotFound("hub")
    day = day_at(here.service_area.time_zone, now)
    wanted = {one.pk: one for one in open_checklists(here, day)}
    if not checklist_ids or not wanted.keys() >= set(checklist_ids):
        raise Conflict(
            "nothing_to_attest",
            f"The checks at {here} for {day:%d %b} have changed or are attested: load the page "
            "again.",
        )
    Attestation.objects.bulk_create(
        Attestation(
            checklist_id=pk, hub=here, day=day, items=wanted[pk].items, attested_by=str(by)[:180]
        )
        for pk in sorted(checklist_ids)
    )
    log.info("preflight_attested", hub=here.name, day=str(day), by=str(by))
    return day
