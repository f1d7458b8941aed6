"""Forms of the actions on flights and parcels (dispatch/console/orders/parcel_actions.py)."""

from typing import Any

from django import forms

from dispatch.missions.closing import Found
from fleet.models import Hub
from orders.custody import observed_pickups
from orders.states import ReasonCode, Status
from wingxtra.accounts.identity import said_by
from wingxtra.console.actions import ActionForm

_RECORDED = "Goes into the record, with your name. No personal data."


def _note(label: str, help_text: str) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=f"{help_text} {_RECORDED}",
    )


class KnownForm(ActionForm):
    note = _note("How do you know?", "What you saw, or who informed you.")


class NeverLeftForm(KnownForm):
    """It tells of pickups that were reported: the person contradicts them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = {order.pk: str(order) for order in self.targets}
        reported = [
            f"{said_by(pickup.actor)} reported on {pickup.occurred_at:%-d %b at %H:%M:%S} UTC that "
            f"a drone picked up {names[pickup.order_id]}."
            for pickup in observed_pickups(self.targets)
        ]
        if reported:
            ask = "Ask the person who has the parcel in hand."
            self.fields["note"].help_text = " ".join([*reported, ask, _RECORDED])


class HubForm(ActionForm):
    hub = forms.ModelChoiceField(Hub.objects.all(), empty_label=None)
    note = forms.CharField(
        label="Note",
        max_length=200,
        required=False,
        help_text="For example the shelf. No personal data.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if drone := self.targets[0].holder_drone:
            self.initial["hub"] = drone.hub_id


class ReturnForm(ActionForm):
    received_by = forms.CharField(
        label="Who received it?",
        max_length=200,
        help_text="The shop and the role, such as “Market, till 3”. Goes into the record. No "
        "personal data.",
    )


class CloseForm(ActionForm):
    """How the attempt ended and what became of the parcel."""

    found = forms.ChoiceField(
        label="Where is the parcel?", choices=[("", "Choose…"), *Found.choices]
    )
    hub = forms.ModelChoiceField(
        Hub.objects.all(),
        required=False,
        label="Hub",
        empty_label="None",
        help_text="Only for a parcel at a hub.",
    )
    mission = forms.ChoiceField(
        label="Its mission at ground control",
        choices=[
            ("", "Choose…"),
            ("recall", "Recall it: withdraw before the launch, abort in flight"),
            ("over", "It is over: I have looked there, and no drone flies it"),
        ],
        help_text="While a recalled mission may fly, no other drone is sent.",
    )
    note = _note("How do you know?", "What you saw, or who informed you.")

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("found") == Found.HUB and not data.get("hub"):
            self.add_error("hub", "Choose the hub.")
        return data


class CorrectForm(ActionForm):
    outcome = forms.ChoiceField(
        choices=[(Status.DELIVERED, "It was delivered"), (Status.FAILED, "It was not delivered")]
    )
    reason = forms.ChoiceField(
        label="Why it was not delivered",
        choices=[("", "It was delivered"), *ReasonCode.choices],
        required=False,
        help_text="The merchant reads this.",
    )
    note = _note("How do you know?", "Why the former outcome is wrong.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        was_delivered = all(order.status == Status.DELIVERED for order in self.targets)
        self.initial["outcome"] = Status.FAILED if was_delivered else Status.DELIVERED

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("outcome") == Status.FAILED and not data.get("reason"):
            self.add_error("reason", "Choose why it was not delivered.")
        return data
