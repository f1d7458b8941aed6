"""Times in the console: by the clock of a place, with UTC on hover."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import DateTimeField, Func, Value
from django.utils.html import format_html
from django.utils.safestring import SafeString


def house_zone() -> ZoneInfo:
    """The time zone of pages that are about no service area."""
    return ZoneInfo(settings.AREA_TIME_ZONE)


def moment(
    at: datetime | None, *, seconds: bool = False, zone: ZoneInfo | None = None
) -> SafeString | str:
    """A time to the minute or second by the clock of `zone`, by default the house's; its title is
    exact, in UTC.
    """
    if at is None:
        return "—"
    local = at.astimezone(zone or house_zone())
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        at.isoformat(),
        f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        f"{local:%d %b %H:%M:%S}" if seconds else f"{local:%d %b %H:%M}",
    )


def start_of(unit: str, at: datetime, zone: tzinfo) -> Func:
    """For a queryset: when the “day” or “hour” of this time began by the clock of `zone`."""
    values = (Value(unit), Value(at), Value(str(zone)))
    return Func(*values, function="date_trunc", output_field=DateTimeField())


def in_words(at: datetime, zone: ZoneInfo | None = None) -> str:
    """“30 Nov 14:05 GMT” by the clock of `zone`, by default the house's: for text that has no
    markup.
    """
    return f"{at.astimezone(zone or house_zone()):%d %b %H:%M %Z}"
