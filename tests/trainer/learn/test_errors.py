import pickle

import pytest

from schemas.errors import EdgeError
from trainer.errors import DatasetError, DivergedError, ExportParityError, TrainerError


@pytest.mark.parametrize(
    ("error", "numbers"),
    [
        (DivergedError(epoch=3, loss=float("inf")), {"epoch": 3, "loss": float("inf")}),
        (ExportParityError(max_abs_diff=0.5, tolerance=1e-5), {"max_abs_diff": 0.5, "tolerance": 1e-5}),
        (DatasetError("rig.npz: X: expected 3 dimensions, got 2"), {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_family_has_one_root_and_carries_its_numbers_between_processes(
    error: TrainerError, numbers: dict[str, float]
) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made one line above
    for one in (error, copy):
        assert isinstance(one, TrainerError)
        assert isinstance(one, EdgeError)
        assert vars(one) == numbers
    assert str(copy) == str(error)
    assert "\n" not in str(error)
