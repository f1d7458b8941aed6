"""A chart (SVG) of simulated days: the share of orders at the door by minutes."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from django.template.loader import render_to_string

from dispatch.evaluation.comparison import Runs
from dispatch.whatif.city import Day
from dispatch.whatif.strategies import FIRST_COME, PLANNED

# The size of a panel's box, and the distance between panels.
WIDTH, HEIGHT = 320.0, 170.0
STEP_X, STEP_Y = 390.0, 250.0
COLUMNS = 2
TICKS_MIN = (5, 10, 20, 60, 120, 300, 600)
TICKS_PCT = (0, 25, 50, 75, 95)
SHARES_PCT = np.linspace(0, 100, 101)
# CSS class, strategy, and group of orders.
CURVES = (
    ("first all", FIRST_COME, "all"),
    ("first medical", FIRST_COME, "MEDICAL"),
    ("plan all", PLANNED, "all"),
    ("plan medical", PLANNED, "MEDICAL"),
)


@dataclass(frozen=True, slots=True)
class Panel:
    """left, top: the corner of its box. curves: (CSS class, points)."""

    left: float
    top: float
    title: str
    curves: list[tuple[str, str]]


def svg(compared: Iterable[tuple[Day, Runs]]) -> str:
    """One panel per day: first come and the plan, for all orders and for MEDICAL ones."""
    panels = [_panel(i, day, runs) for i, (day, runs) in enumerate(compared)]
    rows = -(-len(panels) // COLUMNS)
    return render_to_string(
        "dispatch/days.svg",
        {
            "panels": panels,
            "width": WIDTH,
            "height": HEIGHT,
            "whole_height": 80 + rows * STEP_Y,
            "ticks_x": [(f"{_x(tick):.1f}", tick) for tick in TICKS_MIN],
            "ticks_y": [(f"{_y(tick):.1f}", tick) for tick in TICKS_PCT],
        },
    )


def _panel(i: int, day: Day, runs: Runs) -> Panel:
    row, column = divmod(i, COLUMNS)
    return Panel(
        left=60 + column * STEP_X,
        top=100 + row * STEP_Y,
        title=f"{day.name}, {day.orders:,} orders",
        curves=[(css, _points(runs, strategy.name, group)) for css, strategy, group in CURVES],
    )


def _points(runs: Runs, strategy: str, group: str) -> str:
    minutes = np.concatenate([o.minutes for o in runs[strategy]])
    priority = np.concatenate([o.priority for o in runs[strategy]])
    after_min = np.percentile(minutes[(priority == group) | (group == "all")], SHARES_PCT)
    pairs = zip(after_min, SHARES_PCT, strict=True)
    return " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in pairs)


def _x(minutes: float) -> float:
    """The logarithmic x coordinate, clipped to the box."""
    low, high = np.log(TICKS_MIN[0]), np.log(TICKS_MIN[-1])
    return float(WIDTH * np.clip((np.log(minutes) - low) / (high - low), 0, 1))


def _y(share_pct: float) -> float:
    return HEIGHT * (1 - share_pct / 100)
