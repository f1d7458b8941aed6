"""Telemetry of the flights, applied to the progress of orders and missions.

Ground control may report the same flight: the first source moves the order, and the other changes
nothing. Telemetry is not trusted blindly (missions/flight/phases.py). If an outcome is unclear, a
discrepancy asks a person.
"""

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from dispatch.missions import discrepancies
from dispatch.missions.clearance import conforming
from dispatch.missions.flight import phases
from dispatch.missions.flight.state import (
    LANDED,
    STATUS_OF,
    FlightEvent,
    ParcelLoaded,
    Phase,
    to_dropoff_m,
    to_pickup_m,
)
from dispatch.missions.following import followed, leases, standing, tracks
from dispatch.missions.following.followed import Followed, OrderRow
from dispatch.missions.parcel_doubt import lost_with_the_drone, parcel_astray
from dispatch.missions.reposition import following as errands
from dispatch.models import Discrepancy, Flight
from fleet import policy
from fleet.feasibility.rules import Rules
from fleet.live.picture import Picture
from fleet.models import Drone
from orders import lifecycle
from orders.models import DeliveryJob, Order
from orders.states import (
    FLOWN_FROM,
    IN_FLIGHT,
    EventType,
    Happened,
    JobStatus,
    Status,
    before,
)
from wingxtra.accounts.identity import SYSTEM, TELEMETRY

ETA_STEP = timedelta(seconds=5)  # smaller changes of an ETA are not written
# A drone that stands at the drop point for longer raises a discrepancy.
MAX_STAND_AT_DROP_S = 60.0
# The same for a stationary drone whose `armed` is missing, or whose landing at the drop point is
# not believed: no drone hovers for this long.
MAX_STATIONARY_S = 180.0

log = structlog.get_logger(__name__)


def areas() -> list[UUID]:
    """The service areas whose drones are followed: those where a drone has its base."""
    bases = Drone.objects.order_by().values_list("base__service_area", flat=True)
    return sorted(bases.distinct())


def follow(picture: Picture, now: datetime) -> int:
    """Follow all areas, one after another; returns the number of flights."""
    return sum(follow_area(area_id, picture, now) for area_id in areas())


def follow_area(area_id: UUID, picture: Picture, now: datetime) -> int:
    """Process the drones with their base in this area and the flights of their active jobs; returns
    the number of flights.

    The number of statements does not grow with flights that have no events. Only one follower of an
    area works at a time; another one returns 0.
    """
    with leases.held(area_id) as lease:
        if lease is None:
            return 0
        try:
            return _look(lease, picture, now)
        except leases.Lost:
            log.warning("follower_was_slow", area_id=str(area_id), lease_s=leases.LEASE_S)
            return 0


def _look(lease: leases.Lease, picture: Picture, now: datetime) -> int:
    area_id, rules, hubs = lease.area_id, policy.current(), standing.Hubs.load()
    number, unsaved = 0, list[_FlightUpdate]()
    for one in followed.flights_of(area_id, now):
        number += 1
        if lease.is_old:
            _save(lease, unsaved)
            unsaved = []
        unsaved.append(_FlightUpdate(one, picture, rules, hubs, now))
    _save(lease, unsaved)
    standing.note_where_drones_stand(area_id, picture, hubs, rules, now)
    lease.keep()
    standing.end_grounded_missions(area_id, picture, hubs, rules, now)
    lease.keep()
    errands.follow(area_id, picture, rules, now)
    lease.keep()
    conforming.watch(area_id, now)
    return number


