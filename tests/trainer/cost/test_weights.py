"""Float, half, byte and int8 arithmetic side by side, each measured and each compared with float."""

from pathlib import Path

import numpy as np
import pytest

from tests.trainer.export.fitted import fit_example
from trainer.cost import RUNTIME_INT8, compare_weights
from trainer.export import export_model, load_model
from trainer.export.quantise import quantise_model


def test_every_way_to_store_the_weights_has_its_bytes_time_and_differences(tmp_path: Path) -> None:
    fitted = fit_example(head="relu")
    path = tmp_path / "pump.onnx"
    export_model(fitted.model, fitted.card, path, fitted.windows, fitted.class_indices)
    labels = fitted.class_indices.copy()
    labels[:3] = -1
    spoken: list[tuple[str, int, int]] = []
    rows = compare_weights(
        path.read_bytes(), fitted.windows, labels, n_rounds=1, report=lambda *progress: spoken.append(progress)
    )
    assert [row.name for row in rows] == ["float32", "float16", "int8", RUNTIME_INT8]
    assert [row.refusal is None for row in rows] == [True, True, True, False]
    assert "allow-list" in str(rows[-1].refusal)
    whole, half, byte, _ = rows
    assert (whole.n_flips, whole.max_probability_difference, whole.max_novelty_difference) == (0, 0.0, 0.0)
    assert whole.cost.kib > half.cost.kib > byte.cost.kib
    assert all(row.cost.us_per_window_batch_1 > 0.0 for row in rows)
    assert 0.0 < half.max_probability_difference < byte.max_probability_difference
    got = load_model(path).run(fitted.windows).labels
    assert whole.accuracy == np.mean(got[3:] == labels[3:])
    assert whole.n_windows == len(fitted.windows)
    assert [progress[1:] for progress in spoken] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    # What has small weights already gains nothing more: there is no row for it.
    again = compare_weights(quantise_model(path.read_bytes(), "int8"), fitted.windows, labels * 0 - 1, n_rounds=1)
    assert [row.name for row in again] == ["float32", RUNTIME_INT8]
    assert again[0].accuracy is None
    assert set(again[0].as_dict()) >= {"weights", "cost", "n_flips", "refusal"}


def test_no_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="windows: at least one"):
        compare_weights(b"", np.zeros((0, 1, 8), np.float32), np.zeros(0, np.int64))
