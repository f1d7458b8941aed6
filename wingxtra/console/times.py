"""Times in the console: by the clock of a place, with UTC on hover."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from django.conf import settings
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
