"""Agreement of two groupings: beside scikit-learn, and whatever the groups are called."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from trainer.cluster.agreement import adjusted_rand, contingency, matched, normalised_mutual_information

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(-2, 3)), min_size=1, max_size=40)


@given(PAIRS)
def test_both_figures_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    one, other = (np.array(values) for values in zip(*pairs, strict=True))
    assert adjusted_rand(one, other) == pytest.approx(adjusted_rand_score(one, other), abs=1e-12)
    assert normalised_mutual_information(one, other) == pytest.approx(
        normalized_mutual_info_score(one, other), abs=1e-9
    )


@given(PAIRS, st.permutations(range(5)))
def test_names_of_groups_and_the_order_of_the_two_do_not_matter(pairs: list[tuple[int, int]], names: list[int]) -> None:
    one, other = (np.array(values) for values in zip(*pairs, strict=True))
    renamed = np.array(names)[one]
    assert adjusted_rand(renamed, other) == pytest.approx(adjusted_rand(other, one), abs=1e-12)
    assert normalised_mutual_information(renamed, other) == pytest.approx(normalised_mutual_information(other, one))


def test_groups_are_matched_by_the_largest_counts_and_none_twice() -> None:
    assert matched(np.array([[1.0, 9.0, 0.0], [8.0, 7.0, 0.0], [2.0, 0.0, 0.0]])).tolist() == [1, 0, 2]


def test_groupings_of_different_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="two groupings of the same windows expected"):
        contingency(np.zeros(3, int), np.zeros(4, int))
    with pytest.raises(ValueError, match="two groupings of the same windows expected"):
        contingency(np.zeros(0, int), np.zeros(0, int))
