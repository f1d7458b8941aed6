"""What telemetry shows of the flights, turned into progress of orders and knowledge of missions.

Ground control may report the same flight: whoever is first moves the order, and the other changes
nothing. Telemetry is judged with suspicion (missions/flight/phases.py). Where it is not clear
what happened, nothing is assumed: the question goes to a person.
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
from dispatch.missions.flight import phases
from dispatch.missions.flight.state import (
    STATUS_OF,
    FlightEvent,
    ParcelLoaded,
    Phase,
    State,
    to_dropoff_m,
    to_pickup_m,
)
from dispatch.missions.parcel_doubt import lost_with_the_drone, parcel_astray, plan_of
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

FOLLOWER_LOCK = 0x57_46  # an advisory lock: one follower at a time
ETA_STEP = timedelta(seconds=5)  # smaller changes of an ETA are not worth a write
LANDED = (Phase.RETURNED, Phase.UNCLEAR)
# A drone that stands at the drop point for longer needs a person.
STANDS_AT_THE_DROP_FOR_S = 60.0
# The same for one that is not seen armed and keeps its place elsewhere, or whose landing at the
# drop point is not believed: no drone waits in the air for so long without a word.
KEEPS_ITS_PLACE_FOR_S = 180.0

log = structlog.get_logger(__name__)


def follow(picture: Picture, now: datetime) -> int:
    """Look at all flights at once; returns how many there are.

    Statements do not grow with the flights while nothing happens to them. One follower works at a
    time; another one that comes meanwhile leaves it alone and returns 0.
    """
    with _alone() as is_alone:
        if not is_alone:
            return 0
        jobs = list(
            DeliveryJob.objects.active()
            .filter(part__isnull=False)
            .select_related("order", "drone__kind", "part__mission", "flight")
        )
        rules = policy.current()
        hubs = standing.Hubs.load()
        looks = [_Look(job, picture, rules, hubs, now) for job in jobs]
        _save(looks)
        standing.look_after(picture, hubs, rules, now)
    return len(looks)


class _Look:
    """One job's flight and what this picture adds to it."""

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
        known = getattr(job, "flight", None)
        self.is_new = known is None
        self.flight = known or Flight(job=job, heard_at=now)
        self.plan = plan_of(job)
        before = State.from_dict(self.flight.state)
        self.state, events = phases.step(before, self._samples(picture), self.plan, rules)
        self.heard = (self.state.fix, self.state.doubt) != (before.fix, before.doubt)
        self.changed = self.heard
        self.new_eta = False
        try:
            self._tell(events)
        except lifecycle.Refused as refusal:
            log.info("flight_of_a_job_that_is_over", **_named(job), detail=refusal.detail)
        except Exception:
            # One flight must not keep the others from being followed; it is looked at again.
            log.exception("flight_not_followed", **_named(job))
            self.changed = False

    def _samples(self, picture: Picture) -> list[Any]:
        sample = picture.telemetry.get(self.job.drone_id or "")
        if sample is None:
            return []
        # A drone that takes off before its mission was ever sent flies for another task.
        flies_for_us = self.mission.tries or self.order.status != Status.ASSIGNED
        return [sample] if flies_for_us or sample.armed is False else []

    def _tell(self, events: list[FlightEvent | ParcelLoaded]) -> None:
        self._tell_about_the_link()
        for event in events:
            at = min(datetime.fromtimestamp(event.at, tz=UTC), self.now)
            if isinstance(event, ParcelLoaded):
                self._load(at)
            elif event.phase in STATUS_OF:
                self._advance(STATUS_OF[event.phase], at)
            else:
                self._landed(event.phase, at)
        if not events and self.state.phase in LANDED and self._abort_was_asked:
            self._landed(self.state.phase, self.now)  # landed before it was asked for
        self._tell_about_standing()
        if self.heard:
            self.flight.heard_at = self.now
            if self.state.phase is not Phase.GROUND or self.order.status in IN_FLIGHT:
                tracks.keep(self.flight, self.state.fix)
            self._update_eta()

    @property
    def _abort_was_asked(self) -> bool:
        return bool(self.mission.recall_mode == "abort")

    def _advance(self, to: Status, at: datetime) -> None:
        if to == Status.DELIVERED and self._is_asked_at_the_drop:
            return  # it landed there and has left: whether with its parcel, nobody has said
        if before(Status(self.order.status), to):
            self.order = lifecycle.advance(
                self.order.pk, to, by=TELEMETRY, occurred_at=at, job_id=self.job.pk
            ).order

    def _load(self, at: datetime) -> None:
        """What telemetry sees at the pickup is news only while the parcel is there."""
        if self.order.holder in FLOWN_FROM:
            self.order = lifecycle.loaded(
                self.order.pk, by=TELEMETRY, job_id=self.job.pk, occurred_at=at
            )

    @property
    def _is_asked_at_the_drop(self) -> bool:
        return Discrepancy.objects.filter(
            job=self.job, code=Discrepancy.Code.AT_THE_DROP, settled_at__isnull=True
        ).exists()

    def _landed(self, phase: Phase, at: datetime) -> None:
        asked = self._abort_was_asked
        hub = self.hubs.at(self.state.fix.lat, self.state.fix.lng) if self.state.fix else None
        where = f"Landed at {hub}" if hub else "Landed away from every hub and the drop point"
        # Ground control saw it delivering, or no look saw it at all: nothing is assumed.
        if phase is Phase.UNCLEAR or self.order.status == Status.DELIVERING:
            self._ask_about_the_landing(where, at)
            return
        if hub is None and self.job.drone_id:
            standing.hold_away(self.job.drone_id, f"{where}, with order {self.order}.")
        lifecycle.mission_over(
            self.order.pk,
            job_id=self.job.pk,
            ended=JobStatus.ABORTED if asked else JobStatus.FAILED,
            by=TELEMETRY,
            why=f"{where}, without a delivery.",
            max_attempts=self.rules.max_attempts,
            final=asked,
            parcel_astray=parcel_astray(self.order, self.job, self._seen)
            or lost_with_the_drone(self.order, at_hub=hub is not None),
            occurred_at=at,
        )

    @property
    def _seen(self) -> Flight:
        return Flight(job=self.job, state=self.state.to_dict(), heard_at=timezone.now())

    def _ask_about_the_landing(self, where: str, at: datetime) -> None:
        words = f"{where}. Whether it delivered before is not known."
        asked = discrepancies.raise_(self.job, Discrepancy.Code.UNCLEAR_LANDING, words)
        if asked:
            lifecycle.sight_lost(
                self.order.pk, by=TELEMETRY, why=words, job_id=self.job.pk, occurred_at=at
            )

    def _tell_about_standing(self) -> None:
        """A drone that stands at the drop point, or at a hub while it is said to fly."""
        if self.order.status not in IN_FLIGHT or self._stands_at_a_hub():
            return
        if self.state.phase in phases.OVER:
            return
        since = self.state.stands_at_drop_since
        if since is not None and self.state.fix is not None:
            stood_s = self.state.fix.at - since
            if stood_s >= STANDS_AT_THE_DROP_FOR_S:
                words = (
                    f"{self.job.drone_id} has stood disarmed at the drop point for {stood_s:.0f} s."
                )
                discrepancies.raise_(self.job, Discrepancy.Code.AT_THE_DROP, words)
        else:
            self._tell_about_keeping_its_place()

    def _stands_at_a_hub(self) -> bool:
        """Asked whatever was read of the flight: a drone that stands there flies no more."""
        if self.mission.stands_since is None or self._is_being_loaded:
            return False
        # Counted from the report on: it stood there before the launch as well.
        since = max(self.mission.stands_since, self.order.last_step_at)
        stood_s = (self.now - since).total_seconds()
        if stood_s < standing.KNOWN_AFTER_S:
            return False
        if self.state.phase is Phase.GROUND:
            words = (
                f"Ground control says that {self.job.drone_id} flies this order "
                f"({self.order.get_status_display().lower()}); telemetry has shown it disarmed "
                f"at its hub for {stood_s:.0f} s."
            )
            discrepancies.raise_(self.job, Discrepancy.Code.STANDS_AT_HUB, words)
        else:
            where = f"{self.job.drone_id} has stood disarmed at a hub for {stood_s:.0f} s"
            self._ask_about_the_landing(where, self.now)
        return True

    @property
    def _is_being_loaded(self) -> bool:
        fix, was_launched = self.state.fix, self.state.phase is not Phase.GROUND
        at_pickup = fix is not None and to_pickup_m(self.plan, fix) <= self.rules.arrival_radius_m
        return was_launched and at_pickup and self.order.holder in FLOWN_FROM

    def _tell_about_keeping_its_place(self) -> None:
        fix, still = self.state.fix, self.state.still
        if not self.heard or fix is None or still is None or fix.armed:
            return
        kept_s = fix.at - max(still.at, self.order.last_step_at.timestamp())
        if kept_s < KEEPS_ITS_PLACE_FOR_S or self.hubs.at(fix.lat, fix.lng):
            return
        words = f"{self.job.drone_id} has kept its place for {kept_s:.0f} s"
        if to_dropoff_m(self.plan, fix) <= self.rules.arrival_radius_m:
            words = f"{words}, at the drop point."
            discrepancies.raise_(self.job, Discrepancy.Code.AT_THE_DROP, words)
            return
        where = f"{words}, away from every hub and the drop point"
        self._ask_about_the_landing(where, self.now)

    def _tell_about_the_link(self) -> None:
        silence_s = (self.now - self.flight.heard_at).total_seconds()
        is_lost = self.flight.link_lost_at is not None
        if self.order.status not in IN_FLIGHT or self.state.phase in phases.OVER:
            return
        if self.heard and is_lost:
            self.flight.link_lost_at = None
            self._note(EventType.LINK_RESTORED, f"Telemetry is back after {silence_s:.0f} s.")
        elif not self.heard and not is_lost and silence_s > self.rules.link_lost_after_s:
            self.flight.link_lost_at, self.changed = self.now, True
            words = f"No telemetry for {silence_s:.0f} s. Nothing is assumed about the parcel."
            self._note(EventType.LINK_LOST, words)

    def _note(self, kind: EventType, message: str) -> None:
        lifecycle.note(self.order.pk, Happened(kind, message), by=SYSTEM, job_id=self.job.pk)

    def _update_eta(self) -> None:
        left_s = phases.remaining_s(self.state, self.plan, self.rules)
        if left_s is None or self.state.doubt is not None:
            return
        eta_at = self.now + timedelta(seconds=left_s)
        if self.job.eta_at is None or abs(eta_at - self.job.eta_at) > ETA_STEP:
            self.job.eta_at, self.new_eta = eta_at, True


def _named(job: DeliveryJob) -> dict[str, Any]:
    return {"order_id": job.order_id, "job_id": job.pk, "drone_id": job.drone_id}


def _save(looks: list[_Look]) -> None:
    for look in looks:
        look.flight.state = look.state.to_dict()
    changed = [look.flight for look in looks if look.changed and not look.is_new]
    Flight.objects.bulk_create([look.flight for look in looks if look.is_new])
    with tracks.moving_to_pieces(changed):
        pgbulk.update(Flight, changed, ["state", "heard_at", "link_lost_at", "recent"])
    # Only while it is active: a job that has just ended has no ETA any more. (pgbulk knows no more
    # conditions than the key.)
    DeliveryJob.objects.active().bulk_update(
        [look.job for look in looks if look.new_eta], ["eta_at"], batch_size=1000
    )


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether this is the only follower; the lock is the connection's and dies with it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [FOLLOWER_LOCK])
        (is_alone,) = cursor.fetchone()
    try:
        yield is_alone
    finally:
        if is_alone:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [FOLLOWER_LOCK])
