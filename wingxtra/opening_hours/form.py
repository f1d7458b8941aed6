"""The opening hours in forms of the console: of stores and of service areas."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils.html import linebreaks
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget

from wingxtra.console.admin import badge
from wingxtra.console.registry import Tone
from wingxtra.opening_hours import OpeningHours
from wingxtra.opening_hours import text as as_text

READERS = {"weekly": as_text.read_weekly, "exceptions": as_text.read_exceptions}


class HoursForm(forms.ModelForm):
    """A form of a model with `hours`; its subclass decides on the time zone."""

    weekly = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 4, "placeholder": "Mon-Fri 08:00-12:00, 14:00-20:00"}
        ),
        label="Opening hours",
        help_text="A line per weekday or range of them. Empty: open, but for the exceptions.",
    )
    exceptions = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "placeholder": "2026-12-25 closed"}),
        help_text="A line per date: closed, or its hours.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if hours := self.instance.hours:
            self.initial["weekly"] = as_text.weekly_lines(hours)
            self.initial["exceptions"] = as_text.exception_lines(hours)

    def written_hours(self, data: dict[str, Any]) -> dict[str, Any]:
        """`weekly` and `exceptions` as stored; a line that is none becomes the field's error."""
        hours: dict[str, Any] = {}
        for name, read in READERS.items():
            try:
                hours[name] = read(data.get(name, ""))
            except as_text.Unreadable as problem:
                self.add_error(name, str(problem))
        return hours


def in_lines(hours: Any, zone: str) -> SafeString | str:
    """The hours as a page shows them to people who may not change them."""
    if not hours:
        return "Always open"
    lines = [as_text.weekly_lines(hours), as_text.exception_lines(hours), f"Time zone {zone}"]
    return SafeString(linebreaks("\n".join(filter(None, lines)), autoescape=True))


def open_now(hours: OpeningHours | None, now: datetime) -> SafeString:
    if hours is None or hours.is_open(now):
        return badge("Open", Tone.GOOD)
    opens_at = hours.next_opening(now)
    return badge(f"Opens {hours.said(opens_at)}" if opens_at else "Closed", Tone.WARN)
