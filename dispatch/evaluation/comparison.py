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
# Minutes to the door: "all p50", "all p95", "all mean" to "MEDICAL mean", "longest". Percent: "all
# kept" to "MEDICAL kept". Kilometres: "km".
Figures = dict[str, float]

GROUPS = (ALL, *PRIORITIES)
# The figures of each group, and their names in `day_figures.Figures`.
COLUMNS = {"p50": "median_min", "p95": "p95_min", "mean": "mean_min", "kept": "kept_pct"}


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
    for group, of_group in groups.items():
        for name, key in COLUMNS.items():
            found[f"{group} {name}"] = of_group[key]
    found["km"] = float(np.mean([outcome.drone_km for outcome in outcomes]))
    found["longest"] = groups[ALL]["longest_min"]
    return found


def ratios(of: Figures, base: Figures) -> Figures:
    """Infinite for a figure that is 0 in the base only, 1 if it is 0 in both."""
    return {name: _ratio(of[name], base[name]) for name in of}


def _ratio(one: float, base: float) -> float:
    if base:
        return one / base
    return np.inf if one else 1.0


def worse(ratio: Figures, by: float) -> Figures:
    """The ratios that are worse than 1 by more than this. Higher is better only for "kept"."""
    return {
        name: value
        for name, value in ratio.items()
        if (value < 1 / (1 + by) if name.endswith("kept") else value > 1 + by)
    }


def worse_on_a_day(of: list[Outcome], base: list[Outcome], by: float) -> list[Figures]:
    """For each day, the ratios that are worse than 1 by more than this."""
    return [
        worse(ratios(figures([one]), figures([other])), by)
        for one, other in zip(of, base, strict=True)
    ]


def table(day: Day, runs: Runs) -> str:
    """Text: minutes to the door (median, 95 %, mean) and kept promises of each group, km and
    longest; and ratios.
    """
    seeds = len(next(iter(runs.values())))
    heads = "".join(f"{group:>29}" for group in GROUPS)
    title = f"{day.name}: {day.orders} orders, {day.drones} drones, {seeds} seeds"
    network = ", landing at the best hub" if day.network else ""
    rows = [
        f"{title}{network}; minutes to the door (median / 95 % / mean) / promises kept in %",
        f"{'':26}{heads}{'km':>9}{'longest':>9}",
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
    cells = ""
    for group in GROUPS:
        minutes = " / ".join(f"{of[f'{group} {column}']:.{few}f}" for column in COLUMNS)
        cells += f"{minutes:>29}"
    return f"{name:26}{cells}{of['km']:9.{fewer}f}{of['longest']:9.{fewer}f}"
