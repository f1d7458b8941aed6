"""What speaks against a flight to the base that ground control has: zones, wind, charge.

A discrepancy belongs to an order, and these flights have none. So nothing is stored: the console
judges them when it shows what needs attention.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from django.db.models import QuerySet

from dispatch.missions.flight.outlook import LiveMission, Outlook, judge_missions
from dispatch.missions.flight.trust import stands
from dispatch.models import Mission
from fleet import registry
from fleet.airspace import rulebook
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import Flown
from fleet.live.picture import Picture


def under_way(now: datetime) -> QuerySet[Mission]:
    """The flights to the base that ground control has."""
    sent = Mission.objects.errands().filter(live=True).order_by("created_at")
    return sent.select_related("drone__kind", "drone__hub", "drone__base", "return_to")


def outlooks(
    missions: Sequence[Mission], fleet: Picture | None, now: datetime
) -> list[tuple[Mission, Outlook]]:
    """Each of these flights to the base (`under_way`), and its outlook."""
    book = rulebook.current(now)
    rules = replace(book.rules, load_time_s=0.0, delivery_time_s=0.0, loiter_timeout_s=0)
    flights = [_live_mission(mission, fleet, rules, now) for mission in missions]
    drones = registry.table_of([mission.drone for mission in missions], {})
    found = judge_missions(drones, flights, replace(book, rules=rules), now)
    return list(zip(missions, found, strict=True))


def _live_mission(
    mission: Mission, fleet: Picture | None, rules: Rules, now: datetime
) -> LiveMission:
    """Without a parcel, from where it takes off, which is where the hub `alternate` was."""
    start, end = (mission.body[name] for name in ("alternate", "return_to"))
    takes_off = start["lat"], start["lng"]
    sample = fleet.telemetry.get(mission.drone_id) if fleet else None
    is_heard = (
        fleet is not None and fleet.age_s_of(mission.drone_id, now) <= rules.link_lost_after_s
    )
    is_flying = sample is not None and stands(sample, None) is False
    at = None
    if sample is not None and sample.lat is not None and sample.lng is not None:
        at = sample.lat, sample.lng
    battery_pct = sample.battery_pct if sample else None
    return LiveMission(
        at=at,
        pickup=takes_off,
        drop=takes_off,
        lands=(end["lat"], end["lng"]),
        flown=Flown.DROP if is_flying else Flown.NOTHING,
        payload_kg=0.0,
        battery_pct=battery_pct,
        battery_age_s=0.0 if is_heard and battery_pct is not None else None,
    )
