"""The oracle can say no: each verdict is brought about by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.faults.plant import Plant
from tests.faults.publisher import ACCEPTED
from tests.faults.verdict import Witness, covered_windows, judge, read_accepted

PLANT = Plant(n_devices=2, step_ms=10, start_ms=1_600, window_length=4, hop_length=2)
FIRST = 160 // 2


def predict(windows: NDArray[np.float32]) -> tuple[list[str], NDArray[np.float32]]:
    share = np.full(len(windows), 0.25, dtype=np.float32)
    return ["low"] * len(windows), np.stack([share, 1 - share], axis=1)


def label(device: int, index: int, n_samples: int = 4, **changes: Any) -> str:
    said = {
        "device": PLANT.name(device),
        "window": {"index": index, "n_samples": n_samples},
        "label": "low",
        "probabilities": {"high": 0.25, "low": 0.75},
        "model": {"name": "small", "version": "1", "digest": "d1"},
    }
    return f"telltale/v1/gw/{PLANT.name(device)}/label\t{json.dumps(said | changes)}\n"


def gap(device: int, first: int, last: int) -> str:
    said = {"device": PLANT.name(device), "first_index": first, "last_index": last, "reason": "restart"}
    return f"telltale/v1/gw/{PLANT.name(device)}/gap\t{json.dumps(said)}\n"


@pytest.fixture
def hear(tmp_path: Path) -> Callable[..., Witness]:
    def made(*lines: str) -> Witness:
        path = tmp_path / "consumed"
        path.write_text("".join(lines))
        testimony = Witness(PLANT, path)
        testimony.read()
        return testimony

    return made


def accepted(*samples: tuple[int, int]) -> NDArray[np.void]:
    return np.array(list(samples), dtype=ACCEPTED)


def test_only_a_window_all_of_whose_samples_were_accepted_is_covered() -> None:
    all_but_one = accepted(*((0, seq) for seq in range(8) if seq != 5), (1, 0), (1, 1), (1, 2))
    assert covered_windows(PLANT, all_but_one) == {(0, FIRST)}
    assert covered_windows(PLANT, accepted(*((1, seq) for seq in (5, 4, 3, 2, 1, 0, 0)))) == {
        (1, FIRST),
        (1, FIRST + 1),
    }


def test_each_window_is_whole_partial_declared_or_silent(hear: Callable[..., Witness]) -> None:
    covered = {(0, FIRST + step) for step in range(4)}
    testimony = hear(label(0, FIRST), label(0, FIRST + 1, 3), gap(0, FIRST + 2, FIRST + 2), gap(1, FIRST, FIRST + 9))
    verdict = judge(PLANT, covered, testimony, {"d1": predict})
    assert verdict[1:5] == (1, 1, 1, 1)
    assert (verdict.windows, verdict.wrong, verdict.duplicates) == (4, 0, 0)


def test_a_fuller_label_counts_whenever_it_comes_and_copies_are_counted(hear: Callable[..., Witness]) -> None:
    testimony = hear(label(0, FIRST), label(0, FIRST, 2), label(0, FIRST))
    verdict = judge(PLANT, {(0, FIRST)}, testimony, {"d1": predict})
    assert (verdict.whole, verdict.partial, verdict.duplicates, verdict.wrong) == (1, 0, 2, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"label": "high"},
        {"probabilities": {"high": 0.26, "low": 0.74}},
        {"probabilities": None},
        {"label": None},
    ],
)
def test_a_whole_label_that_the_model_would_not_give_is_wrong(
    hear: Callable[..., Witness], changes: dict[str, Any]
) -> None:
    assert judge(PLANT, {(0, FIRST)}, hear(label(0, FIRST, **changes)), {"d1": predict}).wrong == 1


def test_two_whole_labels_of_one_window_that_differ_are_wrong(hear: Callable[..., Witness]) -> None:
    other = label(0, FIRST, probabilities={"high": 0.250001, "low": 0.749999})
    assert judge(PLANT, {(0, FIRST)}, hear(label(0, FIRST), other), {"d1": predict}).wrong == 1


def test_a_label_of_a_model_that_nobody_installed_is_wrong(hear: Callable[..., Witness]) -> None:
    other = label(0, FIRST, model={"name": "small", "version": "2", "digest": "d2"})
    assert judge(PLANT, {(0, FIRST)}, hear(label(0, FIRST), other), {"d1": predict}).wrong == 1
    assert judge(PLANT, {(0, FIRST)}, hear(label(0, FIRST), other), {"d1": predict, "d2": predict}).wrong == 0


def test_half_a_line_of_a_killed_consumer_is_no_testimony(hear: Callable[..., Witness]) -> None:
    testimony = hear(label(0, FIRST)[:40] + "\n", label(1, FIRST))
    assert set(testimony.samples) == {(1, FIRST)}


def test_a_file_that_still_grows_is_read_bit_by_bit(tmp_path: Path) -> None:
    testimony, line = Witness(PLANT, tmp_path / "consumed"), label(0, FIRST)
    testimony.read()
    for piece in (line[:30], line[30:] + line[:5], line[5:]):
        with testimony.path.open("a") as file:
            file.write(piece)
        testimony.read()
    assert testimony.n_labels == 2


def test_a_record_that_is_half_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "accepted"
    path.write_bytes(accepted((1, 2), (1, 3)).tobytes()[:-1])
    assert read_accepted(path)["seq"].tolist() == [2]


def test_payload_and_window_of_the_plant_agree() -> None:
    sent = [json.loads(PLANT.payload(1, seq)) for seq in range(4)]
    assert [sample["t"] for sample in sent] == [1_600, 1_610, 1_620, 1_630]
    expected = np.array([[sample["x"], sample["y"]] for sample in sent], dtype=np.float32).T
    assert np.array_equal(PLANT.window(1, FIRST), expected)
