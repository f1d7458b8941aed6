"""The plots of a report as shapes of an SVG picture. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dispatch.shift.figures import NOTHING, Figures, Key
from dispatch.shift.queue import Point
from dispatch.shift.spans import Span

# The box of a plot; the scale is left of it, the labels are below.
WIDTH, HEIGHT = 720.0, 140.0
LABELS_AT_MOST = 13


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle, by its numbers as SVG writes them; `series` is the number of its colour."""

    x: str
    y: str
    width: str
    height: str
    series: int
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline, by its points as SVG writes them."""

    points: str
    series: int


@dataclass(frozen=True, slots=True)
class Plot:
    """`keys`: the name of each series, in the order of their colours. `when_empty`: the sentence
    in place of a picture without data.
    """

    title: str
    keys: tuple[str, ...]
    scale: list[tuple[float, str]]
    labels: list[tuple[str, str]]
    summary: str
    bars: list[Bar]
    lines: list[Line]
    when_empty: str = ""


def of_orders(span: Span, by_slot: Mapping[Key, Figures]) -> Plot:
    """Stacked bars: kept, broken, open and canceled orders by the slot in which they started."""
    slots = span.slots
    figures = [by_slot.get(n, NOTHING) for n in range(len(slots))]
    top = round_top(max((one.orders for one in figures), default=0))
    width = WIDTH / len(slots)
    bars = []
    for n, one in enumerate(figures):
        title = f"{when(span, slots[n])}: {in_words(one)}"
        base = 0.0
        for series, count in enumerate((one.kept, one.broken, one.open, one.canceled), start=1):
            height = HEIGHT * count / top
            base += height
            if count:
                left = n * width + 1
                bars.append(_bar(left, HEIGHT - base, width - 2, height, series, title))
    total = sum(one.orders for one in figures)
    return Plot(
        title=f"Orders by {'hour' if span.by_hour else 'day'} of their start",
        keys=("promise kept", "broken", "not decided", "canceled"),
        scale=_scale(top),
        labels=_labels(span),
        summary="1 order" if total == 1 else f"{total} orders",
        bars=bars,
        lines=[],
        when_empty="" if total else "No order started in this time.",
    )


def of_times(span: Span, by_slot: Mapping[Key, Figures]) -> Plot:
    """Two lines: median and 95th percentile to the door, by slot. Others are left out."""
    slots = span.slots
    known = [(n, one) for n in range(len(slots)) if (one := by_slot.get(n, NOTHING)).delivered]
    top = round_top(max(((one.p95_s or 0) / 60 for _, one in known), default=0))
    width = WIDTH / len(slots)
    total = sum(one.delivered for _, one in known)
    lines, bars = [], []
    for series, name in enumerate(("median_s", "p95_s"), start=1):
        points = [
            (n * width + width / 2, HEIGHT - HEIGHT * getattr(one, name) / 60 / top)
            for n, one in known
        ]
        lines.append(Line(_points(points), series))
        for (n, one), (x, y) in zip(known, points, strict=True):
            title = (
                f"{when(span, slots[n])}: median {(one.median_s or 0) / 60:.0f} min, "
                f"95 % within {(one.p95_s or 0) / 60:.0f} min, of {one.delivered}"
            )
            bars.append(_bar(x - 3, y - 3, 6, 6, series, title))
    return Plot(
        title="Minutes to the door",
        keys=("median", "95 % within"),
        scale=_scale(top),
        labels=_labels(span),
        summary="1 delivery" if total == 1 else f"{total} deliveries",
        bars=bars,
        lines=lines,
        when_empty="" if known else "Nothing that started in this time is delivered yet.",
    )


def of_queue(span: Span, points: Sequence[Point]) -> Plot:
    """A step line: the orders that waited for a drone."""
    longest = max(points, key=lambda point: point.length)
    top = round_top(longest.length)
    start = span.start
    whole_s = (span.end - start).total_seconds()
    steps: list[tuple[float, float]] = []
    for point in points:
        x = WIDTH * (point.at - start).total_seconds() / whole_s
        y = HEIGHT - HEIGHT * point.length / top
        if steps:
            steps.append((x, steps[-1][1]))
        steps.append((x, y))
    summary = f"at most {longest.length}, at {when(span, longest.at, exact=True)}"
    return Plot(
        title="Orders that waited for a drone",
        keys=("in the queue",),
        scale=_scale(top),
        labels=_labels(span),
        summary=summary,
        bars=[],
        lines=[Line(_points(steps), 1)],
        when_empty="" if longest.length else "No order waited for a drone in this time.",
    )


def in_words(one: Figures) -> str:
    if not one.orders:
        return "no orders"
    parts = [
        f"{one.orders} {'order' if one.orders == 1 else 'orders'}",
        f"{one.kept} kept",
        f"{one.broken} broken",
    ]
    parts += [f"{one.open} not decided"] if one.open else []
    parts += [f"{one.canceled} canceled"] if one.canceled else []
    return ", ".join(parts)


def when(span: Span, at: datetime, *, exact: bool = False) -> str:
    """“14:00 (12:00 UTC)”, “3 Mar”, or exact “3 Mar 14:00 (12:00 UTC)”."""
    local = at.astimezone(span.zone)
    utc = f"({at.astimezone(UTC):%H:%M} UTC)"
    if span.by_hour:
        return f"{local:%H:%M} {utc}"
    return f"{local.day} {local:%b %H:%M} {utc}" if exact else span.label(at)


def round_top(highest: float) -> int:
    """The top of a scale: the next of 2, 4, 6, 10 or 20 times a power of ten."""
    steps = (step * 10**power for power in range(9) for step in (2, 4, 6, 10, 20))
    return next(step for step in steps if step >= highest)


def _scale(top: int) -> list[tuple[float, str]]:
    return [(HEIGHT * (1 - share), f"{top * share:g}") for share in (0, 0.5, 1)]


def _labels(span: Span) -> list[tuple[str, str]]:
    slots, start = span.slots, span.start
    every = -(-len(slots) // LABELS_AT_MOST)
    whole_s = (span.end - start).total_seconds()
    return [
        (f"{WIDTH * (at - start).total_seconds() / whole_s:.1f}", span.label(at))
        for at in slots[::every]
    ]


def _bar(x: float, y: float, width: float, height: float, series: int, title: str) -> Bar:
    # Written here: a template takes 60 µs for each number.
    return Bar(f"{x:.2f}", f"{y:.2f}", f"{width:.2f}", f"{height:.2f}", series, title)


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
