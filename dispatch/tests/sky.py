"""A simulated world, its bridge over HTTP, and our side of it, in one process.

The clock stops between polls, so that a step takes as long as its statements. Telemetry arrives
only by `poll`, a report only by `deliver`.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import time_machine
from django.db import transaction
from django.utils import timezone

from dispatch.missions import bridge, publishing, publishing_pause, recalls
from dispatch.missions.following import progress
from dispatch.missions.reports import MissionEvent, ReportType, report
from dispatch.models import DispatchRun, Mission
from dispatch.planning import runs
from fleet.feasibility.geometry import distance_m
from fleet.live import picture
from fleet.live.telemetry import decode_answer
from fleet.models import DroneHold
from fleet.simulator import staff
from fleet.simulator.airframe import moved
from fleet.simulator.faults.board import Fault
from fleet.simulator.missions import Mission as Flown
from fleet.simulator.missions import MissionEvent as SentEvent
from fleet.simulator.missions import Refused
from fleet.simulator.run import Simulator
from fleet.simulator.telemetry import latest
from fleet.simulator.truth import SAME_PLACE_M, Where
from fleet.simulator.world import World
from fleet.tests.factories import ACCRA
from fleet.tests.simulated import sim_drone
from orders.models import Order
from wingxtra.accounts.identity import DISPATCHER, GCS
from wingxtra.problems import Problem

POLL_EVERY_S = 2.0
PACE = 15.0  # seconds of the simulated world per second
START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


class Sky:
    """Drones at one hub in Accra, and the ticks of our side."""

    def __init__(
        self, simulator: Simulator, clock: time_machine.Traveller, drones: list[str]
    ) -> None:
        self.clock, self.simulator = clock, simulator
        clock.move_to(START, tick=False)
        pads = (moved(*ACCRA, east_m=9.0 * n, north_m=0) for n in range(len(drones)))
        fleet = [
            sim_drone(drone_id=drone_id, home_lat=lat, home_lng=lng)
            for drone_id, (lat, lng) in zip(drones, pads, strict=True)
        ]
        self.world = World(fleet, 1, datetime.now(UTC), report_pickup=True)
        simulator.world = simulator._server.world = self.world
        self.delivered_ids: set[str] = set()
        picture._redis().delete(picture.KEY)
        bridge._breaker.cache_clear()
        self.poll()

    # -- ours --------------------------------------------------------------------------------------

    def poll(self) -> None:
        """Poll the Fleet API and follow the flights."""
        self.clock.shift(POLL_EVERY_S)
        with self.simulator.lock:
            self.world.step(POLL_EVERY_S * PACE, datetime.now(UTC))
            broken = {
                drone_id
                for drone_id in self.world.aircraft
                if self.world.faults.strike("one_bad_drone", self.world.elapsed_s, drone_id)
            }
            answer = latest(self.world.samples(), datetime.now(UTC), broken)
        picture.write(decode_answer(json.dumps(answer).encode()), timezone.now())
        seen = picture.read()
        assert seen is not None
        progress.follow(seen, timezone.now())

    def flies_unseen(self, seconds: float) -> None:
        """Nothing of ours runs for this long, by the clock of the flights."""
        self.clock.shift(seconds / PACE)
        with self.simulator.lock:
            for _ in range(round(seconds)):
                self.world.step(1, datetime.now(UTC))

    def dispatch(self) -> list[Order]:
        return runs.run(trigger=DispatchRun.Trigger.COMMAND, by=DISPATCHER).assigned

    def sweep(self) -> None:
        """The work of `dispatch.actors.sweep_missions`, in this process."""
        now = timezone.now()
        due = Mission.objects.order_by("drone")
        for mission in publishing_pause.unless_paused(due.unsent(now)):
            publishing.publish(mission.pk, now=now)
        for mission in due.recalls_due(now):
            recalls.send_recall(mission.pk, now=now)
        recalls.sweep_abandoned(now)

    # -- ground control ----------------------------------------------------------------------------

    def undelivered(self) -> Iterator[tuple[Flown, SentEvent]]:
        for mission in self.world.missions.values():
            for event in mission.events:
                if event.event_id not in self.delivered_ids and not mission.manner.silent:
                    yield mission, event

    def deliver(self, mission: Flown, event: SentEvent) -> None:
        """Deliver a report, for the first time or again."""
        self.delivered_ids.add(event.event_id)
        about = MissionEvent(
            type=ReportType(event.event_type),
            occurred_at=datetime.fromisoformat(event.occurred_at),
            event_id=event.event_id,
            message=event.message,
            intent_id=UUID(mission.intent_id),
        )
        with suppress(Problem), transaction.atomic():  # as the API: a refused one leaves nothing
            report(UUID(mission.order_id), about, by=GCS)

    def fault(self, kind: str, drone_id: str | None = None, **settings: Any) -> None:
        with self.simulator.lock:
            self.world.faults.add(Fault(kind, drone_id, **settings), self.world.elapsed_s)

    # -- staff on the ground -----------------------------------------------------------------------

    def where(self, order: Order) -> Where:
        """Where the parcel is; one without an accepted mission is at its sender."""
        parcel = self.world.ledger.parcels.get(str(order.pk))
        return Where(parcel.now.where) if parcel else Where.AT_PICKUP

    def lies_at(self, order: Order, place: tuple[float, float]) -> bool:
        parcel = self.world.ledger.parcels.get(str(order.pk))
        if parcel is None or self.where(order) == Where.AT_PICKUP:
            return self.where(order) == Where.AT_PICKUP
        near = float(distance_m(parcel.now.lat, parcel.now.lng, *place)) <= SAME_PLACE_M
        return near and self.where(order) == Where.AT_HUB

    def missions_of(self, order: Order) -> list[Flown]:
        return [m for m in self.world.missions.values() if m.order_id == str(order.pk)]

    def story(self, order: Order) -> str:
        """Our timeline and the simulator's truth, for the message of a failed assertion."""
        events = order.events.order_by("id").values_list("created_at", "type", "message")
        known = [f"{at:%H:%M:%S} {kind}: {words}" for at, kind, words in events]
        parcel = self.world.ledger.parcels.get(str(order.pk))
        stops = [f"{stop.at[11:19]} {stop.where}" for stop in parcel.stops] if parcel else []
        flown = [str(mission.truth()) for mission in self.missions_of(order)]
        return "\n".join(["", *known, "in truth", *stops, *flown])

    def flies(self, order: Order) -> bool:
        """Whether a mission can still deliver it, or is still in the air."""
        flying = {aircraft.intent_id for aircraft in self.world.aircraft.values()}
        missions_of = self.missions_of(order)
        return any(m.over_at is None or m.intent_id in flying for m in missions_of)

    def bring_to_the_hub(self, order: Order) -> None:
        """Carry a parcel from the field, or from a grounded drone, to the hub."""
        with self.simulator.lock, suppress(Refused):
            if self.where(order) in (Where.ABOARD, Where.ON_GROUND) and not self.flies(order):
                staff.collect(self.world, str(order.pk), ACCRA)

    def bring_drones_home(self) -> None:
        """Carry grounded drones back to the hub."""
        with self.simulator.lock, suppress(Refused):
            for drone_id, aircraft in self.world.aircraft.items():
                if not aircraft.legs and not aircraft.at_home:
                    staff.bring_home(self.world, drone_id)

    def stands_at_home(self, drone_id: str) -> bool:
        aircraft = self.world.aircraft[drone_id]
        return not aircraft.legs and aircraft.at_home and not self.world.ledger.aboard(drone_id)


def held_drones() -> set[str]:
    return set(DroneHold.objects.standing().values_list("drone_id", flat=True))
