"""The live state of drones: registry, telemetry, holds and active job combined."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import nan
from uuid import UUID

from fleet import policy, registry, work
from fleet.airworthiness import fitness
from fleet.airworthiness.fitness import FIT, Fitness
from fleet.feasibility import winds
from fleet.feasibility.judge import against_drones, wind_limit_mps
from fleet.feasibility.reasons import Reason, ReasonInputs, Rule, explain
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import DroneTable
from fleet.feasibility.winds import Winds
from fleet.live import picture, quality, weather
from fleet.live.picture import Picture
from fleet.live.quality import Completeness
from fleet.live.telemetry import Telemetry
from fleet.models import Drone, DroneHold
from fleet.registry import Engaged
from wingxtra.database import together


class Readiness(StrEnum):
    """Whether a drone could take a delivery now, independent of the trip."""

    READY = "READY"
    BUSY = "BUSY"  # on a delivery, or on its way to its base
    NOT_READY = "NOT_READY"  # sends telemetry, but a rule excludes it; see the reasons
    GROUNDED = "GROUNDED"
    ON_HOLD = "ON_HOLD"  # staff must check and release it
    OFFLINE = "OFFLINE"  # no telemetry, or only old


# The first rule that applies decides; any other rule against a drone makes it NOT_READY.
_READINESS = {
    Rule.INACTIVE: Readiness.NOT_READY,
    Rule.GROUNDED: Readiness.GROUNDED,
    Rule.ON_HOLD: Readiness.ON_HOLD,
    Rule.BUSY: Readiness.BUSY,
    Rule.NO_TELEMETRY: Readiness.OFFLINE,
    Rule.TELEMETRY_OLD: Readiness.OFFLINE,
}
# Plain integers, because an IntFlag takes ten times as long to test.
_FIRST_OF = [(int(rule), readiness) for rule, readiness in _READINESS.items()]


@dataclass(frozen=True, slots=True)
class LiveDrone:
    """`reasons`: why the drone is not READY. `telemetry`: the last known, of any age.

    `problems`: errors in the drone's telemetry, one sentence each. `is_silent`: the drone is on a
    delivery and has sent no telemetry for longer than the policy's link_lost_after_s.
    """

    drone: Drone
    telemetry: Telemetry | None
    readiness: Readiness
    reasons: list[Reason]
    active_job_id: UUID | None
    holds: list[DroneHold]
    is_silent: bool
    problems: list[str]
    fitness: Fitness = FIT


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about drones besides their rows, by drone id; of each only drones that have it.

    `jobs`: the active job. `held`: holds that stand. `on_errand`, `carrying`: see `fleet.work`.
    """

    latest: Picture | None
    rules: Rules
    jobs: Mapping[str, UUID]
    held: Mapping[str, list[DroneHold]]
    on_errand: Collection[str]
    carrying: Collection[str]
    fitness: Mapping[str, Fitness]


def live_drones(
    drones: Sequence[Drone], now: datetime, rules: Rules | None = None
) -> list[LiveDrone]:
    """The live state of these drones (`with_home`), in the same order. Raises RedisError.

    One statement, and one for the rules if they are not given.
    """
    latest, rules = picture.read(), rules or policy.current()
    ids = [drone.drone_id for drone in drones]
    jobs, errands, parcels, holds, unfit = together.read(
        work.jobs_of(ids),
        work.errands_of(ids),
        work.parcels_of(ids),
        registry.holds_of(ids),
        fitness.rows_of(ids),
    )
    known = Known(
        latest=latest,
        rules=rules,
        jobs=dict(jobs),
        held=registry.by_drone(holds),
        on_errand={drone_id for (drone_id,) in errands},
        carrying={drone_id for (drone_id,) in parcels},
        fitness=fitness.judged(unfit, now),
    )
    return judged(drones, known, now)


def judged(drones: Sequence[Drone], known: Known, now: datetime) -> list[LiveDrone]:
    """`live_drones` from what is known. Reads nothing but the measured wind."""
    latest, rules, jobs, fit = known.latest, known.rules, known.jobs, known.fitness
    engaged = Engaged(
        busy={*jobs, *known.on_errand}, held=known.held, carrying=known.carrying, fitness=fit
    )
    table = registry.table_of(drones, {}, latest, engaged, now)
    measured = weather.winds(rules, now)
    against = against_drones(table, rules, measured)
    return [
        LiveDrone(
            drone=drone,
            telemetry=latest.telemetry.get(drone.drone_id) if latest else None,
            readiness=_readiness(bits),
            reasons=quality.with_telemetry_errors(
                explain(bits, _inputs(table, i, rules, measured)) if bits else (),
                latest,
                drone.drone_id,
            ),
            active_job_id=jobs.get(drone.drone_id),
            holds=known.held.get(drone.drone_id, []),
            is_silent=drone.drone_id in jobs
            and bool(table.telemetry_age_s[i] > rules.link_lost_after_s),
            problems=quality.problems(latest, drone.drone_id),
            fitness=fit.get(drone.drone_id, FIT),
        )
        for i, (drone, bits) in enumerate(zip(drones, against.tolist(), strict=True))
    ]


def completeness(latest: Picture | None) -> Completeness:
    """The missing values in the telemetry of the drones that are in service and in the picture."""
    telemetry = latest.telemetry if latest else {}
    in_service = Drone.objects.filter(active=True, pk__in=telemetry).values_list("pk", flat=True)
    return quality.completeness([telemetry[drone_id] for drone_id in in_service])


def check_fields() -> tuple[bool, str]:
    """For /ready/dispatch: whether at least one drone sends all values that dispatch needs."""
    found = completeness(picture.read())
    if not found.drones:
        return False, "The fleet picture has no drone that is registered and in service."
    gaps = "; ".join(found.gaps.values())
    return found.able > 0, f"{gaps}." if gaps else f"{found.drones} drones, no value is missing."


def _readiness(bits: int) -> Readiness:
    matching = (readiness for rule, readiness in _FIRST_OF if rule & bits)
    return next(matching, Readiness.NOT_READY if bits else Readiness.READY)


def _inputs(table: DroneTable, i: int, rules: Rules, measured: Winds | None) -> ReasonInputs:
    """Without a trip: no reason here depends on one."""
    points = winds.points_of_drone(table, i)
    wind_mps, where = measured.strongest(points) if measured else (nan, "")
    return ReasonInputs(
        drone_id=str(table.drone_id[i]),
        telemetry_age_s=float(table.telemetry_age_s[i]),
        battery_pct=float(table.battery_pct[i]),
        energy_pct=nan,
        needed_pct=nan,
        payload_weight_kg=nan,
        max_payload_kg=float(table.max_payload_kg[i]),
        payload_type="",
        zone="",
        in_margin=False,
        wind_mps=wind_mps,
        max_wind_mps=float(wind_limit_mps(table, rules)[i]),
        wind_measured=where,
        wind_gap=measured.gap(points) if measured else "",
        rules=rules,
        overdue=str(table.overdue[i]),
        defects=str(table.defects[i]),
        unattested=str(table.unattested[i]),
    )
