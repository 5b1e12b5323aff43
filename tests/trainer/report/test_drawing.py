"""Figures for a page: no reference outwards, colours from the page, letters as they are, the same bytes every time."""

import re

import numpy as np

from tests.trainer.report.made import answers
from trainer.report.charts_quality import confusion_chart, groups_chart
from trainer.report.charts_windows import map_chart
from trainer.report.drawing import short
from trainer.report.feature_map import MapFacts
from trainer.report.quality import group_facts


def _map(n_points: int) -> MapFacts:
    generator = np.random.default_rng(0)
    return MapFacts(
        points=generator.standard_normal((n_points, 2)),
        class_indices=generator.integers(0, 2, n_points),
        is_wrong=np.arange(n_points) % 7 == 0,
        is_novel=np.arange(n_points) % 11 == 0,
        classes=("off", "on"),
        explained=(0.6, 0.2),
        n_windows=n_points,
    )


def test_a_figure_refers_to_nothing_outside_and_takes_its_colours_from_the_page() -> None:
    svg = confusion_chart([[3, 1], [0, 4]], ["a", "b"], ["a", "b"]).svg()
    assert not re.search(r"https?:|<!DOCTYPE|<\?xml|<metadata|xmlns", svg)
    assert "var(--accent)" in svg
    assert "var(--bad)" in svg
    assert "#1f6feb" not in svg


def test_names_are_letters_and_harmless() -> None:
    names = ["<script>alert(1)</script>", "$x^2$ & 泵"]
    svg = confusion_chart([[3, 1], [0, 4]], names, names).svg()
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg
    assert "$x^2$ &amp; 泵" in svg


def test_a_name_that_looks_like_a_colour_stays_a_name() -> None:
    svg = confusion_chart([[3, 1], [0, 4]], ["#1b1f24", "b"], ["#1b1f24", "b"]).svg()
    assert ">#1b1f24<" in svg


def test_the_same_facts_give_the_same_bytes_and_identifiers_are_not_shared_between_figures() -> None:
    first, again = map_chart(_map(500)), map_chart(_map(500))
    assert (first.svg(), first.png()) == (again.svg(), again.png())
    other = map_chart(_map(500), name="other").svg()
    identifiers = [set(re.findall(r'\sid="([^"]+)"', svg)) for svg in (first.svg(), other)]
    assert identifiers[0]
    assert not identifiers[0] & identifiers[1]


def test_many_points_become_one_picture_and_few_stay_shapes() -> None:
    assert "data:image/png;base64" in map_chart(_map(1500)).svg()
    assert "data:image/png" not in map_chart(_map(60)).svg()


def test_every_figure_says_in_words_what_it_shows() -> None:
    facts = group_facts(answers([0] * 20, [0] * 10 + [1] * 10, groups=[0] * 10 + [1] * 10))
    assert facts is not None
    assert groups_chart(facts).alt == (
        "Accuracy of 2 groups by device, from 0.00 to 1.00; 1 of them worse than chance explains."
    )
    assert confusion_chart([[3, 1], [0, 4]], ["a", "b"], ["a", "b"]).alt == (
        "Confusion matrix of 2 classes: 7 of 8 windows lie on the diagonal."
    )


def test_a_matrix_of_clusters_may_have_more_columns_than_rows() -> None:
    chart = confusion_chart([[1, 2, 3]], ["a"], ["c 0", "c 1", "c 2"], x_label="cluster", name="clusters")
    assert chart.alt == "Counts of 6 windows, 1 rows by 3 columns."
    assert "cluster" in chart.svg()


def test_two_long_names_that_differ_at_their_ends_stay_different() -> None:
    assert short("x" * 200 + "1") != short("x" * 200 + "2")
    assert len(short("x" * 200)) == 22
