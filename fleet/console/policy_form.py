"""The policy form: groups, labels with units, and help texts."""

from typing import Any

from django import forms

from fleet.models import Policy

GROUPS: dict[str, dict[str, str]] = {
    "Battery and energy": {
        "battery_min_pct": "Minimum battery at take-off (%)",
        "reserve_pct": "Reserve when home again (%)",
        "detour_factor": "Detour factor",
        "full_charge_s": "Charging from empty to full (s)",
    },
    "Telemetry": {
        "telemetry_max_age_s": "Telemetry counts as fresh for (s)",
        "telemetry_hard_age_s": "OPS may override up to (s)",
        "link_lost_after_s": "Link lost after (s)",
    },
    "Flight": {
        "cruise_alt_m": "Cruise height (m)",
        "delivery_alt_m": "Delivery height (m)",
        "arrival_radius_m": "Arrival radius (m)",
        "max_wind_mps": "Wind limit (m/s)",
        "weather_max_age_s": "A wind reading counts for (s)",
        "detours_allowed": "Plan ways around no-fly zones",
        "zone_margin_m": "Distance to geographical zones (m)",
        "zone_height_margin_m": "Distance below geographical zones (m)",
        "loiter_timeout_s": "Loiter timeout (s)",
        "lost_link_behavior": "On a lost link, ask for",
    },
    "Times": {
        "launch_time_s": "Assignment to take-off (s)",
        "load_time_s": "Loading at the pickup (s)",
        "delivery_time_s": "Handing over at the door (s)",
    },
    "Promises and weights": {
        "promise_medical_min": "Promise, medical (min)",
        "promise_urgent_min": "Promise, urgent (min)",
        "promise_normal_min": "Promise, normal (min)",
        "weight_medical": "Weight of lateness, medical",
        "weight_urgent": "Weight of lateness, urgent",
        "weight_normal": "Weight of lateness, normal",
        "busy_weight": "Weight of drone time",
        "age_cap_s": "Waiting counts up to (s)",
        "late_normal": "Late normal orders",
        "look_ahead_s": "Wait for a better drone up to (s)",
    },
    "Orders": {
        "max_attempts": "Attempts per order",
        "dropoff_max_accuracy_m": "Least accurate drop point (m)",
        "customer_dropoff_radius_m": "Customers may move the drop point by (m)",
        "spot_pause_s": "Wait for the customer to show the exact spot (s)",
        "delay_told_minutes": "Tell of a delay longer than (min)",
        "personal_data_days": "Remove personal data after (days)",
        "decision_days": "Keep dispatch decisions for (days)",
        "flight_record_days": "Keep flight records for (days)",
        "auto_submit": "Publish missions automatically",
        "ready_required": "Fly only parcels that are ready",
    },
    "Proof of delivery": {
        "proof_waits_otp": "Wait for the code",
        "proof_waits_signature": "Wait for the signature",
        "proof_waits_photo": "Wait for the photo",
        "proof_missing_after_s": "Tell merchants of a missing proof after (s)",
    },
}
# Replaces the model field's help text in the form.
EXPLANATIONS = {
    "detour_factor": "Flown distance over straight distance: 1.15 is 15 % longer.",
    "telemetry_hard_age_s": "Up to this age OPS may override with a reason; above it, never.",
    "promise_medical_min": "Deadline after placing, if the merchant gives none.",
    "promise_urgent_min": "The same for urgent orders.",
    "promise_normal_min": "The same for normal orders.",
    "weight_medical": "How much worse a late minute of a medical order is than one of weight 1.",
    "weight_urgent": "The same for urgent orders.",
    "weight_normal": "The same for normal orders; usually 1.",
    "spot_pause_s": "A normal order waits for it if that is at most a tenth of its time until the "
    "promise. The first message asks for the spot. 0: no wait.",
    "busy_weight": "Cost of a second of drone time against a second of lateness of weight 1: "
    "higher prefers short flights, lower prefers early deliveries.",
    "late_normal": "Which normal orders are late when there are more than drones can fly. Kept "
    "promises first: an order that can still be in time goes before one that cannot; the fewest "
    "are late, and those are very late. No order waits for ever: late orders go first; none is "
    "very late, and more are late. Balanced: between the two.",
    "auto_submit": "Off: each mission waits until staff submit it in the console.",
}
LABELS = {name: label for fields in GROUPS.values() for name, label in fields.items()}
# Not in the form: pausing is a separate action with a reason.
ALL_LABELS = {**LABELS, "dispatch_paused": "Dispatch paused"}
CHOICES: dict[str, dict[Any, Any]] = {
    field.name: dict(field.flatchoices) for field in Policy._meta.concrete_fields
}
FIELDSETS = [(title, {"fields": list(fields)}) for title, fields in GROUPS.items()]
FIELDSETS[0][1]["fields"].append("seen_version")


def changes_in_words(changes: dict[str, list[Any]]) -> list[str]:
    """Each rule by its label: “Detour factor: 1.15 → 1.2”. changes: name to [before, after]."""
    return [
        f"{ALL_LABELS.get(name, name)}: {in_words(name, before)} → {in_words(name, after)}"
        for name, (before, after) in changes.items()
    ]


def in_words(name: str, value: Any) -> str:
    """A value of this rule, which the policy may no longer have."""
    if isinstance(value, bool):
        return "on" if value else "off"
    choices = CHOICES.get(name, {})
    return f"{value:g}" if isinstance(value, float) else str(choices.get(value, value))


class PolicyForm(forms.ModelForm):
    """Refused when the policy has been changed since the form was opened."""

    seen_version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Policy
        fields = list(LABELS)
        labels = LABELS
        help_texts = EXPLANATIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, value in self.initial.items():
            if isinstance(value, float) and value.is_integer():
                self.initial[name] = int(value)  # 30, not 30.0
        if "seen_version" in self.fields:
            self.initial["seen_version"] = self.instance.version

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("seen_version") != self.instance.version:
            raise forms.ValidationError(
                f"The policy has changed since you opened it and is now at version "
                f"{self.instance.version}. Open it again to see the current rules.",
                code="stale",
            )
        return data
