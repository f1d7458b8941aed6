"""Maximum-weight bipartite matching: each row and column at most once, highest total gain. Pure.

Pairs are sparse: a pair that is not listed is forbidden. There are two exact solvers, one for few
cells and one for many, and dual prices that prove their result.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ortools.graph.python import min_cost_flow
from scipy.optimize import linear_sum_assignment

Ints = npt.NDArray[np.int64]

# The matrix solver is faster while the matrix is small or dense. It must fit into memory (three
# arrays of 8 bytes per cell).
SMALL_CELLS = 400_000
CELLS_PER_PAIR = 8
MAX_CELLS = 10_000_000
# The flow solver overflows when the highest cost times the number of nodes exceeds this.
FLOW_LIMIT = 2.0**60


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Distinct pairs (P,), sorted by row, then column. Every gain is above 0."""

    rows: int
    columns: int
    row: Ints
    column: Ints
    gain: Ints

    def __len__(self) -> int:
        return len(self.row)


def best(pairs: Pairs) -> Ints:
    """The indices of the optimal pairs, by row. Deterministic."""
    if not len(pairs):
        return np.empty(0, np.int64)
    cells = pairs.rows * pairs.columns
    dense = cells <= min(MAX_CELLS, max(SMALL_CELLS, CELLS_PER_PAIR * len(pairs)))
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
    """The rows that suffice for an optimal choice when there are more rows than columns.

    Each of m columns needs only its m best rows: the other columns take at most m - 1 of them, so
    one of the m is free.
    """
    columns = gains.shape[1]
    if len(gains) <= columns:
        return np.arange(len(gains))
    return np.unique(np.argpartition(gains, -columns, axis=0)[-columns:])


def _by_flow(pairs: Pairs) -> Ints:
    """Minimum-cost flow: one unit from every row, by a pair and its column or directly to the
    sink.
    """
    rows, columns, sink = pairs.rows, pairs.columns, pairs.rows + pairs.columns
    tails = np.concatenate([pairs.row, np.arange(sink)])
    heads = np.concatenate([pairs.column + rows, np.full(sink, sink)])
    costs = np.concatenate([-pairs.gain, np.zeros(sink, np.int64)])
    flow: Any = min_cost_flow.SimpleMinCostFlow()  # its type stubs do not accept NumPy arrays
    flow.add_arcs_with_capacity_and_unit_cost(tails, heads, np.ones_like(costs), costs)
    supplies = np.concatenate([np.ones(rows), np.zeros(columns), [-rows]]).astype(np.int64)
    flow.set_nodes_supplies(np.arange(sink + 1), supplies)
    if (status := flow.solve()) != flow.OPTIMAL:
        raise ArithmeticError(f"the flow solver answered {status} for {rows} by {columns}")
    chosen: Ints = np.flatnonzero(flow.flows(np.arange(len(pairs))))
    return chosen


def prices(pairs: Pairs, chosen: Ints) -> tuple[Ints, Ints]:
    """Dual prices (rows, columns): no pair gains more than its two prices, so their sum bounds the
    gain of any choice.

    If `chosen` is optimal, their sum equals its gain, and the column prices are the lowest
    possible. A column's price is at least what an unmatched row would gain by it, and what a
    matched row would gain by changing to it, plus the price of its present column. Bellman-Ford
    finds the least such prices; it converges unless there is a better choice.
    """
    column_price = np.zeros(pairs.columns + 1, np.int64)
    row_price = np.zeros(pairs.rows, np.int64)
    if not len(pairs):
        return row_price, column_price[:-1]
    unmatched = pairs.columns  # a dummy column of price 0
    has = np.full(pairs.rows, unmatched, np.int64)
    has[pairs.row[chosen]] = pairs.column[chosen]
    gained = np.zeros(pairs.rows, np.int64)
    gained[pairs.row[chosen]] = pairs.gain[chosen]

    by_column = np.argsort(pairs.column, kind="stable")
    row = pairs.row[by_column]
    columns, starts = np.unique(pairs.column[by_column], return_index=True)
    extra_gain, present = pairs.gain[by_column] - gained[row], has[row]
    for _ in range(len(chosen) + 1):
        before = column_price[columns]
        offered = np.maximum.reduceat(extra_gain + column_price[present], starts)
        column_price[columns] = np.maximum(before, offered)
        if np.array_equal(column_price[columns], before):
            break
    rows, starts = np.unique(pairs.row, return_index=True)
    left = np.maximum.reduceat(pairs.gain - column_price[pairs.column], starts)
    row_price[rows] = np.maximum(left, 0)
    return row_price, column_price[:-1]


def losses(pairs: Pairs, chosen: Ints) -> Ints:
    """A lower bound of the loss when each pair (P,) is forced into the choice; 0 for chosen pairs.

    With any dual prices the bound is the pair's two prices minus its gain. The prices with the
    lowest column prices make it exact for free columns, those with the lowest row prices for
    unmatched rows; the result is the higher of the two.
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


def cheapest(pairs: Pairs, cost: npt.NDArray[np.float64], count: int) -> Ints:
    """The indices (rows, count) of each row's cheapest pairs, -1 after the last.

    Pairs of infinite cost are left out. Pairs of equal cost keep their order.
    """
    found = np.full((pairs.rows, count), -1, np.int64)
    if not len(pairs):
        return found
    cost = cost.copy()
    _, starts, lengths = np.unique(pairs.row, return_index=True, return_counts=True)
    for place in range(count):
        least = np.repeat(np.minimum.reduceat(cost, starts), lengths)
        at_least = np.flatnonzero((cost == least) & np.isfinite(cost))
        rows, first = np.unique(pairs.row[at_least], return_index=True)
        found[rows, place] = at_least[first]
        cost[at_least[first]] = np.inf
    return found
