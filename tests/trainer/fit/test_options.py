"""An option that no fit can follow is refused at once, in one line that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trainer.errors import TrainerError
from trainer.fit import FitOptions, model_name
from trainer.fit.options import folds_of, hidden_sizes_of


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"features": "raw+wavelets"}, "--features: some of raw, .* expected, got 'wavelets'"),
        ({"features": "minirocket:7"}, "--features: minirocket:[0-9]+ to .* got 'minirocket:7'"),
        ({"features": "statistics+statistics"}, "--features: .*'statistics' twice"),
        ({"features": ""}, "--features: .* auto, or edge"),
        ({"hidden_layer_sizes": ()}, "--hidden: sizes of 1 or more"),
        ({"hidden_layer_sizes": (8, 0)}, "--hidden: sizes of 1 or more"),
        ({"false_alarm_rate": 0.0}, "--false-alarm-rate: a share between 0 and 1 expected, got 0"),
        ({"false_alarm_rate": 1.0}, "--false-alarm-rate"),
        ({"false_alarm_rate": float("nan")}, "--false-alarm-rate"),
        ({"folds": 1}, "--folds: 2 to 50, or groups, expected, got 1"),
        ({"folds": 51}, "--folds"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(change: dict[str, Any], line: str) -> None:
    with pytest.raises(TrainerError, match=line):
        FitOptions(**change)


def test_options_are_read_from_texts() -> None:
    assert hidden_sizes_of("64,32") == (64, 32)
    assert (folds_of("groups"), folds_of("7")) == ("groups", 7)
    with pytest.raises(TrainerError, match=r"--hidden: whole numbers with commas between, .* got '64;32'"):
        hidden_sizes_of("64;32")
    with pytest.raises(TrainerError, match="--folds: 2 to 50, or groups, expected, got 'people'"):
        folds_of("people")


@pytest.mark.parametrize(("stem", "name"), [("A b", "a-b"), ("é", "model"), ("x" * 90, "x" * 64), ("9-", "9")])
def test_a_model_is_named_after_its_data(stem: str, name: str) -> None:
    assert model_name(Path(f"{stem}.npz")) == name
