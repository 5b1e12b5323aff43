import math
from collections.abc import Sequence

import numpy as np
import pytest

from demo.labels import Arrival
from demo.score import Score, SentLog, majority, score, window_times
from schemas import LabelEvent, ModelRef, WindowFacts, WindowQuality, format_timestamp
from schemas.card import example_card

CARD = example_card()


def event(index: int, probability: float | None = None, present: float = 1.0) -> LabelEvent:
    times = window_times(CARD, index)
    return LabelEvent(
        id=f"pump-01/{CARD.ref}/{index}",
        gateway="gw",
        device="pump-01",
        pipeline="pump",
        ts=format_timestamp(times.end_ns),
        window=WindowFacts(
            index=index,
            start=format_timestamp(times.start_ns),
            end=format_timestamp(times.end_ns),
            n_samples=4,
            quality=WindowQuality(present=present, longest_gap_s=0.0),
        ),
        label=None if probability is None else "idle" if probability >= 0.5 else "pumping",
        confidence=None if probability is None else max(probability, 1.0 - probability),
        probabilities=None if probability is None else {"idle": probability, "pumping": 1.0 - probability},
        novelty=None if probability is None else 0.0,
        state="incomplete" if probability is None else "ok",
        model=ModelRef(name=CARD.name, version=CARD.version, digest="0" * 64),
    )


def judged(
    events: list[tuple[LabelEvent, int]], truth: Sequence[str | None], sent: SentLog | None = None, began_ns: int = 0
) -> Score:
    arrivals = [Arrival(one, at_ns) for one, at_ns in events]
    return score(
        arrivals,
        CARD,
        lambda _device, index, _card: truth[index],
        sent or SentLog(),
        pipeline="pump",
        model_bytes=10,
        began_ns=began_ns,
    )


def test_accuracy_precision_and_recall_by_hand() -> None:
    # true:     idle idle idle pumping ; answered: idle idle pumping pumping
    events = [(event(0, 0.9), 0), (event(1, 0.8), 0), (event(2, 0.1), 0), (event(3, 0.2), 0)]
    found = judged(events, ["idle", "idle", "idle", "pumping"])
    assert found.accuracy == 0.75
    assert found.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)
    idle, pumping = found.per_class
    assert (idle.precision, idle.support) == (1.0, 3)
    assert idle.recall == pytest.approx(2 / 3)
    assert (pumping.precision, pumping.recall, pumping.support) == (0.5, 1.0, 1)


def test_windows_without_a_truth_or_an_answer_are_counted_but_not_scored() -> None:
    found = judged([(event(0, 0.9), 0), (event(1, 0.9), 0), (event(2, present=0.2), 0)], ["idle", None, "idle"])
    assert (found.n_windows, found.n_scored) == (3, 1)
    assert found.states == {"ok": 2, "incomplete": 1}


def test_latency_is_from_the_message_that_completed_the_window() -> None:
    # 8 Hz: window 0 is samples 0-3, its last at 375 ms; window 1 ends with the sample at 625 ms.
    sent = SentLog()
    for newest_ms, sent_ms in ((250, 1000), (500, 2000), (750, 3000)):
        sent.note("pump-01", newest_ms * 1_000_000, sent_ms * 1_000_000)
    found = judged([(event(0, 0.9), 2_004_000_000), (event(1, 0.9), 3_008_000_000)], ["idle", "idle"], sent)
    assert found.latency_p50_ms == pytest.approx(6.0)
    assert found.latency_p99_ms == pytest.approx(7.96)


def test_a_window_with_holes_says_nothing_about_latency() -> None:
    sent = SentLog()
    sent.note("pump-01", 500_000_000, 0)
    found = judged([(event(0, 0.9, present=0.95), 10**9)], ["idle"], sent)
    assert math.isnan(found.latency_p50_ms)
    assert found.as_dict()["latency_ms"] == {"p50": None, "p99": None}


def test_the_rate_is_that_of_the_answers_and_not_of_the_patience() -> None:
    events = [(event(0, 0.9), 10**9), (event(1, 0.9), 3 * 10**9), (event(2, present=0.1), 99 * 10**9)]
    assert judged(events, ["idle"] * 3, began_ns=10**9).windows_per_s == 1.0


def test_nothing_arrived_is_no_success() -> None:
    found = judged([], [])
    assert (found.accuracy, found.balanced_accuracy, found.n_scored) == (0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([0, 0, 0, 0, 1], 0), ([0, 0, 0, 1, 1], -1), ([1, -1], 1), ([1, -1, -1], -1), ([], -1), ([-1, -1], -1)],
)
def test_majority_needs_four_fifths_of_the_labelled_and_half_of_all(labels: list[int], expected: int) -> None:
    assert majority(np.array(labels, np.int64), 2) == expected
