"""Maintenance, defects and pre-flight checks that stand against drones, in one statement."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import JSONObject

from fleet.airworthiness import maintenance
from fleet.airworthiness.maintenance import Counters, Done, Due, Interval, Standing
from fleet.models import Attestation, Drone, Maintenance
from wingxtra.database.statements import Statement

DEFECT, RULE, CHECKLIST = "defect", "rule", "checklist"


@dataclass(frozen=True, slots=True)
class Fitness:
    """What stands against a drone, a clause for each; empty: nothing.

    overdue, defects and unattested keep it out of dispatch. due_soon is a warning.
    """

    overdue: tuple[str, ...] = ()
    defects: tuple[str, ...] = ()
    unattested: tuple[str, ...] = ()
    due_soon: tuple[str, ...] = ()


FIT = Fitness()


def of(now: datetime, drone_ids: Collection[str] | None = None) -> dict[str, Fitness]:
    """Drone id to what stands against it, of drones in service; only those with something.

    drone_ids: only these. One statement. Attestations count for the day of the hub's area at `now`.
    """
    rows = _EVERY.all() if drone_ids is None else SOME.all(drone_ids=list(drone_ids))
    return judged(rows, now)


def rows_of(drone_ids: Collection[str] | None) -> QuerySet[Any, Any]:
    """The rows that `judged` takes, of drones in service. drone_ids: only these."""
    drones = Drone.objects.all()
    found: QuerySet[Any, Any] = _all_rows(
        drones if drone_ids is None else drones.filter(pk__among=list(drone_ids))
    )
    return found


def judged(rows: Iterable[tuple[str, str, dict[str, Any]]], now: datetime) -> dict[str, Fitness]:
    """See `of`."""
    found: dict[str, dict[str, list[str]]] = {}
    for what, drone_id, facts in rows:
        against, clause = _READERS[what](facts, now)
        if clause:
            found.setdefault(drone_id, {}).setdefault(against, []).append(clause)
    return {drone_id: _fitness(clauses) for drone_id, clauses in found.items()}


def standings(drone: Drone, now: datetime) -> list[Standing]:
    """Where the drone stands with each rule of its kind, the most urgent first. One statement."""
    rows = _rules(Drone.objects.filter(pk=drone.pk))
    found = [_standing(facts, now) for _, _, facts in rows]
    return sorted(found, key=lambda one: (-one.due, one.left / one.every, one.name))


def _fitness(clauses: dict[str, list[str]]) -> Fitness:
    return Fitness(**{against: tuple(sorted(texts)) for against, texts in clauses.items()})


# --- the rows: (what, drone id, facts as JSON) ---------------------------------------------------


def _rows(what: str, drones: QuerySet[Drone], **facts: Any) -> Any:
    return drones.order_by().values_list(Value(what), F("drone_id"), JSONObject(**facts))


def _all_rows(drones: QuerySet[Drone]) -> Any:
    drones = drones.filter(active=True)
    return _defects(drones).union(_rules(drones), *_checklists(drones), all=True)


def _defects(drones: QuerySet[Drone]) -> Any:
    grounding = drones.filter(defects__released_at__isnull=True, defects__grounds=True)
    return _rows(DEFECT, grounding, text="defects__description", since="defects__reported_at")


def _rules(drones: QuerySet[Drone]) -> Any:
    rule = "kind__maintenance_rules__"
    done = Maintenance.objects.filter(drone=OuterRef("pk"), rule=OuterRef(f"{rule}pk"))
    latest = done.order_by("-done_at", "-id").values(
        facts=JSONObject(at="done_at", flights="flights", seconds="flight_seconds")
    )
    return _rows(
        RULE,
        drones.filter(**{f"{rule}active": True}),
        name=f"{rule}name",
        every_flights=f"{rule}every_flights",
        every_hours=f"{rule}every_hours",
        every_days=f"{rule}every_days",
        due_soon_pct=f"{rule}due_soon_pct",
        flights="flights",
        seconds="flight_seconds",
        since="created_at",
        done=Subquery(latest[:1]),
    )


def _checklists(drones: QuerySet[Drone]) -> list[Any]:
    asked = drones.filter(hub__service_area__preflight_required=True)
    return [_checklist(asked, owner) for owner in ("hub__checklists__", "kind__checklists__")]


def _checklist(drones: QuerySet[Drone], checklist: str) -> Any:
    attested = Attestation.objects.filter(
        checklist=OuterRef(f"{checklist}pk"), hub=OuterRef("hub_id")
    )
    return _rows(
        CHECKLIST,
        drones.filter(Q(**{f"{checklist}active": True})),
        name=f"{checklist}name",
        hub="hub__name",
        time_zone="hub__service_area__time_zone",
        attested=Subquery(attested.order_by("-day").values("day")[:1]),
    )


# Compiled once: each run and each mission that is published asks.
_EVERY = Statement(lambda: _all_rows(Drone.objects.all()))
SOME = Statement(
    lambda drone_ids: _all_rows(Drone.objects.filter(pk__among=drone_ids)), drone_ids=list
)
IN_AREAS = Statement(
    lambda area_ids: _all_rows(Drone.objects.filter(hub__service_area__id__among=area_ids)),
    area_ids=list,
)


# --- their meaning -------------------------------------------------------------------------------


def _standing(facts: dict[str, Any], now: datetime) -> Standing:
    """Counts from the last maintenance by this rule; without one from when the drone was new."""
    limits = {name: facts[name] for name in Interval.__dataclass_fields__}
    done = facts["done"]
    last = (
        Done(datetime.fromisoformat(done["at"]), Counters(done["flights"], done["seconds"]))
        if done
        else Done(datetime.fromisoformat(facts["since"]), Counters(0, 0))
    )
    counters = Counters(facts["flights"], facts["seconds"])
    return maintenance.standing(counters, last, Interval(**limits), now)


def _rule(facts: dict[str, Any], now: datetime) -> tuple[str, str]:
    found = _standing(facts, now)
    against = {Due.OVERDUE: "overdue", Due.SOON: "due_soon"}.get(found.due)
    return (against, str(found)) if against else ("", "")


def _defect(facts: dict[str, Any], now: datetime) -> tuple[str, str]:
    since = datetime.fromisoformat(facts["since"])
    return "defects", f"defect since {since:%d %b %H:%M} UTC: {facts['text'].rstrip('.')}"


def _unattested(facts: dict[str, Any], now: datetime) -> tuple[str, str]:
    today = day_at(facts["time_zone"], now)
    attested = facts["attested"]
    if attested and date.fromisoformat(attested) >= today:
        return "", ""
    return "unattested", f"{facts['name']} at {facts['hub']} for {today:%d %b}"


def day_at(time_zone: str, now: datetime) -> date:
    """The day at `now` by the clock of this time zone."""
    return now.astimezone(ZoneInfo(time_zone)).date()


_READERS = {DEFECT: _defect, RULE: _rule, CHECKLIST: _unattested}
