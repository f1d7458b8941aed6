"""Pairs of rows and columns, each used once at the most, with the highest sum of gains. Pure.

Pairs are sparse: whatever is not listed is forbidden. Two exact solvers, one for few cells and one
for many, and prices that prove what either of them found.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ortools.graph.python import min_cost_flow
from scipy.optimize import linear_sum_assignment

Ints = npt.NDArray[np.int64]

# The matrix is the faster one while it is small or well filled, and fits into memory (8 bytes a
# cell, three times).
SMALL_CELLS = 400_000
CELLS_PER_PAIR = 8
MOST_CELLS = 10_000_000
# What the flow solver can hold: its costs times the number of its nodes must stay well inside.
FLOW_LIMIT = 2.0**60


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The pairs (P,) sorted by row, then column, each once, with what each gains: above 0."""

    rows: int
    columns: int
    row: Ints
    column: Ints
    gain: Ints

    def __len__(self) -> int:
        return len(self.row)


def best(pairs: Pairs) -> Ints:
    """The indices of the pairs to choose, by row. The same pairs always give the same choice."""
    if not len(pairs):
        return np.empty(0, np.int64)
    cells = pairs.rows * pairs.columns
    dense = cells <= min(MOST_CELLS, max(SMALL_CELLS, CELLS_PER_PAIR * len(pairs)))
    return _by_matrix(pairs) if dense else _by_flow(pairs)


def _by_matrix(pairs: Pairs) -> Ints:
    pair = np.full((pairs.rows, pairs.columns), -1, np.int64)
    pair[pairs.row, pairs.column] = np.arange(len(pairs))
    gains = np.append(pairs.gain, 0)[pair]
    contenders = _contenders(gains)
    rows, columns = linear_sum_assignment(gains[contenders], maximize=True)
    found = pair[contenders[rows], columns]
    return found[found >= 0]


def _contenders(gains: Ints) -> Ints:
    """The rows that an optimal choice can do with, out of many more rows than columns.

    Of m columns each needs only its m best rows: the others take m - 1 of them at most, so one is
    always left that is as good as any row beyond.
    """
    columns = gains.shape[1]
    if len(gains) <= columns:
        return np.arange(len(gains))
    return np.unique(np.argpartition(gains, -columns, axis=0)[-columns:])


def _by_flow(pairs: Pairs) -> Ints:
    """The cheapest flow of one unit from every row, over a pair and its column or past them all."""
    rows, columns, sink = pairs.rows, pairs.columns, pairs.rows + pairs.columns
    past = np.arange(sink)
    tails = np.concatenate([pairs.row, past])
    heads = np.concatenate([pairs.column + rows, np.full(sink, sink)])
    costs = np.concatenate([-pairs.gain, np.zeros(sink, np.int64)])
    flow: Any = min_cost_flow.SimpleMinCostFlow()  # its stubs fit no array that NumPy makes
    flow.add_arcs_with_capacity_and_unit_cost(tails, heads, np.ones_like(costs), costs)
    supplies = np.concatenate([np.ones(rows), np.zeros(columns), [-rows]]).astype(np.int64)
    flow.set_nodes_supplies(np.arange(sink + 1), supplies)
    if (status := flow.solve()) != flow.OPTIMAL:
        raise ArithmeticError(f"the flow solver answered {status} for {rows} by {columns}")
    chosen: Ints = np.flatnonzero(flow.flows(np.arange(len(pairs))))
    return chosen


def prices(pairs: Pairs, chosen: Ints) -> tuple[Ints, Ints]:
    """Of rows and columns, so that no pair gains more than its two prices: a bound on any choice.

    They sum up to the gain of `chosen` when that is the best choice. They are then the lowest that
    columns can have. A column is worth at least what a row that goes without would gain by it, and
    what a row that has another would gain by it beyond what it has there. This is Bellman and
    Ford's way to the least such prices; it comes to rest unless there is a better choice.
    """
    column_price = np.zeros(pairs.columns + 1, np.int64)
    row_price = np.zeros(pairs.rows, np.int64)
    if not len(pairs):
        return row_price, column_price[:-1]
    nothing = pairs.columns  # the column, always free, of a row that goes without
    has = np.full(pairs.rows, nothing, np.int64)
    has[pairs.row[chosen]] = pairs.column[chosen]
    gained = np.zeros(pairs.rows, np.int64)
    gained[pairs.row[chosen]] = pairs.gain[chosen]

    by_column = np.argsort(pairs.column, kind="stable")
    row = pairs.row[by_column]
    wanted, starts = np.unique(pairs.column[by_column], return_index=True)
    beyond, instead_of = pairs.gain[by_column] - gained[row], has[row]
    for _ in range(len(chosen) + 1):
        before = column_price[wanted]
        drawn = np.maximum.reduceat(beyond + column_price[instead_of], starts)
        column_price[wanted] = np.maximum(before, drawn)
        if np.array_equal(column_price[wanted], before):
            break
    some, starts = np.unique(pairs.row, return_index=True)
    left = np.maximum.reduceat(pairs.gain - column_price[pairs.column], starts)
    row_price[some] = np.maximum(left, 0)
    return row_price, column_price[:-1]


def losses(pairs: Pairs, chosen: Ints) -> Ints:
    """What choosing each pair (P,) all the same would lose at the least; 0 for those chosen.

    Any prices bound the loss from below: a pair's two prices beyond its gain. The lowest prices of
    columns are exact where the column is free, those of rows where the row goes without.
    """
    row_price, column_price = prices(pairs, chosen)
    by_column = np.argsort(pairs.column, kind="stable")
    flipped = Pairs(
        pairs.columns,
        pairs.rows,
        pairs.column[by_column],
        pairs.row[by_column],
        pairs.gain[by_column],
    )
    is_chosen = np.zeros(len(pairs), bool)
    is_chosen[chosen] = True
    highest, lowest = prices(flipped, np.flatnonzero(is_chosen[by_column]))
    loss: Ints = np.maximum(
        row_price[pairs.row] + column_price[pairs.column],
        lowest[pairs.row] + highest[pairs.column],
    )
    return loss - pairs.gain


def cheapest(pairs: Pairs, dearness: npt.NDArray[np.float64], most: int) -> Ints:
    """For each row the indices (rows, most) of its least dear pairs, -1 after the last.

    A pair of infinite dearness is left out; of equal ones the first comes first.
    """
    found = np.full((pairs.rows, most), -1, np.int64)
    if not len(pairs):
        return found
    dearness = dearness.copy()
    _, starts, lengths = np.unique(pairs.row, return_index=True, return_counts=True)
    for place in range(most):
        least = np.repeat(np.minimum.reduceat(dearness, starts), lengths)
        at_least = np.flatnonzero((dearness == least) & np.isfinite(dearness))
        rows, first = np.unique(pairs.row[at_least], return_index=True)
        found[rows, place] = at_least[first]
        dearness[at_least[first]] = np.inf
    return found
