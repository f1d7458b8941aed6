"""A what-if as text and table rows: the change, its effect, and whether it is better. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from dispatch.models import WhatIf
from dispatch.whatif.day_figures import ALL
from fleet.console.policy_form import LABELS, changes_in_words, in_words
from fleet.feasibility.rules import Priority
from wingxtra.console.admin import duration
from wingxtra.console.registry import Tone

STATE_TONE: dict[str, Tone] = {
    WhatIf.State.QUEUED: Tone.IDLE,
    WhatIf.State.RUNNING: Tone.BUSY,
    WhatIf.State.DONE: Tone.GOOD,
    WhatIf.State.FAILED: Tone.BAD,
}
NOTHING = "—"
GROUPS = {
    ALL: "All orders",
    Priority.MEDICAL: "Medical",
    Priority.URGENT: "Urgent",
    Priority.NORMAL: "Normal",
}


@dataclass(frozen=True, slots=True)
class Difference:
    text: str = ""
    tone: Tone = Tone.IDLE


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: simulated as it is, simulated with the change, and on the real day."""

    label: str
    now: str
    then: str
    real: str = NOTHING
    difference: Difference = Difference()


# --- the change ----------------------------------------------------------------------------------


def changed(what_if: WhatIf) -> list[str]:
    """“2 more drones at Hub A (Courier)”, “Detour factor: 1.15 → 1.2”."""
    kind = f" ({what_if.kind})" if what_if.kind else ""
    drones = [f"{_drones(what_if)}{kind}"] if what_if.more_drones else []
    return drones + changes_in_words(what_if.changes)


def _drones(what_if: WhatIf) -> str:
    count = abs(what_if.more_drones)
    more = "more" if what_if.more_drones > 0 else "fewer"
    return f"{count} {more} drone{_s(count)} at {what_if.hub or 'a hub that was deleted'}"


def _with(what_if: WhatIf) -> str:
    parts = [_drones(what_if)] if what_if.more_drones else []
    if len(what_if.changes) == 1:
        ((name, (before, after)),) = what_if.changes.items()
        label = LABELS.get(name, name)
        parts.append(f"“{label}” at {in_words(name, after)} instead of {in_words(name, before)}")
    elif what_if.changes:
        parts.append(f"{len(what_if.changes)} changed rules")
    return " and ".join(parts)


# --- the effect ----------------------------------------------------------------------------------


def headline(what_if: WhatIf) -> str:
    """The change and the answer in one sentence; "" until there are results."""
    text = answer(what_if)
    return f"With {_with(what_if)}: {text}" if text else ""


def answer(what_if: WhatIf) -> str:
    """“95 in 100 orders within 31 min instead of 44 min, 96 % of promises kept instead of 88 %.”"""
    if not what_if.results:
        return ""
    now, then = what_if.results["now"], what_if.results["then"]
    before, after = now["orders"][ALL], then["orders"][ALL]
    within = _instead(_minutes(before["p95_min"]), _minutes(after["p95_min"]))
    kept = _instead(_percent(before["kept_pct"]), _percent(after["kept_pct"]), "of promises kept")
    text = f"95 in 100 orders within {within}, {kept}."
    if lost := then["unflyable"] - now["unflyable"]:
        more = "more" if lost > 0 else "fewer"
        text += f" {abs(lost):,} {more} order{_s(abs(lost))} that no drone can fly."
    return text


def _instead(before: str, after: str, of: str = "") -> str:
    text = f"{after} {of}".strip()
    return f"{text} as before" if before == after else f"{text} instead of {before}"


def tone(what_if: WhatIf) -> Tone:
    """GOOD or BAD by the first that differs: unflyable orders, kept promises, 95th percentile."""
    if not what_if.results:
        return STATE_TONE[what_if.state]
    now, then = (what_if.results[side] for side in ("now", "then"))
    before, after = now["orders"][ALL], then["orders"][ALL]
    for less in (
        then["unflyable"] - now["unflyable"],
        round(before["kept_pct"]) - round(after["kept_pct"]),
        round(after["p95_min"] or 0) - round(before["p95_min"] or 0),
    ):
        if less:
            return Tone.BAD if less > 0 else Tone.GOOD
    return Tone.IDLE


