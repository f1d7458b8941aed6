"""Forms of the order actions (dispatch/console/orders/actions.py)."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.functional import cached_property

from dispatch.console.choices import Choices, candidate_features
from dispatch.planning import candidates, consequences
from orders.api import forms as typed
from orders.api.serializers import OrderChange, stored
from orders.console.pages import features_of
from orders.states import CancelReason
from wingxtra.console.actions import ActionForm, ReasonForm
from wingxtra.console.widgets import MomentInput
from wingxtra.problems import Invalid


class AssignForm(ActionForm):
    """One of the drones, best first; the page shows a page of them with figures and reasons."""

    drone_id = forms.ChoiceField(label="Drone", widget=forms.RadioSelect)
    override_reason = forms.CharField(
        label="Why limits may be overridden",
        max_length=300,
        required=False,
        help_text="Needed for a drone with soft reasons against it. Goes into the record.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order = self.targets[0]
        self.candidates = [
            candidate
            for candidate in candidates.candidates(self.order)
            if candidate.drone_id != self.order.assigned_drone_id
        ]
        # All drones are choices: the verb explains why one cannot be chosen.
        self.fields["drone_id"].choices = [(c.drone_id, c.drone_id) for c in self.candidates]  # type: ignore[attr-defined]
        able = [c for c in self.candidates if c.feasible]
        if able:
            self.initial["drone_id"] = able[0].drone_id

    @cached_property
    def choices(self) -> Choices:
        now = timezone.now()
        return Choices(
            self.order,
            self.candidates,
            self.query,
            now,
            lambda: consequences.of_taking_each_drone(self.order, now),
        )

    @cached_property
    def features(self) -> list[dict[str, Any]]:
        """For the map: pickup, drop point, and the drones of the page."""
        drones = candidate_features([row.candidate for row in self.choices.rows])
        return [asdict(one) for one in [*features_of(self.order, self.choices.now), *drones]]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        chosen = next((c for c in self.candidates if c.drone_id == data.get("drone_id")), None)
        if chosen and chosen.reasons and not data.get("override_reason"):
            reasons = " ".join(reason.message for reason in chosen.reasons)
            if chosen.overridable:
                self.add_error("override_reason", f"{reasons} Write why it may fly anyway.")
            else:
                self.add_error("drone_id", f"{chosen.drone_id} may not fly this order. {reasons}")
        return data


class OverrideForm(ActionForm):
    """For actions that withdraw a mission first: a statement if ground control does not confirm."""

    override = forms.CharField(
        label="If ground control confirms nothing: why it is safe",
        max_length=300,
        required=False,
        help_text="Only if you have looked there and know that the mission does not fly. Empty: "
        "without a confirmation nothing is changed. No personal data.",
    )


class CancelForm(OverrideForm):
    reason = forms.ChoiceField(choices=CancelReason.choices)
    note = forms.CharField(
        max_length=300,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Goes into the record. No personal data of customers.",
    )
    field_order = ("reason", "note", "override")


class RequeueForm(ReasonForm, OverrideForm):
    field_order = ("reason", "override")


class RescheduleForm(ReasonForm, OverrideForm):
    """One window for all orders; a single order's present window is filled in."""

    not_before = forms.DateTimeField(
        label="Not before (UTC)",
        required=False,
        widget=MomentInput,
        help_text="Empty: as soon as possible.",
    )
    deliver_by = forms.DateTimeField(label="Deliver by (UTC)", widget=MomentInput)
    field_order = ("not_before", "deliver_by", "reason", "override")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(self.targets) == 1:
            order = self.targets[0]
            self.initial = {"not_before": order.not_before, "deliver_by": order.deliver_by}

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        # The browser shows minutes: an unchanged time comes back without its seconds.
        for name, shown in self.initial.items():
            if shown and data.get(name) == shown.replace(second=0, microsecond=0):
                data[name] = shown
        deliver_by: datetime | None = data.get("deliver_by")
        not_before: datetime | None = data.get("not_before")
        if deliver_by and deliver_by <= timezone.now():
            self.add_error("deliver_by", "This is in the past.")
        if deliver_by and not_before and not_before >= deliver_by:
            self.add_error("deliver_by", "This must be after “not before”.")
        return data


class DetailsForm(ActionForm, typed.DetailsForm):
    """What the order says beside its trip, by the rules of the API. Only what differs changes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        order = self.targets[0]
        self.initial = {name: str(getattr(order, name)) for name in self.fields}

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if not self.changed_data:
            self.add_error(None, "Nothing is changed here yet.")
            return data
        try:
            wanted = OrderChange.valid(self.json())
        except Invalid as invalid:
            typed.show(self, invalid.errors, {})
            return data
        return {"details": {name: stored(name, value) for name, value in wanted.items()}}


class MoveDropForm(ReasonForm):
    """The new drop point; the page has a map for it."""

    dropoff_lat = forms.FloatField(label="Latitude", min_value=-90, max_value=90)
    dropoff_lng = forms.FloatField(label="Longitude", min_value=-180, max_value=180)
    field_order = ("dropoff_lat", "dropoff_lng", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        order = self.targets[0]
        self.initial = {"dropoff_lat": order.dropoff_lat, "dropoff_lng": order.dropoff_lng}
