"""The drones as staff see them: the registry, the live picture and the job under way in one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import nan
from uuid import UUID

from fleet import policy, registry, work
from fleet.feasibility.judge import against_drones
from fleet.feasibility.reasons import Facts, Reason, Rule, explain
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import DroneTable
from fleet.live import picture, quality, weather
from fleet.live.picture import Picture
from fleet.live.quality import Completeness
from fleet.live.telemetry import Telemetry
from fleet.models import Drone, DroneHold
from fleet.registry import Engaged


class Readiness(StrEnum):
    """Whether a drone could take a delivery now, whatever the trip."""

    READY = "READY"
    BUSY = "BUSY"  # on a delivery
    NOT_READY = "NOT_READY"  # heard of, and something speaks against it; see the reasons
    GROUNDED = "GROUNDED"
    ON_HOLD = "ON_HOLD"  # a doubt about it; a person releases it
    OFFLINE = "OFFLINE"  # no telemetry, or only old


# The first that holds names it; whatever else speaks against a drone makes it NOT_READY.
_READINESS = {
    Rule.INACTIVE: Readiness.NOT_READY,
    Rule.GROUNDED: Readiness.GROUNDED,
    Rule.ON_HOLD: Readiness.ON_HOLD,
    Rule.BUSY: Readiness.BUSY,
    Rule.NO_TELEMETRY: Readiness.OFFLINE,
    Rule.TELEMETRY_OLD: Readiness.OFFLINE,
}


@dataclass(frozen=True, slots=True)
class LiveDrone:
    """`reasons` say why it is not READY, `holds` what it is on hold for. `telemetry` is the last
    that is known, however old.

    `problems`: what is wrong with what the Fleet API sends of it, each a sentence. `is_silent`: it
    is on a delivery and was not heard for longer than the policy's link_lost_after_s.
    """

    drone: Drone
    telemetry: Telemetry | None
    readiness: Readiness
    reasons: list[Reason]
    active_job_id: UUID | None
    holds: list[DroneHold]
    is_silent: bool
    problems: list[str]


def look(drones: Sequence[Drone], now: datetime) -> list[LiveDrone]:
    """These drones (`with_home`) as they are now, in their order. Raises RedisError."""
    seen, rules = picture.read(), policy.current()
    ids = [drone.drone_id for drone in drones]
    jobs, held = work.active_jobs(ids), registry.held(ids)
    engaged = Engaged(busy=jobs, held=held, carrying=work.carrying(ids))
    table = registry.table_of(drones, {}, seen, engaged, now)
    wind_mps = weather.wind_mps(rules, now)
    against = against_drones(table, rules, wind_mps)
    return [
        LiveDrone(
            drone=drone,
            telemetry=seen.telemetry.get(drone.drone_id) if seen else None,
            readiness=_readiness(bits),
            reasons=quality.quoted(
                explain(bits, _facts(table, i, rules, wind_mps)), seen, drone.drone_id
            ),
            active_job_id=jobs.get(drone.drone_id),
            holds=held.get(drone.drone_id, []),
            is_silent=drone.drone_id in jobs
            and bool(table.telemetry_age_s[i] > rules.link_lost_after_s),
            problems=quality.problems(seen, drone.drone_id),
        )
        for i, (drone, bits) in enumerate(zip(drones, against.tolist(), strict=True))
    ]


def completeness(seen: Picture | None) -> Completeness:
    """What the telemetry of the drones in service lacks, of those that the picture shows."""
    heard = seen.telemetry if seen else {}
    in_service = Drone.objects.filter(active=True, pk__in=heard).values_list("pk", flat=True)
    return quality.completeness([heard[drone_id] for drone_id in in_service])


def check_fields() -> tuple[bool, str]:
    """For /ready/dispatch: whether telemetry says enough of at least one drone to dispatch it."""
    found = completeness(picture.read())
    if not found.drones:
        return False, "The fleet picture shows no drone that is registered and in service."
    gaps = "; ".join(found.gaps.values())
    return found.able > 0, f"{gaps}." if gaps else f"{found.drones} drones, no value is missing."


def _readiness(bits: int) -> Readiness:
    named = (readiness for rule, readiness in _READINESS.items() if rule & bits)
    return next(named, Readiness.NOT_READY if bits else Readiness.READY)


def _facts(table: DroneTable, i: int, rules: Rules, wind_mps: float | None) -> Facts:
    """What the words need; there is no trip, and no reason here speaks of one."""
    return Facts(
        drone_id=str(table.drone_id[i]),
        telemetry_age_s=float(table.telemetry_age_s[i]),
        battery_pct=float(table.battery_pct[i]),
        energy_pct=nan,
        payload_weight_kg=nan,
        max_payload_kg=float(table.max_payload_kg[i]),
        payload_type="",
        zone="",
        wind_mps=nan if wind_mps is None else wind_mps,
        max_wind_mps=min(float(table.max_wind_mps[i]), rules.max_wind_mps),
        rules=rules,
    )
