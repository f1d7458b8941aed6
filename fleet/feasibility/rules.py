"""The rules of dispatch and their choices as plain values, without a database."""

from dataclasses import dataclass, field

from django.db.models import TextChoices


class PayloadType(TextChoices):
    PARCEL = "PARCEL", "Parcel"
    FOOD = "FOOD", "Food"
    MEDICINE = "MEDICINE", "Medicine"
    BLOOD = "BLOOD", "Blood"
    COLD_CHAIN = "COLD_CHAIN", "Cold chain"


class Priority(TextChoices):
    NORMAL = "NORMAL", "Normal"
    URGENT = "URGENT", "Urgent"
    MEDICAL = "MEDICAL", "Medical"


class LostLinkBehavior(TextChoices):
    """The behaviour that a mission intent requests; DroneEngage implements the failsafe."""

    RTL = "RTL", "Return to launch"
    LOITER = "LOITER", "Loiter"
    LAND = "LAND", "Land"


class LateNormal(TextChoices):
    """What a NORMAL order that can no longer keep its promise is worth against the others."""

    KEPT_FIRST = "KEPT_FIRST", "Kept promises first"
    BALANCED = "BALANCED", "Balanced"
    NO_ENDLESS_WAIT = "NO_ENDLESS_WAIT", "No order waits for ever"


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy as input of pure functions. Names carry the units."""

    version: int
    battery_min_pct: float
    reserve_pct: float
    telemetry_max_age_s: float
    telemetry_hard_age_s: float
    link_lost_after_s: float
    detour_factor: float
    launch_time_s: float
    load_time_s: float
    delivery_time_s: float
    cruise_alt_m: float
    delivery_alt_m: float
    arrival_radius_m: float
    max_wind_mps: float
    weather_max_age_s: float
    detours_allowed: bool
    zone_margin_m: float
    zone_height_margin_m: float
    dropoff_max_accuracy_m: float
    customer_dropoff_radius_m: float
    spot_pause_s: float
    delay_told_minutes: float
    personal_data_days: int
    decision_days: int
    flight_record_days: int
    busy_weight: float
    age_cap_s: float
    late_normal: str
    look_ahead_s: float
    full_charge_s: float
    max_attempts: int
    loiter_timeout_s: int
    lost_link_behavior: str
    auto_submit: bool
    ready_required: bool
    proof_waits_otp: bool
    proof_waits_signature: bool
    proof_waits_photo: bool
    proof_missing_after_s: float
    dispatch_paused: bool
    promise_s: dict[str, float] = field(hash=False)
    priority_weight: dict[str, float] = field(hash=False)
