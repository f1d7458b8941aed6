"""Recurring orders as JSON: strict input, and output."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from orders.api.serializers import NewOrder
from orders.api.store_serializers import OPENS, Day
from orders.models import Occurrence, RecurringOrder
from orders.recurring.models import MOST_HOURS_AHEAD
from wingxtra.api.serializers import Choice, Flag, StrictSerializer, Text, Timestamp
from wingxtra.opening_hours import WEEKDAYS

OPTIONAL: dict[str, Any] = {"required": False}
DAYS = [(day, day.title()) for day in WEEKDAYS]
NEXT_SHOWN = LAST_SHOWN = 5
USED_ONCE = (
    "merchant_id",
    "external_id",
    "quote_id",
    "ready_at",
    "not_before",
    "deliver_by",
    "dropoff_captured_at",
)
LOOK_BACK = timedelta(days=60)


class OnDay(Day):
    def to_internal_value(self, data: Any) -> Any:
        return date.fromisoformat(super().to_internal_value(data))


class TimeOfDay(Text):
    def __init__(self, **options: Any) -> None:
        super().__init__(validators=[OPENS], **options)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        text = super().run_validation(data)
        return time.fromisoformat(text) if isinstance(text, str) else text


class RecurringBody(NewOrder):
    """A new order without times and without what is used once."""

    def get_fields(self) -> dict[str, Any]:
        return {
            name: field for name, field in super().get_fields().items() if name not in USED_ONCE
        }


def _weekdays(**options: Any) -> serializers.ListField:
    return serializers.ListField(
        child=Choice(DAYS), min_length=1, max_length=7, help_text="On which days.", **options
    )


def _hours_ahead(**options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(MOST_HOURS_AHEAD)],
        help_text="How many hours before its time an order is placed; 24 if not given.",
        **options,
    )


class RecurringChange(StrictSerializer):
    from_on = OnDay(
        help_text="From this day on, the days before stay; from now on if not given.", **OPTIONAL
    )
    name = Text(max_length=80, help_text="For people.", **OPTIONAL)
    order = RecurringBody(help_text="Replaces the former one as a whole.", **OPTIONAL)
    weekdays = _weekdays(**OPTIONAL)
    local_time = TimeOfDay(
        help_text="A time of day like 07:30, by the clock on the wall there.", **OPTIONAL
    )
    hours_ahead = _hours_ahead(**OPTIONAL)
    ends_on = OnDay(allow_null=True, help_text="The last day; null: no end.", **OPTIONAL)
    paused = Flag(help_text="True: it places no orders.", **OPTIONAL)


class RecurringInput(StrictSerializer):
    merchant_id = serializers.UUIDField(
        allow_null=True, help_text="Only for ADMIN: whose it is.", **OPTIONAL
    )
    name = Text(max_length=80, help_text="For people.")
    order = RecurringBody(help_text="What is placed for each day: a new order without times.")
    weekdays = _weekdays()
    local_time = TimeOfDay(help_text="A time of day like 07:30, by the clock on the wall there.")
    hours_ahead = _hours_ahead(**OPTIONAL)
    starts_on = OnDay(help_text="The first day; today if not given.", **OPTIONAL)
    ends_on = OnDay(allow_null=True, help_text="The last day; null: no end.", **OPTIONAL)
    paused = Flag(help_text="True: it places no orders.", **OPTIONAL)


class OneDay(StrictSerializer):
    on = OnDay(help_text="A day of the recurring order, like 2026-12-24.")


# --- answers -------------------------------------------------------------------------------------


class DayProblem(serializers.Serializer[Any]):
    field = serializers.CharField(help_text="The member of the order; empty: the order as a whole.")
    code = serializers.CharField(help_text="As when an order is placed, or `missed`.")
    message = serializers.CharField(help_text="For people.")
    until = Timestamp(allow_null=True, help_text="When it would be possible; null if not known.")


class OccurrenceShown(serializers.Serializer[Any]):
    """One day of a recurring order."""

    on = serializers.DateField(help_text="The day.")
    at = Timestamp(help_text="When the order starts: its `not_before`.")
    state = serializers.ChoiceField(
        choices=["PLANNED", *Occurrence.State.values],
        help_text="`REFUSED` days are tried again until their time has come.",
    )
    order_id = serializers.UUIDField(allow_null=True, help_text="Null until it is placed.")
    problems = DayProblem(many=True, help_text="Why it was not placed.")
    note = serializers.CharField(
        allow_blank=True, help_text="Says so when the clock skips the time on this day."
    )


@extend_schema_field({"type": "object", "additionalProperties": True})
class AsSent(serializers.JSONField):
    pass


@extend_schema_field({"type": "string"})
class ShownTime(serializers.TimeField):
    def __init__(self, **options: Any) -> None:
        super().__init__(format="%H:%M", **options)


@extend_schema_serializer(component_name="RecurringOrder")
class RecurringAnswer(serializers.ModelSerializer[RecurringOrder]):
    merchant_id = serializers.UUIDField(help_text="Whose it is.")
    order = AsSent(help_text="What is placed for each day, as it was sent.")
    weekdays = serializers.ListField(
        child=serializers.ChoiceField(choices=DAYS), help_text="On which days."
    )
    local_time = ShownTime(help_text="Like 07:30, by the clock on the wall in the time zone.")
    created_at = Timestamp(help_text="When it was made.")
    next = OccurrenceShown(many=True, help_text="The next five days.")
    last = OccurrenceShown(
        many=True, help_text="The last five days that are decided, newest first."
    )

    class Meta:
        model = RecurringOrder
        fields = [
            "id",
            "merchant_id",
            "live_mode",
            "name",
            "order",
            "weekdays",
            "local_time",
            "time_zone",
            "hours_ahead",
            "starts_on",
            "ends_on",
            "paused",
            "created_at",
            "next",
            "last",
        ]
        extra_kwargs = {
            "id": {"help_text": "Its id."},
            "live_mode": {"help_text": "False: it places test orders."},
            "name": {"help_text": "For people."},
            "time_zone": {"help_text": "Of the service area."},
            "hours_ahead": {"help_text": "How many hours before its time an order is placed."},
            "starts_on": {"help_text": "The first day."},
            "ends_on": {"help_text": "The last day; null: no end."},
            "paused": {"help_text": "True: it places no orders."},
        }


def with_days(rows: Sequence[RecurringOrder], now: datetime) -> Sequence[RecurringOrder]:
    """The rows with their `next` and `last` days. One statement for all of them."""
    decided: dict[Any, dict[date, Occurrence]] = {row.pk: {} for row in rows}
    recent = Occurrence.objects.filter(recurring__in=rows, at__gt=now - LOOK_BACK)
    for one in recent.order_by("-on"):
        decided[one.recurring_id][one.on] = one
    for row in rows:
        known: Any = row
        known.next = next_days(row, decided[row.pk], now)
        known.last = [one for one in decided[row.pk].values() if one.at < now][:LAST_SHOWN]
    return rows


def next_days(
    row: RecurringOrder, decided: dict[date, Occurrence], now: datetime
) -> list[dict[str, Any]]:
    """The next days of a template: what is decided about them, or that they are planned."""
    shown = []
    for _, day in zip(range(NEXT_SHOWN), row.schedule.days_from(now), strict=False):
        at, note = row.schedule.moment(day)
        one = decided.get(day)
        shown.append(
            {
                "on": day,
                "at": one.at if one else at,
                "state": one.state if one else "PLANNED",
                "order_id": one.order_id if one else None,
                "problems": one.problems if one else [],
                "note": one.note if one else note,
            }
        )
    return shown
