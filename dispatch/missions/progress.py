"""Telemetry of the flights, applied to the progress of orders and missions.

Ground control may report the same flight: the first source moves the order, and the other changes
nothing. Telemetry is not trusted blindly (missions/flight/phases.py). If an outcome is unclear, a
discrepancy asks a person.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pgbulk
import structlog
from django.db import connection
from django.utils import timezone

from dispatch.missions import discrepancies, standing, tracks
from dispatch.missions.clearance import conforming
from dispatch.missions.flight import phases
from dispatch.missions.flight.state import (
    STATUS_OF,
    FlightEvent,
    FlightState,
    ParcelLoaded,
    Phase,
    to_dropoff_m,
    to_pickup_m,
)
from dispatch.missions.parcel_doubt import lost_with_the_drone, parcel_astray, plan_of
from dispatch.missions.reposition import following as errands
from dispatch.models import Discrepancy, Flight
from fleet import policy
from fleet.feasibility.rules import Rules
from fleet.live.picture import Picture
from orders import lifecycle
from orders.models import DeliveryJob
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

FOLLOWER_LOCK = 0x57_46  # the advisory lock of the only follower
ETA_STEP = timedelta(seconds=5)  # smaller changes of an ETA are not written
LANDED = (Phase.RETURNED, Phase.UNCLEAR)
# A drone that stands at the drop point for longer raises a discrepancy.
MAX_STAND_AT_DROP_S = 60.0
# The same for a stationary drone whose `armed` is missing, or whose landing at the drop point is
# not believed: no drone hovers for this long.
MAX_STATIONARY_S = 180.0

log = structlog.get_logger(__name__)


def follow(picture: Picture, now: datetime) -> int:
    """Process all flights of active jobs; returns their number.

    The number of statements does not grow with flights that have no events. Only one follower runs
    at a time; another one returns 0.
    """
    with _follower_lock() as is_locked:
        if not is_locked:
            return 0
        jobs = list(
            DeliveryJob.objects.active()
            .filter(part__isnull=False)
            .select_related("order", "drone__kind", "part__mission", "flight")
        )
        rules = policy.current()
        hubs = standing.Hubs.load()
        updates = [_FlightUpdate(job, picture, rules, hubs, now) for job in jobs]
        _save(updates)
        standing.note_where_drones_stand(picture, hubs, rules, now)
        standing.end_grounded_missions(picture, hubs, rules, now)
        errands.follow(picture, rules, now)
        conforming.watch(now)
    return len(updates)


class _FlightUpdate:
    """One job's flight and what this fleet picture changes."""

    def __init__(
        self,
        job: DeliveryJob,
        picture: Picture,
        rules: Rules,
        hubs: standing.Hubs,
        now: datetime,
    ) -> None:
        self.job, self.order, self.rules, self.now = job, job.order, rules, now
        self.mission, self.hubs = job.part.mission, hubs
        stored = getattr(job, "flight", None)
        self.is_new = stored is None
        self.flight = stored or Flight(job=job, heard_at=now)
        self.plan = plan_of(job)
        before = FlightState.from_dict(self.flight.state)
        self.state, events = phases.step(before, self._samples(picture), self.plan, rules)
        self.has_telemetry = (self.state.fix, self.state.doubt) != (before.fix, before.doubt)
        self.changed = self.has_telemetry
        self.new_eta = False
        try:
            self._apply(events)
        except lifecycle.Refused as refusal:
            log.info("flight_of_an_ended_job", **_log_fields(job), detail=refusal.detail)
        except Exception:
            # One flight must not stop the others; the next tick retries it.
            log.exception("flight_not_followed", **_log_fields(job))
            self.changed = False

    def _samples(self, picture: Picture) -> list[Any]:
        sample = picture.telemetry.get(self.job.drone_id or "")
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
        if to == Status.DELIVERED and self._stands_at_drop_doubt:
            return  # it left the drop point, maybe with its parcel: a person decides
        if before(Status(self.order.status), to):
            self.order = lifecycle.advance(
                self.order.pk, to, by=TELEMETRY, occurred_at=at, job_id=self.job.pk
            ).order

    def _load(self, at: datetime) -> None:
        """A loading seen by telemetry counts only while the parcel is at the pickup."""
        if self.order.holder in FLOWN_FROM:
            self.order = lifecycle.loaded(
                self.order.pk, by=TELEMETRY, job_id=self.job.pk, occurred_at=at
            )

    @property
    def _stands_at_drop_doubt(self) -> bool:
        return Discrepancy.objects.filter(
            job=self.job, code=Discrepancy.Code.AT_THE_DROP, settled_at__isnull=True
        ).exists()

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
        if hub is None and self.job.drone_id:
            standing.hold_landed_away(self.job.drone_id, f"{where}, with order {self.order}.")
        lifecycle.mission_over(
            self.order.pk,
            job_id=self.job.pk,
            ended=JobStatus.ABORTED if asked else JobStatus.FAILED,
            by=TELEMETRY,
            why=f"{where}, without a delivery.",
            max_attempts=self.rules.max_attempts,
            final=asked,
            parcel_astray=parcel_astray(self.order, self.job, self._unsaved_flight)
            or lost_with_the_drone(self.order, at_hub=hub is not None),
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
                self.order.pk, by=TELEMETRY, why=message, job_id=self.job.pk, occurred_at=at
            )

    def _check_standing(self) -> None:
        """Raise a discrepancy for a drone that stands at the drop point, or at a hub in flight."""
        if self.order.status not in IN_FLIGHT or self.order.proof_awaited_since:
            return
        if self._stands_at_a_hub() or self.state.phase in phases.OVER:
            return
        since = self.state.stands_at_drop_since
        if since is not None and self.state.fix is not None:
            stood_s = self.state.fix.at - since
            if stood_s >= MAX_STAND_AT_DROP_S:
                message = (
                    f"{self.job.drone_id} has stood disarmed at the drop point for {stood_s:.0f} s."
                )
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
                f"Ground control says that {self.job.drone_id} flies this order "
                f"({self.order.get_status_display().lower()}); telemetry has shown it disarmed "
                f"at its hub for {stood_s:.0f} s."
            )
            discrepancies.raise_(self.job, Discrepancy.Code.STANDS_AT_HUB, message)
        else:
            where = f"{self.job.drone_id} has stood disarmed at a hub for {stood_s:.0f} s"
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
        message = f"{self.job.drone_id} has been stationary for {still_s:.0f} s"
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
            self.flight.link_lost_at = None
            self._note(EventType.LINK_RESTORED, f"Telemetry is back after {silence_s:.0f} s.")
        elif not self.has_telemetry and not is_lost and silence_s > self.rules.link_lost_after_s:
            self.flight.link_lost_at, self.changed = self.now, True
            message = f"No telemetry for {silence_s:.0f} s. Nothing is assumed about the parcel."
            self._note(EventType.LINK_LOST, message)

    def _note(self, kind: EventType, message: str) -> None:
        lifecycle.note(self.order.pk, Happened(kind, message), by=SYSTEM, job_id=self.job.pk)

    def _update_eta(self) -> None:
        left_s = phases.remaining_s(self.state, self.plan, self.rules)
        if left_s is None or self.state.doubt is not None:
            return
        eta_at = self.now + timedelta(seconds=left_s)
        if self.job.eta_at is None or abs(eta_at - self.job.eta_at) > ETA_STEP:
            self.job.eta_at, self.new_eta = eta_at, True


def _log_fields(job: DeliveryJob) -> dict[str, Any]:
    return {"order_id": job.order_id, "job_id": job.pk, "drone_id": job.drone_id}


def _save(updates: list[_FlightUpdate]) -> None:
    for update in updates:
        update.flight.state = update.state.to_dict()
    changed = [update.flight for update in updates if update.changed and not update.is_new]
    Flight.objects.bulk_create([update.flight for update in updates if update.is_new])
    with tracks.moving_to_pieces(changed):
        pgbulk.update(Flight, changed, ["state", "heard_at", "link_lost_at", "recent"])
    # Active jobs only: a job that has just ended has no ETA. pgbulk cannot filter by more than the
    # key.
    DeliveryJob.objects.active().bulk_update(
        [update.job for update in updates if update.new_eta], ["eta_at"], batch_size=1000
    )


@contextmanager
def _follower_lock() -> Iterator[bool]:
    """Whether this follower got the advisory lock, which the database connection holds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [FOLLOWER_LOCK])
        (is_locked,) = cursor.fetchone()
    try:
        yield is_locked
    finally:
        if is_locked:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [FOLLOWER_LOCK])