class _FlightUpdate:
    """One job's flight and what this fleet picture changes."""

    def __init__(
        self,
        one: Followed,
        picture: Picture,
        rules: Rules,
        hubs: standing.Hubs,
        now: datetime,
    ) -> None:
        self.flight, self.rules, self.now = one, rules, now
        self.order: OrderRow | Order = one.order
        self.mission, self.plan, self.hubs = one.mission, one.plan, hubs
        before = one.state
        self.state, events = phases.step(before, self._samples(picture), self.plan, rules)
        one.state = self.state
        self.has_telemetry = (self.state.fix, self.state.doubt) != (before.fix, before.doubt)
        self.changed = self.has_telemetry or one.is_new
        self.new_eta = False
        try:
            self._apply(events)
        except lifecycle.Refused as refusal:
            log.info("flight_of_an_ended_job", **self._log_fields, detail=refusal.detail)
        except Exception:
            # One flight must not stop the others; the next tick retries it.
            log.exception("flight_not_followed", **self._log_fields)
            self.changed = one.is_new
            one.state = before

    @cached_property
    def job(self) -> DeliveryJob:
        """The models of the job, loaded for what few flights need."""
        jobs = DeliveryJob.objects.select_related("order", "drone__kind", "part__mission")
        return jobs.get(pk=self.flight.job_id)

    @property
    def _whole_order(self) -> Order:
        return self.order if isinstance(self.order, Order) else self.job.order

    @property
    def _log_fields(self) -> dict[str, Any]:
        one = self.flight
        return {"order_id": one.order.pk, "job_id": one.job_id, "drone_id": one.drone_id}

    def _samples(self, picture: Picture) -> list[Any]:
        sample = picture.telemetry.get(self.flight.drone_id)
        if sample is None:
            return []
        # A drone that takes off before its mission was sent flies another task.
        flies_for_us = self.mission.tries or self.order.status != Status.ASSIGNED
        return [sample] if flies_for_us or sample.armed is False else []

    def _apply(self, events: list[FlightEvent | ParcelLoaded]) -> None:
        self._check_link()
        for event in events:
            at = min(datetime.fromtimestamp(event.at, tz=UTC), self.now)
            if isinstance(event, ParcelLoaded):
                self._load(at)
            elif event.phase in STATUS_OF:
                self._advance(STATUS_OF[event.phase], at)
            else:
                self._handle_landing(event.phase, at)
        if not events and self.state.phase in LANDED and self._abort_was_asked:
            # It landed before the abort was requested.
            self._handle_landing(self.state.phase, self.now)
        self._check_standing()
        if self.has_telemetry:
            self.flight.heard_at = self.now
            if self.state.phase is not Phase.GROUND or self.order.status in IN_FLIGHT:
                tracks.keep(self.flight, self.state.fix, self.state.battery_pct)
            self._update_eta()

    @property
    def _abort_was_asked(self) -> bool:
        return bool(self.mission.recall_mode == "abort")

    def _advance(self, to: Status, at: datetime) -> None:
        if to == Status.DELIVERED and self._is_landing_in_doubt:
            return  # it stood somewhere and left, maybe with its parcel: a person decides
        if before(Status(self.order.status), to):
            self.order = lifecycle.advance(
                self.order.pk, to, by=TELEMETRY, occurred_at=at, job_id=self.flight.job_id
            ).order

    def _load(self, at: datetime) -> None:
        """A loading seen by telemetry counts only while the parcel is at the pickup."""
        if self.order.holder in FLOWN_FROM:
            self.order = lifecycle.loaded(
                self.order.pk, by=TELEMETRY, job_id=self.flight.job_id, occurred_at=at
            )

    @property
    def _is_landing_in_doubt(self) -> bool:
        """A drop point beside a hub may have either doubt."""
        codes = (Discrepancy.Code.AT_THE_DROP, Discrepancy.Code.UNCLEAR_LANDING)
        open_ones = Discrepancy.objects.filter(job=self.flight.job_id, settled_at__isnull=True)
        return open_ones.filter(code__in=codes).exists()

    def _handle_landing(self, phase: Phase, at: datetime) -> None:
        if self.order.proof_awaited_since:
            return  # it handed the parcel over and came home; a proof or a person ends the job
        asked = self._abort_was_asked
        hub = self.hubs.at(self.state.fix.lat, self.state.fix.lng) if self.state.fix else None
        where = f"Landed at {hub}" if hub else "Landed away from every hub and the drop point"
        # Ground control reported a hand-over, or telemetry missed it: a person decides.
        if phase is Phase.UNCLEAR or self.order.status == Status.DELIVERING:
            self._raise_unclear_landing(where, at)
            return
        if hub is None:
            why = f"{where}, with order {self._whole_order}."
            standing.hold_landed_away(self.flight.drone_id, why)
        lifecycle.mission_over(
            self.order.pk,
            job_id=self.flight.job_id,
            ended=JobStatus.ABORTED if asked else JobStatus.FAILED,
            by=TELEMETRY,
            why=f"{where}, without a delivery.",
            max_attempts=self.rules.max_attempts,
            final=asked,
            parcel_astray=parcel_astray(self._whole_order, self.job, self._unsaved_flight)
            or lost_with_the_drone(self._whole_order, at_hub=hub is not None),
            occurred_at=at,
        )

    @property
    def _unsaved_flight(self) -> Flight:
        return Flight(job=self.job, state=self.state.to_dict(), heard_at=timezone.now())

    def _raise_unclear_landing(self, where: str, at: datetime) -> None:
        message = f"{where}. Whether it delivered before is not known."
        asked = discrepancies.raise_(self.job, Discrepancy.Code.UNCLEAR_LANDING, message)
        if asked:
            lifecycle.sight_lost(
                self.order.pk, by=TELEMETRY, why=message, job_id=self.flight.job_id, occurred_at=at
            )

    def _check_standing(self) -> None:
        """Raise a discrepancy for a drone that stands at the drop point, or at a hub in flight."""
        if self.order.status not in IN_FLIGHT or self.order.proof_awaited_since:
            return
        if self._stands_at_a_hub() or self.state.phase in phases.OVER:
            return
        since, drone_id = self.state.stands_at_drop_since, self.flight.drone_id
        if since is not None and self.state.fix is not None:
            stood_s = self.state.fix.at - since
            if stood_s >= MAX_STAND_AT_DROP_S:
                message = f"{drone_id} has stood disarmed at the drop point for {stood_s:.0f} s."
                discrepancies.raise_(self.job, Discrepancy.Code.AT_THE_DROP, message)
        else:
            self._check_stationary()

    def _stands_at_a_hub(self) -> bool:
        """Checked in every phase: a drone that stands at a hub does not fly."""
        if self.mission.stands_since is None or self._is_being_loaded:
            return False
        # Counted from the reported launch: before that it stood there too.
        since = max(self.mission.stands_since, self.order.last_step_at)
        stood_s = (self.now - since).total_seconds()
        if stood_s < standing.CONFIRMED_AFTER_S:
            return False
        if self.state.phase is Phase.GROUND:
            message = (
                f"Ground control says that {self.flight.drone_id} flies this order "
                f"({Status(self.order.status).label.lower()}); telemetry has shown it disarmed "
                f"at its hub for {stood_s:.0f} s."
            )
            discrepancies.raise_(self.job, Discrepancy.Code.STANDS_AT_HUB, message)
        else:
            where = f"{self.flight.drone_id} has stood disarmed at a hub for {stood_s:.0f} s"
            self._raise_unclear_landing(where, self.now)
        return True

    @property
    def _is_being_loaded(self) -> bool:
        fix, was_launched = self.state.fix, self.state.phase is not Phase.GROUND
        at_pickup = fix is not None and to_pickup_m(self.plan, fix) <= self.rules.arrival_radius_m
        return was_launched and at_pickup and self.order.holder in FLOWN_FROM

    def _check_stationary(self) -> None:
        fix, still = self.state.fix, self.state.still
        if not self.has_telemetry or fix is None or still is None or fix.armed:
            return
        still_s = fix.at - max(still.at, self.order.last_step_at.timestamp())
        if still_s < MAX_STATIONARY_S or self.hubs.at(fix.lat, fix.lng):
            return
        message = f"{self.flight.drone_id} has been stationary for {still_s:.0f} s"
        if to_dropoff_m(self.plan, fix) <= self.rules.arrival_radius_m:
            message = f"{message}, at the drop point."
            discrepancies.raise_(self.job, Discrepancy.Code.AT_THE_DROP, message)
            return
        where = f"{message}, away from every hub and the drop point"
        self._raise_unclear_landing(where, self.now)

    def _check_link(self) -> None:
        silence_s = (self.now - self.flight.heard_at).total_seconds()
        is_lost = self.flight.link_lost_at is not None
        if self.order.status not in IN_FLIGHT or self.state.phase in phases.OVER:
            return
        if self.has_telemetry and is_lost:
            message = f"Telemetry is back after {silence_s:.0f} s."
            self._note_link(EventType.LINK_RESTORED, message, link_lost_at=None, heard_at=self.now)
        elif not self.has_telemetry and not is_lost and silence_s > self.rules.link_lost_after_s:
            self.changed = True
            message = f"No telemetry for {silence_s:.0f} s. Nothing is assumed about the parcel."
            self._note_link(EventType.LINK_LOST, message, link_lost_at=self.now)

    def _note_link(
        self, kind: EventType, message: str, *, link_lost_at: datetime | None, **also: datetime
    ) -> None:
        """The note and its mark on the flight are one transaction. So no later look notes it again,
        even if this one ends before it saves its flights. also: other columns of the mark.
        """
        is_lost = link_lost_at is not None
        self.flight.link_lost_at = link_lost_at
        unmarked = Flight.objects.filter(pk=self.flight.job_id, link_lost_at__isnull=is_lost)
        with transaction.atomic():
            if unmarked.update(link_lost_at=link_lost_at, **also):
                happened = Happened(kind, message)
                lifecycle.note(self.order.pk, happened, by=SYSTEM, job_id=self.flight.job_id)

    def _update_eta(self) -> None:
        left_s = phases.remaining_s(self.state, self.plan, self.rules)
        if left_s is None or self.state.doubt is not None:
            return
        eta_at = self.now + timedelta(seconds=left_s)
        if self.flight.eta_at is None or abs(eta_at - self.flight.eta_at) > ETA_STEP:
            self.flight.eta_at, self.new_eta = eta_at, True


def _save(lease: leases.Lease, updates: list[_FlightUpdate]) -> None:
    """Write what changed, and renew the lease if it is old. Raises leases.Lost."""
    changed = [update.flight for update in updates if update.changed]
    new_etas = [update.flight for update in updates if update.new_eta]
    if changed or new_etas or lease.is_old:
        with lease.renewed():
            followed.save(changed)
            followed.save_etas(new_etas)
