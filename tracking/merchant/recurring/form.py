"""The forms of a recurring order: an order without times, and its days."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms as django_forms

from orders.api import forms
from orders.models import RecurringOrder
from orders.recurring.serializers import USED_ONCE, RecurringChange, RecurringInput
from wingxtra.opening_hours import text as as_text
from wingxtra.problems import FieldProblem, Invalid

DAY_HELP = "Days and ranges, like Mon-Fri or Mon, Wed, Sat."
OWN = ("name", "weekdays", "local_time", "starts_on", "ends_on", "hours_ahead", "from_on")
# The members of an order behind the fields of a place: if one field changes, all are replaced.
PLACES = (
    (
        ("store_id", "pickup", "pickup_name"),
        ("store_id", "pickup_lat", "pickup_lng", "pickup_name"),
    ),
    (("dropoff",), ("dropoff_lat", "dropoff_lng", "dropoff_accuracy_m", "dropoff_source")),
)


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
        own, order, unreadable = self.typed()
        return self.checked(RecurringInput, {**own, "order": order}, unreadable)

    def typed(self) -> tuple[dict[str, Any], dict[str, Any], list[FieldProblem]]:
        """As the API takes it: its own members, those of the order, and what cannot be read."""
        order, unreadable = self.json()
        own = {name: order.pop(name) for name in OWN if name in order}
        if "weekdays" in own:
            try:
                own["weekdays"] = as_text.read_days(own["weekdays"])
            except as_text.Unreadable as why:
                unreadable.append(FieldProblem("weekdays", "invalid", str(why)))
        return own, order, unreadable

    def checked(
        self,
        kind: type[RecurringInput] | type[RecurringChange],
        data: Mapping[str, Any],
        unreadable: list[FieldProblem],
    ) -> dict[str, Any]:
        """The values of the API's body, with the order as it was sent. Raises Invalid."""
        try:
            values = kind.valid(data)
        except Invalid as invalid:
            self.show(invalid.errors, unreadable)
            raise
        if unreadable:
            self.show([], unreadable)
            raise Invalid(unreadable)
        return values | {name: data[name] for name in ("order",) if name in data}

    def show(
        self, problems: list[FieldProblem], unreadable: list[FieldProblem] | None = None
    ) -> None:
        forms.show(self, problems, self.order_names, unreadable or [])


class ChangeForm(RecurringForm):
    """Only what was changed on this page is sent: another user may have changed something else
    since it was opened. Members of the order that have no field here stay.
    """

    from_on = _typed(
        "From this day on",
        "date",
        help="Empty: from now on. Else it ends on the day before, and a new one goes on.",
    )

    def __init__(self, *args: Any, row: RecurringOrder, **options: Any) -> None:
        super().__init__(*args, initial=_initial(row), **options)
        self.row = row
        del self.fields["starts_on"]
        for name, field in self.fields.items():
            field.show_hidden_initial = True
            if isinstance(field.widget, django_forms.Select) and not self.initial.get(name):
                first, *_ = field.widget.choices
                self.initial[name] = first[0]  # what the API takes if not given

    def values(self) -> dict[str, Any]:
        """What was changed, for the verb; empty if nothing was. Raises Invalid."""
        own, order, unreadable = self.typed()
        changed = set(self.changed_data)
        data = {name: own[name] for name in OWN if name in changed and name in own}
        if "ends_on" in changed:
            data.setdefault("ends_on", None)
        unreadable += [
            FieldProblem(name, "required", "This field is required.")
            for name in ("name", "weekdays", "local_time", "hours_ahead")
            if name not in own
        ]
        if members := self._members(changed):
            kept = {name: value for name, value in self.row.order.items() if name not in members}
            data["order"] = kept | {name: order[name] for name in members if name in order}
        return self.checked(RecurringChange, data, unreadable)

    @staticmethod
    def _members(changed: set[str]) -> list[str]:
        """The members of the order that the changed fields stand for."""
        members: list[str] = []
        for fields, of_place in PLACES:
            if changed.intersection(fields):
                members += of_place
        of_places = {name for fields, _ in PLACES for name in fields}
        return members + sorted(changed.difference(OWN, of_places))


def _initial(row: RecurringOrder) -> dict[str, str]:
    """What the fields show of a recurring order."""
    order = dict(row.order)
    for end in ("pickup", "dropoff"):
        at = [order.pop(f"{end}_{axis}", None) for axis in ("lat", "lng")]
        if None not in at:
            order[end] = ", ".join(_decimal(one) for one in at)
    if size := order.get("payload_size_cm"):
        order["payload_size_cm"] = " x ".join(_decimal(size[side]) for side in "lwh")
    if "payload_weight_kg" in order:
        order["payload_weight_kg"] = _decimal(order["payload_weight_kg"])
    if metadata := order.get("metadata"):
        order["metadata"] = "\n".join(f"{name}: {value}" for name, value in metadata.items())
    own = {
        "name": row.name,
        "weekdays": ", ".join(day.title() for day in row.weekdays),
        "local_time": f"{row.local_time:%H:%M}",
        "ends_on": row.ends_on.isoformat() if row.ends_on else "",
        "hours_ahead": str(row.hours_ahead),
    }
    return {name: "" if value is None else str(value) for name, value in (order | own).items()}


def _decimal(number: float) -> str:
    """0.00001 and not 1e-05, which the fields do not read."""
    return f"{Decimal(str(number)):f}"
