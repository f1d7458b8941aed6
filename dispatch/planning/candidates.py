"""Judges drones for one order: which can fly it, ranked, and the reasons against the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.utils import timezone

from dispatch.models import MissionPart
from dispatch.planning.inputs import engagements
from dispatch.planning.limits import hub_launches, landings, open_hours, pilots
from dispatch.planning.limits.landings import Landing
from dispatch.planning.limits.open_hours import Hours
from fleet import policy, registry
from fleet.airspace import rulebook
from fleet.airspace.rulebook import Rulebook
from fleet.airworthiness import fitness
from fleet.feasibility import judge, landing
from fleet.feasibility.judge import Verdicts
from fleet.feasibility.reasons import Reason
from fleet.live import picture, quality
from fleet.models import Drone, Hub
from fleet.registry import Engaged
from orders import placement
from orders.models import Order
from orders.timing import opening
from wingxtra.database.joined import Joined
from wingxtra.database.statements import Statement


@dataclass(frozen=True, slots=True)
class Candidate:
    """One drone for one order. The figures are None if its position is not known. landing: the hub
    that receives it, None without a network. hub: where it stands.
    """

    drone_id: str
    reasons: list[Reason]
    eta_seconds: int | None
    energy_needed_pct: float | None
    battery_pct: float | None
    landing: Landing | None = None
    hub: str = ""

    @property
    def feasible(self) -> bool:
        return not self.reasons

    @property
    def overridable(self) -> bool:
        """Whether ops may assign it; with soft reasons only with a written override reason."""
        return all(reason.overridable for reason in self.reasons)


def candidates(order: Order) -> list[Candidate]:
    """All registered drones, best first: able, then overridable, then the others, each by ETA."""
    drones = list(Drone.objects.with_home())
    return sorted(
        judged(order, drones, timezone.now()),
        key=lambda c: (
            not c.feasible,
            not c.overridable,
            len(c.reasons),
            c.eta_seconds if c.eta_seconds is not None else np.inf,
            c.drone_id,
        ),
    )


def still_able(part: MissionPart) -> list[Reason]:
    """The reasons against the drone of a mission now: the hard ones, and closed places unless a
    person overrode the reasons against it. Called right before the mission is published.

    part: with mission, job, order, and drone (`with_home`).
    """
    found = judged(part.order, [part.mission.drone], timezone.now(), own=part)
    counted = () if part.job.override_reason else open_hours.PHRASES
    return [r for r in found[0].reasons if not r.overridable or r.code in counted]


def judged(
    order: Order, drones: Sequence[Drone], now: datetime, own: MissionPart | None = None
) -> list[Candidate]:
    """A candidate for each of `drones`, in their order. Without `own`, the pad of the order's
    present mission is free.

    own: the part of the mission that is published now, of the only drone. It does not make the
    drone busy, the hub of the mission receives the drone, and the launches of its hub do not count.
    """
    if not drones:
        return []
    if own:
        (book, engaged), full = _last_look(own, now), set[int]()
    else:
        book, engaged = rulebook.current(now), engagements.current(now)
        full = hub_launches.full(hub_launches.free_launches())
    fleet = picture.read()
    table = registry.drone_table(drones, fleet, engaged, book, now, full)
    trips = placement.trip_table([order], book)
    pairs, only = np.arange(len(drones)), np.zeros(len(drones), np.int64)
    hubs: dict[int, Landing] = {}
    refused: dict[int, str] = {}
    if own is None:
        here = landings.pads(book, fleet, now, without=order.current_job_id)
        table = landings.with_own_pads(table, here.hubs, here.stands(drones))
        trips = landing.toward(trips, here.hubs.receiving(), book.rules, book.zone_shapes, now)
        hubs, refused = landings.choose(
            table, trips, pairs, only, drones, here, book, now, together=False
        )
    else:
        table = landings.at_the_hub_of(own.mission, table, book)
    verdicts = judge.judge(table, trips, pairs, only, book.rules, book.zone_shapes, now, book.winds)
    hours = Hours(opening.places_of([order], book.areas), book.rules.load_time_s, now)
    alone = pilots.against(order, book.areas, now, own.mission if own else None)
    found = []
    for i, drone in enumerate(drones):
        reasons = [
            *quality.with_telemetry_errors(verdicts.explain(i), fleet, drone.drone_id),
            *_closed(hours, verdicts, i),
            *alone,
        ]
        if i in refused and all(reason.overridable for reason in reasons):
            reasons = [Reason("no_free_pad", refused[i]), *reasons]
        found.append(_candidate(drone, reasons, verdicts, i, hubs.get(i)))
    return found


def _last_look(own: MissionPart, now: datetime) -> tuple[Rulebook, Engaged]:
    """What counts right before a launch, as if the drone had not this mission. One statement.

    It trusts no memory: a zone may have been drawn this second.
    """
    mission = own.mission
    served, rules, zones, hubs, other_work, unfit = _LAST_LOOK.lists(
        at=now,
        drone_id=mission.drone_id,
        job_id=own.job_id,
        order_id=own.order_id,
        drone_ids=[mission.drone_id],
        hub_ids=[] if mission.return_to_id is None else [mission.return_to_id],
    )
    book = rulebook.read_in([served, rules, zones, hubs, []], now)
    return book, engagements.engaged(other_work, fitness.judged(unfit, now))


_LAST_LOOK = Joined(
    (
        rulebook.AREAS,
        policy.ROWS,
        rulebook.ZONES,
        Statement(lambda hub_ids: Hub.objects.filter(pk__among=hub_ids), hub_ids=list),
        engagements.OTHER_WORK,
        fitness.SOME,
    )
)


def _candidate(
    drone: Drone, reasons: list[Reason], verdicts: Verdicts, i: int, hub: Landing | None
) -> Candidate:
    return Candidate(
        drone_id=drone.drone_id,
        reasons=reasons,
        eta_seconds=_whole(verdicts.delivery_s[i]),
        energy_needed_pct=_rounded(hub.energy_pct if hub else verdicts.energy_pct[i]),
        battery_pct=_rounded(verdicts.drones.battery_pct[i]),
        landing=hub,
        hub=drone.hub.name,
    )


def _closed(hours: Hours, verdicts: Verdicts, i: int) -> list[Reason]:
    """The reasons of closed places against pair i; none if its times are not known."""
    ends_s = float(verdicts.to_pickup_s[i]), float(verdicts.busy_s[i])
    if not np.isfinite(ends_s).all():
        return []
    return hours.against(0, hours.times(0.0, *ends_s), str(verdicts.drones.drone_id[verdicts.d[i]]))


def _whole(seconds: float) -> int | None:
    return round(float(seconds)) if np.isfinite(seconds) else None


def _rounded(value: float) -> float | None:
    return round(float(value), 1) if np.isfinite(value) else None
