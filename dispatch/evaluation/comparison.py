"""Ways to dispatch beside each other on simulated days: in figures, as ratios, as a table. Pure."""

from collections.abc import Sequence

import numpy as np

from dispatch.whatif import day_figures, simulation
from dispatch.whatif.day_figures import ALL
from dispatch.whatif.simulation import Day, Outcome, Way
from fleet.feasibility.rules import Rules

# The days of each way, by its name; what the first of them did is what the others are held to.
Runs = dict[str, list[Outcome]]
# In minutes to the door, "all p50" to "MEDICAL p95" and "longest"; in percent "kept"; and "km".
Figures = dict[str, float]

GROUPS = (ALL, *simulation.PRIORITIES)


def run(
    day: Day, seeds: Sequence[int], rules: Rules, ways: Sequence[Way] = simulation.WAYS
) -> Runs:
    return {
        way.name: [simulation.simulate(day, seed, rules, way) for seed in seeds] for way in ways
    }


def figures(outcomes: list[Outcome]) -> Figures:
    """Of all orders of these days together; kilometres of a day on average."""
    minutes = np.concatenate([outcome.minutes for outcome in outcomes])
    kept = np.concatenate([outcome.kept for outcome in outcomes])
    priority = np.concatenate([outcome.priority for outcome in outcomes])
    groups = day_figures.by_priority(minutes, kept, priority.tolist())
    found: Figures = {}
    for name, of_group in groups.items():
        found[f"{name} p50"], found[f"{name} p95"] = of_group["median_min"], of_group["p95_min"]
    found["kept"] = groups[ALL]["kept_pct"]
    found["km"] = float(np.mean([outcome.drone_km for outcome in outcomes]))
    found["longest"] = groups[ALL]["longest_min"]
    return found


def ratios(of: Figures, base: Figures) -> Figures:
    return {name: of[name] / base[name] for name in of}


def worse(ratio: Figures, by: float) -> Figures:
    """The ratios that are worse than 1 by more than this; of promises kept, more is better."""
    return {
        name: value
        for name, value in ratio.items()
        if (1 / value if name == "kept" else value) > 1 + by
    }


def table(day: Day, runs: Runs) -> str:
    """Minutes to the door (median / 95 %), promises kept (%), kilometres, longest; and ratios."""
    seeds = len(next(iter(runs.values())))
    heads = "".join(f"{f'{group}, min':>16}" for group in GROUPS)
    held = f"{day.name}: {day.orders} orders, {day.drones} drones, {seeds} seeds"
    rows = [
        f"{held}; minutes to the door, median / 95 %",
        f"{'':24}{heads}{'kept, %':>9}{'km':>9}{'longest, min':>14}",
    ]
    base: Figures = {}
    for name, outcomes in runs.items():
        found = figures(outcomes)
        base = base or found
        rows += [_row(name, found, (1, 0)), _row("  ratio", ratios(found, base), (2, 2))]
    return "\n".join(rows)


def _row(name: str, of: Figures, digits: tuple[int, int]) -> str:
    """digits: after the point, of what is small and of what is large."""
    few, fewer = digits
    pairs = [f"{of[f'{group} p50']:.{few}f} / {of[f'{group} p95']:.{few}f}" for group in GROUPS]
    cells = "".join(f"{pair:>16}" for pair in pairs)
    return f"{name:24}{cells}{of['kept']:9.{few}f}{of['km']:9.{fewer}f}{of['longest']:14.{fewer}f}"
