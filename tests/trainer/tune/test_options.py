"""What a search can be asked for; everything else is refused in one line."""

from typing import Any

import pytest

from trainer.data.examples import example_windows
from trainer.errors import TrainerError
from trainer.tune import TuneOptions
from trainer.tune.options import hidden_layer_sizes
from trainer.tune.space import candidate_blocks, kinds_of, resized


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget_us": 0.0}, "budget-us: a number above 0 expected, got 0"),
        ({"budget_us": -5.0}, "budget-us: a number above 0 expected, got -5"),
        ({"budget_kb": -1.0}, "budget-kb: a number above 0 expected, got -1"),
        ({"budget_kb": float("nan")}, "budget-kb: a number above 0 expected, got nan"),
        ({"max_trials": 0}, "trials: a number above 0 expected, got 0"),
        ({"time_s": float("inf")}, "time-s: a number above 0 expected, got inf"),
        ({"heads": ()}, "heads: some of ridge, logistic, mlp expected, got none"),
        ({"heads": ("forest",)}, "heads: some of ridge, logistic, mlp, mlp:N expected, got 'forest'"),
        ({"heads": ("ridge:3",)}, "got 'ridge:3'"),
        ({"heads": ("mlp:0",)}, "heads: mlp:1 to mlp:4096 expected, got 'mlp:0'"),
        ({"heads": ("mlp:x",)}, "got 'mlp:x'"),
        ({"features": ("statistics", "wavelets")}, "got 'wavelets'"),
        ({"weights": "int4"}, "weights: one of float32, float16, int8 expected, got 'int4'"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainerError) as caught:
        TuneOptions(**arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_heads_name_their_hidden_layers() -> None:
    assert [hidden_layer_sizes(head) for head in ("ridge", "logistic", "mlp", "mlp:8")] == [(), (), (64,), (8,)]


def test_the_budget_in_words_names_what_was_set() -> None:
    assert TuneOptions(budget_kb=300).budget_text == "at most 300 KiB"


def test_raw_samples_of_long_windows_are_not_tried() -> None:
    short, long = example_windows(window_length=32), example_windows(window_length=1024)
    assert "raw" in candidate_blocks(short)
    assert "raw" not in candidate_blocks(long)
    assert "spectral" not in {
        kind for name in candidate_blocks(example_windows(window_length=4)) for kind in kinds_of(name)
    }


def test_every_set_that_is_tried_by_itself_can_be_asked_for() -> None:
    found = candidate_blocks(example_windows())
    assert TuneOptions(features=found).features == found
    assert len(set(found)) == len(found)


def test_sizes_stay_within_what_blocks_take() -> None:
    assert resized("minirocket:100", 0.5) == "minirocket:84"
    assert resized("minirocket:50000+hydra:200", 2.0) == "minirocket:50000+hydra:400"
