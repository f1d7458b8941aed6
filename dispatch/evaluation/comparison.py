"""Compares dispatch strategies on simulated days: figures, ratios and a text table. Pure."""

from collections.abc import Sequence

import numpy as np

from dispatch.whatif import day_figures, simulation
from dispatch.whatif.city import PRIORITIES, Day
from dispatch.whatif.day_figures import ALL
from dispatch.whatif.simulation import Outcome
from dispatch.whatif.strategies import STRATEGIES, Strategy
from fleet.feasibility.rules import Rules

# The outcomes of each strategy, by its name. The first strategy is the base of the ratios.
Runs = dict[str, list[Outcome]]
# Minutes to the door: "all p50" to "MEDICAL p95", "longest". Percent: "kept". Kilometres: "km".
Figures = dict[str, float]

GROUPS = (ALL, *PRIORITIES)


def run(
    day: Day,
    seeds: Sequence[int],
    rules: Rules,
    strategies: Sequence[Strategy] = STRATEGIES,
) -> Runs:
    return {
        strategy.name: [simulation.simulate(day, seed, rules, strategy) for seed in seeds]
        for strategy in strategies
    }


def figures(outcomes: list[Outcome]) -> Figures:
    """The figures of all orders of these days together. "km" is the average per day."""
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
    """The ratios that are worse than 1 by more than this. Higher is better only for "kept"."""
    return {
        name: value
        for name, value in ratio.items()
        if (1 / value if name == "kept" else value) > 1 + by
    }


def table(day: Day, runs: Runs) -> str:
    """Text: minutes to the door (median / 95 %), kept promises (%), km, longest; and ratios."""
    seeds = len(next(iter(runs.values())))
    heads = "".join(f"{f'{group}, min':>16}" for group in GROUPS)
    title = f"{day.name}: {day.orders} orders, {day.drones} drones, {seeds} seeds"
    rows = [
        f"{title}; minutes to the door, median / 95 %",
        f"{'':24}{heads}{'kept, %':>9}{'km':>9}{'longest, min':>14}",
    ]
    base: Figures = {}
    for name, outcomes in runs.items():
        found = figures(outcomes)
        base = base or found
        rows += [_row(name, found, (1, 0)), _row("  ratio", ratios(found, base), (2, 2))]
    return "\n".join(rows)


def _row(name: str, of: Figures, digits: tuple[int, int]) -> str:
    """digits: decimals of small and of large values."""
    few, fewer = digits
    pairs = [f"{of[f'{group} p50']:.{few}f} / {of[f'{group} p95']:.{few}f}" for group in GROUPS]
    cells = "".join(f"{pair:>16}" for pair in pairs)
    return f"{name:24}{cells}{of['kept']:9.{few}f}{of['km']:9.{fewer}f}{of['longest']:14.{fewer}f}"
