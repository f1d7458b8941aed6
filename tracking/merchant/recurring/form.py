"""The form of a recurring order: an order without times, and its days."""

from typing import Any

from django import forms as django_forms

from orders.api import forms
from orders.recurring.serializers import USED_ONCE, RecurringInput
from wingxtra.opening_hours import text as as_text
from wingxtra.problems import FieldProblem, Invalid

DAY_HELP = "Days and ranges, like Mon-Fri or Mon, Wed, Sat."
OWN = ("name", "weekdays", "local_time", "starts_on", "ends_on", "hours_ahead")


def _typed(label: str, kind: str, *, help: str = "") -> django_forms.CharField:
    widget = django_forms.TextInput(attrs={"type": kind})
    return django_forms.CharField(label=label, required=False, help_text=help, widget=widget)


class RecurringForm(forms.OrderForm):
    name = forms.text("Name", help="For you, like “Clinic round”.", maxlength=80)
    weekdays = forms.text("Days", help=DAY_HELP)
    local_time = _typed("Time", "time", help="By the clock on the wall where it is picked up.")
    starts_on = _typed("First day", "date")
    ends_on = _typed("Last day", "date", help="Empty: no end.")
    hours_ahead = forms.text(
        "Hours ahead", help="How long before its time an order is placed.", inputmode="numeric"
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in USED_ONCE:
            self.fields.pop(name, None)

    @property
    def order_names(self) -> dict[str, str]:
        """For `show`: the fields of the problems of the order in the template."""
        members = {name: name for name in self.fields if name not in OWN}
        return {f"order.{member}": name for member, name in (members | self.names).items()}

    def values(self) -> dict[str, Any]:
        """What was typed, for the verb. Raises Invalid after putting each problem at its field."""
        order, unreadable = self.json()
        own = {name: order.pop(name) for name in OWN if name in order}
        if "weekdays" in own:
            try:
                own["weekdays"] = as_text.read_days(own["weekdays"])
            except as_text.Unreadable as why:
                unreadable.append(FieldProblem("weekdays", "invalid", str(why)))
        try:
            values = RecurringInput.valid({**own, "order": order})
        except Invalid as invalid:
            self.show(invalid.errors, unreadable)
            raise
        if unreadable:
            self.show([], unreadable)
            raise Invalid(unreadable)
        return {**values, "order": order}

    def show(
        self, problems: list[FieldProblem], unreadable: list[FieldProblem] | None = None
    ) -> None:
        forms.show(self, problems, self.order_names, unreadable or [])