def groups(results: dict[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    """The comparison: a title and its rows."""
    now, then, real = results["now"]["orders"], results["then"]["orders"], results["real"]
    for name, title in GROUPS.items():
        # With a single priority its group equals that of all orders.
        if name == ALL or (name in now and now[name]["orders"] < now[ALL]["orders"]):
            count = now[name]["orders"]
            yield f"{title} ({count:,})", _rows(now[name], then[name], real.get(name))
    yield "The fleet", list(_fleet_rows(results["now"], results["then"]))


def _rows(now: dict[str, Any], then: dict[str, Any], real: dict[str, Any] | None) -> list[Row]:
    real_figures = real or {}
    times = {
        "median_min": "Half within",
        "p95_min": "95 in 100 within",
        "longest_min": "Longest",
    }
    rows = [
        _row(label, now[name], then[name], _minutes, "later", "sooner", real_figures.get(name))
        for name, label in times.items()
    ]
    kept = _row("Promises kept", now["kept_pct"], then["kept_pct"], _percent, "", "")
    difference = _compared(-now["kept_pct"], -then["kept_pct"], _points, "less", "more")
    real_pct = _percent(real_figures.get("kept_pct"))
    rows.append(replace(kept, real=real_pct, difference=difference))
    never = now["orders"] - now["delivered"], then["orders"] - then["delivered"]
    if any(never):
        rows.append(_row("Not at the door a day later", *never, _count, "more", "fewer"))
    return rows


def _fleet_rows(now: dict[str, Any], then: dict[str, Any]) -> Iterator[Row]:
    more = then["drones"] - now["drones"]
    drones = Row("Drones", _count(now["drones"]), _count(then["drones"]))
    difference = f"{_count(abs(more))} {'more' if more > 0 else 'fewer'}" if more else ""
    yield replace(drones, difference=Difference(difference))
    yield _row("Flown by drones", now["drone_km"], then["drone_km"], _km, "more", "less")
    if now["unflyable"] or then["unflyable"]:
        lost = now["unflyable"], then["unflyable"]
        yield _row("Orders that no drone can fly", *lost, _count, "more", "fewer")


def _row(
    label: str,
    now: float | None,
    then: float | None,
    unit: Callable[[float | None], str],
    worse: str,
    better: str,
    real: float | None = None,
) -> Row:
    difference = _compared(now, then, unit, worse, better)
    return Row(label, unit(now), unit(then), unit(real), difference)


def _compared(
    now: float | None,
    then: float | None,
    unit: Callable[[float | None], str],
    worse: str,
    better: str,
) -> Difference:
    """“2.1 min sooner”; less is better. Empty if a value is missing."""
    if now is None or then is None:
        return Difference()
    if unit(now) == unit(then):
        return Difference("the same")
    if unit is _minutes:
        now, then = _shown_min(now), _shown_min(then)
    is_worse = then > now
    text = f"{unit(abs(then - now))} {worse if is_worse else better}"
    return Difference(text, Tone.BAD if is_worse else Tone.GOOD)


def notes(results: dict[str, Any]) -> list[str]:
    """Explanations below the figures: which orders, and what is not simulated."""
    flown, in_the_day = results["now"]["orders"][ALL]["orders"], results["in_the_day"]
    real = results["real"].get(ALL)
    lines = [f"Both sides fly the same {flown:,} orders with flights as long as estimated."]
    if left := in_the_day - flown:
        lines.append(
            f"{left:,} order{_s(left)} that no drone could fly, as it is or with the change, "
            f"{'is' if left == 1 else 'are'} left out."
        )
    lines.append(
        f"On the real day, {real['orders']:,} of {in_the_day:,} orders were delivered."
        if real
        else "On the real day nothing was delivered, so there is nothing to compare with."
    )
    lines.append(
        "Not simulated: wind, limits of launches at hubs, and what people do by hand. Drones that "
        "are grounded now do not fly."
    )
    return lines


# --- units ---------------------------------------------------------------------------------------


def _minutes(minutes: float | None) -> str:
    if minutes is None:
        return NOTHING
    shown_min = _shown_min(minutes)
    return f"{shown_min:.1f} min" if shown_min < 20 else duration(timedelta(minutes=shown_min))


def _shown_min(minutes: float) -> float:
    """Rounded as it is shown, so that differences match the shown figures."""
    return round(minutes, 1) if minutes < 20 else round(minutes)


def _percent(pct: float | None) -> str:
    """Shows 100 % only for exactly 100."""
    if pct is None:
        return NOTHING
    return f"{pct:.0f} %" if pct == 100 or pct < 99 else f"{min(pct, 99.9):.1f} %"


def _points(pct: float | None) -> str:
    return NOTHING if pct is None else f"{abs(pct):.1f} points"


def _km(km: float | None) -> str:
    return NOTHING if km is None else f"{km:,.0f} km"


def _count(count: float | None) -> str:
    return NOTHING if count is None else f"{count:,.0f}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"
