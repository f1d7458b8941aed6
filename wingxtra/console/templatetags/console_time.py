"""`{{ at|moment }}` or `{{ at|moment:zone }}`: a local time with UTC on hover."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django import template
from django.utils.safestring import SafeString

from wingxtra.console import times

register = template.Library()


@register.filter
def moment(at: datetime | None, zone: ZoneInfo | None = None) -> SafeString | str:
    return times.moment(at, zone=zone)
