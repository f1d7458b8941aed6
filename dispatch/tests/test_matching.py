"""Both solvers find an optimal matching of any shape, and the prices prove it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.planning import matching
from dispatch.planning.matching import Pairs


def pairs_of(seed: int, rows: int, columns: int, share: float, most: int) -> Pairs:
    random = np.random.default_rng(seed)
    row, column = np.nonzero(random.random((rows, columns)) < share)
    return Pairs(rows, columns, row, column, random.integers(1, most + 1, len(row)))


def total(pairs: Pairs, chosen: np.ndarray) -> int:
    """The gain of a choice. Asserts that it uses no row and no column twice."""
    assert len(set(pairs.row[chosen])) == len(set(pairs.column[chosen])) == len(chosen)
    return int(pairs.gain[chosen].sum())


SHAPES = [(30, 8), (8, 30), (20, 20), (60, 15), (40, 40), (1, 30), (30, 1)]


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.2, 0.6, 1.0])
@pytest.mark.parametrize("most", [1, 3, 10**6, 10**15])
def test_both_solvers_gain_the_same_and_the_prices_prove_it(rows, columns, share, most):
    """`most` is the highest gain: with 1 all gains are equal, with 3 there are many ties."""
    for seed in range(3):
        pairs = pairs_of(seed, rows, columns, share, most)
        if not len(pairs):
            assert matching.best(pairs).tolist() == []
            continue
        by_matrix, by_flow = matching._by_matrix(pairs), matching._by_flow(pairs)
        assert total(pairs, by_matrix) == total(pairs, by_flow)
        for chosen in (by_matrix, by_flow):
            row_price, column_price = matching.prices(pairs, chosen)
            assert (row_price >= 0).all()
            assert (column_price >= 0).all()
            assert (row_price[pairs.row] + column_price[pairs.column] >= pairs.gain).all()
            assert row_price.sum() + column_price.sum() == total(pairs, chosen)


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 12), st.floats(0.1, 1))
def test_a_rows_price_is_the_loss_without_the_row(seed, rows, columns, share):
    pairs = pairs_of(seed, rows, columns, share, 20)
    chosen = matching.best(pairs)
    row_price, _ = matching.prices(pairs, chosen)
    for row in range(rows):
        others = pairs.row != row
        rest = Pairs(rows, columns, pairs.row[others], pairs.column[others], pairs.gain[others])
        assert row_price[row] == total(pairs, chosen) - total(rest, matching.best(rest))


@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 8), st.floats(0.1, 1))
def test_losses_are_lower_bounds_and_exact_for_unmatched_rows_and_columns(
    seed, rows, columns, share
):
    """The loss is exact if the pair's row or column is not in the best choice."""
    pairs = pairs_of(seed, rows, columns, share, 20)
    chosen = matching.best(pairs)
    losses = matching.losses(pairs, chosen)
    for pair in range(len(pairs)):
        apart = (pairs.row != pairs.row[pair]) & (pairs.column != pairs.column[pair])
        rest = Pairs(rows, columns, pairs.row[apart], pairs.column[apart], pairs.gain[apart])
        true_loss = total(pairs, chosen) - total(rest, matching.best(rest)) - pairs.gain[pair]
        free = pairs.row[pair] not in pairs.row[chosen]
        free |= pairs.column[pair] not in pairs.column[chosen]
        assert 0 <= losses[pair] <= true_loss
        assert losses[pair] == true_loss or not free


def test_cheapest_returns_each_rows_pairs_by_cost():
    pairs = Pairs(3, 4, np.array([0, 0, 0, 0, 2]), np.array([0, 1, 2, 3, 1]), np.ones(5, np.int64))
    cost = np.array([5.0, np.inf, 4.0, 4.0, 9.0])
    assert matching.cheapest(pairs, cost, 3).tolist() == [[2, 3, 0], [-1, -1, -1], [4, -1, -1]]
