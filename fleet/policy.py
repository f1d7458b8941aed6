"""The policy that ADMIN edits: one row and its history. `Policy.rules()` gives plain `Rules`."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import ExpressionWrapper, Q, Subquery, Value
from django.http import HttpRequest

from fleet.feasibility.rules import LateNormal, LostLinkBehavior, Priority, Rules
from wingxtra.accounts.identity import SYSTEM, Actor
from wingxtra.database.statements import Statement


def _number(default: float, low: float, high: float, text: str, **options: Any) -> Any:
    return models.FloatField(
        default=default,
        validators=[MinValueValidator(low), MaxValueValidator(high)],
        help_text=text,
        **options,
    )


def _proof_waits(proof: str) -> Any:
    return models.BooleanField(
        default=False,
        db_default=False,
        help_text=f"An order that needs {proof} stays in DELIVERING until it has it, or until "
        "staff confirm the delivery. Off: the drone's report completes the delivery.",
    )


class Policy(models.Model):
    """The single policy row. Edit it with `change` only, which writes the history."""

    version = models.PositiveIntegerField(default=1, editable=False)

    battery_min_pct = _number(30, 0, 100, "No take-off below this charge, in percent.")
    reserve_pct = _number(
        20, 5, 80, "Charge that must remain when the drone is back home, in percent."
    )
    telemetry_max_age_s = _number(15, 1, 600, "Older telemetry rules a drone out, in seconds.")
    telemetry_hard_age_s = _number(
        60, 1, 3600, "Up to this age OPS may override with a reason, in seconds."
    )
    link_lost_after_s = _number(
        20, 2, 600, "A flying drone without telemetry for this long has lost its link, in seconds."
    )
    detour_factor = _number(1.15, 1, 3, "Flown distance over straight distance.")
    launch_time_s = _number(45, 0, 1800, "From assignment to take-off, in seconds.")
    load_time_s = _number(30, 0, 1800, "On the ground or hovering at the pickup, in seconds.")
    delivery_time_s = _number(30, 0, 1800, "Lowering the parcel at the door, in seconds.")
    cruise_alt_m = _number(60, 10, 120, "Cruise height above ground, in metres.")
    delivery_alt_m = _number(8, 1, 60, "Height from which the parcel is lowered, in metres.")
    arrival_radius_m = _number(
        60, 5, 500, "Within this distance of the drop point the drone has arrived, in metres."
    )
    max_wind_mps = _number(12, 0, 40, "No mission above this wind, in metres per second.")
    weather_max_age_s = _number(
        900,
        30,
        86400,
        "If the wind is measured: no mission with a reading older than this, in seconds.",
    )
    detours_allowed = models.BooleanField(
        default=False,
        help_text="Plan trips around no-fly zones. Use only if ground control knows the same zones "
        "and flies around them automatically. Off: a trip that would cross one is ruled out.",
    )
    zone_margin_m = _number(
        50, 5, 2000, "Distance that every flight keeps from no-fly zones, in metres."
    )
    zone_height_margin_m = _number(
        10,
        0,
        500,
        "A zone that begins higher than the cruise height by this does not concern our flights, "
        "in metres.",
        db_default=10,
    )
    dropoff_max_accuracy_m = _number(
        50, 1, 1000, "A captured drop point less accurate than this is refused, in metres."
    )
    customer_dropoff_radius_m = _number(
        150,
        0,
        5000,
        "How far customers may move the drop point from the given address, in metres.",
    )
    spot_pause_s = _number(
        0,
        0,
        1800,
        "A new NORMAL order waits this long for its customer to show the exact spot, if that is at "
        "most a tenth of the time until its promise, in seconds. 0: no wait.",
    )
    delay_told_minutes = _number(
        10,
        0,
        1440,
        "Merchant and customer are told of a delay once the order is predicted to be later than "
        "this, in minutes.",
    )
    busy_weight = _number(
        0.1,
        0,
        10,
        "Cost of a second of drone time against a second of a normal order's lateness. Higher "
        "while orders queue (docs/dispatch.md).",
    )
    age_cap_s = _number(
        28800,
        60,
        86400,
        "Waiting raises an order's weight up to this time, in seconds. By then a normal order is "
        "planned like an urgent one.",
    )
    late_normal = models.CharField(
        max_length=16,
        choices=LateNormal,
        default=LateNormal.BALANCED,
        db_default=LateNormal.BALANCED,
        help_text="What a NORMAL order that is late in any case is worth against the others "
        "(docs/dispatch.md).",
    )
    look_ahead_s = _number(
        180,
        0,
        1800,
        "An order may wait this long for a drone that serves it better than those that can start "
        "now, in seconds. 0: it never waits.",
    )
    full_charge_s = _number(
        2400,
        60,
        86400,
        "Time to charge from empty to full at the hub, in seconds. Counts as a cost of each trip.",
    )
    promise_medical_min = _number(15, 1, 1440, "Promise for MEDICAL orders, in minutes.")
    promise_urgent_min = _number(30, 1, 1440, "Promise for URGENT orders, in minutes.")
    promise_normal_min = _number(60, 1, 1440, "Promise for NORMAL orders, in minutes.")
    weight_medical = _number(16, 0.01, 1000, "Weight of lateness of MEDICAL orders.")
    weight_urgent = _number(4, 0.01, 1000, "Weight of lateness of URGENT orders.")
    weight_normal = _number(1, 0.01, 1000, "Weight of lateness of NORMAL orders.")
    max_attempts = models.PositiveSmallIntegerField(
        default=3,
        validators=[MinValueValidator(1), MaxValueValidator(10)],
        help_text="Number of attempts before the order fails.",
    )
    personal_data_days = models.PositiveSmallIntegerField(
        default=90,
        validators=[MinValueValidator(1), MaxValueValidator(3650)],
        help_text="Personal data and proof pictures are deleted this many days after an order is "
        "over.",
    )
    decision_days = models.PositiveSmallIntegerField(
        default=90,
        validators=[MinValueValidator(1), MaxValueValidator(3650)],
        help_text="Dispatch runs and their decisions are deleted after this many days.",
    )
    flight_record_days = models.PositiveSmallIntegerField(
        default=1095,
        db_default=1095,
        validators=[MinValueValidator(1), MaxValueValidator(7300)],
        help_text="Flight records are deleted after this many days, unless an occurrence holds "
        "them. They have no personal data.",
    )
    loiter_timeout_s = models.PositiveIntegerField(
        default=180,
        help_text="How long the drone may wait at the drop point when the drop fails, in seconds. "
        "Every trip needs the charge for it.",
    )
    lost_link_behavior = models.CharField(
        max_length=8, choices=LostLinkBehavior, default=LostLinkBehavior.RTL
    )
    auto_submit = models.BooleanField(
        default=True, help_text="Publish the mission intent as soon as a drone is assigned."
    )
    ready_required = models.BooleanField(
        default=False,
        help_text="Send a drone only after the sender or a loader has marked the parcel as ready. "
        "Off: an order without an estimate is flown at once.",
    )
    proof_waits_otp = _proof_waits("the one-time code")
    proof_waits_signature = _proof_waits("the signature")
    proof_waits_photo = _proof_waits("the photo")
    proof_missing_after_s = _number(
        600,
        0,
        86400,
        "A merchant is told of a missing proof this long after the delivery, in seconds.",
        db_default=600,
    )
    dispatch_paused = models.BooleanField(
        default=False, help_text="No automatic dispatch anywhere while this is on."
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = verbose_name_plural = "policy"
        constraints = [models.CheckConstraint(name="policy_is_one_row", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"Policy, version {self.version}"

    def rules(self) -> Rules:
        derived: dict[str, Any] = {
            "promise_s": {
                Priority.MEDICAL.value: self.promise_medical_min * 60,
                Priority.URGENT.value: self.promise_urgent_min * 60,
                Priority.NORMAL.value: self.promise_normal_min * 60,
            },
            "priority_weight": {
                Priority.MEDICAL.value: self.weight_medical,
                Priority.URGENT.value: self.weight_urgent,
                Priority.NORMAL.value: self.weight_normal,
            },
        }
        plain = {f.name: getattr(self, f.name) for f in fields(Rules) if f.name not in derived}
        return Rules(**plain, **derived)

    def columns(self) -> dict[str, Any]:
        """The rules as stored, for the history."""
        return {
            field.name: getattr(self, field.name)
            for field in self._meta.concrete_fields
            if field.name not in ("id", "version", "updated_at")
        }


class PolicyVersion(models.Model):
    """One version of the policy, with author and time. Dispatch runs store their version."""

    version = models.PositiveIntegerField(primary_key=True)
    rules = models.JSONField()
    changes = models.JSONField(help_text="Field to [before, after].")
    changed_by = models.CharField(max_length=160)
    changed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-version"]

    def __str__(self) -> str:
        return f"Version {self.version}"


def ensure_first_version(**_: Any) -> None:
    """Creates the policy row and its first version if missing. Runs after every migrate."""
    policy, is_new = Policy.objects.get_or_create(pk=1)
    if is_new:
        PolicyVersion.objects.update_or_create(
            version=policy.version,
            defaults={"rules": policy.columns(), "changes": {}, "changed_by": str(SYSTEM)},
        )


def current() -> Rules:
    """The current rules. One statement."""
    return rules_in(ROWS.all())


def rules_in(rows: Sequence[Policy]) -> Rules:
    """The rules of the single row, as ROWS reads it."""
    if not rows:
        raise Policy.DoesNotExist
    return rows[0].rules()


def current_for(request: HttpRequest) -> Rules:
    """The rules as they are at the first call for this request, so that all parts of a page show
    the same ones.
    """
    known: Any = request
    if not hasattr(known, "rules"):
        known.rules = current()
    rules: Rules = known.rules
    return rules


def seconds(rule: str) -> ExpressionWrapper:
    """A rule that is a number of seconds, as an interval in a queryset."""
    number = Subquery(Policy.objects.filter(pk=1).values(rule))
    second = Value(timedelta(seconds=1), models.DurationField())
    return ExpressionWrapper(number * second, models.DurationField())


ROWS = Statement(lambda: Policy.objects.filter(pk=1).order_by())


@transaction.atomic
def change(*, by: Actor, **values: Any) -> Policy:
    """Edits the policy and adds a version. Raises ValidationError (with the fields).

    Without a difference there is no new version.
    """
    policy = Policy.objects.select_for_update().get(pk=1)
    changes = {
        name: [getattr(policy, name), value]
        for name, value in values.items()
        if getattr(policy, name) != value
    }
    if not changes:
        return policy
    for name, value in values.items():
        setattr(policy, name, value)
    policy.version += 1
    policy.full_clean()
    policy.save()
    PolicyVersion.objects.create(
        version=policy.version,
        rules=policy.columns(),
        changes=changes,
        changed_by=str(by),
    )
    return policy
