"""Maximum-weight bipartite matching: each row and column at most once, highest total gain. Pure.

Pairs are sparse: a pair that is not listed is forbidden. Where they are many, a few candidates of
each row are solved, and prices prove the result against all pairs. A pair that gains more than its
prices becomes a candidate, and the rest is solved again. So the result is exact for all pairs.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

Ints = npt.NDArray[np.int64]

# Up to this many pairs, all are candidates; and up to MANY_PAIRS where fewer than DENSE of the
# cells have a pair: there the best of each row are often the same few columns.
FEW_PAIRS = 50_000
MANY_PAIRS = 3_000_000
DENSE = 0.25
# The number of each row's best pairs that are candidates from the start.
BEST_OF_ROW = 16
# The number of cells that are sorted at once.
BLOCK_CELLS = 1_000_000


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

    def take(self, index: Ints) -> "Pairs":
        """The pairs at these ascending indices."""
        return Pairs(self.rows, self.columns, self.row[index], self.column[index], self.gain[index])


class Prices(NamedTuple):
    """Dual prices (rows,) and (columns,): none is negative, and no pair gains more than its two
    prices. So their sum bounds the gain of any choice.
    """

    row: Ints
    column: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """The best choice with its proof.

    chosen: the indices of the pairs, by row. prices: of all prices that prove the choice those with
    the lowest column prices; others: those with the lowest row prices. candidates: ascending
    indices of pairs, each row's BEST_OF_ROW best among them.
    """

    chosen: Ints
    prices: Prices
    others: Prices
    candidates: Ints


def best(pairs: Pairs) -> Best:
    """The choice of the highest total gain. Deterministic.

    The prices do not come from the solver: if it were wrong, their sum would exceed the gain.
    """
    candidates = _first_candidates(pairs)
    while True:
        few = pairs.take(candidates)
        found = solved(few)
        prices = lowest_column_prices(few, found)
        if not len(against := _contradicting(pairs, prices)):
            break
        candidates = np.sort(np.concatenate([candidates, against]))
    chosen = candidates[found]
    while True:
        few = pairs.take(candidates)
        others = lowest_row_prices(few, np.searchsorted(candidates, chosen))
        if not len(against := _contradicting(pairs, others)):
            break
        candidates = np.sort(np.concatenate([candidates, against]))
    return Best(chosen, prices, others, candidates)


# --- candidates ----------------------------------------------------------------------------------


def _first_candidates(pairs: Pairs) -> Ints:
    """Ascending indices."""
    sparse = len(pairs) < DENSE * pairs.rows * pairs.columns
    if len(pairs) <= (MANY_PAIRS if sparse else FEW_PAIRS):
        return np.arange(len(pairs))
    return _best_of_each_row(pairs.row, pairs.gain, BEST_OF_ROW)


def _contradicting(pairs: Pairs, prices: Prices) -> Ints:
    """Ascending indices of pairs that gain more than their prices: all, or the worst of each row if
    they are many.
    """
    found, excess = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start in range(0, len(pairs), BLOCK_CELLS):
        block = slice(start, start + BLOCK_CELLS)
        more = pairs.gain[block] - prices.column[pairs.column[block]]
        more -= prices.row[pairs.row[block]]
        found.append(start + np.flatnonzero(more > 0))
        excess.append(more[more > 0])
    against = np.concatenate(found)
    if len(against) <= pairs.rows:
        return against
    return against[_best_of_each_row(pairs.row[against], np.concatenate(excess), BEST_OF_ROW)]


def _best_of_each_row(row: Ints, value: Ints, count: int) -> Ints:
    """Ascending indices of the `count` highest values of each row. row: ascending.

    Chance decides between equal values: rows that gain the same from many columns must not all get
    the same few.
    """
    random = np.random.default_rng(0)
    length = np.bincount(row)
    start = np.cumsum(length) - length
    by_length = np.argsort(length, kind="stable")
    found = [np.empty(0, np.int64)]
    while len(by_length) and (width := length[by_length[-1]]):
        block = by_length[-max(1, BLOCK_CELLS // width) :]
        by_length = by_length[: -len(block)]
        place = np.arange(width)
        cell = start[block][:, None] + place
        filled = place < length[block][:, None]
        if width > count:
            values = value.take(cell, mode="clip") + random.random(cell.shape, np.float32)
            values[~filled] = -np.inf
            best = np.argpartition(values, -count, axis=1)[:, -count:]
            cell = np.take_along_axis(cell, best, axis=1)
            filled = np.take_along_axis(filled, best, axis=1)
        found.append(cell[filled])
    return np.sort(np.concatenate(found))


# --- the solver ----------------------------------------------------------------------------------


def solved(pairs: Pairs) -> Ints:
    """The indices of the best choice of these pairs, by row.

    The solver matches all of one side. So each of the smaller side gets a dummy of gain 0.
    """
    if not len(pairs):
        return np.empty(0, np.int64)
    few, many = pairs.row, pairs.column
    few_count, many_count = pairs.rows, pairs.columns
    if many_count < few_count:
        few, many, few_count, many_count = many, few, many_count, few_count
    dummy = np.arange(few_count)
    highest = pairs.gain.max() + 1
    costs = np.concatenate([highest - pairs.gain, np.full(few_count, highest)]).astype(float)
    cells = np.concatenate([few, dummy]), np.concatenate([many, many_count + dummy])
    matrix = csr_array((costs, cells), shape=(few_count, many_count + few_count))
    few_found, many_found = min_weight_full_bipartite_matching(matrix)
    partner = np.full(few_count, -1)
    partner[few_found] = many_found
    return np.flatnonzero(partner[few] == many)


# --- prices --------------------------------------------------------------------------------------


def lowest_column_prices(pairs: Pairs, chosen: Ints) -> Prices:
    """The dual prices of these pairs with the lowest column prices. If `chosen` is the best choice,
    the sum of all prices equals its gain.

    A column's price is at least what an unmatched row would gain by it, and what a matched row
    would gain by changing to it, plus the price of its present column. Bellman-Ford finds the least
    such prices; it converges unless there is a better choice.
    """
    column_price = np.zeros(pairs.columns + 1, np.int64)
    row_price = np.zeros(pairs.rows, np.int64)
    if not len(pairs):
        return Prices(row_price, column_price[:-1])
    unmatched = pairs.columns  # a dummy column of price 0
    has = np.full(pairs.rows, unmatched, np.int64)
    has[pairs.row[chosen]] = pairs.column[chosen]
    gained = np.zeros(pairs.rows, np.int64)
    gained[pairs.row[chosen]] = pairs.gain[chosen]

    by_column = np.argsort(pairs.column, kind="stable")
    row = pairs.row[by_column]
    columns, starts = _groups(pairs.column[by_column])
    extra_gain, present = pairs.gain[by_column] - gained[row], has[row]
    for _ in range(len(chosen) + 1):
        before = column_price[columns]
        offered = np.maximum.reduceat(extra_gain + column_price[present], starts)
        column_price[columns] = np.maximum(before, offered)
        if np.array_equal(column_price[columns], before):
            break
    rows, starts = _groups(pairs.row)
    left = np.maximum.reduceat(pairs.gain - column_price[pairs.column], starts)
    row_price[rows] = np.maximum(left, 0)
    return Prices(row_price, column_price[:-1])


def _groups(ascending: Ints) -> tuple[Ints, Ints]:
    """The distinct values of a sorted, not empty column, and the index of the first of each."""
    starts = np.append(0, 1 + np.flatnonzero(np.diff(ascending)))
    return ascending[starts], starts


def lowest_row_prices(pairs: Pairs, chosen: Ints) -> Prices:
    """The same with the lowest row prices."""
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
    column, row = lowest_column_prices(flipped, np.flatnonzero(is_chosen[by_column]))
    return Prices(row, column)


def losses(pairs: Pairs, found: Best, index: Ints) -> Ints:
    """A lower bound of the loss when each of these pairs is forced into the choice; 0 for chosen
    ones.

    With any dual prices the bound is the pair's two prices minus its gain. The prices with the
    lowest column prices make it exact for free columns, those with the lowest row prices for
    unmatched rows; the result is the higher of the two.
    """
    row, column = pairs.row[index], pairs.column[index]
    loss: Ints = np.maximum(
        found.prices.row[row] + found.prices.column[column],
        found.others.row[row] + found.others.column[column],
    )
    return loss - pairs.gain[index]


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
