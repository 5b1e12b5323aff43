import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.features.kernels import (
    TAPS,
    kernel_weights,
    octave_dilations,
    plan_banks,
    random_subset,
    spread_dilations,
    spread_levels,
)


def test_the_kernels_are_all_placements_of_three_twos_among_nine() -> None:
    # By hand: three nested loops over places, without itertools.
    expected = []
    for a in range(9):
        for b in range(a + 1, 9):
            for c in range(b + 1, 9):
                row = [-1.0] * 9
                row[a] = row[b] = row[c] = 2.0
                expected.append(row)
    assert len(expected) == 84
    assert kernel_weights().tolist() == expected
    assert not kernel_weights().sum(axis=1).any()


@pytest.mark.parametrize("window_length", [9, 10, 16, 17, 24, 25, 128, 129, 1460, 10_000])
@pytest.mark.parametrize("n_dilations", [1, 2, 4, 32])
def test_dilations_start_at_1_and_end_at_the_widest_kernel_that_fits(window_length: int, n_dilations: int) -> None:
    dilations = spread_dilations(window_length, n_dilations)
    assert dilations[0] == 1
    assert len(dilations) <= n_dilations
    assert 8 * dilations[-1] + 1 <= window_length
    if n_dilations > 1:
        assert 8 * (dilations[-1] + 1) + 1 > window_length


def test_octaves_are_powers_of_two_that_fit() -> None:
    assert octave_dilations(9) == (1,)
    assert octave_dilations(16) == (1,)
    assert octave_dilations(17) == (1, 2)
    assert octave_dilations(1000) == (1, 2, 4, 8, 16, 32, 64)


@given(
    st.integers(1, 3000),
    st.integers(9, 400),
    st.integers(1, 20),
    st.sampled_from([42, 84]),
    st.integers(0, 5),
)
def test_a_plan_has_exactly_its_rows_and_only_kernels_that_fit(
    n_rows: int, window_length: int, n_channels: int, kernels_per_bank: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    banks = plan_banks(n_rows, window_length, n_channels, generator, kernels_per_bank=kernels_per_bank)
    assert sum(bank.n_rows for bank in banks) == n_rows
    for bank in banks:
        assert 2 * bank.margin < window_length
        assert len(bank.kernels) % len(bank.subsets) == 0
        assert len(bank.owners) == len(bank.row_kernels) == bank.n_rows
        assert all(0 <= position < n_channels for subset in bank.subsets for position in subset)
        assert set(bank.kernels) <= set(range(len(TAPS)))


def test_at_each_dilation_every_kernel_stands_once_half_of_them_padded() -> None:
    banks = plan_banks(84 * 12, 128, 1, np.random.default_rng(0))
    assert [bank.dilation for bank in banks] == [1, 1, 2, 2, 6, 6, 15, 15]
    for first, second in zip(banks[::2], banks[1::2], strict=True):
        assert {first.is_padded, second.is_padded} == {True, False}
        assert sorted(first.kernels + second.kernels) == list(range(84))


@pytest.mark.parametrize(("n_rows", "kernels_per_bank"), [(168, 42), (112, 28), (56, 14)])
def test_a_small_budget_sees_four_dilations(n_rows: int, kernels_per_bank: int) -> None:
    banks = plan_banks(n_rows, 128, 3, np.random.default_rng(0), kernels_per_bank=kernels_per_bank)
    assert [(bank.dilation, bank.is_padded) for bank in banks] == [(1, True), (2, False), (6, True), (15, False)]


def test_all_kernels_are_padded_where_windows_may_be_shorter_than_a_kernel() -> None:
    assert all(bank.is_padded for bank in plan_banks(1000, 128, 1, np.random.default_rng(0), pad_all=True))


def test_every_other_dilation_is_padded_where_a_bank_holds_all_kernels() -> None:
    banks = plan_banks(84 * 8, 128, 1, np.random.default_rng(0), kernels_per_bank=84, pad_first=False)
    assert [bank.is_padded for bank in banks] == [False, True, False, True]


def test_subsets_of_channels_are_of_every_size_up_to_nine() -> None:
    generator = np.random.default_rng(0)
    sizes = [len(random_subset(30, generator)) for _ in range(2000)]
    assert set(sizes) == set(range(1, 10))
    # The logarithm of the size is uniform: single channels are the most frequent (0.3 of all).
    assert 0.25 < sizes.count(1) / 2000 < 0.35
    assert {random_subset(1, generator) for _ in range(10)} == {(0,)}


def test_levels_fill_the_interval_wherever_the_sequence_is_cut() -> None:
    for start in (0, 17, 4000):
        levels = np.sort(spread_levels(50, start))
        assert np.diff(levels, prepend=0.0, append=1.0).max() < 0.05
    np.testing.assert_array_equal(spread_levels(5, 3), spread_levels(8)[3:])
