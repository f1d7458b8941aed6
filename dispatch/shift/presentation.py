"""A report in words."""

from datetime import timedelta
from typing import Any

from dispatch.shift.report import Report, Row
from dispatch.shift.spans import Span
from wingxtra.console.admin import duration


def zone_words(span: Span) -> str:
    """The clock, and the length of a day that has not 24 hours."""
    words = f"by the clock of {span.zone.key}"
    if span.by_hour and span.hours != 24:
        return f"{words}; this day has {span.hours:g} hours"
    return words


def shown(row: Row) -> dict[str, Any]:
    """A row of a table, with texts for what is known."""
    one, flown = row.orders, row.flights
    return {
        "name": row.name,
        "orders": one,
        "flights": flown,
        "kept": "" if one.kept_pct is None else _pct(one.kept_pct),
        "median": _minutes(one.median_s),
        "p95": _minutes(one.p95_s),
        "air": duration(timedelta(seconds=flown.air_s)),
        "battery": _pct(flown.battery_pct or 0.0),
    }


def sentences(report: Report) -> list[str]:
    """The whole span in words. What has no data is said, and is no figure."""
    return [_orders(report), _promises(report), _times(report), _flown(report)]


def _orders(report: Report) -> str:
    one = report.whole.orders
    if not one.orders:
        return "No order started in this time."
    text = f"{_counted(one.orders, 'order')}: {one.delivered} delivered"
    text += f", {one.failed} failed, {one.canceled} canceled"
    still = one.orders - one.delivered - one.failed - one.canceled
    return text + (f", {still} not over yet." if still else ".")


def _promises(report: Report) -> str:
    one = report.whole.orders
    if one.kept_pct is None:
        return "No promise has been decided yet."
    text = f"{one.kept} of {_counted(one.decided, 'promise')} kept ({_pct(one.kept_pct)})"
    return text + (f"; {one.open} not decided yet." if one.open else ".")


def _times(report: Report) -> str:
    one = report.whole.orders
    if one.median_s is None or one.p95_s is None:
        return "Nothing has been delivered, so there is no time to the door."
    return f"To the door: median {_minutes(one.median_s)}, 95 % within {_minutes(one.p95_s)}."


def _flown(report: Report) -> str:
    flown = report.whole.flights
    if not flown.flights:
        return "No drone took off with an order in this time."
    air = duration(timedelta(seconds=flown.air_s))
    text = f"{_counted(flown.flights, 'flight')} with {air} in the air. "
    if flown.battery_pct is None:
        return text + "Their use of battery was not measured."
    each = flown.battery_pct / flown.metered
    of_all = f"measured on {flown.metered} of {flown.flights}"
    return text + f"To the door each used {_pct(each)} of its battery on average ({of_all})."


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _minutes(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds / 60:.1f} min"


def _pct(value: float) -> str:
    """To whole percent; never 100 for less, nor 0 for more."""
    whole = round(value)
    if (whole == 100 and value < 100) or (whole == 0 and value > 0):
        return f"{value:.2g} %" if value < 1 else f"{int(value * 10) / 10:g} %"
    return f"{whole} %"
