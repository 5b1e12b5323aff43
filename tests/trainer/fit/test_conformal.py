import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.fit.conformal import conformal_p_values, conformal_threshold, unsure_below


@pytest.mark.parametrize(
    ("n", "rate", "value", "stated"), [(99, 0.1, 90.0, 0.1), (99, 0.01, 99.0, 0.01), (9, 0.01, 9.0, 0.1)]
)
def test_without_groups_it_is_the_conformal_quantile(n: int, rate: float, value: float, stated: float) -> None:
    # By hand: of the scores 1 ... n the ceil((n + 1) (1 - rate))-th, or the largest.
    found = conformal_threshold(np.arange(n, 0, -1.0), rate)
    assert found.value == value
    assert found.rate == pytest.approx(stated)
    assert found.low < found.rate < found.high


def test_the_rate_holds_for_exchangeable_scores() -> None:
    generator = np.random.default_rng(0)
    crossed = []
    for _ in range(400):
        scores = generator.lognormal(size=101)
        crossed.append(scores[100] > conformal_threshold(scores[:100], 0.1).value)
    # Binomial: 40 of 400 expected, deviation 6.
    assert 22 <= np.sum(crossed) <= 58


def test_new_groups_cross_at_the_stated_rate_where_the_plain_quantile_is_crossed_more_often() -> None:
    generator = np.random.default_rng(1)
    n_groups, size, rate = 10, 60, 0.1
    groups = np.repeat(np.arange(n_groups), size)
    ours, plain = [], []
    for _ in range(200):
        shifts = generator.normal(size=n_groups + 1)
        scores = shifts[:n_groups].repeat(size) + 0.3 * generator.normal(size=n_groups * size)
        fresh = shifts[-1] + 0.3 * generator.normal(size=size)
        ours.append(np.mean(fresh > conformal_threshold(scores, rate, groups).value))
        plain.append(np.mean(fresh > conformal_threshold(scores, rate).value))
    assert abs(np.mean(ours) - rate) <= 0.03
    assert abs(np.mean(ours) - rate) < abs(np.mean(plain) - rate)


def test_a_group_counts_as_one_however_many_windows_it_has() -> None:
    generator = np.random.default_rng(2)
    scores = generator.normal(size=400)
    groups = np.arange(400) % 8
    scores[groups == 0] += 3.0
    often = np.concatenate([scores, np.tile(scores[groups == 0], 5)])
    of_often = np.concatenate([groups, np.zeros(5 * np.sum(groups == 0), np.int64)])
    assert conformal_threshold(often, 0.2, of_often).value == conformal_threshold(scores, 0.2, groups).value


def test_the_interval_is_wider_for_groups_than_for_windows() -> None:
    generator = np.random.default_rng(3)
    groups = np.repeat(np.arange(12), 50)
    scores = generator.normal(size=12).repeat(50) + 0.3 * generator.normal(size=600)
    together, alone = conformal_threshold(scores, 0.1, groups), conformal_threshold(scores, 0.1)
    assert together.low <= together.rate <= together.high
    assert together.high - together.low > 2.0 * (alone.high - alone.low)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(0, 4)), min_size=1, max_size=40), st.floats(0.005, 0.5))
def test_any_scores_give_a_threshold_among_them_and_an_honest_rate(pairs: list[tuple[float, int]], rate: float) -> None:
    scores, groups = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    found = conformal_threshold(scores, rate, groups)
    assert found.value in scores
    assert 0.0 < found.rate <= 1.0
    assert 0.0 <= found.low <= found.high <= 1.0
    assert found.n_scores == len(scores)


def test_p_values_count_the_larger_calibration_scores() -> None:
    assert conformal_p_values(np.array([1.0, 2.0, 2.0]), np.array([2.0, 2.1, 0.0])).tolist() == [0.75, 0.25, 1.0]


def test_p_values_of_familiar_scores_are_uniform() -> None:
    generator = np.random.default_rng(4)
    found = conformal_p_values(generator.normal(size=2000), generator.normal(size=2000))
    for level in (0.05, 0.2, 0.5):
        assert np.mean(found <= level) == pytest.approx(level, abs=0.04)


def _answers(generator: np.random.Generator, n: int, group_effect: float = 0.0) -> tuple[np.ndarray, ...]:
    groups = np.arange(n) % 15
    confidence = generator.uniform(0.5, 1.0, size=n)
    effect = group_effect * generator.normal(size=15)[groups]
    is_right = generator.uniform(size=n) < np.clip(confidence + effect, 0.0, 1.0)
    return np.stack([confidence, 1.0 - confidence], axis=1), np.where(is_right, 0, 1), groups


def test_labels_called_ok_are_wrong_no_more_often_than_said() -> None:
    generator = np.random.default_rng(5)
    broken, shares = 0, []
    for _ in range(200):
        probabilities, truth, _ = _answers(generator, 600)
        bound = unsure_below(probabilities, truth, wrong_at_most=0.15, doubt=0.1)
        # Of confidences uniform from the bound to 1 the mean error is half the way to 1.
        broken += bound.holds and (1.0 - max(bound.value, 0.5)) / 2.0 > 0.15
        shares.append(bound.share_ok)
    assert broken <= 32  # 20 expected at most, deviation 4.2
    assert np.mean(shares) > 0.4


def test_windows_of_one_person_are_not_taken_for_independent() -> None:
    probabilities, truth, groups = _answers(np.random.default_rng(6), 1500, group_effect=0.2)
    together = unsure_below(probabilities, truth, wrong_at_most=0.2, groups=groups)
    alone = unsure_below(probabilities, truth, wrong_at_most=0.2)
    assert together.value > alone.value


def test_nothing_is_unsure_where_all_is_right_and_nothing_is_promised_of_five_windows() -> None:
    probabilities = np.tile([0.7, 0.3], (100, 1))
    bound = unsure_below(probabilities, np.zeros(100, np.int64))
    assert (bound.value, bound.share_ok, bound.holds) == (0.0, 1.0, True)
    few = unsure_below(probabilities[:5], np.zeros(5, np.int64))
    assert not few.holds
    assert few.wrong_at_most > 0.05
    wrong = unsure_below(probabilities, np.ones(100, np.int64))
    assert not wrong.holds
    assert wrong.wrong_at_most == 1.0


def test_what_cannot_be_calibrated_is_refused() -> None:
    with pytest.raises(ValueError, match="finite scores of shape"):
        conformal_threshold(np.array([]), 0.1)
    with pytest.raises(ValueError, match="with 1 not finite"):
        conformal_p_values(np.array([1.0, np.nan]), np.array([1.0]))
    with pytest.raises(ValueError, match=r"groups: shape \(2,\) expected, got \(1,\)"):
        conformal_threshold(np.array([1.0, 2.0]), 0.1, np.array([0]))
    with pytest.raises(ValueError, match="between 0 and 1 expected, got 0"):
        conformal_threshold(np.array([1.0]), 0.0)
    with pytest.raises(ValueError, match="wrong_at_most: a number between 0 and 1"):
        unsure_below(np.array([[0.5, 0.5]]), np.array([0]), wrong_at_most=1.0)
    with pytest.raises(ValueError, match="class_indices: shape"):
        unsure_below(np.array([[0.5, 0.5]]), np.array([0, 1]))
