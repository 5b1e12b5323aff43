"""What a card asks of a window, where nobody said it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trainer.data import CutPlan
from trainer.data.examples import example_windows
from trainer.data.plan import min_present_for


def plan(min_present: float | None = None) -> CutPlan:
    return CutPlan(32, 16, 32.0, "nearest", None, min_present, 0.8)


@pytest.mark.parametrize(("n_missing", "expected"), [(0, 0.9), (3, 0.9), (16, 0.75), (64, 0.01)])
def test_ready_cut_windows_may_be_as_sparse_as_the_sparsest_of_them(n_missing: int, expected: float) -> None:
    data = example_windows()
    windows = data.windows.copy()
    windows[3].reshape(-1)[:n_missing] = np.nan
    assert min_present_for(replace(data, windows=windows), plan()) == pytest.approx(expected)
    assert min_present_for(replace(data, windows=windows), plan(0.4)) == 0.4
    # Windows of a stream were cut by that bound themselves.
    assert min_present_for(replace(data, windows=windows, is_stream=True), plan()) == 0.9
