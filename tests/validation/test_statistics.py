"""Errors and ranks, by cases worked out by hand."""

import pytest

from mlsysim.core.validation import statistics as stats


def test_errors_are_shares_of_what_was_measured():
    found = stats.summary([10.0, 20.0, 40.0, 100.0], [11.0, 16.0, 40.0, 130.0])
    # +10%, -20%, 0, +30%
    assert found.rows == 4
    assert found.mape == pytest.approx(0.15)
    assert found.median_ape == pytest.approx(0.15)
    assert found.bias == pytest.approx(0.05)
    assert found.spearman == pytest.approx(1.0)


def test_the_median_of_an_odd_number_of_rows_is_one_of_them():
    assert stats.summary([1.0, 1.0, 1.0], [1.5, 0.9, 1.2]).median_ape == pytest.approx(0.2)


def test_nothing_to_judge_has_no_error():
    assert stats.summary([], []) == stats.Summary(0, None, None, None, None)


def test_ranks_share_the_mean_of_their_places():
    assert stats.ranks([3.0, 1.0, 3.0, 2.0]) == [3.5, 1.0, 3.5, 2.0]


@pytest.mark.parametrize(
    ("a", "b", "rank"),
    [
        ([1, 2, 3, 4, 5], [2, 4, 6, 8, 10], 1.0),
        ([1, 2, 3, 4, 5], [10, 8, 6, 4, 2], -1.0),
        # d = 1, 1, 0, 0, 0: 1 - 6 * 2 / (5 * 24)
        ([1, 2, 3, 4, 5], [2, 1, 3, 4, 5], 0.9),
        # ranks 1.5, 1.5, 3 and 1, 2, 3: 1.5 / sqrt(1.5 * 2)
        ([1, 1, 2], [1, 2, 3], 1.5 / 3.0**0.5),
    ],
)
def test_rank_correlation(a, b, rank):
    assert stats.spearman(a, b) == pytest.approx(rank)


@pytest.mark.parametrize(("a", "b"), [([1.0, 2.0], [1.0, 2.0]), ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])])
def test_where_there_is_no_order_there_is_no_rank_correlation(a, b):
    assert stats.spearman(a, b) is None
