"""Simulated days as a picture (SVG): what share of the orders was at the door after how long."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from django.template.loader import render_to_string

from dispatch.evaluation.comparison import Runs
from dispatch.whatif.simulation import FIRST_COME, PLANNED, Day

# The box of one panel in its own coordinates, and what separates one panel's from the next one's.
WIDTH, HEIGHT = 320.0, 170.0
STEP_X, STEP_Y = 390.0, 250.0
COLUMNS = 2
TICKS_MIN = (5, 10, 20, 60, 120, 300, 600)
TICKS_PCT = (0, 25, 50, 75, 95)
SHARES_PCT = np.linspace(0, 100, 101)
# Class in the picture, the way, and the orders.
CURVES = (
    ("first all", FIRST_COME, "all"),
    ("first medical", FIRST_COME, "MEDICAL"),
    ("plan all", PLANNED, "all"),
    ("plan medical", PLANNED, "MEDICAL"),
)


@dataclass(frozen=True, slots=True)
class Panel:
    """left, top: where its box begins. curves: (class, points) of each."""

    left: float
    top: float
    title: str
    curves: list[tuple[str, str]]


def svg(compared: Iterable[tuple[Day, Runs]]) -> str:
    """First come and the plan, for all orders and for the MEDICAL ones, a panel a day."""
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
        curves=[(css, _points(runs, way.name, of)) for css, way, of in CURVES],
    )


def _points(runs: Runs, way: str, group: str) -> str:
    minutes = np.concatenate([o.minutes for o in runs[way]])
    priority = np.concatenate([o.priority for o in runs[way]])
    after_min = np.percentile(minutes[(priority == group) | (group == "all")], SHARES_PCT)
    pairs = zip(after_min, SHARES_PCT, strict=True)
    return " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in pairs)


def _x(minutes: float) -> float:
    """On a logarithmic scale; what is beyond it stays at its ends."""
    low, high = np.log(TICKS_MIN[0]), np.log(TICKS_MIN[-1])
    return float(WIDTH * np.clip((np.log(minutes) - low) / (high - low), 0, 1))


def _y(share_pct: float) -> float:
    return HEIGHT * (1 - share_pct / 100)
