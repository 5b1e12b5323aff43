"""The mistakes that are shown, where they come from, how they are drawn; and the shares of novel windows."""

from dataclasses import replace

import numpy as np

from tests.trainer.report.made import answers
from trainer.evaluate import wilson_interval
from trainer.report.windows import MAX_OF_A_KIND, N_NOVELTY_BINS, line_points, novelty_shares, place_of, worst_facts

CLASSES = ("off", "on")


def test_the_surest_mistakes_come_first_with_their_place() -> None:
    judged = answers([0, 0, 1, 1], [1, 0, 0, 0], confidence=[0.7, 0.99, 0.95, 0.8], groups=[5, 5, 6, 6])
    facts = worst_facts(judged, CLASSES)
    assert facts.n_wrong == 3
    assert [(window.place, window.confidence) for window in facts.windows] == [
        ("device 6, row 102", 0.95),
        ("device 6, row 103", 0.8),
        ("device 5, row 100", 0.7),
    ]
    first = facts.windows[0]
    assert (first.true, first.predicted) == ("on", "off")
    np.testing.assert_allclose(first.true_probability, 0.05)
    np.testing.assert_array_equal(first.values, judged.data.windows[2])


def test_of_windows_that_share_samples_only_the_surest_is_shown() -> None:
    judged = answers([0, 0, 0], [1, 1, 1], confidence=[0.7, 0.9, 0.8])
    data = replace(judged.data, recordings=np.zeros(3, np.int64), starts=np.array([0, 2, 6]))
    shown = worst_facts(replace(judged, data=data), CLASSES).windows
    # Rows 100 and 101 overlap by 2 of 4 samples; rows 101 and 102 touch.
    assert [window.place for window in shown] == ["row 101", "row 102"]


def test_one_kind_of_mistake_leaves_room_for_others() -> None:
    judged = answers([0] * 9 + [1], [1] * 9 + [0], confidence=[0.9] * 9 + [0.6])
    shown = worst_facts(judged, CLASSES).windows
    assert [window.true for window in shown] == ["off"] * MAX_OF_A_KIND + ["on"]


def test_a_window_of_a_stream_is_found_by_recording_and_second() -> None:
    judged = answers([0], [1])
    data = replace(judged.data, is_stream=True, recordings=np.array([3]), starts=np.array([25]))
    assert place_of(replace(judged, data=data), 0) == "recording 3, at 12.5 s"


def test_a_long_line_keeps_its_single_spike_and_its_gap() -> None:
    values = np.zeros(10_000)
    values[7_777] = 9.0
    values[1000:3000] = np.nan
    at, drawn = line_points(values)
    assert len(at) <= 400
    assert (np.nanmax(drawn), at[np.nanargmax(drawn)]) == (9.0, 7777.0)
    assert np.isnan(drawn[(at > 1100) & (at < 2900)]).all()
    assert (np.diff(at) > 0).all()


def test_novel_windows_are_counted_beyond_one_and_all_of_them_are_in_the_histogram() -> None:
    novelty = np.array([0.0, 0.5, 1.0, 1.01, 250.0])
    facts = novelty_shares(novelty, stated_rate=0.01)
    assert (facts.n_novel, facts.share, facts.interval) == (2, 0.4, wilson_interval(2, 5))
    assert (sum(facts.counts), len(facts.counts), facts.counts[-1]) == (5, N_NOVELTY_BINS, 1)


def test_more_novelty_than_stated_is_said_only_where_the_interval_says_so() -> None:
    few, many = np.zeros(100), np.zeros(1000)
    few[:3], many[:60] = 2.0, 2.0
    assert not novelty_shares(few, stated_rate=0.01).is_more_than_stated
    assert novelty_shares(many, stated_rate=0.01).is_more_than_stated
