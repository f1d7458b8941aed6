"""The order and the methods of its state machine."""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import models
from django.utils import timezone
from django_fsm import FSMField, FSMModelMixin, transition

from fleet.feasibility.rules import Priority
from fleet.models import ServiceArea
from orders.models import parcel, receipt, schema
from orders.models.jobs import DeliveryJob
from orders.models.parcel import Parcel
from orders.models.queries import OrderQuerySet
from orders.models.receipt import Receipt
from orders.models.sla import sla
from orders.models.store import Store
from orders.states import (
    TERMINAL,
    TRANSITIONS,
    CancelReason,
    DropoffSource,
    EventType,
    Happened,
    JobStatus,
    ReasonCode,
    Scenario,
    Status,
)
from orders.tracking_ids import TRACKING_LENGTH, new_tracking_id
from wingxtra.accounts.models import Merchant

if TYPE_CHECKING:
    from orders.promises.memory import InLine

Method = TypeVar("Method", bound=Callable[..., Happened])


def _transition(method: Method) -> Method:
    """Decorate a method of Order as the transition of the same name in `orders.states`."""
    edge = TRANSITIONS[method.__name__]
    decorated: Method = transition("status", source=edge.sources, target=edge.target)(method)
    return decorated


class Order(FSMModelMixin, Parcel, Receipt):
    """One delivery of one parcel.

    `status` changes only through the transitions below. Only `orders.lifecycle` calls them: it
    locks, saves and records. A transition changes this object and its job in memory and returns the
    event. Never call `refresh_from_db()`: it disables the protection of `status` for every thread.
    Fetch the order again instead.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    public_tracking_id = models.CharField(
        max_length=TRACKING_LENGTH, unique=True, default=new_tracking_id, editable=False
    )
    merchant = models.ForeignKey(
        Merchant,
        on_delete=models.PROTECT,
        related_name="orders",
        db_index=False,  # order_merchant_newest_mode covers it
    )
    external_id = models.CharField(
        max_length=64, null=True, blank=True, help_text="The merchant's own reference."
    )
    metadata = models.JSONField(
        default=dict, blank=True, db_default={}, help_text="The merchant's own short strings."
    )
    live_mode = models.BooleanField(default=True, editable=False)
    test_scenario = models.CharField(
        max_length=24, choices=Scenario, blank=True, editable=False, help_text="Of a test order."
    )
    quote_id = models.UUIDField(
        null=True, editable=False, help_text="The quote that the merchant named when placing it."
    )

    # What was told when it was placed; see `orders.promises`.
    quoted_low_at = models.DateTimeField(null=True, editable=False)
    quoted_high_at = models.DateTimeField(null=True, editable=False)
    quoted_expected_at = models.DateTimeField(null=True, editable=False)
    quoted_case = models.CharField(
        max_length=24,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="The case of the calibrated range, if it is one.",
    )

    customer_name = models.CharField(max_length=120, blank=True)
    customer_phone = models.CharField(max_length=128, blank=True, help_text="E.164.")
    customer_email = models.EmailField(blank=True)
    customer_language = models.CharField(
        max_length=7, blank=True, help_text="What messages are written in; empty: the usual one."
    )

    store = models.ForeignKey(
        Store,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="orders",
        db_index=False,  # order_store_newest covers it
        help_text="Where it is picked up, if the merchant named a store.",
    )
    pickup_name = models.CharField(max_length=120, blank=True)
    pickup_lat = models.FloatField()
    pickup_lng = models.FloatField()
    dropoff_lat = models.FloatField()
    dropoff_lng = models.FloatField()
    dropoff_accuracy_m = models.FloatField(null=True, blank=True)
    dropoff_captured_at = models.DateTimeField(null=True, blank=True)
    dropoff_source = models.CharField(
        max_length=12, choices=DropoffSource, default=DropoffSource.MERCHANT
    )
    dropoff_address = models.CharField(max_length=200, blank=True, default="", db_default="")
    dropoff_instructions = models.CharField(
        max_length=300,
        blank=True,
        default="",
        db_default="",
        help_text="Where to put it, what to look out for.",
    )
    given_lat = models.FloatField(
        null=True, editable=False, help_text="The drop point before the customer moved it."
    )
    given_lng = models.FloatField(null=True, editable=False)
    service_area = models.ForeignKey(ServiceArea, on_delete=models.PROTECT, related_name="orders")

    priority = models.CharField(max_length=8, choices=Priority, default=Priority.NORMAL)
    ready_at = models.DateTimeField(
        null=True, blank=True, help_text="When the sender expects the parcel to be ready."
    )
    not_before = models.DateTimeField(null=True, blank=True)
    deliver_by = models.DateTimeField()

    status = FSMField(max_length=20, choices=Status, default=Status.CREATED, protected=True)
    current_job = models.ForeignKey(
        "DeliveryJob",
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
        help_text="The attempt under way, or the one that ended the order.",
    )
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    attempts_forgiven = models.PositiveSmallIntegerField(
        default=0,
        editable=False,
        help_text="Attempts that do not count: ground control refused the form of every mission.",
    )
    reason_code = models.CharField(
        max_length=20,
        choices=ReasonCode,
        blank=True,
        editable=False,
        help_text="Why it ended FAILED or ABORTED.",
    )
    last_step_at = models.DateTimeField(
        default=timezone.now,
        editable=False,
        help_text="When its latest step happened; no later report is dated before it.",
    )
    cancel_reason = models.CharField(max_length=20, choices=CancelReason, blank=True)
    # Free text may name the customer, so it is kept here, where retention clears it, and not in the
    # event, which is kept forever.
    cancel_note = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    delivered_at = models.DateTimeField(null=True, editable=False)
    forgotten_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="When personal data was removed (orders.personal_data.retention).",
    )

    # Never stored: for the answer to the request that placed the order (see pod.codes), and for
    # receivers of the event that the link was renewed.
    otp_code: str | None = None
    former_tracking_id: str | None = None
    # Never stored: its place in line, as `orders.promises.memory.attach` reads it.
    in_line: "InLine | None" = None

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        permissions = [
            ("view_personal_data", "Can see customers' names, phones and addresses in full")
        ]
        constraints = [*parcel.CONSTRAINTS, *receipt.CONSTRAINTS, *schema.CONSTRAINTS]
        indexes = [*parcel.INDEXES, *receipt.INDEXES, *schema.INDEXES]

    def __str__(self) -> str:
        return self.public_tracking_id

    # --- transitions (called by orders.lifecycle only) -------------------------------------------

    @_transition
    def validate(self) -> Happened:
        return Happened(EventType.VALIDATED, "Checked: it can be delivered.")

    @_transition
    def enqueue(self) -> Happened:
        self.hold_for_the_parcel("It is not where a drone could be sent for it.")
        return Happened(EventType.QUEUED, "Waiting for a drone.")

    @_transition
    def assign(self, *, drone_id: str | None, why: str, **job: Any) -> Happened:
        """`job`: `override_reason` and `promised_at` of the new DeliveryJob, if any."""
        return Happened(EventType.ASSIGNED, why, self._start_job(drone_id, **job))

    @_transition
    def reassign(self, *, drone_id: str, why: str, **job: Any) -> Happened:
        former = self._end_job(JobStatus.CANCELED, why)
        started = self._start_job(drone_id, **job)
        return Happened(EventType.REASSIGNED, why, {**started, "former_drone_id": former.drone_id})

    @_transition
    def submit_mission(self, *, message: str = "Ground control accepted the mission.") -> Happened:
        return Happened(EventType.MISSION_SUBMITTED, message)

    @_transition
    def launch(self, *, message: str = "The drone has taken off.") -> Happened:
        return Happened(EventType.LAUNCHED, message)

    @_transition
    def go_enroute(self, *, message: str = "The drone is on its way.") -> Happened:
        return Happened(EventType.ENROUTE, message)

    @_transition
    def arrive(self, *, message: str = "The drone is at the drop point.") -> Happened:
        return Happened(EventType.ARRIVED, message)

    @_transition
    def begin_delivery(self, *, message: str = "The parcel is being handed over.") -> Happened:
        return Happened(EventType.DELIVERING, message)

    @_transition
    def deliver(self, *, at: datetime, message: str = "The parcel was delivered.") -> Happened:
        self._end_job(JobStatus.COMPLETED, "")
        self.delivered_at = at
        self.hand_over()
        self.proof_missing = self.lacks_proof
        return Happened(EventType.DELIVERED, message, {"on_time": at <= self.deliver_by})

    @_transition
    def requeue(self, *, job_ends: JobStatus, why: str) -> Happened:
        """On hold unless a drone can pick the parcel up where it is."""
        job = self._end_job(job_ends, why)
        self.current_job = None
        self.hold_for_the_parcel(why)
        payload = {"drone_id": job.drone_id, "attempt": job.attempt, "hold": self.hold_code or None}
        return Happened(EventType.REQUEUED, why, payload)

    @_transition
    def reschedule(
        self, *, not_before: datetime | None, deliver_by: datetime, why: str = ""
    ) -> Happened:
        if self.current_job:
            self._end_job(JobStatus.CANCELED, "The order was rescheduled.")
            self.current_job = None
        self.not_before, self.deliver_by = not_before, deliver_by
        return Happened(
            EventType.RESCHEDULED,
            why or "A new time was agreed.",
            {
                "not_before": not_before.isoformat() if not_before else None,
                "deliver_by": deliver_by.isoformat(),
            },
        )

    @_transition
    def cancel(self, *, reason: CancelReason, note: str = "") -> Happened:
        if self.current_job:
            self._end_job(JobStatus.CANCELED, reason.label)
        self.lift_hold()
        self.cancel_reason, self.cancel_note = reason, note
        return Happened(EventType.CANCELED, reason.label, {"reason": reason})

    @_transition
    def fail(self, *, why: str, reason: ReasonCode) -> Happened:
        return self._end(EventType.FAILED, JobStatus.FAILED, why, reason)

    @_transition
    def abort(self, *, why: str, reason: ReasonCode) -> Happened:
        return self._end(EventType.ABORTED, JobStatus.ABORTED, why, reason)

    @_transition
    def correct_to_delivered(self, *, at: datetime, job: "DeliveryJob", why: str) -> Happened:
        """`job`: the attempt that delivered it, although it was recorded as failed."""
        was = self.status
        event = EventType.DELIVERED if was == Status.QUEUED else EventType.CORRECTED
        job.status, job.ended_because = JobStatus.COMPLETED, why[:300]
        self.current_job, self.delivered_at = job, at
        self.reason_code, self.cancel_reason = "", ""
        self.lift_hold()
        self.hand_over()
        self.proof_missing = self.lacks_proof
        payload = {"outcome": Status.DELIVERED, "was": was, "on_time": at <= self.deliver_by}
        return Happened(event, why, payload)

    @_transition
    def correct_to_failed(self, *, why: str, reason: ReasonCode) -> Happened:
        was, self.reason_code = self.status, reason
        if was == Status.DELIVERED and self.current_job:
            self.current_job.status, self.current_job.ended_because = JobStatus.FAILED, why[:300]
        self.delivered_at, self.proof_missing = None, False
        return Happened(
            EventType.CORRECTED, why, {"outcome": Status.FAILED, "was": was, "reason": reason}
        )

    def _end(self, event: EventType, job_ends: JobStatus, why: str, reason: ReasonCode) -> Happened:
        if self.current_job:
            self._end_job(job_ends, why)
        self.reason_code = reason
        self.lift_hold()
        return Happened(event, why, {"reason": reason})

    # --- the job that a transition starts or ends ------------------------------------------------

    def _start_job(self, drone_id: str | None, **attributes: Any) -> dict[str, Any]:
        """Returns the payload of the event."""
        self.attempts += 1
        job = DeliveryJob(order=self, drone_id=drone_id, attempt=self.attempts, **attributes)
        job.eta_at = job.promised_at
        self.current_job = job
        return {
            "drone_id": drone_id,
            "attempt": job.attempt,
            "promised_at": job.promised_at.isoformat() if job.promised_at else None,
        }

    def _end_job(self, status: JobStatus, why: str) -> "DeliveryJob":
        job = self.current_job
        if job is None:
            raise ValueError(f"Order {self.pk} is {self.status} without a job.")
        job.status, job.ended_because, job.ended_at = status, why[:300], timezone.now()
        job.eta_at = None
        self.proof_awaited_since = None
        return job

    # --- derived values --------------------------------------------------------------------------

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def attempts_used(self) -> int:
        return self.attempts - self.attempts_forgiven

    @property
    def assigned_drone_id(self) -> str | None:
        return self.current_job.drone_id if self.current_job else None

    def sla(self, now: datetime) -> str | None:
        """`on_time`, `at_risk`, `late`, or None: see orders/models/sla.py."""
        return sla(self, self.current_job.eta_at if self.current_job else None, now)
