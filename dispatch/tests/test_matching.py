"""The matching is optimal for any shape and any number of candidates, and prices prove it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from dispatch.planning.optimum import matching
from dispatch.planning.optimum.matching import Best, Pairs


def pairs_of(seed: int, rows: int, columns: int, share: float, most: int) -> Pairs:
    random = np.random.default_rng(seed)
    row, column = np.nonzero(random.random((rows, columns)) < share)
    return Pairs(rows, columns, row, column, random.integers(1, most + 1, len(row)))


def total(pairs: Pairs, chosen: np.ndarray) -> int:
    """The gain of a choice. Asserts that it uses no row and no column twice."""
    assert len(set(pairs.row[chosen])) == len(set(pairs.column[chosen])) == len(chosen)
    return int(pairs.gain[chosen].sum())


SHAPES = [(30, 8), (8, 30), (20, 20), (60, 15), (40, 40), (1, 30), (30, 1)]


def check_proof(pairs: Pairs, found: Best) -> None:
    """Both sets of prices prove the choice."""
    for row_price, column_price in (found.prices, found.others):
        assert (row_price >= 0).all()
        assert (column_price >= 0).all()
        assert (row_price[pairs.row] + column_price[pairs.column] >= pairs.gain).all()
        assert row_price.sum() + column_price.sum() == total(pairs, found.chosen)


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.2, 0.6, 1.0])
@pytest.mark.parametrize("most", [1, 3, 10**6, 10**12])
def test_the_choice_gains_as_much_as_scipys_dense_one(rows, columns, share, most):
    """`most` is the highest gain: with 1 all gains are equal, with 3 there are many ties."""
    for seed in range(3):
        pairs = pairs_of(seed, rows, columns, share, most)
        found = matching.best(pairs)
        gains = np.zeros((rows, columns), np.int64)
        gains[pairs.row, pairs.column] = pairs.gain
        by_scipy = gains[linear_sum_assignment(gains, maximize=True)].sum()
        assert total(pairs, found.chosen) == by_scipy
        check_proof(pairs, found)


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
@pytest.mark.parametrize("share", [0.2, 1.0])
@pytest.mark.parametrize("most", [1, 3, 10**6])
def test_few_candidates_lead_to_the_same_gain(rows, columns, share, most, monkeypatch):
    """As with millions of pairs: the rest becomes a candidate only where the prices do not hold."""
    pairs = pairs_of(5, rows, columns, share, most)
    gain = total(pairs, matching.best(pairs).chosen)
    monkeypatch.setattr(matching, "FEW_PAIRS", 0)
    monkeypatch.setattr(matching, "MANY_PAIRS", 0)
    monkeypatch.setattr(matching, "BEST_OF_ROW", 2)
    monkeypatch.setattr(matching, "BLOCK_CELLS", 7)
    found = matching.best(pairs)
    assert total(pairs, found.chosen) == gain
    check_proof(pairs, found)


def test_candidates_contain_the_best_pairs_of_each_row(monkeypatch):
    monkeypatch.setattr(matching, "FEW_PAIRS", 0)
    monkeypatch.setattr(matching, "MANY_PAIRS", 0)
    pairs = pairs_of(1, 12, 40, 0.7, 10**6)
    candidates = set(matching.best(pairs).candidates.tolist())
    for row in range(pairs.rows):
        of_row = np.flatnonzero(pairs.row == row)
        assert set(of_row[np.argsort(-pairs.gain[of_row])][: matching.BEST_OF_ROW]) <= candidates


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 12), st.floats(0.1, 1))
def test_a_rows_price_is_the_loss_without_the_row(seed, rows, columns, share):
    pairs = pairs_of(seed, rows, columns, share, 20)
    found = matching.best(pairs)
    for row in range(rows):
        rest = pairs.take(np.flatnonzero(pairs.row != row))
        without = total(rest, matching.best(rest).chosen)
        assert found.prices.row[row] == total(pairs, found.chosen) - without


@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 8), st.floats(0.1, 1))
def test_losses_are_lower_bounds_and_exact_for_unmatched_rows_and_columns(
    seed, rows, columns, share
):
    """The loss is exact if the pair's row or column is not in the best choice."""
    pairs = pairs_of(seed, rows, columns, share, 20)
    found = matching.best(pairs)
    chosen = found.chosen
    losses = matching.losses(pairs, found, np.arange(len(pairs)))
    for pair in range(len(pairs)):
        apart = (pairs.row != pairs.row[pair]) & (pairs.column != pairs.column[pair])
        rest = pairs.take(np.flatnonzero(apart))
        without = total(rest, matching.best(rest).chosen)
        true_loss = total(pairs, chosen) - without - pairs.gain[pair]
        free = pairs.row[pair] not in pairs.row[chosen]
        free |= pairs.column[pair] not in pairs.column[chosen]
        assert 0 <= losses[pair] <= true_loss
        assert losses[pair] == true_loss or not free


def test_cheapest_returns_each_rows_pairs_by_cost():
    pairs = Pairs(3, 4, np.array([0, 0, 0, 0, 2]), np.array([0, 1, 2, 3, 1]), np.ones(5, np.int64))
    cost = np.array([5.0, np.inf, 4.0, 4.0, 9.0])
    assert matching.cheapest(pairs, cost, 3).tolist() == [[2, 3, 0], [-1, -1, -1], [4, -1, -1]]
