import numpy as np

from demo.plant.messages import StateChange
from demo.truth import RecordedTruth, TruthTrack
from schemas import ModelCard
from schemas.card import example_card
from signals import Recording

SECOND = 1_000_000_000


def card() -> ModelCard:
    # 8 Hz, windows of 4 samples = 0.5 s, hop of 2 = 0.25 s.
    return example_card()


def track(*changes: tuple[int, str | None]) -> TruthTrack:
    found = TruthTrack()
    for t_ns, state in changes:
        found.add(StateChange("pump", t_ns, state))
    return found


def test_a_window_has_the_state_that_fills_most_of_it() -> None:
    found = track((0, "idle"), (SECOND, "pumping"))
    assert found.of_window("pump", 0, card()) == "idle"
    assert found.of_window("pump", 2, card()) == "idle"
    assert found.of_window("pump", 3, card()) is None
    assert found.of_window("pump", 4, card()) == "pumping"


def test_a_window_before_the_first_or_after_the_last_truth_has_none() -> None:
    found = track((SECOND, "idle"), (3 * SECOND, None))
    assert found.of_window("pump", 0, card()) is None
    assert found.of_window("pump", 4, card()) == "idle"
    assert found.of_window("pump", 12, card()) is None
    assert found.of_window("another", 4, card()) is None


def test_a_state_that_comes_twice_counts_twice() -> None:
    found = track((0, "idle"), (200_000_000, "pumping"), (290_000_000, "idle"))
    assert found.of_window("pump", 0, card()) == "idle"


def test_the_truth_of_a_recording_is_what_its_samples_say() -> None:
    labels = np.array([0] * 10 + [1] * 10 + [-1] * 10)
    t_ns = np.arange(30) * (SECOND // 8)
    truth = RecordedTruth([Recording("a", ("x",), t_ns, np.zeros((1, 30), np.float32), labels)], ["idle", "pumping"])
    answers = [truth.of_window("a", index, card()) for index in range(14)]
    # Windows 4 (samples 8-11) and 9 (18-21) are split in halves; half labelled is enough, and then one label is there.
    assert answers == ["idle"] * 4 + [None] + ["pumping"] * 5 + [None] * 4
    assert truth.at("a", 12 * SECOND // 8) == "pumping"
    assert truth.at("a", -1) is None
    assert truth.at("a", 25 * SECOND // 8) is None
    assert truth.of_window("b", 0, card()) is None
