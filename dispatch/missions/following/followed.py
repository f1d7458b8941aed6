"""The rows of a look at an area's flights: read in one statement, written in one for each table.

A look reads every flight and changes few orders. So it reads the columns that it needs and makes
one small object for each flight; the models are loaded for a flight that something happens to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import F, TextField
from django.db.models.functions import Cast
from msgspec import Struct

from dispatch.missions.flight.state import FlightState, Plan
from dispatch.missions.following import tracks
from dispatch.missions.parcel_doubt import LAST_SEEN_WITHIN
from dispatch.models import Flight
from orders.models import DeliveryJob
from orders.states import JobStatus
from wingxtra.database import bulk


class OrderRow(Struct):
    """What a look needs of an order; the names are the model's."""

    pk: UUID
    status: str
    holder: str
    last_step_at: datetime
    proof_awaited_since: datetime | None


class MissionRow(Struct):
    created_at: datetime
    tries: int
    recall_mode: str
    stands_since: datetime | None


@dataclass(slots=True)
class Followed:
    """One active job with its flight so far. `is_new`: there is no row of the flight yet."""

    job_id: UUID
    drone_id: str
    eta_at: datetime | None
    order: OrderRow
    mission: MissionRow
    plan: Plan
    state: FlightState
    heard_at: datetime
    link_lost_at: datetime | None = None
    recent: list[list[Any]] = field(default_factory=list)
    is_new: bool = False


_ORDER = ("order_id", "order__status", "order__holder", "order__last_step_at")
_MISSION = ("created_at", "tries", "recall_mode", "stands_since")
_SPEEDS = ("cruise_speed_mps", "climb_speed_mps", "descent_speed_mps")


def flights_of(area_id: UUID, now: datetime) -> list[Followed]:
    """The flights of active jobs whose drones have their base in this area. One statement."""
    rows = (
        DeliveryJob.objects.active()
        .filter(part__isnull=False, drone__base__service_area=area_id)
        .order_by()
        .values_list(
            "pk",
            "drone_id",
            "eta_at",
            *_ORDER,
            "order__proof_awaited_since",
            *(f"part__mission__{name}" for name in _MISSION),
            *(f"drone__kind__{name}" for name in _SPEEDS),
            Cast("part__mission__body", TextField()),
            F("flight__heard_at"),
            F("flight__link_lost_at"),
            Cast("flight__state", TextField()),
            Cast("flight__recent", TextField()),
        )
    )
    return [_followed(row, now) for row in rows]


def _followed(row: tuple[Any, ...], now: datetime) -> Followed:
    job_id, drone_id, eta_at, *others = row
    body, heard_at, link_lost_at, state, recent = others[12:]
    route = _BODY.decode(body)
    is_new = heard_at is None
    flight = FlightState() if is_new else FlightState.from_json(state)
    mission = MissionRow(*others[5:9])
    if flight.fix is None and mission.tries and now - mission.created_at > LAST_SEEN_WITHIN:
        flight.gap = True  # it may have flown before telemetry shows it for the first time
    return Followed(
        job_id,
        drone_id,
        eta_at,
        OrderRow(*others[:5]),
        mission,
        Plan(
            route.pickup.lat,
            route.pickup.lng,
            route.dropoff.lat,
            route.dropoff.lng,
            route.dropoff.alt_m,
            route.dropoff.delivery_alt_m,
            *others[9:12],
        ),
        flight,
        now if is_new else heard_at,
        link_lost_at,
        [] if is_new else _POINTS.decode(recent),
        is_new,
    )


def save(changed: Sequence[Followed]) -> None:
    """Write these flights, in the caller's transaction."""
    new = [one for one in changed if one.is_new]
    bulk.insert([_row(one) for one in new])
    known = [one for one in changed if not one.is_new]
    tracks.move_to_pieces(known)
    bulk.update(
        Flight,
        [one.job_id for one in known],
        {
            "state": [one.state.to_json() for one in known],
            "recent": [_ENCODER.encode(one.recent).decode() for one in known],
            "heard_at": [one.heard_at for one in known],
            "link_lost_at": [one.link_lost_at for one in known],
        },
    )


def save_etas(changed: Sequence[Followed]) -> None:
    """Write these ETAs. Active jobs only: a job that has just ended has no ETA."""
    bulk.update(
        DeliveryJob,
        [one.job_id for one in changed],
        {"eta_at": [one.eta_at for one in changed]},
        only=f"r.status = '{JobStatus.ACTIVE}'",
    )


def _row(one: Followed) -> Flight:
    return Flight(
        job_id=one.job_id,
        state=one.state.to_dict(),
        recent=one.recent,
        heard_at=one.heard_at,
        link_lost_at=one.link_lost_at,
    )


class _Pickup(Struct):
    lat: float
    lng: float


class _Dropoff(Struct):
    lat: float
    lng: float
    alt_m: float
    delivery_alt_m: float


class _Body(Struct):
    """The members of an intent that `parcel_doubt.plan_of` reads."""

    pickup: _Pickup
    dropoff: _Dropoff


_BODY = msgspec.json.Decoder(_Body)
_POINTS = msgspec.json.Decoder(list[list[Any]])
_ENCODER = msgspec.json.Encoder()
