"""The parcel of an order: what it is, its custody, and the changes of its holder.

The methods change the order in memory and return the event. `orders.custody` has the verbs that
lock, check, save and record.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from fleet.feasibility.rules import PayloadType
from fleet.models import Drone, Hub
from orders import tracking_ids
from orders.models.jobs import DeliveryJob
from orders.states import (
    AT_REST,
    FLOWN_FROM,
    WITH_A_JOB,
    EventType,
    Happened,
    HoldCode,
    Holder,
    Status,
)

# Orders whose parcel is not where it should be, or whose reports contradict each other.
AWAITS_STAFF = Q(live_mode=True) & (
    Q(holder=Holder.UNKNOWN)
    | (Q(holder=Holder.DRONE) & ~Q(status__in=WITH_A_JOB))
    | ~Q(hold_code="")
)


class Parcel(models.Model):
    """Exactly one holder at any time. A hold keeps a queued order out of dispatch."""

    payload_weight_kg = models.FloatField()
    payload_type = models.CharField(max_length=12, choices=PayloadType, default=PayloadType.PARCEL)
    payload_size_cm = ArrayField(
        models.FloatField(), size=3, null=True, blank=True, help_text="Length, width, height."
    )
    label_id = models.CharField(
        max_length=tracking_ids.SHORT_LENGTH,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="The short id on its label, if the tracking id has changed since.",
    )
    holder = models.CharField(max_length=12, choices=Holder, default=Holder.SENDER, editable=False)
    holder_drone = models.ForeignKey(
        Drone,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="parcels",
        db_index=False,  # order_one_parcel_per_drone covers it
    )
    holder_hub = models.ForeignKey(
        Hub, on_delete=models.PROTECT, null=True, editable=False, related_name="parcels"
    )
    holder_since = models.DateTimeField(default=timezone.now, editable=False)
    parcel_ready_at = models.DateTimeField(
        null=True, editable=False, help_text="When it was said that the parcel can be loaded."
    )
    hold_code = models.CharField(max_length=16, choices=HoldCode, blank=True, editable=False)
    hold_message = models.CharField(max_length=300, blank=True, editable=False)
    hold_since = models.DateTimeField(null=True, editable=False)

    # Fields of Order, declared here for the type checker.
    public_tracking_id: str
    pickup_lat: float
    pickup_lng: float
    current_job: "DeliveryJob | None"

    class Meta:
        abstract = True

    @property
    def flown_from(self) -> tuple[float, float]:
        """Latitude and longitude in degrees where the next drone picks the parcel up."""
        if self.holder_hub is not None:
            return self.holder_hub.lat, self.holder_hub.lng
        return self.pickup_lat, self.pickup_lng

    @property
    def short_id(self) -> str:
        """The short name of the parcel, as on its label; it stays when the link is renewed."""
        return tracking_ids.short(self.label_id or self.public_tracking_id)

    @property
    def is_at_rest(self) -> bool:
        return self.holder in AT_REST

    # --- changes of the holder (called by orders.custody and by transitions only) -----------------

    def ready(self) -> Happened:
        self.parcel_ready_at = timezone.now()
        return Happened(EventType.PARCEL_READY, "The parcel is ready to be loaded.")

    def load(self, message: str = "") -> Happened:
        """Onto the drone of the current job; the job of a test order has no drone."""
        job = self.current_job
        drone_id = job.drone_id if job else None
        self._held_by(Holder.DRONE, drone_id=drone_id)
        text = message or f"The parcel is aboard {drone_id or 'its drone'}."
        return Happened(EventType.PARCEL_LOADED, text, {"drone_id": drone_id})

    def unload(self, hub: Hub, message: str) -> Happened:
        self._held_by(Holder.HUB, hub=hub)
        text = f"The parcel is at {hub.name}. {message}".rstrip()
        return Happened(EventType.PARCEL_UNLOADED, text, {"hub": hub.name})

    def stay(self, note: str) -> Happened:
        self._held_by(Holder.SENDER)
        return Happened(EventType.PARCEL_FOUND, f"It never left the sender: {note}")

    def hand_over(self) -> None:
        """To the recipient; part of the transition that delivers the order."""
        self._held_by(Holder.RECIPIENT)

    def lose_sight(self, why: str) -> Happened:
        """The parcel's location is unknown: staff must find it."""
        self._held_by(Holder.UNKNOWN)
        return Happened(EventType.PARCEL_UNKNOWN, why)

    def give_back(self, received_by: str) -> Happened:
        self._held_by(Holder.RETURNED)
        return Happened(EventType.PARCEL_RETURNED, f"Back with the sender: {received_by}")

    def lose(self, note: str) -> Happened:
        self._held_by(Holder.LOST)
        return Happened(EventType.PARCEL_LOST, f"The parcel is lost: {note}")

    def _held_by(
        self, holder: Holder, *, drone_id: str | None = None, hub: Hub | None = None
    ) -> None:
        self.holder, self.holder_drone_id, self.holder_hub = holder, drone_id, hub
        self.holder_since = timezone.now()

    # --- the hold --------------------------------------------------------------------------------

    def hold(self, code: HoldCode, message: str) -> None:
        if not self.hold_code:
            self.hold_since = timezone.now()
        self.hold_code, self.hold_message = code, message[:300]

    def lift_hold(self) -> None:
        self.hold_code, self.hold_message, self.hold_since = "", "", None

    def hold_for_the_parcel(self, why: str) -> None:
        """Hold the order unless a drone can pick the parcel up where it is."""
        if self.holder in FLOWN_FROM:
            self.lift_hold()
        elif self.holder == Holder.DRONE:
            self.hold(HoldCode.PARCEL_ABOARD, why)
        else:
            self.hold(HoldCode.PARCEL_UNKNOWN, why)


CONSTRAINTS = [
    models.CheckConstraint(name="order_holder_known", condition=Q(holder__in=Holder.values)),
    models.CheckConstraint(
        name="order_drone_holds_what_it_carries",
        condition=Q(holder=Holder.DRONE, holder_drone__isnull=False)
        | Q(holder=Holder.DRONE, live_mode=False)
        | (~Q(holder=Holder.DRONE) & Q(holder_drone__isnull=True)),
    ),
    models.CheckConstraint(
        name="order_hub_holds_what_lies_there",
        condition=Q(holder=Holder.HUB, holder_hub__isnull=False)
        | (~Q(holder=Holder.HUB) & Q(holder_hub__isnull=True)),
    ),
    # A drone of any kind carries one parcel at a time.
    models.UniqueConstraint(fields=["holder_drone"], name="order_one_parcel_per_drone"),
    models.CheckConstraint(
        name="order_delivered_is_with_the_recipient",
        condition=~Q(status=Status.DELIVERED) | Q(holder=Holder.RECIPIENT),
    ),
    models.CheckConstraint(
        name="order_is_flown_from_where_its_parcel_is",
        condition=~Q(status__in=[Status.ASSIGNED, Status.MISSION_SUBMITTED])
        | Q(holder__in=[*FLOWN_FROM, Holder.DRONE]),
    ),
    models.CheckConstraint(
        name="order_hold_of_queued_orders_only",
        condition=Q(hold_code="", hold_since__isnull=True)
        | (Q(status=Status.QUEUED, hold_since__isnull=False) & ~Q(hold_code="")),
    ),
]
INDEXES = [
    models.Index(
        fields=["holder_since"],
        name="order_parcel_not_at_rest",
        condition=Q(holder__in=[Holder.DRONE, Holder.UNKNOWN]),
    ),
    models.Index(fields=["hold_since"], name="order_held", condition=~Q(hold_code="")),
]
