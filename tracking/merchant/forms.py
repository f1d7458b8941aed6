"""Forms whose input is read by the API's serializers.

The fields here only show labels and keep what was typed. `*_json` turns the typed text into what
the API takes, and problems come back to the field that was typed into.
"""

import re
from collections.abc import Iterable
from typing import Any

from django import forms
from django.conf import settings

from fleet.feasibility.rules import PayloadType, Priority
from orders.states import CancelReason, PodRequirement, Scenario
from wingxtra.problems import FieldProblem

POINT = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*[,;\s]\s*([+-]?\d+(?:\.\d+)?)\s*")


def text(label: str, *, help: str = "", **attributes: Any) -> forms.CharField:
    """A line of text. Nothing is required here: the serializers say what is."""
    widget = forms.TextInput(attrs={"autocomplete": "off", **attributes})
    return forms.CharField(label=label, required=False, help_text=help, widget=widget)


def choice(label: str, choices: Iterable[tuple[str, str]], *, help: str = "") -> forms.CharField:
    widget = forms.Select(choices=list(choices))
    return forms.CharField(label=label, required=False, help_text=help, widget=widget)


def time(label: str, *, help: str = "") -> forms.CharField:
    """A day and a time in UTC."""
    widget = forms.TextInput(attrs={"type": "datetime-local"})
    return forms.CharField(label=label, required=False, help_text=help, widget=widget)


def show(form: forms.Form, problems: Iterable[FieldProblem], fields: dict[str, str]) -> None:
    """Put each problem at its field. fields: names of the API that have another name here.

    Problems of fields that the form does not have stand above it.
    """
    form.is_valid()  # fills in `cleaned_data`, which `add_error` needs
    for problem in problems:
        name = fields.get(problem.field, problem.field)
        known = name if name in form.fields else None
        message = _with_labels(problem.message, form)
        if message not in form.errors.get(known or "__all__", []):
            form.add_error(known, message)


def _with_labels(message: str, form: forms.Form) -> str:
    """“deliver_by must be later” is for developers; people read the label of the field."""
    for name, field in form.fields.items():
        if "_" in name:
            message = message.replace(name, f"“{field.label}”")
    return message


def number(typed: str) -> float | str:
    """With a decimal point or comma; the text itself if it is no number."""
    try:
        return float(typed.replace(",", "."))
    except ValueError:
        return typed


def instant(typed: str) -> str:
    """A time of a `datetime-local` field, which is UTC on these pages, in ISO 8601."""
    return f"{typed}Z" if re.fullmatch(r"[\d-]+T[\d:.]+", typed) else typed


def point(typed: str) -> tuple[float, float] | None:
    """Latitude and longitude: “5.60370, -0.18700”."""
    found = POINT.fullmatch(typed)
    return (float(found[1]), float(found[2])) if found else None


# The form has one field for a point, where the API has two.
POINTS = {
    "pickup_lat": "pickup",
    "pickup_lng": "pickup",
    "dropoff_lat": "dropoff",
    "dropoff_lng": "dropoff",
}
NOT_A_POINT = "Give latitude and longitude, like 5.60370, -0.18700."
TIMES = ("ready_at", "not_before", "deliver_by")


class OrderForm(forms.Form):
    """A new order. Only a test order has a scenario."""

    pickup_name = text("Pickup", help="What the place is called.", maxlength=120)
    pickup = text("Where it is picked up", help="Latitude, longitude.", inputmode="text")
    dropoff = text("Where it goes", help="Latitude, longitude of an open spot at the door.")
    payload_type = choice("What it is", PayloadType.choices)
    payload_weight_kg = text("Weight in kg", inputmode="decimal")
    priority = choice("How urgent", Priority.choices)
    customer_name = text("Name", maxlength=120)
    customer_phone = text("Phone", help="With country code, like +233241234567.", inputmode="tel")
    customer_email = text("E-mail", inputmode="email")
    customer_language = choice("Language", [("", "The usual one"), *settings.LANGUAGES])
    pod_requirement = choice("Proof of delivery", PodRequirement.choices)
    external_id = text("Your reference", help="Your own order number, used once.", maxlength=64)
    ready_at = time("Ready at", help="UTC. When the parcel can be picked up.")
    not_before = time("Not before", help="UTC. Empty: as soon as possible.")
    deliver_by = time("Deliver by", help="UTC. Empty: what we promise for the urgency.")
    test_scenario = choice("What happens to it", Scenario.choices)

    def __init__(self, *args: Any, live: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        if live:
            del self.fields["test_scenario"]

    def json(self) -> tuple[dict[str, Any], list[FieldProblem]]:
        """What was typed, as the API takes it, and points that cannot be read."""
        self.is_valid()
        typed = {name: str(value) for name, value in self.cleaned_data.items() if value}
        points = {end: typed.pop(end) for end in ("pickup", "dropoff") if end in typed}
        data: dict[str, Any] = dict(typed)
        problems = []
        for end, given in points.items():
            if at := point(given):
                data |= {f"{end}_lat": at[0], f"{end}_lng": at[1]}
            else:
                problems.append(FieldProblem(end, "invalid", NOT_A_POINT))
        for name in TIMES:
            if name in data:
                data[name] = instant(data[name])
        if "payload_weight_kg" in data:
            data["payload_weight_kg"] = number(data["payload_weight_kg"])
        return data, problems


class CancelForm(forms.Form):
    reason = choice(
        "Why",
        [
            (CancelReason.MERCHANT_REQUEST, "We do not send it"),
            (CancelReason.CUSTOMER_REQUEST, "The customer does not want it"),
            (CancelReason.ADDRESS_PROBLEM, "Something is wrong with the address"),
            (CancelReason.OTHER, "Another reason"),
        ],
    )
    note = text("Note", help="For you and our staff.", maxlength=300)


class RescheduleForm(forms.Form):
    not_before = time("Not before", help="UTC. Empty: as soon as possible.")
    deliver_by = time("Deliver by", help="UTC. Empty: the usual promise after that.")
