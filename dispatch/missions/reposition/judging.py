"""May a drone fly to its base now? The same judge as for every trip."""

import math
from dataclasses import replace
from datetime import datetime

import numpy as np

from dispatch.planning.inputs import engagements
from dispatch.planning.limits import hub_launches
from fleet import registry
from fleet.airspace import rulebook
from fleet.feasibility import judge
from fleet.feasibility.reasons import Reason, Rule
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import TripTable, payload_bits
from fleet.live import picture, quality
from fleet.models import Drone

# The judge needs a weight above 0 kg: without a parcel it is next to nothing.
NO_PAYLOAD_KG = 1e-6


def reasons_against(drone: Drone, now: datetime, *, own: bool = False) -> list[Reason]:
    """The reasons against this flight, none if it may fly: soft ones count here, because no order
    is in a hurry. `drone`: as `with_home` loads it. own: its mission to the base is not another
    one. The route is from where it stands to its base, with no handling on the way.
    """
    book = rulebook.load(now)
    fleet, engaged = picture.read(), engagements.current(now)
    if own:
        engaged = replace(engaged, busy=set(engaged.busy) - {drone.pk})
    areas = {area.pk: index for index, area in enumerate(book.areas)}
    # Its own mission counts among those that wait for take-off.
    full = () if own else hub_launches.full(hub_launches.free_launches())
    table = registry.table_of([drone], areas, fleet, engaged, now, full)
    at = (drone.hub.lat, drone.hub.lng)
    trip = TripTable(
        pickup_lat=np.array([at[0]]),
        pickup_lng=np.array([at[1]]),
        dropoff_lat=np.array([at[0]]),
        dropoff_lng=np.array([at[1]]),
        payload_weight_kg=np.array([NO_PAYLOAD_KG]),
        payload_type=np.array([payload_bits(drone.kind.payload_types[:1])]),
        area=table.area,
        landing_lat=np.array([drone.base.lat]),
        landing_lng=np.array([drone.base.lng]),
    )
    rules = replace(book.rules, load_time_s=0.0, delivery_time_s=0.0, loiter_timeout_s=0)
    one = np.zeros(1, int)
    verdict = judge.judge(table, trip, one, one, rules, book.zone_shapes, now, book.winds)
    reasons = [_without_parcel(reason, drone, rules) for reason in verdict.explain(0)]
    return quality.with_telemetry_errors(reasons, fleet, drone.pk)


def _without_parcel(reason: Reason, drone: Drone, rules: Rules) -> Reason:
    """The reason in words that fit a flight without a delivery."""
    if reason.code != Rule.NOT_ENOUGH_ENERGY.code or reason.needed is None or reason.has is None:
        return reason
    needed, has = math.ceil(reason.needed), math.floor(reason.has)
    message = (
        f"It needs {needed} % battery for the flight to {drone.base}, with the "
        f"{rules.reserve_pct:.0f} % reserve, and has {has} %."
    )
    return replace(reason, message=message)
