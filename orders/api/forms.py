"""Forms whose input is read by the API's serializers.

The fields here only show labels and keep what was typed. `*_json` turns the typed text into what
the API takes, and problems come back to the field that was typed into.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import forms
from django.conf import settings

from fleet.feasibility.rules import PayloadType, Priority
from orders.models import Order, Store
from orders.states import CancelReason, PodRequirement, Scenario
from wingxtra.problems import FieldProblem

SIDE = re.compile(r"\s*[x×*]\s*|\s+", re.IGNORECASE)
POINT = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*[,;\s]\s*([+-]?\d+(?:\.\d+)?)\s*")


def _field(label: str, help: str, widget: forms.Widget) -> forms.CharField:
    return forms.CharField(label=label, required=False, help_text=help, widget=widget)


def text(label: str, *, help: str = "", **attributes: Any) -> forms.CharField:
    """A line of text. Nothing is required here: the serializers say what is."""
    widget = forms.TextInput(attrs={"autocomplete": "off", **attributes})
    return _field(label, help, widget)


def lines(label: str, *, help: str = "", **attributes: Any) -> forms.CharField:
    """Text of several lines."""
    widget = forms.Textarea(attrs={"autocomplete": "off", "rows": 3, **attributes})
    return _field(label, help, widget)


def choice(label: str, choices: Iterable[tuple[str, str]], *, help: str = "") -> forms.CharField:
    widget = forms.Select(choices=list(choices))
    return _field(label, help, widget)


def time(label: str, *, help: str = "") -> forms.CharField:
    """A day and a time in UTC."""
    widget = forms.TextInput(attrs={"type": "datetime-local"})
    return _field(label, help, widget)


def show(
    form: forms.Form,
    problems: Iterable[FieldProblem],
    fields: Mapping[str, str],
    unreadable: Sequence[FieldProblem] = (),
) -> None:
    """Put each problem at its field. fields: names of the API that have another name here.

    unreadable: what was typed and cannot be sent to the API, by the form's own names; the API's
    problems of these fields say nothing more. Problems of fields that the form does not have stand
    above it.
    """
    form.is_valid()  # fills in `cleaned_data`, which `add_error` needs
    reported = {problem.field for problem in unreadable}
    others = [one for one in problems if _typed_into(one.field, fields) not in reported]
    for problem in (*unreadable, *others):
        name = _typed_into(problem.field, fields)
        known = name if name in form.fields else None
        message = _with_labels(problem.message, form)
        if message not in form.errors.get(known or "__all__", []):
            form.add_error(known, message)


def _typed_into(member: str, fields: Mapping[str, str]) -> str:
    """The field for a member, which may be inside of another: `hours.weekly.3.closes`."""
    parts = member.split(".")
    for end in range(len(parts), 0, -1):
        outer = ".".join(parts[:end])
        if outer in fields:
            return fields[outer]
    return parts[0]


def _with_labels(message: str, form: forms.Form) -> str:
    """“deliver_by must be later” is for developers; people read the label of the field."""
    for name, field in form.fields.items():
        if "_" in name:
            message = message.replace(name, f"“{field.label}”")
    return message


def with_newlines(typed: str) -> str:
    """A browser ends the lines of a text with CR LF."""
    return typed.replace("\r\n", "\n")


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


def size(typed: str) -> dict[str, float | str] | None:
    """Length, width and height: “30 x 20 x 10”, also with a unit at the end."""
    sides = SIDE.split(typed.strip().casefold().removesuffix("cm").strip())
    return dict(zip("lwh", map(number, sides), strict=True)) if len(sides) == 3 else None


class NoMember(ValueError):
    """A line that is no “name: value”, or a name that was there before. For people."""


def members(typed: str) -> dict[str, str]:
    """A text by name for each line “name: value”. Raises NoMember."""
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, typed.splitlines())):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not name:
            raise NoMember(f"“{line}” is no line like “shelf: B4”.")
        if name in found:
            raise NoMember(f"“{name}” is there twice.")
        found[name] = value
    return found


# The form has one field for a point, where the API has two.
DROPOFF = {"dropoff_lat": "dropoff", "dropoff_lng": "dropoff"}
PICKUP = {"pickup_lat": "pickup", "pickup_lng": "pickup"}
# The pickup of an order from a store is the store's.
STORE = dict.fromkeys((*PICKUP, "pickup_name"), "store_id")
NOT_A_POINT = "Give latitude and longitude, like 5.60370, -0.18700."
NOT_A_SIZE = "Give length, width and height in cm, like 30 x 20 x 10."
TIMES = ("ready_at", "not_before", "deliver_by")
PHONE_HELP = "With country code, like +233241234567."
LANGUAGES = [("", "The usual one"), *settings.LANGUAGES]


class OrderForm(forms.Form):
    """A new order. Only a test order has a scenario, and only a merchant with stores a choice."""

    store_id = choice("From", ())
    pickup_name = text("Pickup", help="What the place is called.", maxlength=120)
    pickup = text("Where it is picked up", help="Latitude, longitude.", inputmode="text")
    dropoff = text("Where it goes", help="Latitude, longitude of an open spot at the door.")
    payload_type = choice("What it is", PayloadType.choices)
    payload_weight_kg = text("Weight in kg", inputmode="decimal")
    payload_size_cm = text("Size in cm", help="Length x width x height, like 30 x 20 x 10.")
    priority = choice("How urgent", Priority.choices)
    dropoff_address = text(
        "Address", help="For people; the drone flies to the point.", maxlength=200
    )
    dropoff_instructions = lines(
        "Instructions", help="What to know at the door.", maxlength=300, rows=2
    )
    customer_name = text("Name", maxlength=120)
    customer_phone = text("Phone", help=PHONE_HELP, inputmode="tel")
    customer_email = text("E-mail", inputmode="email")
    customer_language = choice("Language", LANGUAGES)
    pod_requirement = choice("Proof of delivery", PodRequirement.choices)
    external_id = text("Your reference", help="Your own order number, used once.", maxlength=64)
    ready_at = time("Ready at", help="UTC. When the parcel can be picked up.")
    not_before = time("Not before", help="UTC. Empty: as soon as possible.")
    deliver_by = time("Deliver by", help="UTC. Empty: what we promise for the urgency.")
    metadata = lines(
        "Your own data", help="A line for each, like “shelf: B4”. The customer does not see it."
    )
    test_scenario = choice("What happens to it", Scenario.choices)

    def __init__(self, *args: Any, live: bool, stores: Sequence[Store], **options: Any) -> None:
        super().__init__(*args, **options)
        if live:
            del self.fields["test_scenario"]
        if stores:
            own = [(str(store.pk), store.name) for store in stores]
            self.fields["store_id"].widget.choices = [("", "A point on the map"), *own]
        else:
            del self.fields["store_id"]

    @property
    def names(self) -> dict[str, str]:
        """For `show`: the fields that have another name here."""
        self.is_valid()
        return DROPOFF | (STORE if self.cleaned_data.get("store_id") else PICKUP)

    def json(self) -> tuple[dict[str, Any], list[FieldProblem]]:
        """What was typed, as the API takes it, and what cannot be read; the API refuses that."""
        self.is_valid()
        typed = {name: str(value) for name, value in self.cleaned_data.items() if value}
        points = {end: typed.pop(end) for end in ("pickup", "dropoff") if end in typed}
        if "store_id" in typed:
            points.pop("pickup", None)
            typed.pop("pickup_name", None)
        data: dict[str, Any] = {name: with_newlines(value) for name, value in typed.items()}
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
        if "payload_size_cm" in data:
            if sides := size(data["payload_size_cm"]):
                data["payload_size_cm"] = sides
            else:
                problems.append(FieldProblem("payload_size_cm", "invalid", NOT_A_SIZE))
        if "metadata" in data:
            try:
                data["metadata"] = members(data["metadata"])
            except NoMember as why:
                problems.append(FieldProblem("metadata", "invalid", str(why)))
        return data, problems


class DetailsForm(forms.Form):
    """What an order says beside its trip. Only what was changed on this page is sent: the customer
    may have changed something else since it was opened.
    """

    customer_name = text("Name", maxlength=120)
    customer_phone = text("Phone", help=PHONE_HELP, inputmode="tel")
    customer_email = text("E-mail", inputmode="email")
    customer_language = choice("Language", LANGUAGES)
    priority = choice("How urgent", Priority.choices)
    dropoff_address = text("Address", maxlength=200)
    dropoff_instructions = lines("Instructions", maxlength=300, rows=2)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            field.show_hidden_initial = True

    @classmethod
    def of(cls, order: Order) -> "DetailsForm":
        return cls(initial={name: str(getattr(order, name)) for name in cls.base_fields})

    def json(self) -> dict[str, Any]:
        """What was changed, as the API takes it."""
        self.is_valid()
        typed = {name: self.cleaned_data.get(name, "") for name in self.changed_data}
        return {name: with_newlines(value) or None for name, value in typed.items()}


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
